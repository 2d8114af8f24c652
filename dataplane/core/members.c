/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as a function of the log (protocol section 12): the one that the newest CONFIG
 * block names is effective from its append on, committed or not, and goes with the block when a
 * tail is cut.
 *
 * A change begins only when the one before it has committed, so at most one of them is not, and the
 * record of each names the one before it. A node whose commit_index lags behind learns from that
 * record that the change before it is committed: its master has seen that, and this log is a prefix
 * of the master's.
 *
 * A node that forgot may have been started with a committed configuration that its log does not
 * reach yet. It is given the blocks up to there again, and they change nothing.
 *
 * Voters change one at a time, from two with a witness to three or back, and jointly: until the
 * block commits, blocks commit and masters are elected by the rule of either configuration. The
 * rules are those of tests/model/joint.pml, which names what each of them is for.
 */
#include "dataplane/core/core_internal.h"
#include "dataplane/core/members.h"

uint64_t
members_voters(const struct membership *members)
{
	if (!membership_has_witness(members))
		return members->voters;
	return members->voters | core_bit(members->witness_id);
}

static struct core_rule
rule_of(const struct membership *members)
{
	const uint64_t voters = members_voters(members);

	return (struct core_rule){
		.data = members->voters,
		.voters = voters,
		.count = core_count(members->voters),
		.quorum = core_count(voters) / 2 + 1,
	};
}

/* From the append of a block that changes the voters until its commit both rules hold. */
void
members_derive(struct core *core)
{
	core->rule_count = 0;
	if (core_is_joint(core) && !core_has_member_bug(core, CORE_MEMBER_BUG_ONE_STEP))
		core->rules[core->rule_count++] = rule_of(&core->committed_members);
	core->rules[core->rule_count++] = rule_of(&core->members);
	core->data = core->voters = 0;
	for (uint32_t i = 0; i < core->rule_count; i++) {
		core->data |= core->rules[i].data;
		core->voters |= core->rules[i].voters;
	}
}

const struct core_rule *
members_pair(const struct core *core)
{
	for (uint32_t i = 0; i < core->rule_count; i++)
		if (core_rule_has_witness(&core->rules[i]))
			return &core->rules[i];
	return NULL;
}

bool
members_are_quorum(const struct core *core, uint64_t mask)
{
	const bool is_new_enough = core_has_member_bug(core, CORE_MEMBER_BUG_COMMIT_ONLY);

	for (uint32_t i = is_new_enough ? core->rule_count - 1 : 0; i < core->rule_count; i++)
		if (core_count(mask & core->rules[i].voters) < core->rules[i].quorum)
			return false;
	return true;
}

void
members_begin(struct core *core)
{
	const struct core_config *config = &core->config;

	core->members = (struct membership){
		.config_index = config->config_index,
		.voters = config->data_nodes,
		.learners = config->learners,
		.witness_id = config->witness_id,
		.witness_gen = config->witness_gen,
	};
	core->committed_members = core->members;
	members_derive(core);
}

/* A node that was made for a cluster that others had begun knows no more of its birth than its node
 * file said. */
bool
members_is_guest(const struct core *core)
{
	return core->members.config_index == 0 && !core_is_voter(core, core->config.node_id);
}

/* One change at a time: of the learners and of one voter, or of the witness. */
static bool
members_is_step(const struct core *core, const struct membership *next,
		const struct membership *before)
{
	const struct generation *own = &core->config.generation;

	/* A GEN block is of this generation, or of one that it descends from. */
	if (next->begins.number != 0)
		return membership_is_forced(next, before) &&
		       (next->begins.number < own->number || generation_equal(&next->begins, own));
	if (next->witness_gen != before->witness_gen)
		return membership_is_witness_out(next, before) ||
		       membership_is_witness_in(next, before);
	return core_count(next->voters ^ before->voters) <= 1 &&
	       next->witness_id == before->witness_id;
}

enum tern_err
members_check(const struct core *core, const struct block_meta *block,
	      const struct membership *next, const struct membership *before)
{
	/* One that is known to be committed can be none other. */
	if (block->kind != BLOCK_CONFIG)
		return next == NULL && before == NULL &&
			       block->log_index != core->members.config_index
			   ? TERN_OK
			   : TERN_ERR_MALFORMED;
	if (next == NULL || before == NULL || next->config_index != block->log_index)
		return TERN_ERR_MALFORMED;
	/* It is given again to a node that forgot, and that knows this configuration, or one behind
	 * it, as committed. */
	if (block->log_index < core->members.config_index)
		return TERN_OK;
	if (block->log_index == core->members.config_index)
		return membership_equal(next, &core->members) ? TERN_OK : TERN_ERR_MALFORMED;
	if (before->config_index != core->members.config_index || !membership_is_sound(next))
		return TERN_ERR_MALFORMED;
	if (!membership_equal(before, &core->members) && !members_is_guest(core))
		return TERN_ERR_MALFORMED;
	return members_is_step(core, next, before) ? TERN_OK : TERN_ERR_MALFORMED;
}

void
members_cut(struct core *core, uint64_t keep_index)
{
	INVARIANT(core->role != CORE_MASTER);
	if (core->members.config_index <= keep_index ||
	    core->members.config_index == core->committed_members.config_index)
		return;
	INVARIANT(core->committed_members.config_index <= keep_index);
	core->members = core->committed_members;
	members_derive(core);
}
