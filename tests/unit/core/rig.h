/* SPDX-License-Identifier: Apache-2.0 */
/* One core on a bench: events go in by hand, effects are looked at. */
#ifndef TERN_TESTS_UNIT_CORE_RIG_H
#define TERN_TESTS_UNIT_CORE_RIG_H

#include <stdlib.h>
#include <string.h>

#include "dataplane/core/core.h"
#include "tests/support/check.h"

#define MS 1000000ull

#define BLOCKS  64u
#define SELF    1
#define PEER    2
#define WITNESS 3

struct rig {
	struct core *core;
	void *memory;
	struct block_meta history[BLOCKS];
	struct core_effects effects;
	uint64_t now_ns;
};

struct core_config rig_config_of(struct rig *rig);
struct core_config rig_witness_of(struct rig *rig);
struct rig *rig_new(void);
void rig_start(struct rig *rig, const struct core_config *config);
void rig_free(struct rig *rig);
struct hash128 rig_chain_of(uint64_t index, uint64_t term);
/* Blocks 1..count of @term, durable. */
void rig_recover(struct rig *rig, uint64_t count, uint64_t term);
enum tern_err rig_step(struct rig *rig, struct core_event event);
enum tern_err rig_deliver(struct rig *rig, struct msg msg);
const struct core_effect *rig_effect_of(const struct rig *rig, enum core_effect_kind kind);
const struct msg *rig_sent(const struct rig *rig, enum msg_kind kind);
/* Completes the write of term, vote or register that the last step asked for. */
void rig_persist(struct rig *rig);
void rig_tick(struct rig *rig, uint64_t span_ns);
struct msg rig_heartbeat(uint16_t sender, uint64_t term, uint64_t round);
struct msg
rig_probe(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t next_term, uint64_t last);
struct msg rig_vote(enum msg_kind kind, uint16_t sender, uint64_t term, uint64_t for_term,
		    uint64_t last_term, uint64_t last_index);

#endif
