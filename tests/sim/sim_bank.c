/* SPDX-License-Identifier: Apache-2.0 */
/* Money that is moved between accounts, both halves in one command: no view of any node, at any
 * position, shows more or less of it than none at all. */
#include <stdio.h>

#include "dataplane/wire/command.h"
#include "tests/sim/sim_client.h"

#define TRANSFER_MAX 100u

static uint32_t
name_of(char text[8], uint32_t account)
{
	return (uint32_t)snprintf(text, 8, "t%u", account);
}

void
sim_bank_create(struct sim *sim)
{
	struct sim_bank *bank = &sim->client->bank;

	prng_seed(&bank->prng, sim->seed ^ 0x62616e6b);
	if (prng_below(&bank->prng, 2) == 0)
		bank->ppm = (uint32_t)prng_between(&bank->prng, 50000, 600000);
}

bool
sim_bank_begin(struct sim *sim, struct slot *slot)
{
	struct sim_bank *bank = &sim->client->bank;

	if (bank->ppm == 0 || prng_below(&bank->prng, 1000000) >= bank->ppm)
		return false;
	/* Where an account is made memory may be wanting, and its twin's half be done. */
	for (uint32_t i = 0; i < SIM_ACCOUNTS; i++) {
		if (!bank->is_open[i]) {
			slot->op_kind = OP_ACCOUNT;
			slot->key = i;
			slot->is_memory = false;
			return true;
		}
	}
	slot->op_kind = OP_TRANSFER;
	slot->key = (uint32_t)prng_below(&bank->prng, SIM_ACCOUNTS);
	return true;
}

static void
encode_half(struct sim *sim, struct command_writer *writer, uint32_t account, int64_t delta)
{
	struct command_writer part;
	uint8_t bytes[128];
	uint32_t length;
	char name[8];

	command_begin(&part, bytes, sizeof(bytes));
	command_add_arg(&part, name, name_of(name, account));
	command_add_i64(&part, delta);
	if (command_end(&part, COMMAND_ADD, 0, 0, 0, 0, &length) != TERN_OK)
		sim_fail(sim, "sim", "half of a transfer does not fit its buffer");
	command_add_arg(writer, bytes, length);
}

enum command_op
sim_bank_encode(struct sim *sim, struct command_writer *writer, const struct slot *slot)
{
	const int64_t amount = 1 + (int64_t)(slot->op % TRANSFER_MAX);
	char name[8];

	if (slot->op_kind == OP_ACCOUNT) {
		command_add_arg(writer, name, name_of(name, slot->key));
		command_add_i64(writer, 0);
		return COMMAND_ADD;
	}
	encode_half(sim, writer, slot->key, -amount);
	encode_half(sim, writer, (slot->key + 1) % SIM_ACCOUNTS, amount);
	return COMMAND_MULTI;
}

void
sim_bank_done(struct sim *sim, const struct slot *slot, const struct submit_completion *completion)
{
	if (slot->op_kind == OP_ACCOUNT && completion->reply.kind == REPLY_INTEGER)
		sim->client->bank.is_open[slot->key] = true;
	if (slot->op_kind == OP_TRANSFER)
		sim_count(sim, SIM_COUNT_transfers);
}

void
sim_bank_look(struct sim *sim, struct sim_node *node, uint64_t view)
{
	int64_t sum = 0;

	if (sim->client->bank.ppm == 0)
		return;
	for (uint32_t i = 0; i < SIM_ACCOUNTS; i++) {
		char name[8];
		const uint32_t bytes = name_of(name, i);
		const struct state_value value = state_read_get(node->reader, name, bytes);
		if (value.type == STATE_BYTES)
			sim_fail(sim, "money", "node %u: %s is no number", node->id, name);
		sum += value.type == STATE_INTEGER ? value.integer : 0;
	}
	sim_count(sim, SIM_COUNT_balances_taken);
	if (sum != 0)
		sim_fail(sim, "money", "node %u, view %llu: %lld was made in transfers", node->id,
			 (unsigned long long)view, (long long)sum);
}
