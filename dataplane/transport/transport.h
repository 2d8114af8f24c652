/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving blocks from a master to its replicas: cutting them into fragments, putting fragments back
 * together in any order, finding and repairing loss, and bounding what is under way.
 *
 * A *stream* (sender side, one a peer) sends whole blocks in index order from a start index on, as
 * far as the receiver's credit reaches. An *assembly* (receiver side, one a shard) keeps a bitmap
 * for each block of its window and hands blocks on in index order once they are whole.
 *
 * Loss: the receiver sees gaps (a later fragment came, or nothing came for a while although the
 * stream said there is more) and asks with FETCH; the sender repeats what is asked for, and when
 * nothing at all is heard for resend_ns it sends everything that is not acknowledged
 * again, in order. Duplicates are dropped and counted.
 *
 * Does not own: block bytes (cmdlog), matching (core: a stream starts and an assembly accepts only
 * when core said so), frames' headers and ports (runtime).
 * Thread: one owner. Pure: no I/O, clock, allocation after init, globals.
 */
#ifndef TERN_TRANSPORT_TRANSPORT_H
#define TERN_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/fragment.h"

#define TRANSPORT_PEERS_MAX 8u

/* ---- sender ---- */

struct stream; /* fields in transport_internal.h */

struct stream_config {
	uint32_t units_per_frame; /* 1 with a 1500-byte MTU, 6 with 9000 */
	uint64_t resend_ns;
	uint32_t bytes_in_flight_max; /* bound besides the receiver's credit */
};
size_t stream_bytes(void);
void stream_init(void *memory, const struct stream_config *config, struct stream **stream);

/* (Re)starts at @log_index; everything known of the peer's progress is forgotten. The peer's credit
 * is at first one block. */
void stream_start(struct stream *stream, uint64_t log_index, uint64_t now_ns);
void stream_stop(struct stream *stream);
bool stream_is_active(const struct stream *stream);

/* The peer holds everything up to @received_index and has room up to page @credit_end_page. */
void stream_on_ack(struct stream *stream, uint64_t received_index, uint64_t credit_end_page,
		   uint64_t now_ns);
/* It says so on another way than by acknowledgements, and nothing of its credit. What the log
 * reclaims by that word is asked of this stream no more. */
void stream_on_received(struct stream *stream, uint64_t received_index, uint64_t now_ns);
/* The peer lacks fragments: they are sent before anything new. */
void stream_on_fetch(struct stream *stream, const struct fetch *fetch, uint64_t now_ns);

/* What to send next. @last_index: newest sealed block. */
struct stream_want {
	uint64_t log_index;
	uint32_t unit_first; /* first unit of that block to send; send up to units_per_frame */
};
/* False: nothing now; try again at stream_deadline_ns or after an ack, fetch or new block. */
bool
stream_next(struct stream *stream, uint64_t last_index, uint64_t now_ns, struct stream_want *want);
/* Describes the block that stream_next named, so that the fragment can be cut; the caller got the
 * numbers from the block header. Writes fragment header and units at @body (room for
 * FRAGMENT_HDR_BYTES + units_per_frame * FRAGMENT_UNIT_BYTES), advances the stream, and returns the
 * body's bytes. Returns 0 when the block does not fit the receiver's credit or the in-flight bound
 * yet: nothing was sent.
 * @block: its pages, contiguous; borrowed until return. */
uint32_t stream_fill(struct stream *stream, const struct stream_want *want, const uint8_t *block,
		     uint64_t commit_index, uint64_t now_ns, uint8_t *body);
uint64_t stream_deadline_ns(const struct stream *stream);

struct stream_stats {
	uint64_t fragments_sent, fragments_resent, fetches_received, timeouts;
	uint64_t next_index, acked_index;
};
struct stream_stats stream_stats(const struct stream *stream);

/* ---- receiver ---- */

struct assembly; /* fields in transport_internal.h */

struct assembly_config {
	uint32_t block_pages_max; /* larger blocks are refused */
	uint32_t blocks_max;      /* blocks of the window, a power of two */
	uint64_t fetch_after_ns;  /* a gap this old is asked for */
};
/* Bytes of memory for @config: bitmaps for all blocks of the window. */
size_t assembly_bytes(const struct assembly_config *config);
void assembly_init(void *memory, const struct assembly_config *config, struct assembly **assembly);

/* Takes fragments of blocks from @log_index on, the first of which starts at page @page_lsn.
 * Forgets everything before. */
void assembly_accept(struct assembly *assembly, uint64_t log_index, uint64_t page_lsn);
void assembly_stop(struct assembly *assembly);

enum assembly_verdict {
	ASSEMBLY_TAKE = 1, /* copy the units to their place, then call assembly_mark */
	/* Have it; of a block that was handed on; beyond the window. Drop, and acknowledge again,
	 * credit included: the sender does not know it, or would not have sent this. */
	ASSEMBLY_DUPLICATE,
	ASSEMBLY_OLD,
	ASSEMBLY_AHEAD,
	ASSEMBLY_REFUSED, /* not accepting, or contradicts what is known of the block; drop */
};
/* Looks at one fragment. page_lsn of blocks beyond the next one is taken from the fragment; the
 * verified block header decides in the end. */
enum assembly_verdict assembly_offer(struct assembly *assembly, const struct fragment_hdr *fragment,
				     uint64_t credit_end_page, uint64_t now_ns);
/* The units of the offered fragment lie in their place. Units already marked stay as they are: the
 * caller copies only units whose bit assembly_has_unit says is clear. */
void assembly_mark(struct assembly *assembly, const struct fragment_hdr *fragment);
bool assembly_has_unit(const struct assembly *assembly, uint64_t log_index, uint32_t unit);

struct assembly_block {
	uint64_t log_index, page_lsn;
	uint32_t pages, units, last_unit_bytes;
};
/* The next block in index order, when it is whole. */
bool assembly_next(struct assembly *assembly, struct assembly_block *block);
/* The block of assembly_next was verified and is part of the log: the window moves on. */
void assembly_take(struct assembly *assembly);
/* The block of assembly_next is not what it must be: forget its units, so that they are fetched. */
void assembly_reject(struct assembly *assembly, uint64_t now_ns);
/* The block of assembly_next is what it must be, and there is no room for it: forget its units. It
 * is fetched again, each time later, up to the longest time between two fetches. */
void assembly_defer(struct assembly *assembly, uint64_t now_ns);

/* Fills @fetch with what is missing and due. False: nothing due. @last_index: newest block that
 * the master is known to have. */
bool assembly_fetch(struct assembly *assembly, uint64_t last_index, uint64_t now_ns,
		    struct fetch *fetch);
uint64_t assembly_deadline_ns(const struct assembly *assembly);

struct assembly_stats {
	uint64_t fragments_taken, duplicates, old, ahead, refused, blocks_whole, blocks_rejected,
	    blocks_deferred, fetches_sent;
	uint64_t next_index;
};
struct assembly_stats assembly_stats(const struct assembly *assembly);

#endif
