/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct endpoint. Owner: the endpoint thread, except what is marked atomic. */
#ifndef TERN_ENDPOINT_ENDPOINT_INTERNAL_H
#define TERN_ENDPOINT_ENDPOINT_INTERNAL_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "control/endpoint/endpoint.h"
#include "dataplane/state/hold.h"
#include "hw/net_kernel/net_sockaddr.h"
#include "hw/platform/worker.h"

#ifdef TERN_TINY_LIMITS
#define ENDPOINT_READS_MAX   8u
#define ENDPOINT_WAITING_MAX 4u
#define ENDPOINT_BATCHES_MAX 2u
#define ENDPOINT_OUT_MAX     2u
#define ENDPOINT_BURST       2u
#else
#define ENDPOINT_READS_MAX   1024u /* a power of two, as that of batches */
#define ENDPOINT_WAITING_MAX 256u
#define ENDPOINT_BATCHES_MAX 8u
#define ENDPOINT_OUT_MAX     32u
#define ENDPOINT_BURST       64u
#endif
#define ENDPOINT_OPENINGS 64u
#define ENDPOINT_BUCKETS  4096u /* a power of two */
#define ENDPOINT_NONE     UINT32_MAX
#define ENDPOINT_TAG_READ (1ull << 63)

/* Where an answer goes. */
struct peer_name {
	struct inet_addr ip;
	uint16_t port; /* host byte order */
	uint64_t token;
};

/* A write or an opening at the lcore; its index is the tag. */
struct flight {
	bool is_open;
	uint32_t next; /* free, or of the same bucket */
	struct peer_name peer;
	uint64_t client_id, id; /* id: seq, or the number of the opening */
};

static inline bool
peer_name_equal(const struct peer_name *a, const struct peer_name *b)
{
	return a->port == b->port && a->token == b->token && inet_addr_equal(&a->ip, &b->ip);
}

struct read_waiter {
	struct peer_name peer;
	uint64_t id;
	bool is_memory;
	enum native_reads reads;
	uint64_t position, until_ns; /* SESSION, SNAPSHOT; until_ns: waits so long for it */
	uint64_t stale_ns_max;       /* STALE */
	uint32_t key_bytes;
	uint8_t key[COMMAND_KEY_BYTES_MAX];
};

/* Reads that share a read point: a run of waiters. */
struct read_batch {
	uint64_t waiter_end;
	bool is_answered;
	bool is_overtaken; /* by a lease that was over then: it is to be submitted again */
	struct submit_completion completion;
};

/* A position that SNAPSHOT reads are answered at: kept until snapshot_idle_ns after the last of
 * them, HOLD_NS at most. */
struct endpoint_hold {
	bool is_used;
	uint64_t idle_ns, end_ns; /* when it is given back, the earlier of the two */
	/* Who asked for the newest position: asked again, the answer is the same. */
	struct peer_name peer;
	uint64_t id;
	struct state_hold hold;
};

/* Openings of late, so that one that is asked for again does not become a second session. */
struct opening {
	uint64_t number, client_id, log_index; /* client_id 0: under way; number 0: none */
};

struct out_frame {
	struct peer_name peer;
	struct native_writer writer; /* frame NULL: unused */
	_Alignas(8) uint8_t bytes[NATIVE_FRAME_BYTES_MAX];
};

struct endpoint {
	struct submit_channel *channel;
	struct state *state;
	struct state_reader *reader;
	struct status_cell *cell;
	struct node_status status; /* as of this turn */
	struct native_node nodes[NATIVE_NODES_MAX];
	uint32_t node_count;
	uint16_t node_id, port;
	int fd;

	struct flight *flights;
	uint32_t flights_free, flights_used;
	uint32_t buckets[ENDPOINT_BUCKETS];
	struct opening openings[ENDPOINT_OPENINGS];
	uint32_t opening_next;

	struct read_waiter *waiters;
	uint64_t waiter_first, waiter_submitted, waiter_end;
	struct read_batch batches[ENDPOINT_BATCHES_MAX];
	uint64_t batch_first, batch_end;
	struct read_waiter *waiting; /* for a position, in no order */
	uint32_t waiting_count;
	struct endpoint_hold holds[STATE_HOLDS_MAX];
	uint64_t stale_ns_max; /* 0: any */
	uint64_t snapshot_idle_ns;

	bool has_published, needs_retry;
	bool has_overtaken; /* some batch is to be submitted again */
	struct out_frame *outs;
	uint32_t out_next; /* the next to give way */
	uint8_t *in;       /* ENDPOINT_BURST datagrams */
	uint8_t *value;    /* NATIVE_VALUE_BYTES_MAX: of a view that may fail */

	struct worker worker;
	struct endpoint_counters {
		_Atomic uint64_t frames, malformed, foreign, opens, writes, reads, local_reads,
		    duplicates, busy, send_drops;
	} counters;
};

static inline void
endpoint_count(_Atomic uint64_t *counter)
{
	/* One writer: a plain addition, visible to whoever reads the counters. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* The cluster went on without this node, which answers nothing any more (protocol section 12). */
static inline bool
endpoint_is_left_out(const struct endpoint *endpoint)
{
	return endpoint->status.mode == CORE_MODE_SUPERSEDED;
}

static inline uint32_t
endpoint_bucket(uint64_t client_id, uint64_t seq)
{
	return (uint32_t)((client_id * 0x9e3779b97f4a7c15ull + seq) % ENDPOINT_BUCKETS);
}

/* request.c: one datagram */
void endpoint_take(struct endpoint *endpoint, const uint8_t *frame, uint32_t bytes,
		   const union net_sockaddr *from);
/* End of a burst: submits the reads that came and wakes the lcore. */
void endpoint_publish(struct endpoint *endpoint);

/* answer.c */
void endpoint_reply(struct endpoint *endpoint, const struct peer_name *peer,
		    const struct native_reply *reply);
void endpoint_send_master(struct endpoint *endpoint, const struct peer_name *peer);
/* What the reader's view, which is at @index, holds; bytes are borrowed from it. */
struct native_reply
endpoint_read_reply(struct endpoint *endpoint, const struct read_waiter *waiter, uint64_t index);
/* The same out of a provisional view of its own, answered. False: the state is not at @need, or the
 * view has failed. */
bool endpoint_answer_provisional(struct endpoint *endpoint, const struct read_waiter *waiter,
				 uint64_t need, uint64_t age_ns);
/* Answers what the lcore has completed. */
void endpoint_complete(struct endpoint *endpoint);
/* Sends the answers that were gathered. */
void endpoint_flush(struct endpoint *endpoint);

/* local.c: reads that ask nobody. Answers @waiter, or keeps it until the state is as far. */
void endpoint_read_local(struct endpoint *endpoint, const struct read_waiter *waiter);
/* Answers those that waited, as far as that is possible now; gives holds back whose time is over.
 */
void endpoint_local_turn(struct endpoint *endpoint);
/* How long the thread may sleep, as poll(2) wants it. */
int endpoint_local_wait_ms(const struct endpoint *endpoint);
void endpoint_local_end(struct endpoint *endpoint);

#endif
