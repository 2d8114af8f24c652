/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two data nodes and a witness in virtual time: real cores on a fake network, fake devices and a
 * plain array for a log. Everything follows from one seed. A checker watches the invariants of
 * protocol section 15; the first breach is kept as text in cluster->breach.
 */
#ifndef TERN_TESTS_UNIT_CORE_CLUSTER_H
#define TERN_TESTS_UNIT_CORE_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/prng.h"
#include "dataplane/core/core.h"

#define MS 1000000ull
#define US 1000ull

#define NODE_A     1
#define NODE_B     2
#define NODE_W     3
#define NODES      4 /* index 0 is not used */
#define BLOCKS_MAX 8192u
#define TERMS_MAX  4096u
#define PATHS      2

struct fake_block {
	struct block_meta meta;
	uint64_t commit_index; /* known when it was sealed */
};

struct fake_stream {
	bool is_active;
	uint64_t next, acked, moved_ns;
};

struct fake_node {
	uint16_t id;
	bool is_up, is_hung, is_amnesiac; /* hung: its device completes nothing */
	bool is_idle;                     /* its state machine applies nothing */
	uint64_t unapplied;               /* what it was given meanwhile, up to here */
	bool is_first_boot;
	bool is_log_volatile; /* a crash takes the log with it */
	uint32_t boot_no;
	uint64_t paused_until_ns, slow_factor;
	uint64_t tick_ns; /* when the next TICK event is due; 0: none queued */
	struct core *core;
	void *memory;
	struct block_meta *history;

	/* Durable. */
	uint64_t term;
	uint16_t voted_for;
	struct witness_register reg;
	struct fake_block *log;
	uint64_t durable;

	/* Volatile. */
	uint64_t last, persist_want, write_to;
	bool is_writing, is_write_ready, is_meta_writing, is_meta_ready;
	uint64_t meta_op;
	uint64_t meta_term;
	uint16_t meta_voted_for;
	struct witness_register meta_reg;
	bool is_cutting, is_accepting, is_barrier_wanted;
	uint64_t cut_index, barrier_term;
	uint32_t barrier_epoch;
	uint16_t accept_node;
	struct fake_stream streams[NODES];
	uint64_t applied;        /* as the core was told */
	uint64_t checked_commit; /* compared with cluster->committed up to here */
	uint64_t master_term;    /* last term it was seen as master of */
	uint64_t alarms[8];
};

enum fake_kind {
	FAKE_TICK = 1,
	FAKE_MESSAGE,
	FAKE_BLOCK,
	FAKE_WRITTEN,
	FAKE_META,
	FAKE_APPLY,
	FAKE_STREAM,
	FAKE_COMMAND, /* a client writes to whoever serves */
	FAKE_READ,
};

struct fake_event {
	uint64_t at_ns, seq;
	enum fake_kind kind;
	uint16_t node, from;
	uint32_t boot_no; /* of the node, for events that die with it */
	enum core_path path;
	uint64_t index, term;
	struct hash128 prev_chain;
	struct fake_block block;
	struct msg msg;
};

struct fake_read {
	uint64_t op_id, needed_index;
	uint16_t node;
};

struct cluster {
	struct prng prng;
	uint64_t now_ns, seq;
	uint32_t bugs;
	uint32_t min_copies;
	uint64_t late_ns[NODES]; /* 0: 120 ms */
	bool solo_isolated_stop;
	struct fake_node nodes[NODES];
	struct fake_event *heap;
	uint32_t heap_count, heap_max;
	bool cut[NODES][NODES][PATHS]; /* from, to, path: 0 data, 1 management */
	uint64_t block_ns[NODES][NODES];
	uint32_t loss_permille, duplicate_permille;
	uint64_t command_period_ns, stream_window;
	uint64_t salt;

	/* The checker. */
	struct hash128 *committed;
	uint64_t *committed_term; /* of the master that committed it */
	uint64_t committed_max, commands_committed;
	uint16_t term_masters[TERMS_MAX];
	struct fake_read reads[256];
	uint32_t reads_count;
	uint64_t read_op, reads_ready, reads_failed;
	char breach[256];

	/* What happened, for tests that must not pass by doing nothing. */
	uint64_t elections, solo_entries, duplex_returns, truncations, crashes, cuts, pauses, hangs,
	    transfers, rollbacks, applied_ahead;
};

struct cluster *cluster_new(uint64_t seed, uint32_t bugs);
void cluster_free(struct cluster *cluster);
/* Starts a node that is down, on what its storage holds. */
void cluster_start(struct cluster *cluster, uint16_t node);
void cluster_crash(struct cluster *cluster, uint16_t node);
void cluster_pause(struct cluster *cluster, uint16_t node, uint64_t span_ns);
/* Hung or not; a device that works again completes what it took. */
void cluster_hang(struct cluster *cluster, uint16_t node, bool is_hung);
/* Its state machine stands still, or goes on with what it was given. */
void cluster_idle(struct cluster *cluster, uint16_t node, bool is_idle);
/* Both directions, both paths. */
void cluster_cut(struct cluster *cluster, uint16_t x, uint16_t y, bool is_cut);
void cluster_heal(struct cluster *cluster);
void cluster_run(struct cluster *cluster, uint64_t span_ns);
/* Runs until @node has @mode (and serves, if master) or @span_ns are over. */
bool cluster_until(struct cluster *cluster, uint16_t node, enum core_mode mode, uint64_t span_ns);
/* Appends one command block at the master @node; 0 when it does not serve. Returns its index. */
uint64_t cluster_write(struct cluster *cluster, uint16_t node);
/* Runs until @index is committed at @node. */
bool cluster_committed(struct cluster *cluster, uint16_t node, uint64_t index, uint64_t span_ns);
enum tern_err cluster_event(struct cluster *cluster, uint16_t node, struct core_event *event);
/* Offers a linearizable read; its op_id, or 0 when refused. */
uint64_t cluster_read(struct cluster *cluster, uint16_t node);
/* The same as an event in the node's queue: it waits while the node is paused. */
void cluster_offer_read(struct cluster *cluster, uint16_t node);
/* From now on clients write to whoever serves; 0 ends it. */
void cluster_commands(struct cluster *cluster, uint64_t period_ns);
/* Counts of what the cores saw, those of ended incarnations included. */
void cluster_count(struct cluster *cluster);
void cluster_breach(struct cluster *cluster, const char *what, uint64_t a, uint64_t b);
const struct core_view *cluster_view(const struct cluster *cluster, uint16_t node);
/* Random faults for @span_ns, then healing; the checker also wants progress and equal logs. */
void cluster_storm(struct cluster *cluster, uint64_t span_ns);

#endif
