/* SPDX-License-Identifier: Apache-2.0 */
/* What the node is, for whoever looks; private to this room. What the loop and checkers ask is
 * declared in runtime.h. */
#ifndef TERN_RUNTIME_REPORT_H
#define TERN_RUNTIME_REPORT_H

struct runtime;

/* Writes what the node is now to the status cell, if there is one; every turn does it when it is
 * due. */
void report_publish(struct runtime *rt);

#endif
