/* SPDX-License-Identifier: Apache-2.0 */
/* A core in the middle of changes of the membership: one of a pair, and the witness. */
#ifndef TERN_TESTS_UNIT_CORE_MEMBERS_RIG_H
#define TERN_TESTS_UNIT_CORE_MEMBERS_RIG_H

#include "dataplane/core/change.h"
#include "tests/unit/core/rig.h"

#define GUEST 4

struct core_config members_config_of(struct rig *rig, uint16_t self);
struct membership members_of(uint64_t index, uint64_t learners);
enum tern_err members_append(struct rig *rig, enum block_kind kind, const struct membership *next,
			     const struct membership *before);
void members_answer(struct rig *rig, uint16_t sender, enum msg_append_status status,
		    uint64_t probe_index, uint64_t index);
void members_answer_round(struct rig *rig, uint16_t sender);
void members_beat(struct rig *rig);
struct rig *members_master_unserving(void);
/* The same, which may answer reads by lease. */
struct rig *members_master_with_leases(uint32_t drift_ppm);
/* A peer whose blocks are outstanding for so long is lost. */
struct rig *members_master_that_waits(uint64_t late_ns);
void members_durable(struct rig *rig, uint64_t index);
void members_commit_blocks(struct rig *rig, uint64_t index);
struct rig *members_master(void);
bool members_is_sent_to(const struct rig *rig, uint16_t node, enum msg_kind kind);
enum msg_vote_refusal
members_asked(struct rig *rig, uint64_t granted, uint64_t last_term, uint32_t last_epoch);
bool members_is_taken(struct rig *rig, enum msg_register_what what, uint32_t epoch, uint64_t rset,
		      uint64_t config_index);

#endif
