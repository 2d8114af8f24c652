/* SPDX-License-Identifier: Apache-2.0 */
/* Completions of the store: each goes to whose request it was, and what it says of the store's
 * health is judged here. Private to this room. */
#ifndef TERN_RUNTIME_COMPLETION_H
#define TERN_RUNTIME_COMPLETION_H

#include <stdbool.h>

struct runtime;

/* Takes what has come, up to a bound. True: there was something. */
bool completion_poll(struct runtime *rt);

#endif
