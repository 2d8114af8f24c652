/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/fake_cluster.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base/bits.h"
#include "tests/support/check.h"

#define ARENA_BYTES ((size_t)64 << 20)

/* ---- the network ---- */

static bool
chance(struct fake_cluster *cluster, uint32_t percent)
{
	return prng_below(&cluster->prng, 100) < percent;
}

static void
packet_add(struct fake_cluster *cluster, uint32_t node, bool is_to_node, const uint8_t *frame,
	   uint32_t bytes)
{
	if (chance(cluster, cluster->loss_percent))
		return;
	const uint32_t copies = chance(cluster, cluster->double_percent) ? 2 : 1;
	for (uint32_t i = 0; i < copies && cluster->packet_count < FAKE_PACKETS_MAX; i++) {
		struct fake_packet *packet = &cluster->packets[cluster->packet_count++];
		/* A few stay for long: they come when the client has forgotten them. */
		const uint64_t max_ns = cluster->delay_ns_max * (chance(cluster, 2) ? 100 : 1);
		*packet = (struct fake_packet){
			.at_ns = cluster->now_ns + 1 + prng_below(&cluster->prng, max_ns),
			.node = node,
			.is_to_node = is_to_node,
			.bytes = bytes,
			.frame = malloc(bytes),
		};
		assert_non_null(packet->frame);
		memcpy(packet->frame, frame, bytes);
	}
}

static void
from_client(void *context, const struct engine_node *node, const uint8_t *frame, uint32_t bytes)
{
	struct fake_cluster *cluster = context;

	cluster->sends++;
	packet_add(cluster, node->port - FAKE_PORT, true, frame, bytes);
}

/* ---- a node ---- */

static void
node_reply(struct fake_cluster *cluster, uint32_t node, const struct native_hdr *asked,
	   struct native_writer *writer, enum native_kind kind)
{
	const struct native_hdr hdr = {
		.kind = kind,
		.node = (uint16_t)(node + 1),
		.master = cluster->master < FAKE_NODES ? (uint16_t)(cluster->master + 1) : 0,
		.cluster_id = cluster->is_foreign ? 78 : 77,
		.token = asked->token,
		/* A node that is not master has not heard of the newest term yet. */
		.term = cluster->term - (node != cluster->master),
	};

	const uint32_t bytes = native_seal(writer, &hdr);
	packet_add(cluster, node, false, writer->frame, bytes);
}

static void
run_command(struct fake_cluster *cluster, const uint8_t *bytes, uint32_t length,
	    struct native_reply *out)
{
	struct command command;

	if (command_decode(bytes, length, &command) != TERN_OK) {
		out->outcome = NATIVE_MALFORMED;
		return;
	}
	cluster->log_index++;
	state_apply(cluster->state, (struct state_position){ cluster->log_index, 0 },
		    cluster->log_index, &command, &out->reply);
	state_publish(cluster->state, cluster->log_index);
	state_commit(cluster->state, cluster->log_index);
	state_reclaim_turn(cluster->state, true);
	(void)state_grace_period(cluster->state);
	out->outcome = NATIVE_DONE;
	out->log_index = cluster->log_index;
	out->is_memory = command.class_ == COMMAND_MEMORY;
	out->copies = 2;
	cluster->executions += !out->reply.is_repeat;
	cluster->repeats += out->reply.is_repeat;
}

/* False: nobody hears of it. */
static bool
answer_command(struct fake_cluster *cluster, uint32_t node, const uint8_t *bytes, uint32_t length,
	       struct native_reply *out)
{
	if (node != cluster->master)
		out->outcome = NATIVE_NOT_MASTER;
	else if (cluster->is_log_full)
		out->outcome = NATIVE_LOG_FULL;
	else if (chance(cluster, cluster->busy_percent))
		out->outcome = NATIVE_BUSY;
	else if (chance(cluster, cluster->unknown_percent))
		out->outcome = NATIVE_UNKNOWN;
	else
		run_command(cluster, bytes, length, out);
	return !chance(cluster, cluster->silent_percent);
}

/* What a node has to say of a read that any may answer; DONE: it is as far. */
static enum native_outcome
local_outcome(struct fake_cluster *cluster, uint32_t node, const struct native_read *read)
{
	const uint64_t here = cluster->log_index - cluster->behind[node];

	cluster->last_read = *read;
	cluster->last_read.key = NULL;
	if (read->reads == NATIVE_READS_STALE && cluster->is_stale[node])
		return NATIVE_STALE;
	if (read->reads == NATIVE_READS_SNAPSHOT && cluster->is_gone[node])
		return NATIVE_GONE;
	if (read->position > here)
		return NATIVE_POSITION;
	cluster->local_reads[node]++;
	return NATIVE_DONE;
}

static void
answer_read(struct fake_cluster *cluster, uint32_t node, const struct native_read *read,
	    struct native_reply *out)
{
	const bool is_local = read->reads != NATIVE_READS_LINEARIZABLE;

	if (is_local)
		out->outcome = local_outcome(cluster, node, read);
	else
		out->outcome = node == cluster->master ? NATIVE_DONE : NATIVE_NOT_MASTER;
	if (out->outcome == NATIVE_STALE)
		out->age_ns = UINT64_MAX;
	if (out->outcome == NATIVE_POSITION)
		out->log_index = cluster->log_index - cluster->behind[node];
	if (out->outcome != NATIVE_DONE)
		return;
	out->log_index = state_read_begin(cluster->reader) - (is_local ? cluster->behind[node] : 0);
	out->age_ns = is_local ? 1500 : 0;
	out->is_memory = read->is_memory;
	const struct state_value value =
	    state_read_get(cluster->reader, read->key, read->key_bytes);
	out->type = value.type == STATE_NONE      ? NATIVE_VALUE_NONE
		    : value.type == STATE_INTEGER ? NATIVE_VALUE_INTEGER
						  : NATIVE_VALUE_BYTES;
	out->integer = value.integer;
	out->value = value.data;
	out->value_bytes = value.bytes;
}

static void
node_take(struct fake_cluster *cluster, uint32_t node, const uint8_t *frame, uint32_t bytes)
{
	static _Alignas(8) uint8_t room[NATIVE_FRAME_BYTES_MAX];
	struct native_writer writer;
	struct native_hdr hdr;
	uint8_t open[COMMAND_HDR_BYTES] = { COMMAND_HDR_BYTES, 0, 0, 0, COMMAND_SESSION_OPEN };
	const uint8_t *command = open;
	uint32_t length = sizeof(open);
	struct native_read read;

	assert_int_equal(native_open(frame, bytes, &hdr), TERN_OK);
	assert_true(hdr.cluster_id == 0 || hdr.cluster_id == 77);
	if (cluster->is_deaf[node])
		return;
	native_begin(&writer, room, sizeof(room));
	if (hdr.kind == NATIVE_WHO_IS_MASTER) {
		for (uint32_t i = 0; i < FAKE_NODES; i++)
			assert_true(native_add_node(
			    &writer,
			    &(struct native_node){ (uint16_t)(i + 1), (uint16_t)(FAKE_PORT + i),
						   inet_addr_v4(0x7f000001) }));
		node_reply(cluster, node, &hdr, &writer, NATIVE_MASTER);
		return;
	}
	struct native_cursor cursor = native_items(frame, &hdr);
	for (uint32_t i = 0; i < hdr.item_count; i++) {
		struct native_reply reply = { .what = NATIVE_WHAT_WRITE };
		bool is_heard = true;
		if (hdr.kind == NATIVE_READ) {
			assert_true(native_next_read(&cursor, &read));
			reply.what = NATIVE_WHAT_READ;
			reply.id = read.id;
			answer_read(cluster, node, &read, &reply);
		} else if (hdr.kind == NATIVE_OPEN) {
			assert_true(native_next_open(&cursor, &reply.id));
			reply.what = NATIVE_WHAT_OPEN;
			is_heard = answer_command(cluster, node, open, sizeof(open), &reply);
		} else {
			struct command_hdr_le le;
			assert_true(native_next_command(&cursor, &command, &length));
			memcpy(&le, command, sizeof(le));
			reply.id = le64_get(le.seq);
			is_heard = answer_command(cluster, node, command, length, &reply);
		}
		if (is_heard)
			assert_true(native_add_reply(&writer, &reply));
		if (hdr.kind == NATIVE_READ && reply.outcome == NATIVE_DONE)
			state_read_end(cluster->reader);
	}
	node_reply(cluster, node, &hdr, &writer, NATIVE_REPLY);
}

/* ---- time ---- */

static void
deliver(struct fake_cluster *cluster)
{
	struct call *call;

	while ((call = engine_take(cluster->engine)) != NULL) {
		if (call->done != NULL)
			call->done(call->context, &call->result);
		engine_give(cluster->engine, call);
	}
}

static void
step(struct fake_cluster *cluster, uint64_t until_ns)
{
	const struct inet_addr loopback = inet_addr_v4(0x7f000001);
	uint64_t next_ns = min_u64(until_ns, engine_due_ns(cluster->engine));
	uint32_t first = UINT32_MAX;

	for (uint32_t i = 0; i < cluster->packet_count; i++) {
		if (cluster->packets[i].at_ns <= next_ns) {
			next_ns = cluster->packets[i].at_ns;
			first = i;
		}
	}
	cluster->now_ns = max_u64(cluster->now_ns, next_ns);
	if (first != UINT32_MAX) {
		const struct fake_packet packet = cluster->packets[first];
		cluster->packets[first] = cluster->packets[--cluster->packet_count];
		if (packet.is_to_node)
			node_take(cluster, packet.node, packet.frame, packet.bytes);
		else
			engine_receive(cluster->engine, &loopback,
				       (uint16_t)(FAKE_PORT + packet.node), packet.frame,
				       packet.bytes, cluster->now_ns);
		free(packet.frame);
	}
	engine_turn(cluster->engine, cluster->now_ns);
	deliver(cluster);
	engine_turn(cluster->engine, cluster->now_ns);
}

void
fake_run(struct fake_cluster *cluster, uint64_t until_ns)
{
	while (cluster->now_ns < until_ns)
		step(cluster, until_ns);
}

void
fake_finish(struct fake_cluster *cluster, uint64_t limit_ns)
{
	const uint64_t until_ns = cluster->now_ns + limit_ns;

	while (cluster->engine->pending_count != 0) {
		assert_true(cluster->now_ns < until_ns);
		step(cluster, until_ns);
	}
}

int64_t
fake_integer(struct fake_cluster *cluster, const char *key)
{
	(void)state_read_begin(cluster->reader);
	const struct state_value value =
	    state_read_get(cluster->reader, key, (uint32_t)strlen(key));
	state_read_end(cluster->reader);
	return value.type == STATE_INTEGER ? value.integer : 0;
}

/* ---- start and stop ---- */

void
fake_start(struct fake_cluster *cluster, uint64_t seed)
{
	*cluster =
	    (struct fake_cluster){ .now_ns = 1000000000, .delay_ns_max = 1000000, .term = 5 };
	prng_seed(&cluster->prng, seed);
	cluster->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(cluster->arena != MAP_FAILED);
	const struct state_config config = {
		.arena = cluster->arena,
		.arena_bytes = ARENA_BYTES,
		.capacity_bytes = ARENA_BYTES / 4,
		.value_bytes_max = 1u << 20,
		.sessions_max = 64,
		.readers_max = 1,
		.hash_seed = 7,
	};
	assert_int_equal(state_init(&config, &cluster->state), TERN_OK);
	cluster->reader = state_reader_open(cluster->state);
	assert_non_null(cluster->reader);
	const size_t bytes = (size_t)ENGINE_CALLS * ENGINE_CALL_BYTES;
	cluster->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(cluster->memory != MAP_FAILED);
	cluster->engine = calloc(1, sizeof(*cluster->engine));
	assert_non_null(cluster->engine);
	*cluster->engine = (struct engine){
		.nodes = { { .ip = inet_addr_v4(0x7f000001), .port = FAKE_PORT } },
		.node_count = 1, /* the other one is learnt */
		.deadline_ns = 10000000000,
		.retry_min_ns = 20000000,
		.retry_max_ns = 200000000,
		.seed = seed,
		.memory = cluster->memory,
		.send = from_client,
		.context = cluster,
	};
	engine_init(cluster->engine);
}

void
fake_stop(struct fake_cluster *cluster)
{
	for (uint32_t i = 0; i < cluster->packet_count; i++)
		free(cluster->packets[i].frame);
	state_reader_close(cluster->reader);
	munmap(cluster->arena, ARENA_BYTES);
	munmap(cluster->memory, (size_t)ENGINE_CALLS * ENGINE_CALL_BYTES);
	free(cluster->engine);
}
