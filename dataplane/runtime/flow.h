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
 *
 * One that fetches a checkpoint needs all of the log that is written from there until it has
 * started: whatever is written over by then, it has to fetch the next checkpoint for. So clients
 * may fill a RUNTIME_TRANSFER_SHARE of the log area behind the checkpoint, and a second one in the
 * measure in which the node has got all of it (or once it is silent for T_late, as while it
 * starts); and then a page each FLOW_PAGE_NS.
 */
#ifndef TERN_RUNTIME_FLOW_H
#define TERN_RUNTIME_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

struct flow {
	bool is_active; /* it takes blocks */
	bool is_over;   /* it fetches a checkpoint, and the shares of the log are used up */
	bool is_held;
	uint16_t node;                   /* that is waited for */
	uint64_t begin_ns;               /* since when */
	uint64_t begin_page, begin_peer; /* ends of this log and of what it held durably, then */
	uint64_t peer_page, progress_ns; /* of the peer lately, and since when */
	uint64_t over_cell, over_ns;     /* where this log ended when they were, and when */
	uint64_t held;                   /* turns in which requests had to wait, since the start */
};

/* True: no requests are to be taken in this turn. */
bool flow_holds(struct runtime *rt);

#endif
