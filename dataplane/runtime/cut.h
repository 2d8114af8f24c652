/* SPDX-License-Identifier: Apache-2.0 */
/* A divergent tail: its blocks are named on the divergent ring, and then the log ends before them.
 * Private to this room. */
#ifndef TERN_RUNTIME_CUT_H
#define TERN_RUNTIME_CUT_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

struct cut {
	bool is_pending;
	bool is_flushed; /* nothing more of the tail can be made durable */
	uint64_t keep_index;
	uint64_t export_next; /* first index of the tail that is not yet named; 0: not begun */
};

void cut_begin(struct runtime *rt, uint64_t keep_index);
bool cut_turn(struct runtime *rt);

#endif
