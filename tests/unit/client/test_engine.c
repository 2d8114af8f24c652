/* SPDX-License-Identifier: Apache-2.0 */
/* libtern's engine against nodes and a network with every fault there is: nothing is executed
 * twice, nothing that was answered is missing, and nothing is called unknown before its time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/client/fake_cluster.h"

#define SECOND_NS 1000000000ull

struct tally {
	struct fake_cluster *cluster;
	uint64_t submitted, done, refused, unknown, accepted, with_integer;
	enum tern_reason reason;
	enum tern_class class_;
	int64_t last;
	char value[64];
	uint32_t value_bytes;
	bool is_found;
	uint16_t node;
	uint64_t log_index, age_us_max;
	uint64_t goal; /* submits on from the callback up to so many */
	bool is_bounded;
	uint32_t deadline_ms;
};

static int add_try(struct tally *tally);

static void
count(void *context, const struct tern_result *result)
{
	struct tally *tally = context;

	tally->done += result->status == TERN_DONE;
	tally->refused += result->status == TERN_REFUSED;
	tally->unknown += result->status == TERN_UNKNOWN;
	tally->accepted += result->status == TERN_ACCEPTED;
	tally->with_integer += result->status == TERN_DONE && result->has_integer;
	tally->reason = result->reason;
	tally->class_ = result->class_;
	tally->last = result->integer;
	tally->is_found = result->is_found;
	tally->node = result->node;
	tally->log_index = result->log_index;
	tally->age_us_max = result->age_us_max;
	tally->value_bytes = result->value_bytes;
	if (result->value != NULL && result->value_bytes <= sizeof(tally->value))
		memcpy(tally->value, result->value, result->value_bytes);
	/* The window may be full behind its oldest number: the test goes on later, then. */
	if (tally->submitted < tally->goal)
		(void)add_try(tally);
}

static int
submit(struct tally *tally, struct tern_request request)
{
	request.done = count;
	request.context = tally;
	request.deadline_ms = tally->deadline_ms;
	const int failed = engine_submit(tally->cluster->engine, &request, tally->cluster->now_ns);
	tally->submitted += failed == 0;
	return failed;
}

static int
add_try(struct tally *tally)
{
	/* Half of the bounded ones are refused when they are executed. */
	const struct tern_request request = {
		.op = TERN_ADD,
		.key = "sum",
		.key_bytes = 3,
		.delta = tally->is_bounded && tally->submitted % 2 == 0 ? 1000000 : 1,
		.has_max = tally->is_bounded,
		.max = 1000000,
	};

	const int failed = submit(tally, request);
	assert_true(failed == 0 || failed == -EAGAIN);
	return failed;
}

static void
add_one(struct tally *tally)
{
	assert_int_equal(add_try(tally), 0);
}

/* Up to 200 under way. */
static void
top_up(struct tally *tally)
{
	while (tally->submitted < tally->goal && tally->cluster->engine->pending_count < 200 &&
	       add_try(tally) == 0)
		;
}

static struct fake_cluster *
cluster_make(uint64_t seed)
{
	struct fake_cluster *cluster = malloc(sizeof(*cluster));

	assert_non_null(cluster);
	fake_start(cluster, seed);
	return cluster;
}

static void
cluster_end(struct fake_cluster *cluster)
{
	fake_stop(cluster);
	free(cluster);
}

static void
test_calls(void **context)
{
	struct fake_cluster *cluster = cluster_make(1);
	struct tally tally = { .cluster = cluster };
	const struct tern_pair pairs[] = { { "a", "1", 1, 1 }, { "b", "two", 1, 3 } };
	(void)context;

	assert_int_equal(
	    submit(&tally,
		   (struct tern_request){ .op = TERN_MSET, .pairs = pairs, .pair_count = 2 }),
	    0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 1);
	assert_int_equal(
	    submit(&tally, (struct tern_request){ .op = TERN_GET, .key = "b", .key_bytes = 1 }), 0);
	fake_finish(cluster, SECOND_NS);
	assert_true(tally.is_found && tally.value_bytes == 3);
	assert_memory_equal(tally.value, "two", 3);
	assert_int_equal(
	    submit(&tally,
		   (struct tern_request){
		       .op = TERN_ADD, .key = "a", .key_bytes = 1, .delta = -2, .has_min = true }),
	    0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.refused, 1);
	assert_int_equal(tally.reason, TERN_REASON_BOUND);
	assert_int_equal(tally.last, 1);
	assert_int_equal(
	    submit(&tally,
		   (struct tern_request){ .op = TERN_ADD, .key = "b", .key_bytes = 1, .delta = 1 }),
	    0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.reason, TERN_REASON_NOT_INTEGER);
	assert_int_equal(
	    submit(&tally,
		   (struct tern_request){ .op = TERN_DELETE, .pairs = pairs, .pair_count = 2 }),
	    0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.last, 2);
	assert_int_equal(
	    submit(&tally, (struct tern_request){ .op = TERN_GET, .key = "b", .key_bytes = 1 }), 0);
	fake_finish(cluster, SECOND_NS);
	assert_false(tally.is_found);
	assert_int_equal(tally.done, 4);
	assert_int_equal(cluster->engine->node_count, 2);
	cluster_end(cluster);
}

static void
test_class(void **context)
{
	struct fake_cluster *cluster = cluster_make(9);
	struct tally tally = { .cluster = cluster };
	struct tern_request request = { .op = TERN_ADD, .key = "a", .key_bytes = 1, .delta = 1 };
	(void)context;

	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.class_, TERN_CLASS_DURABLE);
	request.class_ = TERN_CLASS_MEMORY;
	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.class_, TERN_CLASS_MEMORY);
	cluster->engine->class_ = TERN_CLASS_MEMORY;
	request.class_ = TERN_CLASS_DEFAULT;
	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.class_, TERN_CLASS_MEMORY);
	request.class_ = TERN_CLASS_DURABLE;
	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.class_, TERN_CLASS_DURABLE);
	request.class_ = (enum tern_class)4;
	assert_int_equal(submit(&tally, request), -EINVAL);
	assert_int_equal(tally.done, 4);
	assert_int_equal(tally.last, 4);
	/* Reads have one as well, by the same rule. */
	request = (struct tern_request){ .op = TERN_GET, .key = "a", .key_bytes = 1 };
	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.class_, TERN_CLASS_MEMORY);
	request.class_ = TERN_CLASS_DURABLE;
	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.class_, TERN_CLASS_DURABLE);
	request.class_ = TERN_CLASS_ASYNC;
	assert_int_equal(submit(&tally, request), -EINVAL);
	cluster_end(cluster);
}

static void
test_refused_requests(void **context)
{
	struct fake_cluster *cluster = cluster_make(2);
	struct tally tally = { .cluster = cluster };
	static char large[TERN_REQUEST_BYTES_MAX];
	struct tern_request request = { .op = TERN_SET, .key = "k", .value = large };
	(void)context;

	assert_int_equal(submit(&tally, request), -EINVAL);
	request.key_bytes = TERN_KEY_BYTES_MAX + 1;
	assert_int_equal(submit(&tally, request), -EINVAL);
	request.key_bytes = 1;
	request.value_bytes = sizeof(large);
	assert_int_equal(submit(&tally, request), -EMSGSIZE);
	request.op = (enum tern_op)0;
	assert_int_equal(submit(&tally, request), -EINVAL);
	assert_int_equal(submit(&tally, (struct tern_request){ .op = TERN_MSET }), -EINVAL);
	assert_int_equal(cluster->engine->pending_count, 0);
	/* One that just fits goes through whole. */
	request.op = TERN_SET;
	request.value_bytes = sizeof(large) - 64;
	assert_int_equal(submit(&tally, request), 0);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 1);
	cluster_end(cluster);
}

static void
test_window(void **context)
{
	struct fake_cluster *cluster = cluster_make(3);
	struct tally tally = { .cluster = cluster };
	const struct tern_request request = {
		.op = TERN_SET, .key = "k", .key_bytes = 1, .value = "v", .value_bytes = 1
	};
	(void)context;

	cluster->master = FAKE_NODES;
	for (uint32_t i = 0; i < TERN_WINDOW; i++)
		assert_int_equal(submit(&tally, request), 0);
	assert_int_equal(submit(&tally, request), -EAGAIN);
	fake_run(cluster, cluster->now_ns + SECOND_NS);
	assert_int_equal(tally.done, 0);
	cluster->master = 1;
	fake_finish(cluster, 2 * SECOND_NS);
	assert_int_equal(tally.done, TERN_WINDOW);
	assert_int_equal(submit(&tally, request), 0);
	cluster_end(cluster);
}

/* 200 in flight over a bad network while mastership wanders. */
static void
storm(uint64_t seed, bool is_bounded)
{
	struct fake_cluster *cluster = cluster_make(seed);
	struct tally tally = { .cluster = cluster, .goal = 4000, .is_bounded = is_bounded };

	tally.deadline_ms = 600000;
	cluster->loss_percent = 20;
	cluster->double_percent = 20;
	cluster->silent_percent = 10;
	cluster->unknown_percent = 5;
	cluster->busy_percent = 5;
	for (uint32_t i = 0; i < 10000 && tally.submitted < tally.goal; i++) {
		top_up(&tally);
		fake_run(cluster,
			 cluster->now_ns + 20000000 + prng_below(&cluster->prng, 200000000));
		const uint32_t master = (uint32_t)prng_below(&cluster->prng, FAKE_NODES + 1);
		cluster->term += master != cluster->master;
		cluster->master = master;
	}
	cluster->master = 1;
	cluster->term++;
	fake_finish(cluster, 600 * SECOND_NS);
	assert_int_equal(tally.submitted, tally.goal);
	assert_int_equal(tally.unknown, 0);
	assert_int_equal(tally.done + tally.refused, tally.goal);
	if (is_bounded) {
		assert_in_range(tally.refused, 1, tally.goal);
		const int64_t big = (fake_integer(cluster, "sum") >= 1000000);
		assert_int_equal(fake_integer(cluster, "sum"), (int64_t)tally.done + big * 999999);
	} else {
		assert_int_equal(tally.refused, 0);
		assert_int_equal(fake_integer(cluster, "sum"), tally.goal);
	}
	assert_in_range(cluster->repeats, 1, UINT64_MAX);
	assert_in_range(cluster->engine->stats.masters, 2, UINT64_MAX);
	assert_int_equal(cluster->engine->stats.sessions, 1);
	cluster_end(cluster);
}

static void
test_storm(void **context)
{
	(void)context;
	for (uint64_t seed = 10; seed < 16; seed++)
		storm(seed, seed % 2 != 0);
}

static void
test_deadlines(void **context)
{
	struct fake_cluster *cluster = cluster_make(4);
	struct tally tally = { .cluster = cluster, .deadline_ms = 500 };
	(void)context;

	/* Nobody there: nothing was sent, so nothing will be executed. */
	cluster->master = FAKE_NODES;
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.refused, 1);
	assert_int_equal(tally.reason, TERN_REASON_DEADLINE);
	/* Executed, and no answer ever comes: unknown, and not before the deadline. */
	cluster->master = 0;
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 1);
	cluster->silent_percent = 100;
	add_one(&tally);
	const uint64_t begin_ns = cluster->now_ns;
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.unknown, 1);
	assert_true(cluster->now_ns - begin_ns >= 500000000);
	assert_int_equal(fake_integer(cluster, "sum"), 2);
	/* A full log: said so at the end. */
	cluster->silent_percent = 0;
	cluster->is_log_full = true;
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.unknown, 2);
	assert_int_equal(tally.reason, TERN_REASON_LOG_FULL);
	cluster->is_log_full = false;
	tally.deadline_ms = 0;
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.last, 3);
	cluster_end(cluster);
}

static void
test_session_lost(void **context)
{
	struct fake_cluster *cluster = cluster_make(5);
	struct tally tally = { .cluster = cluster };
	struct command close = { .op = COMMAND_SESSION_CLOSE };
	struct reply reply;
	(void)context;

	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	close.client_id = cluster->engine->client_id;
	cluster->log_index++;
	state_apply(cluster->state, (struct state_position){ cluster->log_index, 0 }, 1, &close,
		    &reply);
	state_publish(cluster->state, cluster->log_index);
	state_commit(cluster->state, cluster->log_index);
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.unknown, 1);
	assert_int_equal(tally.reason, TERN_REASON_SESSION);
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 2);
	assert_int_equal(fake_integer(cluster, "sum"), 2);
	assert_int_equal(cluster->engine->stats.sessions, 2);
	/* After a long pause a new one is opened before anybody can have expired the old one. */
	cluster->now_ns += 400 * SECOND_NS;
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 3);
	assert_int_equal(cluster->engine->stats.sessions, 3);
	cluster_end(cluster);
}

/* An idle client says nothing; frames of others change nothing. */
static void
test_quiet_and_deaf(void **context)
{
	struct fake_cluster *cluster = cluster_make(6);
	struct tally tally = { .cluster = cluster, .deadline_ms = 500 };
	_Alignas(8) uint8_t frame[NATIVE_HDR_BYTES];
	struct native_writer writer;
	(void)context;

	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	const uint64_t sends = cluster->sends;
	fake_run(cluster, cluster->now_ns + 60 * SECOND_NS);
	assert_int_equal(cluster->sends, sends);
	/* A claim with somebody else's token. */
	const uint64_t dropped = cluster->engine->stats.frames_dropped;
	native_begin(&writer, frame, sizeof(frame));
	const uint32_t bytes = native_seal(&writer, &(struct native_hdr){ .kind = NATIVE_MASTER,
									  .node = 2,
									  .master = 2,
									  .cluster_id = 77,
									  .token = 1,
									  .term = 99 });
	const struct inet_addr loopback = inet_addr_v4(0x7f000001);
	engine_receive(cluster->engine, &loopback, FAKE_PORT + 1, frame, bytes, cluster->now_ns);
	assert_int_equal(cluster->engine->stats.frames_dropped, dropped + 1);
	assert_int_equal(cluster->engine->master, 0);
	/* Another cluster at the same address. */
	cluster->is_foreign = true;
	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.unknown, 1);
	cluster_end(cluster);
}

/* Only a write that was async ends by being accepted. */
static void
test_accepted(void **context)
{
	struct fake_cluster *cluster = cluster_make(10);
	struct tally tally = { .cluster = cluster };
	struct tern_request request = { .op = TERN_ADD, .key = "a", .key_bytes = 1, .delta = 1 };
	struct native_reply reply = { .what = NATIVE_WHAT_WRITE,
				      .outcome = NATIVE_ACCEPTED,
				      .log_index = 7,
				      .term = 3,
				      .slot = 2 };
	(void)context;

	add_one(&tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 1);
	reply.id = cluster->engine->next_seq;
	assert_int_equal(submit(&tally, request), 0);
	engine_turn(cluster->engine, cluster->now_ns);
	engine_answered(cluster->engine, 0, &reply, true, cluster->now_ns);
	assert_null(engine_take(cluster->engine));
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.done, 2);
	request.class_ = TERN_CLASS_ASYNC;
	reply.id = cluster->engine->next_seq;
	assert_int_equal(submit(&tally, request), 0);
	engine_turn(cluster->engine, cluster->now_ns);
	engine_answered(cluster->engine, 0, &reply, true, cluster->now_ns);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally.accepted, 1);
	assert_int_equal(tally.done, 2);
	assert_int_equal(tally.class_, TERN_CLASS_ASYNC);
	cluster_end(cluster);
}

static const struct tern_request session_get = {
	.op = TERN_GET, .key = "sum", .key_bytes = 3, .reads = TERN_READS_SESSION
};

/* One write, so that there is a position; the other node is learnt by it. The master is node 1. */
static struct fake_cluster *
written_cluster(uint64_t seed, struct tally *tally)
{
	struct fake_cluster *cluster = cluster_make(seed);

	*tally = (struct tally){ .cluster = cluster };
	add_one(tally);
	fake_finish(cluster, SECOND_NS);
	assert_int_equal(tally->done, 1);
	assert_int_equal(tally->node, 1);
	assert_int_equal(cluster->engine->seen_index, tally->log_index);
	return cluster;
}

static void
read_one(struct tally *tally, struct tern_request request)
{
	assert_int_equal(submit(tally, request), 0);
	fake_finish(tally->cluster, 20 * SECOND_NS);
}

/* Local reads go to a node that is not master, and to the next one when it does not answer, is not
 * as far, or too old. */
static void
test_local_targets(void **context)
{
	struct tern_request stale = session_get;
	struct fake_cluster *cluster;
	struct tally tally;
	(void)context;

	stale.reads = TERN_READS_STALE;
	stale.stale_ms_max = 70;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		cluster = written_cluster(seed, &tally);
		read_one(&tally, session_get);
		assert_int_equal(tally.node, 2);
		assert_int_equal(tally.last, 1);
		assert_int_equal(tally.age_us_max, 2);
		read_one(&tally, stale);
		assert_int_equal(tally.node, 2);
		assert_int_equal(cluster->last_read.limit_ms, 70);
		cluster->is_stale[1] = true;
		read_one(&tally, stale);
		assert_int_equal(tally.node, 1);
		/* Not for ever: the master has enough to do. */
		cluster->is_stale[1] = false;
		fake_run(cluster, cluster->now_ns + 2 * SECOND_NS);
		read_one(&tally, stale);
		assert_int_equal(tally.node, 2);
		cluster->is_deaf[1] = true;
		read_one(&tally, session_get);
		assert_int_equal(tally.node, 1);
		cluster->is_deaf[1] = false;
		/* Nobody is master: nobody is asked who is. */
		cluster->master = FAKE_NODES;
		read_one(&tally, session_get);
		assert_int_equal(tally.done, 7);
		cluster_end(cluster);
	}
}

/* What was written and read is part of the position, of a client's own and of one that is told. */
static void
test_local_position(void **context)
{
	struct tern_request get = session_get;
	struct fake_cluster *cluster;
	struct tally tally;
	(void)context;

	cluster = written_cluster(30, &tally);
	cluster->behind[1] = 1;
	read_one(&tally, get);
	assert_int_equal(tally.node, 1);
	assert_int_equal(tally.log_index, cluster->log_index);
	assert_int_equal(cluster->last_read.position, cluster->log_index);
	assert_true(cluster->last_read.limit_ms > 0);
	/* By name it is refused in the end, and says how far that node is. */
	get.node = 2;
	tally.deadline_ms = 500;
	read_one(&tally, get);
	assert_int_equal(tally.refused, 1);
	assert_int_equal(tally.reason, TERN_REASON_POSITION);
	assert_int_equal(tally.log_index, cluster->log_index - 1);
	cluster->behind[1] = 0;
	get.position = cluster->log_index + 1;
	read_one(&tally, get);
	assert_int_equal(tally.refused, 2);
	assert_int_equal(cluster->last_read.position, cluster->log_index + 1);
	/* A dirty read shows what may be gone: it binds nobody. */
	const uint64_t seen_index = cluster->engine->seen_index;
	cluster->engine->seen_index = 0;
	get.reads = TERN_READS_DIRTY;
	read_one(&tally, get);
	assert_int_equal(tally.node, 2);
	assert_int_equal(cluster->last_read.position, 0);
	assert_int_equal(cluster->engine->seen_index, 0);
	get.reads = TERN_READS_SNAPSHOT;
	get.position = 0;
	read_one(&tally, get);
	assert_int_equal(tally.log_index, cluster->log_index);
	assert_int_equal(cluster->engine->seen_index, seen_index);
	cluster_end(cluster);
}

static void
test_local_refused(void **context)
{
	struct tern_request get = session_get;
	struct fake_cluster *cluster;
	struct tally tally;
	(void)context;

	cluster = written_cluster(31, &tally);
	/* Both too old: until the deadline, and it says why. */
	cluster->is_stale[0] = cluster->is_stale[1] = true;
	get.reads = TERN_READS_STALE;
	assert_int_equal(submit(&tally, get), -EINVAL);
	get.stale_ms_max = 1;
	tally.deadline_ms = 500;
	const uint64_t sends = cluster->sends;
	read_one(&tally, get);
	assert_int_equal(tally.reason, TERN_REASON_STALE);
	assert_int_equal(tally.age_us_max, UINT64_MAX);
	assert_in_range(cluster->sends - sends, 4, 30); /* both at once, then with pauses */
	/* By name: at once. */
	get.node = 2;
	tally.deadline_ms = 0;
	const uint64_t before_ns = cluster->now_ns;
	read_one(&tally, get);
	assert_int_equal(tally.refused, 2);
	assert_true(cluster->now_ns - before_ns < SECOND_NS / 10);
	get.reads = TERN_READS_SNAPSHOT;
	get.position = 1;
	cluster->is_gone[1] = true;
	read_one(&tally, get);
	assert_int_equal(tally.refused, 3);
	assert_int_equal(tally.reason, TERN_REASON_SNAPSHOT);
	get.node = 0;
	assert_int_equal(submit(&tally, get), -EINVAL);
	/* A node that nobody knows. */
	get = session_get;
	get.node = 9;
	tally.deadline_ms = 500;
	read_one(&tally, get);
	assert_int_equal(tally.refused, 4);
	assert_int_equal(tally.reason, TERN_REASON_DEADLINE);
	get.reads = TERN_READS_LINEARIZABLE;
	assert_int_equal(submit(&tally, get), -EINVAL);
	get.reads = (enum tern_reads)9;
	assert_int_equal(submit(&tally, get), -EINVAL);
	assert_int_equal(cluster->engine->local_count, 0);
	cluster_end(cluster);
}

static void
note_order(void *context, const struct tern_result *result)
{
	uint64_t *shown = context;

	assert_int_equal(result->status, TERN_DONE);
	assert_true(result->log_index >= *shown);
	*shown = result->log_index;
}

/* One session read behind the other, while nodes fall back and come on, the master changes and
 * datagrams are lost: the position never goes back. */
static void
test_local_storm(void **context)
{
	struct tern_request get = session_get;
	struct prng prng;
	(void)context;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct tally tally;
		uint64_t shown = 0;
		struct fake_cluster *cluster = written_cluster(seed, &tally);
		prng_seed(&prng, seed);
		cluster->loss_percent = 10;
		cluster->double_percent = 10;
		for (int i = 0; i < 100; i++) {
			add_one(&tally);
			cluster->behind[0] = prng_below(&prng, 2) * prng_below(&prng, 3);
			cluster->behind[1] = prng_below(&prng, 3);
			if (prng_below(&prng, 10) == 0) {
				cluster->master = (uint32_t)prng_below(&prng, FAKE_NODES + 1);
				cluster->term++;
			}
			get.node = (uint16_t)prng_below(&prng, FAKE_NODES + 1);
			get.done = note_order;
			get.context = &shown;
			assert_int_equal(engine_submit(cluster->engine, &get, cluster->now_ns), 0);
			/* Nobody stays behind for ever. */
			fake_run(cluster, cluster->now_ns + SECOND_NS / 2);
			cluster->behind[0] = cluster->behind[1] = 0;
			if (cluster->master == FAKE_NODES)
				cluster->master = 0;
			fake_finish(cluster, 20 * SECOND_NS);
		}
		assert_int_equal(tally.done, 101);
		cluster_end(cluster);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),          cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_window),         cmocka_unit_test(test_storm),
		cmocka_unit_test(test_deadlines),      cmocka_unit_test(test_session_lost),
		cmocka_unit_test(test_quiet_and_deaf), cmocka_unit_test(test_class),
		cmocka_unit_test(test_accepted),       cmocka_unit_test(test_local_targets),
		cmocka_unit_test(test_local_position), cmocka_unit_test(test_local_refused),
		cmocka_unit_test(test_local_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
