/* SPDX-License-Identifier: Apache-2.0 */
/* Effects of the core, each to whom it is for; private to this room. */
#ifndef TERN_RUNTIME_EFFECTS_H
#define TERN_RUNTIME_EFFECTS_H

struct core_effects;
struct runtime;

/* For struct dispatch_handlers. */
void effects_take(struct runtime *rt, const struct core_effects *effects);

#endif
