/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/rig.h"

struct core_config
rig_config_of(struct rig *rig)
{
	return (struct core_config){ .node_id = SELF,
				     .data_nodes = 1u << SELF | 1u << PEER,
				     .witness_id = WITNESS,
				     .witness_gen = 1,
				     .min_copies = 1,
				     .timers = { .heartbeat_ns = 3 * MS,
						 .solo_ns = 30 * MS,
						 .late_ns = 300 * MS,
						 .stall_ns = 500 * MS,
						 .elect_min_ns = 50 * MS,
						 .elect_max_ns = 80 * MS },
				     .prng_seed = 7,
				     .now_ns = 1000 * MS,
				     .boot_no = 1,
				     .is_first_boot = true,
				     .history = rig->history,
				     .history_count = BLOCKS };
}

struct core_config
rig_witness_of(struct rig *rig)
{
	struct core_config config = rig_config_of(rig);

	config.node_id = WITNESS;
	config.is_witness = true;
	config.reg = (struct witness_register){ .sequence = 1, .witness_gen = 1 };
	return config;
}

struct rig *
rig_new(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->memory = aligned_alloc(64, core_bytes());
	return rig;
}

void
rig_start(struct rig *rig, const struct core_config *config)
{
	rig->now_ns = config->now_ns;
	assert_int_equal(core_init(rig->memory, config, &rig->core), TERN_OK);
}

void
rig_free(struct rig *rig)
{
	free(rig->memory);
	free(rig);
}

struct hash128
rig_chain_of(uint64_t index, uint64_t term)
{
	return index == 0 ? (struct hash128){ 0, 0 } : (struct hash128){ index, term };
}

void
rig_recover(struct rig *rig, uint64_t count, uint64_t term)
{
	for (uint64_t i = 1; i <= count; i++) {
		const struct block_meta meta = { i, term, 0, BLOCK_COMMANDS,
						 rig_chain_of(i, term) };
		assert_int_equal(core_recover_block(rig->core, &meta, 0), TERN_OK);
	}
}

enum tern_err
rig_step(struct rig *rig, struct core_event event)
{
	event.now_ns = rig->now_ns;
	return core_step(rig->core, &event, &rig->effects);
}

enum tern_err
rig_deliver(struct rig *rig, struct msg msg)
{
	return rig_step(rig, (struct core_event){
				 .kind = CORE_EVENT_MESSAGE, .msg = &msg, .path = CORE_PATH_MGMT });
}

const struct core_effect *
rig_effect_of(const struct rig *rig, enum core_effect_kind kind)
{
	for (uint32_t i = 0; i < rig->effects.count; i++)
		if (rig->effects.list[i].kind == kind)
			return &rig->effects.list[i];
	return NULL;
}

const struct msg *
rig_sent(const struct rig *rig, enum msg_kind kind)
{
	for (uint32_t i = 0; i < rig->effects.count; i++)
		if (rig->effects.list[i].kind == CORE_EFFECT_SEND &&
		    rig->effects.list[i].msg.kind == kind)
			return &rig->effects.list[i].msg;
	return NULL;
}

void
rig_persist(struct rig *rig)
{
	const struct core_effect *effect = rig_effect_of(rig, CORE_EFFECT_PERSIST_META);

	if (effect == NULL)
		effect = rig_effect_of(rig, CORE_EFFECT_PERSIST_REGISTER);
	assert_non_null(effect);
	assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_META_DURABLE,
							    .op_id = effect->op_id }),
			 TERN_OK);
}

void
rig_tick(struct rig *rig, uint64_t span_ns)
{
	const uint64_t until_ns = rig->now_ns + span_ns;

	while (rig->now_ns < until_ns) {
		rig->now_ns += MS;
		assert_int_equal(rig_step(rig, (struct core_event){ .kind = CORE_EVENT_TICK }),
				 TERN_OK);
	}
}

struct msg
rig_heartbeat(uint16_t sender, uint64_t term, uint64_t round)
{
	return (struct msg){ .kind = MSG_HEARTBEAT,
			     .sender = sender,
			     .boot_no = 1,
			     .term = term,
			     .heartbeat = { .round = round, .witness_gen = 1 } };
}

struct msg
rig_probe(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t next_term, uint64_t last)
{
	return (struct msg){ .kind = MSG_APPEND,
			     .sender = PEER,
			     .boot_no = 1,
			     .term = term,
			     .append = { .prev_index = prev,
					 .prev_chain = rig_chain_of(prev, prev_term),
					 .has_next = prev < last,
					 .next_chain = rig_chain_of(prev + 1, next_term),
					 .last_index = last } };
}

struct msg
rig_vote(enum msg_kind kind, uint16_t sender, uint64_t term, uint64_t for_term, uint64_t last_term,
	 uint64_t last_index)
{
	return (struct msg){ .kind = kind,
			     .sender = sender,
			     .boot_no = 1,
			     .term = term,
			     .vote = { .for_term = for_term,
				       .last_term = last_term,
				       .last_index = last_index,
				       .votes_granted = 1u << sender,
				       .witness_gen = 1 } };
}
