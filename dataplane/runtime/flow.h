/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow control of clients while a copy comes back; private to this room.
 *
 * A voter outside the in-sync set that takes blocks again is nearer to the end of the log with each
 * block that it makes durable, and further from it with each that is written. Clients that write as
 * fast as they are served can keep it out for ever, and with it the second copy. So they may write
 * one page for two that it gets, and besides FLOW_BURST_PAGES, and a page each FLOW_PAGE_NS however
 * slow it is. What they may not write yet stays in their channels. A peer that has not got on for
 * T_late is not waited for.
 */
#ifndef TERN_RUNTIME_FLOW_H
#define TERN_RUNTIME_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

struct flow {
	bool is_active;
	bool is_held;
	uint16_t node;                   /* that is waited for */
	uint64_t begin_ns;               /* since when */
	uint64_t begin_page, begin_peer; /* ends of this log and of what it held durably, then */
	uint64_t peer_page, progress_ns; /* of the peer lately, and since when */
	uint64_t held;                   /* turns in which requests had to wait, since the start */
};

/* True: no requests are to be taken in this turn. */
bool flow_holds(struct runtime *rt);

#endif
