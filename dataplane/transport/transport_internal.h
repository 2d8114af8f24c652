/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of struct stream and struct assembly, shared by this room's files and its tests. */
#ifndef TERN_TRANSPORT_TRANSPORT_INTERNAL_H
#define TERN_TRANSPORT_TRANSPORT_INTERNAL_H

#include "dataplane/transport/transport.h"

#ifdef TERN_TINY_LIMITS
#define STREAM_BLOCKS_MAX  8u
#define STREAM_REPAIRS_MAX 4u
#else
#define STREAM_BLOCKS_MAX  1024u /* under way; a power of two */
#define STREAM_REPAIRS_MAX 64u
#endif
#define STREAM_LOW_REPORTS_MAX 8u
#define ASSEMBLY_CONFLICTS_MAX 16u
#define ASSEMBLY_BACKOFF_MAX   4u /* a fetch is repeated after fetch_after_ns << 0..4 */

/* How a block is cut. */
struct stream_geometry {
	uint64_t log_index; /* 0: not known */
	uint64_t page_lsn;
	uint32_t pages, units, last_unit_bytes;
};

/* What to send again: unit_count 0 is all from unit_first on. */
struct stream_repair {
	uint64_t log_index;
	uint32_t unit_first, unit_count;
};

/*
 * start_index - 1 <= acked_index < next_index <= acked_index + STREAM_BLOCKS_MAX + 1.
 * Blocks below next_index were sent whole; of next_index the units below next_unit.
 */
struct stream {
	struct stream_config config;
	bool is_active;
	bool is_blocked; /* the next block fits neither credit nor bound; an ack may change that */
	bool is_credit_known; /* false: one block may be sent */
	bool is_repair;       /* stream_next named a repair */
	uint64_t start_index, acked_index, next_index;
	uint32_t next_unit, low_reports;
	uint64_t credit_end_page;
	uint64_t
	    acked_end_page; /* first page after block acked_index, while anything is under way */
	uint64_t heard_ns;  /* when the peer last made progress or asked for something */
	struct stream_geometry geometry; /* of the block that was cut last */
	uint32_t repair_first, repair_count;
	struct stream_repair repairs[STREAM_REPAIRS_MAX]; /* a ring */
	uint64_t end_pages[STREAM_BLOCKS_MAX];            /* by log_index: first page after it */
	struct stream_stats stats;
};

/* One block of the window. */
struct assembly_slot {
	uint64_t page_lsn;
	uint64_t touched_ns; /* a unit came, a fetch went, or it was first missed */
	uint32_t pages, units, last_unit_bytes;
	uint32_t units_have;
	uint8_t fetches, conflicts;
	uint8_t deferrals; /* it was whole, and there was no room for it */
	bool is_known;     /* a fragment said how large it is */
};

/*
 * next_index <= high_index + 1 <= next_index + blocks_max; slots of next_index..high_index are
 * valid. next_page_lsn is where block next_index starts.
 */
struct assembly {
	struct assembly_config config;
	bool is_accepting;
	uint32_t words; /* of one block's bitmap */
	uint64_t next_index, next_page_lsn, high_index;
	uint64_t idle_ns;     /* when something last happened */
	uint64_t deadline_ns; /* no slot is due before; UINT64_MAX: none will be */
	struct assembly_slot *slots;
	uint64_t *bits;
	struct assembly_stats stats;
};

#endif
