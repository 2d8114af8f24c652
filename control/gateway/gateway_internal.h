/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct gateway. Owner: the gateway thread, except what is marked atomic. */
#ifndef TERN_GATEWAY_GATEWAY_INTERNAL_H
#define TERN_GATEWAY_GATEWAY_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/commands.h"
#include "control/gateway/connection.h"
#include "control/gateway/gateway.h"
#include "control/gateway/refusal.h"
#include "control/gateway/sentinel.h"
#include "dataplane/state/hold.h"
#include "hw/platform/worker.h"

#ifdef TERN_TINY_LIMITS
#define READ_BATCHES_MAX 2u
#else
#define READ_BATCHES_MAX 8u
#endif
/* Rounds of writes at the lcore, see rounds.c. */
#define WRITE_ROUNDS_MAX 2u
/* Above this a connection's requests wait until the client has read its replies. */
#define OUTPUT_WAIT_BYTES 262144u
/* Descriptors that are no connection are named connections_max + so much. */
#define GATEWAY_FORWARD_NAME 3u
/* Of a command that goes to another node: one datagram. */
#define FORWARD_COMMAND_BYTES 61400u
#define BUFFER_KEEP_BYTES     65536u /* an empty buffer above this is given back */

enum flight_result { FLIGHT_TAKEN = 1, FLIGHT_NO_ROOM, FLIGHT_TOO_LARGE };

/* Reads that share one read point: OPEN until it is submitted at the end of a round. */
struct read_batch {
	bool is_used, is_submitted;
	bool is_overtaken; /* it was answered by a lease that is over: now it wants a round */
	uint32_t waiters_count, waiters_capacity;
	struct read_waiter {
		uint32_t index, generation;    /* of the connection */
		uint64_t slot_first, slot_end; /* a run of its slots */
	} * waiters;
};

/* A request at the lcore; its index and generation are the tag. */
struct flight {
	uint32_t generation;
	bool is_used, is_read, is_tick;
	uint32_t next_free;
	uint32_t reply_bytes;                 /* WRITE: what its reply may bring, at most */
	uint32_t conn_index, conn_generation; /* WRITE */
	uint64_t slot;                        /* WRITE */
	uint32_t batch;                       /* READ */
};

struct peer {
	uint16_t node_id, port;
	char name[GATEWAY_NAME_BYTES];
	char host[GATEWAY_HOST_BYTES];
};

/* A position that connections read at, on TERN.READ SNAPSHOT. */
struct gateway_hold {
	uint32_t users;
	bool is_over; /* its time is: there is nothing behind it any more */
	uint64_t until_ns;
	struct state_hold hold;
};

struct connection_entry {
	struct connection *conn;
	uint32_t generation, next_free;
};

#define GATEWAY_COUNTERS(X)    \
	X(connections_now)     \
	X(connections_total)   \
	X(connections_refused) \
	X(requests_total)      \
	X(writes)              \
	X(reads)               \
	X(read_points)         \
	X(leases_overtaken)    \
	X(refusals)            \
	X(unknown_closes)      \
	X(forwarded)           \
	X(protocol_errors) X(parks) X(buffers_bytes) X(buffers_refused) X(in_flight_high)

struct gateway_counters {
#define X(name) _Atomic uint64_t name;
	GATEWAY_COUNTERS(X)
#undef X
};

struct gateway {
	const struct gateway_commands *commands;
	struct submit_channel *channel;
	struct state *state;
	struct state_reader *reader;
	struct status_cell *status;
	struct resp_limits limits;
	struct resp_room room; /* shared by all parsers */
	uint32_t input_bytes_max, output_bytes_max, write_bytes_max, value_bytes_max;
	char refusal[GATEWAY_ERROR_BYTES]; /* a text with numbers, until it is written out */
	struct resp_arg plan_args[2];      /* of a plan whose arguments come in another order */
	uint32_t connections_max, in_flight_max;
	uint64_t buffers_bytes_max, stale_ns_max, snapshot_ns;
	struct peer peers[GATEWAY_PEERS_MAX];
	uint32_t peers_count;
	uint16_t node_id, port;
	char node_name[GATEWAY_NAME_BYTES], tern_version[GATEWAY_NAME_BYTES];
	uint64_t started_ns;
	uint64_t now_ns; /* of this round */
	const struct endpoint *endpoint;
	void (*endpoint_stats)(const struct endpoint *endpoint, struct endpoint_stats *stats);
	struct sentinel sentinel;
	struct sentinel_watch watch;
	uint64_t watched_ns;
	uint32_t subscribers_count;

	struct connection_entry *connections;
	uint32_t connections_free, connections_count;
	uint32_t lingering_count;
	int64_t next_client_id;

	struct flight *flights;
	uint32_t flights_free, flights_used, writes_used;
	uint64_t reply_bytes_used; /* of channel->reply_bytes_max */
	struct read_batch batches[READ_BATCHES_MAX];
	uint32_t batch_open; /* READ_BATCHES_MAX: none */
	bool has_overtaken;  /* some batch waits to be submitted again */
	/* Writes ever submitted and completed; rounds: what `submitted` was at the end of each
	 * round with writes whose answers are not all here, oldest first. */
	uint64_t writes_submitted, writes_completed;
	uint64_t rounds[WRITE_ROUNDS_MAX];
	uint32_t rounds_count;
	bool is_ticking;         /* a TICK is at the lcore */
	struct forward *forward; /* NULL: writes at a replica are refused */
	uint64_t tick_next_ns, log_look_ns;
	bool has_published; /* the lcore is woken at the end of the round */
	bool needs_retry;   /* a read point's block is not visible yet: look again soon */

	struct gateway_hold holds[STATE_HOLDS_MAX];

	struct connection *dirty_first, *dirty_last;
	struct connection *parked_first, *parked_last;
	struct connection *dead_first;

	int epoll_fd, listen_fd;
	bool is_accepting;
	uint64_t accept_again_ns;
	struct worker worker;
	struct gateway_counters counters;
};

static inline void
gateway_count(_Atomic uint64_t *counter, uint64_t by)
{
	/* One writer: a plain addition, visible to whoever reads the counters. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

static inline uint64_t
gateway_counter(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* memory.c. Memory for connections, counted against buffers_bytes_max. NULL: over it. Frees at 0.
 */
void *gateway_resize(struct gateway *gateway, void *memory, size_t bytes_before, size_t bytes);

/* forward.c: writes that another node has to execute */
TERN_CHECKED enum tern_err forward_open(struct gateway *gateway, const char *addresses,
					uint32_t deadline_ms, char *why, size_t why_bytes);
void forward_close(struct gateway *gateway);
int forward_fd(const struct gateway *gateway);
/* Its descriptor has something. */
void forward_readable(struct gateway *gateway);
/* At the beginning of a round: whether this node is the one that executes writes. */
void forward_look(struct gateway *gateway);
/* At the end of a round: sends, receives, and completes slots. */
void forward_turn(struct gateway *gateway);
/* How long the gateway may sleep, for this. */
int forward_wait_ms(const struct gateway *gateway, int wait_ms);
/* @plan belongs to the master, and can be sent there: in a session of this gateway's own. */
bool forward_takes(const struct gateway *gateway, const struct write_plan *plan);
/* As gateway_submit_write. */
enum flight_result forward_write(struct gateway *gateway, const struct connection *conn,
				 const struct write_plan *plan);

/* loop.c: the thread */
enum tern_err gateway_begin(void *gateway);
void gateway_run(void *gateway);

/* connection_lists.c: @conn is due for a turn, or to be freed at the end of the round. */
void gateway_dirty(struct gateway *gateway, struct connection *conn);
void gateway_close(struct gateway *gateway, struct connection *conn);
/* @conn waits until there is room at the lcore, or memory: in each round it tries again. */
void gateway_park(struct gateway *gateway, struct connection *conn);
/* Those for whom there is room now are due for a turn. */
void gateway_unpark(struct gateway *gateway);

/* cmd_sentinel.c: false while an answer waits for a sign of life of the master. */
bool gateway_may_say_master(struct connection *conn, const struct resp_request *request);
/* cmd_sentinel.c: sends +switch-master to those who subscribed, when another node took over. */
void gateway_watch(struct gateway *gateway);

/* plan.c. @plan as one command: its bytes, the most that its reply may bring beside them, and
 * itself. */
uint64_t gateway_plan_bytes(const struct write_plan *plan);
uint64_t gateway_plan_reply_bytes(const struct gateway *gateway, const struct write_plan *plan);
/* @conn NULL: nobody's. */
enum command_class gateway_plan_class(const struct connection *conn, const struct write_plan *plan);
void gateway_plan_encode(const struct write_plan *plan, uint8_t *out, uint32_t bytes);

/* rounds.c. Closes this round's writes. With all rounds under way they join the newest one. */
void gateway_round_end(struct gateway *gateway);
/* Forgets the rounds whose writes are all completed. */
void gateway_rounds_complete(struct gateway *gateway);
/* True: as many rounds of writes are under way as make sense. The lcore would only queue what
 * comes now, so the sockets are left alone until an answer comes: requests then arrive together
 * and share a block, and clients on the same CPUs are not interrupted for each one they send. */
bool gateway_is_round_awaited(const struct gateway *gateway);

/* flight.c: everything that goes to the lcore */
void gateway_flights_init(struct gateway *gateway);
/* Submits @plan for @slot, the next slot of @conn; @conn NULL: a TICK, for nobody. */
enum flight_result gateway_submit_write(struct gateway *gateway, const struct connection *conn,
					const struct write_plan *plan);
/* Lets @conn's next slot share the open read point. */
enum flight_result gateway_join_read(struct gateway *gateway, const struct connection *conn);
/* End of a round: submits the open read point and wakes the lcore. */
void gateway_publish(struct gateway *gateway);
/* What was submitted under @index has its answer. */
void gateway_flight_give(struct gateway *gateway, uint32_t index);

/* completion.c: everything that comes back. Hands every completion to its slots; true when there
 * was one. */
bool gateway_complete(struct gateway *gateway);
/* The answer to slot @sequence of that connection, if it still waits. */
void gateway_complete_slot(struct gateway *gateway, uint32_t conn_index, uint32_t conn_generation,
			   uint64_t sequence, const struct submit_completion *completion);

/* holds.c. They are bounded by STATE_HOLDS_MAX and snapshot_ns, and shared by connections that
 * read at one position. As state_hold_begin; on TERN_OK @conn, which has none, has one. */
TERN_CHECKED enum tern_err gateway_hold_take(struct connection *conn, uint64_t log_index);
void gateway_hold_drop(struct connection *conn); /* if it has one */
uint64_t gateway_hold_index(const struct connection *conn);
/* Opens the view; false: it is kept no longer. */
TERN_CHECKED bool gateway_hold_read(struct connection *conn);
/* Ends those whose time is over. */
void gateway_holds_tick(struct gateway *gateway);

/* tick.c: while this node is master and a key has expired, time has to move for readers to see it,
 * and sometimes the log's other copies have to hear where they may begin. */
void gateway_tick(struct gateway *gateway);
void gateway_tick_done(struct gateway *gateway, bool is_good);
/* How long the gateway may sleep, for this. */
int gateway_tick_wait_ms(const struct gateway *gateway);

#endif
