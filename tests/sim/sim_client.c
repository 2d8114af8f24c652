/* SPDX-License-Identifier: Apache-2.0 */
/* Slots, their requests in the nodes' channels, and retries. */
#include "tests/sim/sim_client.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"

#define REFUSALS_MAX  6u /* that count for a slot's pause */
#define TRANSFER_SLOT (NO_SLOT - 1)
#define CHANGE_SLOT   (NO_SLOT - 2)
#define FORCE_SLOT    (NO_SLOT - 3)

static uint64_t
pause_ns(struct sim *sim)
{
	const uint64_t think_ns = sim->swarm.think_ns * sim->swarm.think_factor;

	return think_ns / 2 + prng_below(&sim->prng, think_ns);
}

/* Where nobody serves there is nothing to be seen of clients that ask again and again. */
static uint64_t
slot_pause_ns(struct sim *sim, const struct slot *slot)
{
	const uint64_t ns = pause_ns(sim);

	return max_u64(ns, min_u64(ns << slot->refusals, sim->swarm.timer_ns / 4));
}

static void
slot_later(struct sim *sim, uint32_t slot, uint64_t ns)
{
	sim_push(sim, sim->now_ns + ns, SIM_EVENT_SLOT, slot, ++sim->client->slots[slot].timer);
}

void
sim_client_create(struct sim *sim)
{
	struct sim_client *client = sim_take(sizeof(*client));

	sim->client = client;
	client->command = sim_take(COMMAND_BYTES);
	prng_seed(&client->async_prng, sim->seed ^ 0x6173796e63);
	if (prng_below(&client->async_prng, 2) == 0)
		client->async_ppm = (uint32_t)prng_between(&client->async_prng, 20000, 500000);
	sim_bank_create(sim);
	client->slot_count = sim->swarm.slots;
	client->session_count = 1 + (uint32_t)prng_below(&sim->prng, SESSIONS_MAX);
	for (uint32_t i = 0; i < client->session_count; i++) {
		struct session *session = &client->sessions[i];
		session->lowest = 1;
		session->is_done = sim_take(SESSION_SEQS * sizeof(*session->is_done));
		session->value = sim_take(SESSION_SEQS * sizeof(*session->value));
		session->is_value_used = sim_take(SESSION_SEQS * sizeof(*session->is_value_used));
		session->memory_index = sim_take(SESSION_SEQS * sizeof(*session->memory_index));
		session->memory_chain = sim_take(SESSION_SEQS * sizeof(*session->memory_chain));
	}
	for (uint32_t i = 0; i < client->slot_count; i++) {
		static const enum slot_kind kinds[3] = { SLOT_SESSION, SLOT_SHARED, SLOT_UNIQUE };
		client->slots[i].kind = kinds[i % 3];
		/* Opening a session is durable, and that cannot be had there. */
		if (i % 3 == 0 && sim->swarm.volatile_mask != 0)
			client->slots[i].kind = SLOT_UNIQUE;
		client->slots[i].session = (i / 3) % client->session_count;
		client->slots[i].target = i % sim->data_count;
		slot_later(sim, i, pause_ns(sim));
	}
}

/* ---- requests ---- */

static struct entry *
entry_take(struct sim *sim, struct sim_node *node, uint64_t *tag)
{
	for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
		struct entry *entry = &sim->client->entries[node->index][i];
		if (entry->is_used)
			continue;
		*tag = (uint64_t)++entry->generation << 8 | i;
		entry->is_used = true;
		return entry;
	}
	return NULL;
}

static bool
submit(struct sim *sim, struct sim_node *node, const struct submit_request *request,
       struct entry **entry)
{
	struct submit_request *to;
	uint64_t tag;

	if (node->life != SIM_NODE_UP)
		return false;
	to = ring_reserve(&node->channel.requests, (uint32_t)sizeof(*to) + request->command_bytes);
	if (to == NULL)
		return false;
	*entry = entry_take(sim, node, &tag);
	if (*entry == NULL)
		return false;
	*to = *request;
	to->tag = tag;
	memcpy(to + 1, sim->client->command, request->command_bytes);
	ring_publish(&node->channel.requests);
	sim_node_wake(node, sim->now_ns);
	return true;
}

static void
slot_send(struct sim *sim, struct slot *slot)
{
	struct sim_node *node = &sim->nodes[slot->target];
	const uint32_t bytes = op_encode(sim, slot);
	const struct submit_request request = {
		.kind = op_is_read(slot->op_kind) ? SUBMIT_READ : SUBMIT_WRITE,
		.command_bytes = bytes,
		.flags = op_is_read(slot->op_kind) ? SUBMIT_MAY_LEASE : 0,
	};
	struct entry *entry;
	const uint32_t number = (uint32_t)(slot - sim->client->slots);

	if (!submit(sim, node, &request, &entry)) {
		slot->target = (slot->target + 1) % sim->data_count;
		slot_later(sim, number, pause_ns(sim));
		return;
	}
	entry->slot = number;
	entry->serial = slot->serial;
	entry->seq = slot->seq;
	entry->op = slot->op;
	entry->session = slot->session;
	entry->op_kind = slot->op_kind;
	entry->is_memory = slot->is_memory;
	entry->is_async = slot->is_async;
	slot->is_sent = true;
	slot->sent_ns = sim->now_ns;
	if (slot->attempts++ != 0 && slot->op_kind == OP_COUNTER)
		sim_count(sim, SIM_COUNT_session_retries);
	slot_later(sim, number, 2 * sim->swarm.timer_ns);
}

static void
slot_over(struct sim *sim, struct slot *slot)
{
	slot->is_busy = false;
	slot->is_sent = false;
	slot->serial++;
	slot_later(sim, (uint32_t)(slot - sim->client->slots), slot_pause_ns(sim, slot));
}

static void
slot_again(struct sim *sim, struct slot *slot)
{
	slot->is_sent = false;
	slot_later(sim, (uint32_t)(slot - sim->client->slots), slot_pause_ns(sim, slot));
}

/* The outcome of the newest attempt is not known: its node crashed or said so. */
static void
slot_unknown(struct sim *sim, struct slot *slot)
{
	sim_count(sim, SIM_COUNT_unknown_writes);
	slot->target = (slot->target + 1) % sim->data_count;
	if (slot->op_kind == OP_COUNTER) {
		slot_again(sim, slot);
		return;
	}
	op_on_unknown(sim, slot);
	slot_over(sim, slot);
}

void
sim_client_slot(struct sim *sim, uint32_t number, uint64_t timer)
{
	struct sim_client *client = sim->client;
	struct slot *slot = &client->slots[number];

	if (slot->timer != timer)
		return;
	if (slot->is_sent) {
		if (slot->op_kind == OP_COUNTER) {
			slot->target = (slot->target + 1) % sim->data_count;
			slot_send(sim, slot);
		} else if (slot->op_kind == OP_OPEN) {
			slot_later(sim, number, 2 * sim->swarm.timer_ns);
		} else {
			slot_unknown(sim, slot); /* no patience: on with something else */
		}
		return;
	}
	if (!slot->is_busy) {
		if (client->is_draining ||
		    sim->counts.of[SIM_COUNT_operations] >= sim->options.limits.operations_max)
			return;
		slot->serial++;
		slot->attempts = 0;
		if (!op_begin(sim, slot)) {
			slot_later(sim, number, pause_ns(sim));
			return;
		}
		sim_count(sim, SIM_COUNT_operations);
		slot->is_busy = true;
	} else if (client->is_draining && slot->op_kind != OP_COUNTER) {
		/* It was never taken by anybody. */
		op_on_refused(sim, slot);
		slot->is_busy = false;
		return;
	}
	slot_send(sim, slot);
}

/* ---- answers ---- */

static void
slot_refused(struct sim *sim, struct slot *slot, const struct submit_completion *completion)
{
	sim_count(sim, SIM_COUNT_refused_writes);
	if (completion->outcome == SUBMIT_REFUSED_CLASS)
		sim_count(sim, SIM_COUNT_class_refusals);
	if (completion->outcome == SUBMIT_REFUSED_LOG_FULL) {
		sim_count(sim, SIM_COUNT_log_full_refusals);
		sim->swarm.think_factor = 40; /* asking again soon is no use */
	}
	if (completion->outcome == SUBMIT_REFUSED_NOT_MASTER) {
		slot->target =
		    completion->master_id != 0 && completion->master_id <= sim->data_count
			? completion->master_id - 1u
			: (slot->target + 1) % sim->data_count;
		slot->refusals = min_u32(slot->refusals + 1, REFUSALS_MAX);
	}
	if (slot->op_kind == OP_COUNTER) {
		slot_again(sim, slot);
		return;
	}
	op_on_refused(sim, slot);
	slot_over(sim, slot);
}

static void
on_completion(struct sim *sim, struct sim_node *node, const struct submit_completion *completion)
{
	struct sim_client *client = sim->client;
	const uint32_t index = (uint32_t)(completion->tag & 255);
	struct entry *entry = &client->entries[node->index][index % ENTRIES_MAX];

	if (index >= ENTRIES_MAX || !entry->is_used || entry->generation != completion->tag >> 8)
		sim_fail(sim, "submit", "node %u answered a request that is not open (tag %llx)",
			 node->id, (unsigned long long)completion->tag);
	entry->is_used = false;
	if (entry->slot == CHANGE_SLOT)
		sim_member_answered(sim, &entry->change, completion);
	if (entry->slot == FORCE_SLOT)
		sim_force_answered(sim, node, entry->op, completion);
	if (entry->slot >= FORCE_SLOT)
		return;
	if (completion->outcome == SUBMIT_DONE &&
	    (op_is_read(entry->op_kind) || completion->class_ == COMMAND_DURABLE))
		sim_stale_answered(sim, completion->log_index);
	struct slot *slot = &client->slots[entry->slot];
	const bool is_current = slot->is_busy && slot->serial == entry->serial;
	if (completion->outcome == SUBMIT_DONE || completion->outcome == SUBMIT_ACCEPTED)
		slot->refusals = 0;
	if (op_is_read(entry->op_kind)) {
		if (!is_current)
			return;
		if (completion->is_leased &&
		    !status_lease_holds(node->status, sim_local_ns(node, sim->now_ns))) {
			slot_again(sim, slot);
			return;
		}
		if (completion->is_leased)
			sim_count(sim, SIM_COUNT_reads_by_lease);
		if (completion->outcome == SUBMIT_DONE && !op_read(sim, node, slot))
			slot_again(sim, slot);
		else if (completion->outcome == SUBMIT_DONE ||
			 completion->outcome == SUBMIT_UNKNOWN)
			slot_over(sim, slot);
		else
			slot_refused(sim, slot, completion);
		return;
	}
	if (completion->outcome == SUBMIT_ACCEPTED) {
		op_on_accepted(sim, node, entry, completion);
		if (is_current)
			slot_over(sim, slot);
		return;
	}
	const bool has_session = entry->op_kind == OP_COUNTER || entry->op_kind == OP_OPEN;
	if (!is_current && !has_session) {
		op_on_late(sim, node, entry->op, completion);
	} else if (completion->outcome == SUBMIT_DONE) {
		const bool is_done =
		    op_on_done(sim, node, entry, is_current ? slot : NULL, completion);
		/* Out of memory: while clients come to their end, nobody makes room. */
		if (is_current && (is_done || client->is_draining))
			slot_over(sim, slot);
		else if (is_current)
			slot_again(sim, slot);
	} else if (is_current && slot->is_sent) {
		if (completion->outcome == SUBMIT_UNKNOWN)
			slot_unknown(sim, slot);
		else
			slot_refused(sim, slot, completion);
	}
}

void
sim_client_poll(struct sim_node *node)
{
	const struct submit_completion *completion;
	uint32_t bytes;

	while ((completion = ring_peek(&node->channel.completions, &bytes)) != NULL) {
		const struct submit_completion copy = *completion;
		ring_consume(&node->channel.completions);
		sim_trace(node->sim, copy.tag ^ (uint64_t)copy.outcome << 48 ^ copy.log_index);
		on_completion(node->sim, node, &copy);
	}
}

void
sim_client_crash(struct sim_node *node)
{
	struct sim *sim = node->sim;

	for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
		struct entry *entry = &sim->client->entries[node->index][i];
		if (!entry->is_used)
			continue;
		entry->is_used = false;
		if (entry->slot >= FORCE_SLOT)
			continue;
		struct slot *slot = &sim->client->slots[entry->slot];
		if (!slot->is_busy || slot->serial != entry->serial || !slot->is_sent)
			continue;
		if (op_is_read(entry->op_kind))
			slot_over(sim, slot);
		else
			slot_unknown(sim, slot);
	}
}

void
sim_client_switchover(struct sim *sim, struct sim_node *node, uint16_t to)
{
	const struct submit_request request = { .kind = SUBMIT_TRANSFER, .node = to };
	struct entry *entry;

	if (submit(sim, node, &request, &entry))
		entry->slot = TRANSFER_SLOT;
}

void
sim_client_change(struct sim *sim, struct sim_node *node, const struct submit_request *request)
{
	struct entry *entry;

	if (!submit(sim, node, request, &entry))
		return;
	entry->slot = CHANGE_SLOT;
	entry->change = *request;
}

bool
sim_client_force(struct sim *sim, struct sim_node *node, const struct submit_request *request,
		 const uint8_t *payload, uint64_t number)
{
	struct entry *entry;

	if (request->command_bytes != 0)
		memcpy(sim->client->command, payload, request->command_bytes);
	if (!submit(sim, node, request, &entry))
		return false;
	entry->slot = FORCE_SLOT;
	entry->op = number;
	return true;
}

/* ---- phases ---- */

void
sim_client_drain(struct sim *sim)
{
	sim->client->is_draining = true;
}

void
sim_client_resume(struct sim *sim)
{
	sim->client->is_draining = false;
	for (uint32_t i = 0; i < sim->client->slot_count; i++)
		if (!sim->client->slots[i].is_busy)
			slot_later(sim, i, pause_ns(sim));
}

bool
sim_client_is_idle(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->client->slot_count; i++)
		if (sim->client->slots[i].is_busy)
			return false;
	for (uint32_t node = 0; node < sim->data_count; node++)
		for (uint32_t i = 0; i < ENTRIES_MAX; i++)
			if (sim->client->entries[node][i].is_used)
				return false;
	return true;
}
