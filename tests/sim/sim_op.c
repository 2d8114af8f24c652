/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask, and what an answer has to look like: reads see at least what was known when
 * they began, sessions execute each number once, balances stay inside their bounds, refused writes
 * are never seen, acknowledged ones always. */
#include "tests/sim/sim_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/command.h"

#define SESSION_WINDOW 16u
#define SAMPLE_COUNT   64u

struct key {
	char text[24];
	uint32_t bytes;
};

static struct key
key_of(char letter, uint64_t number)
{
	struct key key;

	key.bytes = (uint32_t)snprintf(key.text, sizeof(key.text), "%c%llu", letter,
				       (unsigned long long)number);
	return key;
}

static bool
is_older(struct state_position a, struct state_position b)
{
	return a.log_index != b.log_index ? a.log_index < b.log_index : a.slot < b.slot;
}

static void
floor_raise(struct floor *floor, struct state_position at, uint64_t term, uint64_t chain)
{
	if (is_older(floor->at, at))
		*floor = (struct floor){ .at = at, .term = term, .chain = chain };
}

static uint64_t
chain_of(const struct sim_node *node, uint64_t log_index)
{
	struct block_meta meta;

	return runtime_block_meta(node->runtime, log_index, &meta) ? meta.chain.low : 0;
}

bool
op_is_read(enum op_kind kind)
{
	return kind == OP_READ_REGISTER || kind == OP_READ_PAIR || kind == OP_READ_BALANCE ||
	       kind == OP_READ_MORTAL;
}

static struct floor *
floor_of(struct sim_client *client, enum op_kind kind, uint32_t key, bool is_memory)
{
	switch (kind) {
	case OP_REGISTER:
	case OP_READ_REGISTER:
		return is_memory ? &client->memory_registers[key] : &client->registers[key];
	case OP_PAIR:
	case OP_READ_PAIR:
		return is_memory ? &client->memory_pairs[key] : &client->pairs[key];
	case OP_BALANCE:
	case OP_READ_BALANCE:
		return is_memory ? &client->memory_balances[key] : &client->balances[key];
	case OP_MORTAL:
	case OP_READ_MORTAL:
		return &client->mortals[key];
	case OP_UNIQUE:
	case OP_CHURN:
	case OP_COUNTER:
	case OP_OPEN:
	case OP_ACCOUNT:
	case OP_TRANSFER:
		break;
	}
	return NULL;
}

/* ---- beginning ---- */

static uint64_t
op_take(struct sim *sim, enum op_kind kind, uint32_t value_bytes)
{
	struct sim_client *client = sim->client;

	if (client->op_count == client->op_capacity) {
		client->op_capacity = client->op_capacity == 0 ? 4096 : 2 * client->op_capacity;
		client->ops = realloc(client->ops, client->op_capacity * sizeof(*client->ops));
		if (client->ops == NULL)
			abort();
	}
	client->ops[client->op_count] = (struct op){ .kind = kind, .value_bytes = value_bytes };
	return client->op_count++;
}

/* The lowest number that is not done; @end at most. */
static uint64_t
lowest_open(struct session *session, uint64_t end)
{
	while (session->lowest < end && session->is_done[session->lowest])
		session->lowest++;
	return session->lowest < end ? session->lowest : end;
}

static bool
begin_session(struct sim *sim, struct slot *slot)
{
	struct session *session = &sim->client->sessions[slot->session];

	if (session->client_id == 0) {
		if (session->is_opening)
			return false;
		session->is_opening = true;
		slot->is_memory = false;
		slot->op_kind = OP_OPEN;
		return true;
	}
	const uint64_t lowest = lowest_open(session, session->next_seq + 1);
	if (session->next_seq + 1 >= SESSION_SEQS ||
	    session->next_seq + 1 - lowest >= SESSION_WINDOW)
		return false;
	slot->op_kind = OP_COUNTER;
	slot->seq = ++session->next_seq;
	return true;
}

static uint32_t
value_bytes_draw(struct sim *sim)
{
	const uint32_t room = sim->swarm.command_bytes_max - 128;

	if (!sim_chance(sim, sim->swarm.large_ppm))
		return (uint32_t)prng_between(&sim->prng, 8, 64);
	if (sim_chance(sim, 50000)) /* refused as too large, or just below it */
		return room + (uint32_t)prng_below(&sim->prng, 256);
	return (uint32_t)prng_between(&sim->prng, 8, room);
}

/* A write that nobody waits for, or, of a balance, one whose class has to be refused. A pair as a
 * MULTI is left alone. */
static bool
is_async_drawn(struct sim *sim, const struct slot *slot)
{
	struct sim_client *client = sim->client;
	const bool is_offered = slot->op_kind == OP_UNIQUE || slot->op_kind == OP_CHURN ||
				slot->op_kind == OP_REGISTER || slot->op_kind == OP_BALANCE;

	return is_offered && client->async_ppm != 0 &&
	       prng_below(&client->async_prng, 1000000) < client->async_ppm;
}

bool
op_begin(struct sim *sim, struct slot *slot)
{
	struct sim_client *client = sim->client;
	const uint64_t die = prng_below(&sim->prng, 100);

	slot->key = 0;
	slot->floor = slot->memory_floor = (struct floor){ 0 };
	slot->is_memory = sim_chance(sim, sim->swarm.memory_ppm);
	slot->is_async = false;
	if (slot->kind == SLOT_SESSION)
		return begin_session(sim, slot);
	if (slot->kind == SLOT_UNIQUE) {
		slot->op_kind = die < 80 ? OP_UNIQUE : OP_CHURN;
		slot->key = (uint32_t)prng_below(&sim->prng, CHURN_KEYS);
		slot->op = op_take(sim, slot->op_kind, value_bytes_draw(sim));
		slot->is_async = is_async_drawn(sim, slot);
		return true;
	}
	if (die < 40) {
		slot->op_kind = OP_READ_REGISTER;
		slot->key =
		    die < 25 ? client->hot_register : (uint32_t)prng_below(&sim->prng, REGISTERS);
	} else if (die < 60) {
		slot->op_kind = OP_REGISTER;
		slot->key = (uint32_t)prng_below(&sim->prng, REGISTERS);
	} else if (die < 72) {
		slot->op_kind = die < 64 ? OP_MORTAL : OP_READ_MORTAL;
		slot->key = (uint32_t)prng_below(&sim->prng, MORTALS);
		slot->gone = client->gone[slot->key];
		slot->is_memory = false;
	} else if (die < 82) {
		slot->op_kind = die < 77 ? OP_PAIR : OP_READ_PAIR;
		slot->key = (uint32_t)prng_below(&sim->prng, PAIRS);
	} else {
		slot->op_kind = die < 95 ? OP_BALANCE : OP_READ_BALANCE;
		slot->key = (uint32_t)prng_below(&sim->prng, BALANCES);
	}
	if (slot->op_kind == OP_BALANCE && sim_bank_begin(sim, slot)) {
		slot->op = op_take(sim, slot->op_kind, 8);
		return true;
	}
	slot->floor = *floor_of(client, slot->op_kind, slot->key, false);
	slot->memory_floor = *floor_of(client, slot->op_kind, slot->key, true);
	if (!op_is_read(slot->op_kind))
		slot->op = op_take(sim, slot->op_kind, 8);
	slot->is_async = is_async_drawn(sim, slot);
	if (op_is_read(slot->op_kind) && sim_chance(sim, 200000))
		slot->target = (uint32_t)prng_below(&sim->prng, sim->data_count);
	return true;
}

static void
encode_value(struct sim *sim, struct command_writer *writer, const struct slot *slot)
{
	static uint8_t value[COMMAND_BYTES];
	const uint32_t bytes = sim->client->ops[slot->op].value_bytes;

	memset(value, (int)(slot->op & 255), bytes);
	memcpy(value, &slot->op, sizeof(slot->op));
	command_add_arg(writer, value, bytes);
}

/* One SET of a MULTI. Only of a key that is there: what it replaces has its size, so it cannot be
 * refused for want of memory while its twin is not. */
static void
encode_part(struct sim *sim, struct command_writer *writer, const struct slot *slot, char letter)
{
	const struct key key = key_of(letter, slot->key);
	struct command_writer part;
	uint8_t bytes[256];
	uint32_t length;

	command_begin(&part, bytes, sizeof(bytes));
	command_add_arg(&part, key.text, key.bytes);
	encode_value(sim, &part, slot);
	if (command_end(&part, COMMAND_SET, COMMAND_IF_PRESENT, 0, 0, 0, &length) != TERN_OK)
		sim_fail(sim, "sim", "a part does not fit its buffer");
	command_add_arg(writer, bytes, length);
}

/* Set for ever or for a while, deleted, made to expire; or time moves. Returns flags. */
static uint8_t
encode_churn(struct sim *sim, struct command_writer *writer, const struct slot *slot,
	     enum command_op *op)
{
	const struct key key = key_of('d', slot->key);
	const int64_t in_ns = 1 + (int64_t)(slot->op % 97) * 1000000;

	*op = COMMAND_TICK;
	if (slot->op % 7 == 6)
		return 0;
	command_add_arg(writer, key.text, key.bytes);
	*op = COMMAND_DELETE;
	if (slot->op % 7 == 0 || slot->op % 7 == 3)
		return 0;
	*op = COMMAND_EXPIRE;
	if (slot->op % 7 == 4) {
		command_add_i64(writer, in_ns);
		return COMMAND_EXPIRE_IN;
	}
	*op = COMMAND_SET;
	encode_value(sim, writer, slot);
	if (slot->op % 7 != 1)
		return 0;
	command_add_i64(writer, in_ns);
	return COMMAND_EXPIRE_IN;
}

/* Adds the arguments; returns flags. */
static uint8_t
encode_args(struct sim *sim, struct command_writer *writer, const struct slot *slot,
	    enum command_op *op)
{
	static const char letters[] = {
		[OP_UNIQUE] = 'u',  [OP_REGISTER] = 'r', [OP_PAIR] = 'p',
		[OP_BALANCE] = 'b', [OP_MORTAL] = 'm',   [OP_COUNTER] = 's'
	};
	if (slot->op_kind == OP_ACCOUNT || slot->op_kind == OP_TRANSFER) {
		*op = sim_bank_encode(sim, writer, slot);
		return 0;
	}
	const uint64_t number = slot->op_kind == OP_UNIQUE    ? slot->op
				: slot->op_kind == OP_COUNTER ? slot->session
							      : slot->key;
	const struct key key = key_of(letters[slot->op_kind], number);

	if (slot->op_kind == OP_CHURN)
		return encode_churn(sim, writer, slot, op);
	if (slot->op_kind == OP_PAIR && slot->op % 2 == 0) {
		*op = COMMAND_MULTI;
		encode_part(sim, writer, slot, 'p');
		encode_part(sim, writer, slot, 'q');
		return 0;
	}
	command_add_arg(writer, key.text, key.bytes);
	*op = COMMAND_SET;
	if (slot->op_kind == OP_COUNTER) {
		*op = COMMAND_ADD;
		command_add_i64(writer, 1);
	} else if (slot->op_kind == OP_BALANCE) {
		*op = COMMAND_ADD;
		command_add_i64(writer, (int64_t)(slot->op * 7919 % 301) - 150);
		command_add_i64(writer, 0);
		command_add_i64(writer, BALANCE_MAX);
		return COMMAND_HAS_MIN | COMMAND_HAS_MAX;
	} else {
		encode_value(sim, writer, slot);
	}
	if (slot->op_kind == OP_MORTAL) {
		command_add_i64(writer, (int64_t)(20 + slot->op % 80) * 1000000);
		return COMMAND_EXPIRE_IN;
	}
	if (slot->op_kind == OP_PAIR) {
		const struct key twin = key_of('q', slot->key);
		*op = COMMAND_MSET;
		command_add_arg(writer, twin.text, twin.bytes);
		encode_value(sim, writer, slot);
	}
	return 0;
}

uint32_t
op_encode(struct sim *sim, const struct slot *slot)
{
	struct sim_client *client = sim->client;
	struct session *session = &client->sessions[slot->session];
	struct command_writer writer;
	enum command_op op = COMMAND_SESSION_OPEN;
	uint64_t client_id = 0, seq = 0, lowest = 1;
	uint32_t bytes;
	uint8_t flags = 0;

	if (op_is_read(slot->op_kind))
		return 0;
	command_begin(&writer, client->command, COMMAND_BYTES);
	if (slot->op_kind != OP_OPEN)
		flags = encode_args(sim, &writer, slot, &op);
	if (slot->op_kind == OP_COUNTER) {
		lowest = lowest_open(session, slot->seq);
		client_id = session->client_id;
		seq = slot->seq;
	}
	if (command_end(&writer, op, flags, client_id, seq, (uint16_t)(seq == 0 ? 0 : seq - lowest),
			&bytes) != TERN_OK)
		sim_fail(sim, "sim", "a command does not fit its buffer");
	if (slot->is_async)
		command_set_class(client->command, COMMAND_ASYNC);
	else if (slot->is_memory || (slot->op_kind == OP_OPEN && sim->swarm.memory_ppm != 0))
		/* A session that was asked for in class memory is durable when it is given. */
		command_set_class(client->command, COMMAND_MEMORY);
	return bytes;
}

/* ---- answers ---- */

/* Some answer in class memory is of a block that @node's log does not hold. */
static bool
is_tainted(struct session *session, const struct sim_node *node)
{
	for (uint64_t i = 1; i <= session->next_seq && !session->is_tainted; i++)
		session->is_tainted =
		    session->memory_index[i] != 0 &&
		    !sim_memory_holds(node, session->memory_index[i], session->memory_chain[i]);
	return session->is_tainted;
}

static void
counter_done(struct sim *sim, const struct sim_node *node, const struct entry *entry,
	     const struct submit_completion *completion)
{
	struct session *session = &sim->client->sessions[entry->session];
	const struct reply *reply = &completion->reply;

	if (completion->class_ == COMMAND_MEMORY) {
		session->memory_index[entry->seq] = completion->log_index;
		session->memory_chain[entry->seq] = chain_of(node, completion->log_index);
	}
	if (reply->is_repeat)
		sim_count(sim, SIM_COUNT_session_repeats);
	if (!session->is_done[entry->seq]) {
		session->is_done[entry->seq] = true;
		session->done_count++;
	}
	if (reply->kind == REPLY_DONE)
		return;
	if (reply->kind != REPLY_INTEGER && !is_tainted(session, node))
		sim_fail(sim, "exactly-once", "session %u seq %llu: reply kind %d", entry->session,
			 (unsigned long long)entry->seq, (int)reply->kind);
	if (session->value[entry->seq] == reply->value || session->is_tainted)
		return;
	const bool is_odd = session->value[entry->seq] != 0 || reply->value < 1 ||
			    reply->value > (int64_t)session->next_seq ||
			    session->is_value_used[reply->value];
	if (is_odd && is_tainted(session, node))
		return;
	if (is_odd)
		sim_fail(sim, "exactly-once",
			 "session %u seq %llu was answered %lld; before: %lld; highest seq %llu",
			 entry->session, (unsigned long long)entry->seq, (long long)reply->value,
			 (long long)session->value[entry->seq],
			 (unsigned long long)session->next_seq);
	session->value[entry->seq] = reply->value;
	session->is_value_used[reply->value] = true;
}

static void
balance_done(struct sim *sim, const struct reply *reply)
{
	if (reply->kind == REPLY_BOUND) {
		const int64_t next = reply->value + reply->delta;
		sim_count(sim, SIM_COUNT_bound_refusals);
		if (next >= 0 && next <= BALANCE_MAX)
			sim_fail(sim, "bound", "%lld %+lld was refused", (long long)reply->value,
				 (long long)reply->delta);
		return;
	}
	if (reply->kind == REPLY_INTEGER && (reply->value < 0 || reply->value > BALANCE_MAX))
		sim_fail(sim, "bound", "a balance became %lld", (long long)reply->value);
}

/* What was known in class memory is still in this log. */
static bool
is_standing(const struct sim_node *node, const struct floor *floor)
{
	return floor->chain != 0 && sim_memory_holds(node, floor->at.log_index, floor->chain);
}

static void
floor_note(const struct sim_node *node, struct floor *floor, struct state_position at,
	   bool is_memory)
{
	/* After a loss positions of class memory come again. */
	if (is_memory && !is_standing(node, floor))
		*floor = (struct floor){ 0 };
	floor_raise(floor, at, node->view.term, is_memory ? chain_of(node, at.log_index) : 0);
}

static void
op_acked(struct sim_node *node, struct op *op, const struct submit_completion *completion)
{
	op->outcome = OUTCOME_ACKED;
	op->at = (struct state_position){ completion->log_index, completion->slot };
	op->is_memory = completion->class_ == COMMAND_MEMORY;
	if (op->is_memory)
		op->chain = chain_of(node, completion->log_index);
}

static void
write_acked(struct sim *sim, struct sim_node *node, struct slot *slot,
	    const struct submit_completion *completion)
{
	struct op *op = &sim->client->ops[slot->op];
	const struct state_position at = { completion->log_index, completion->slot };
	const bool is_memory = completion->class_ == COMMAND_MEMORY;
	struct floor *floor = floor_of(sim->client, slot->op_kind, slot->key, is_memory);

	if (completion->reply.kind == REPLY_OUT_OF_MEMORY) {
		op_on_refused(sim, slot);
		return;
	}
	op_acked(node, op, completion);
	sim_bank_done(sim, slot, completion);
	if (floor == NULL)
		return;
	if (!is_older(slot->floor.at, at) ||
	    (is_standing(node, &slot->memory_floor) && !is_older(slot->memory_floor.at, at)))
		sim_fail(sim, "linearizable",
			 "a write at (%llu,%u) by node %u, submitted after (%llu,%u), and in class "
			 "memory (%llu,%u), was known",
			 (unsigned long long)at.log_index, at.slot, node->id,
			 (unsigned long long)slot->floor.at.log_index, slot->floor.at.slot,
			 (unsigned long long)slot->memory_floor.at.log_index,
			 slot->memory_floor.at.slot);
	if (slot->op_kind == OP_REGISTER)
		sim->client->hot_register = slot->key;
	if (completion->reply.kind == REPLY_OK || completion->reply.kind == REPLY_INTEGER)
		floor_note(node, floor, at, is_memory);
}

/* The class that was asked for, or a stronger one; and what it rests on. */
static void
check_class(struct sim *sim, struct sim_node *node, const struct entry *entry,
	    const struct submit_completion *completion)
{
	if (entry->is_async)
		sim_fail(sim, "I5", "node %u acknowledged block %llu, and it was asked for async",
			 node->id, (unsigned long long)completion->log_index);
	if (completion->class_ == COMMAND_MEMORY && entry->is_memory) {
		(void)sim_memory_answered(node, completion->log_index);
		return;
	}
	if (completion->class_ != COMMAND_DURABLE ||
	    completion->log_index > sim_check_commit_max(sim))
		sim_fail(sim, "I5",
			 "node %u acknowledged block %llu in class %u, committed is %llu", node->id,
			 (unsigned long long)completion->log_index, completion->class_,
			 (unsigned long long)sim_check_commit_max(sim));
}

bool
op_on_done(struct sim *sim, struct sim_node *node, const struct entry *entry, struct slot *slot,
	   const struct submit_completion *completion)
{
	struct session *session = &sim->client->sessions[entry->session];

	sim_count(sim, SIM_COUNT_acknowledged_writes);
	check_class(sim, node, entry, completion);
	if (entry->op_kind == OP_COUNTER) {
		if (completion->reply.kind == REPLY_OUT_OF_MEMORY)
			return false;
		counter_done(sim, node, entry, completion);
		return true;
	}
	if (entry->op_kind == OP_OPEN) {
		session->is_opening = false;
		if (completion->reply.kind == REPLY_SESSION && session->client_id == 0)
			session->client_id = (uint64_t)completion->reply.value;
		return true;
	}
	if (slot == NULL)
		sim_fail(sim, "sim", "an answer for an operation that is over");
	if (entry->op_kind == OP_BALANCE)
		balance_done(sim, &completion->reply);
	write_acked(sim, node, slot, completion);
	return true;
}

void
op_on_accepted(struct sim *sim, struct sim_node *node, const struct entry *entry,
	       const struct submit_completion *completion)
{
	struct op *op = &sim->client->ops[entry->op];
	struct block_meta meta;

	sim_count(sim, SIM_COUNT_async_accepts);
	if (!entry->is_async || entry->op_kind == OP_BALANCE || completion->reply.kind != 0 ||
	    completion->class_ != COMMAND_ASYNC)
		sim_fail(sim, "async", "node %u accepted write %llu, which was not to be", node->id,
			 (unsigned long long)entry->op);
	op->outcome = OUTCOME_ACCEPTED;
	op->at = (struct state_position){ completion->log_index, completion->slot };
	if (runtime_block_meta(node->runtime, completion->log_index, &meta) &&
	    meta.term == completion->term)
		op->chain = meta.chain.low;
}

void
op_on_refused(struct sim *sim, const struct slot *slot)
{
	if (slot->op_kind == OP_OPEN) {
		sim->client->sessions[slot->session].is_opening = false;
		return;
	}
	if (op_is_read(slot->op_kind))
		return;
	struct op *op = &sim->client->ops[slot->op];
	op->outcome = OUTCOME_REFUSED;
	if (op->is_seen)
		sim_fail(sim, "refused", "write %llu was refused after a read had returned it",
			 (unsigned long long)slot->op);
}

void
op_on_late(struct sim *sim, struct sim_node *node, uint64_t number,
	   const struct submit_completion *completion)
{
	struct op *op = &sim->client->ops[number];

	if (completion->outcome == SUBMIT_UNKNOWN)
		return;
	if (completion->outcome == SUBMIT_DONE && completion->reply.kind != REPLY_OUT_OF_MEMORY) {
		op_acked(node, op, completion);
		if (op->is_memory)
			(void)sim_memory_answered(node, completion->log_index);
		return;
	}
	op->outcome = OUTCOME_REFUSED;
	if (op->is_seen)
		sim_fail(sim, "refused", "write %llu was refused after a read had returned it",
			 (unsigned long long)number);
}

void
op_on_unknown(struct sim *sim, const struct slot *slot)
{
	if (slot->op_kind == OP_OPEN)
		sim->client->sessions[slot->session].is_opening = false;
	else if (!op_is_read(slot->op_kind))
		sim->client->ops[slot->op].outcome = OUTCOME_UNKNOWN;
}

/* ---- reads ---- */

struct seen {
	struct state_value value;
	uint64_t number;
};

static struct seen
seen_of(struct sim_node *node, char letter, uint64_t number)
{
	const struct key key = key_of(letter, number);
	struct seen seen = { .value = state_read_get(node->reader, key.text, key.bytes) };

	if (seen.value.type == STATE_BYTES && seen.value.bytes >= sizeof(seen.number))
		memcpy(&seen.number, seen.value.data, sizeof(seen.number));
	seen.value.data = NULL; /* lent only until the view ends */
	return seen;
}

static void
check_number(struct sim *sim, const struct seen *seen)
{
	if (seen->value.type == STATE_NONE)
		return;
	if (seen->number >= sim->client->op_count)
		sim_fail(sim, "read", "a read returned a value that nobody wrote");
	struct op *op = &sim->client->ops[seen->number];
	op->is_seen = true;
	if (op->outcome == OUTCOME_REFUSED)
		sim_fail(sim, "refused", "a read returned write %llu, which was refused",
			 (unsigned long long)seen->number);
}

/* Nothing that was known when the read began is missing. */
static void
check_floors(struct sim *sim, const struct sim_node *node, const struct slot *slot, char letter,
	     struct state_position at, uint64_t view)
{
	const struct floor *floor = &slot->floor;

	if (slot->is_memory && is_standing(node, &slot->memory_floor) &&
	    is_older(floor->at, slot->memory_floor.at))
		floor = &slot->memory_floor;
	if (floor->term != 0 && floor->term < node->view.term)
		sim_count(sim, SIM_COUNT_reads_after_failover);
	if (is_older(at, floor->at))
		sim_fail(sim, "linearizable",
			 "node %u term %llu read %c%u at (%llu,%u), view %llu, class %d; known "
			 "before it began: (%llu,%u) of term %llu",
			 node->id, (unsigned long long)node->view.term, letter, slot->key,
			 (unsigned long long)at.log_index, at.slot, (unsigned long long)view,
			 slot->is_memory, (unsigned long long)floor->at.log_index, floor->at.slot,
			 (unsigned long long)floor->term);
}

/* Once a read has not found it, it has expired, and no later read finds it or an older one. */
static void
mortal_seen(struct sim *sim, struct sim_node *node, const struct slot *slot,
	    const struct seen *seen)
{
	struct floor *gone = &sim->client->gone[slot->key];
	const struct state_position at = seen->value.version;

	if (seen->value.type == STATE_NONE) {
		if (slot->floor.term != 0)
			sim_count(sim, SIM_COUNT_reads_of_expired);
		floor_raise(gone, slot->floor.at, slot->floor.term, 0);
		return;
	}
	check_number(sim, seen);
	if (is_older(at, slot->floor.at) || !is_older(slot->gone.at, at))
		sim_fail(sim, "linearizable",
			 "node %u read m%u at (%llu,%u); known before it began: (%llu,%u), absent "
			 "at (%llu,%u)",
			 node->id, slot->key, (unsigned long long)at.log_index, at.slot,
			 (unsigned long long)slot->floor.at.log_index, slot->floor.at.slot,
			 (unsigned long long)slot->gone.at.log_index, slot->gone.at.slot);
	floor_raise(&sim->client->mortals[slot->key], at, node->view.term, 0);
}

bool
op_read(struct sim *sim, struct sim_node *node, const struct slot *slot)
{
	const char letter = slot->op_kind == OP_READ_REGISTER ? 'r'
			    : slot->op_kind == OP_READ_PAIR   ? 'p'
			    : slot->op_kind == OP_READ_MORTAL ? 'm'
							      : 'b';
	struct seen twin = { 0 };

	const uint64_t view = slot->is_memory ? state_read_begin_provisional(node->reader)
					      : state_read_begin(node->reader);
	const struct seen seen = seen_of(node, letter, slot->key);
	if (letter == 'p')
		twin = seen_of(node, 'q', slot->key);
	if (!slot->is_memory) {
		if (letter == 'b')
			sim_bank_look(sim, node, view);
		state_read_end(node->reader);
	} else if (!state_read_end_provisional(node->reader)) {
		sim_count(sim, SIM_COUNT_memory_reads_failed);
		return false;
	}
	const struct state_position at = seen.value.version;
	sim_count(sim, SIM_COUNT_reads_checked);
	if (slot->is_memory)
		sim_count(sim, SIM_COUNT_memory_reads);
	if (letter == 'm') {
		mortal_seen(sim, node, slot, &seen);
		return true;
	}
	check_floors(sim, node, slot, letter, at, view);
	if (letter == 'b') {
		if (seen.value.type == STATE_INTEGER &&
		    (seen.value.integer < 0 || seen.value.integer > BALANCE_MAX))
			sim_fail(sim, "bound", "a balance of %lld was read",
				 (long long)seen.value.integer);
	} else {
		check_number(sim, &seen);
	}
	if (letter == 'p' && (seen.number != twin.number || seen.value.type != twin.value.type))
		sim_fail(sim, "read", "half of an MSET: %llu and %llu",
			 (unsigned long long)seen.number, (unsigned long long)twin.number);
	if (seen.value.type != STATE_NONE)
		floor_note(node, floor_of(sim->client, slot->op_kind, slot->key, slot->is_memory),
			   at, slot->is_memory);
	if (letter == 'r')
		sim_session_look(sim, slot->key, &sim->client->registers[slot->key]);
	return true;
}

/* ---- final checks ---- */

/* It is where it was said to be, if that is what was committed there; otherwise it is nowhere. Over
 * the capacity, which many large values reach whatever it is, it was refused when it was executed,
 * and nobody heard of it. */
static void
verify_accepted(struct sim *sim, struct sim_node *node, uint64_t number)
{
	const struct op *op = &sim->client->ops[number];
	const bool is_lost = sim_check_is_lost(sim, op->at.log_index, op->chain);
	const struct seen seen = seen_of(node, 'u', number);
	const bool is_there = seen.value.type != STATE_NONE;

	sim_count(sim, is_lost ? SIM_COUNT_async_lost : SIM_COUNT_async_committed);
	if (is_lost != is_there &&
	    (!is_there ||
	     (seen.number == number && seen.value.bytes == op->value_bytes &&
	      !is_older(seen.value.version, op->at) && !is_older(op->at, seen.value.version))))
		return;
	if (!is_lost && !is_there && sim_check_was_over_capacity(sim, op->at.log_index)) {
		sim_count(sim, SIM_COUNT_async_over_capacity);
		return;
	}
	sim_fail(sim, "async",
		 "node %u: write %llu was accepted at (%llu,%u), which was %s; it is %s", node->id,
		 (unsigned long long)number, (unsigned long long)op->at.log_index, op->at.slot,
		 is_lost ? "lost" : "committed", is_there ? "elsewhere" : "nowhere");
}

static void
verify_op(struct sim *sim, struct sim_node *node, uint64_t number)
{
	const struct op *op = &sim->client->ops[number];

	if (op->kind != OP_UNIQUE || op->outcome == OUTCOME_OPEN)
		return;
	if (op->outcome == OUTCOME_ACCEPTED) {
		verify_accepted(sim, node, number);
		return;
	}
	/* Whether it might be lost is judged by sim_memory.c. */
	if (op->is_memory && sim_check_is_lost(sim, op->at.log_index, op->chain))
		return;
	const struct seen seen = seen_of(node, 'u', number);
	if (op->outcome == OUTCOME_ACKED &&
	    (seen.value.type != STATE_BYTES || seen.number != number ||
	     seen.value.bytes != op->value_bytes || is_older(seen.value.version, op->at) ||
	     is_older(op->at, seen.value.version)))
		sim_fail(sim, "I5", "node %u lacks write %llu, acknowledged at (%llu,%u)", node->id,
			 (unsigned long long)number, (unsigned long long)op->at.log_index,
			 op->at.slot);
	if (op->outcome == OUTCOME_REFUSED && seen.value.type != STATE_NONE)
		sim_fail(sim, "refused", "node %u holds write %llu, which was refused", node->id,
			 (unsigned long long)number);
}

static void
verify_counter(struct sim *sim, struct sim_node *node, uint32_t number)
{
	struct session *session = &sim->client->sessions[number];
	const struct seen seen = seen_of(node, 's', number);
	const int64_t value = seen.value.type == STATE_INTEGER ? seen.value.integer : 0;

	if ((value < (int64_t)session->done_count || value > (int64_t)session->next_seq) &&
	    !is_tainted(session, node))
		sim_fail(sim, "exactly-once",
			 "node %u: counter %u is %lld after %llu of %llu increments were "
			 "acknowledged",
			 node->id, number, (long long)value,
			 (unsigned long long)session->done_count,
			 (unsigned long long)session->next_seq);
}

void
sim_client_verify(struct sim *sim, struct sim_node *node)
{
	struct sim_client *client = sim->client;

	const uint64_t view = state_read_begin(node->reader);
	sim_bank_look(sim, node, view);
	for (uint64_t i = 0; i < client->op_count; i++)
		verify_op(sim, node, i);
	for (uint32_t i = 0; i < client->session_count; i++)
		verify_counter(sim, node, i);
	state_read_end(node->reader);
}

void
sim_client_sample(struct sim *sim, struct sim_node *node)
{
	const uint64_t count = sim->client->op_count;

	const uint64_t view = state_read_begin(node->reader);
	sim_bank_look(sim, node, view);
	for (uint64_t i = count > SAMPLE_COUNT ? count - SAMPLE_COUNT : 0; i < count; i++)
		if (sim->client->ops[i].at.log_index <= view)
			verify_op(sim, node, i);
	state_read_end(node->reader);
}
