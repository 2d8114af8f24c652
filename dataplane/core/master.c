/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master: its start, epochs of the in-sync set, registration with the witness, check-quorum,
 * and what a heartbeat's time brings (protocol section 6).
 */
#include "dataplane/core/bypass.h"
#include "dataplane/core/change.h"
#include "dataplane/core/commit.h"
#include "dataplane/core/core_internal.h"
#include "dataplane/core/effect.h"
#include "dataplane/core/health.h"
#include "dataplane/core/members.h"
#include "dataplane/core/peer.h"
#include "dataplane/core/role.h"
#include "dataplane/core/round.h"
#include "dataplane/core/search.h"

/* With min_copies over what a degraded set holds, writes are refused while the set is incomplete.
 */
bool
master_is_serving(const struct core *core)
{
	const struct core_rule *pair = members_pair(core);

	if (core->role != CORE_MASTER || !core->has_committed || core->transfer_id != 0 ||
	    core->is_stopping || core->is_storage_failed)
		return false;
	if (pair == NULL || core->config.min_copies <= pair->count / 2)
		return true;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if ((pair->data & core_bit(core->peers[i].id)) != 0 &&
		    peer_is_lost(core, &core->peers[i]))
			return false;
	return true;
}

/* ---- epochs ---- */

/* Every change of the in-sync set starts with a barrier; until the barrier is in the log nothing
 * else is sealed and the set does not change again. */
static void
master_set_epoch(struct core *core, uint32_t epoch, enum core_phase phase, uint64_t rset)
{
	struct core_effect *effect;

	INVARIANT(core->role == CORE_MASTER);
	INVARIANT(!core->is_barrier_pending);
	core->epoch = epoch;
	core->phase = phase;
	core->rset = rset;
	/* An acknowledgement is one of a (term, epoch), never of the next (P12). */
	if (!core_has_bug(core, CORE_BUG_P12_OLD_EPOCH))
		core->is_registered = false;
	core->is_barrier_pending = true;
	core->barrier_index = 0;
	effect = core_emit(core, CORE_EFFECT_APPEND_BARRIER);
	effect->term = core->term;
	effect->epoch = epoch;
}

/* Whether this master could leave a copy that is lost out of the in-sync set and go on. */
static bool
master_may_degrade(const struct core *core)
{
	const struct core_rule *pair = members_pair(core);

	if (pair == NULL || (pair->data & core_bit(core->config.node_id)) == 0 ||
	    core->config.min_copies > pair->count / 2)
		return false;
	return !core->is_stopping && !core->is_storage_failed && !core_is_stalled(core);
}

/* Whoever answers a round of then or later was not cut off together with @lost: of well after it
 * fell silent, or stood still. */
static uint64_t
master_apart_ns(const struct core *core, const struct core_peer *lost)
{
	const uint64_t late_ns = core_late_ns(&core->config.timers, lost->id);
	const uint64_t silent_ns =
	    peer_has_lost_contact(core, lost) ? lost->probe_ns + core->solo_ns / 2 : 0;
	const uint64_t still_ns = peer_is_late(core, lost) ? lost->progress_ns + late_ns / 2 : 0;

	return silent_ns > still_ns ? silent_ns : still_ns;
}

/* While a change is joint, a majority of the other rule has to be there too: a master that has lost
 * it as well would only have the witness shut the others out. */
static bool
master_has_other_rule(const struct core *core, const struct core_rule *pair,
		      const struct core_peer *lost)
{
	const uint64_t since_ns = master_apart_ns(core, lost);

	for (uint32_t i = 0; i < core->rule_count; i++) {
		const struct core_rule *rule = &core->rules[i];
		uint32_t there = (rule->data & core_bit(core->config.node_id)) != 0;

		if (rule == pair)
			continue;
		for (uint32_t j = 0; j < core->peer_count; j++) {
			const struct core_peer *peer = &core->peers[j];
			there += (rule->data & core_bit(peer->id)) != 0 &&
				 !peer_is_lost(core, peer) && peer->answered_ns >= since_ns;
		}
		if (there < rule->count / 2 + 1)
			return false;
	}
	return true;
}

/* P7: never while stopping. A master that does not hear the witness either could only shut the
 * other side out of an election that the witness would have granted it. */
static void
master_check_degrade(struct core *core)
{
	const struct core_rule *pair = members_pair(core);
	const struct core_peer *lost = NULL;
	uint32_t good = 1;

	for (uint32_t i = 0; i < core->peer_count && pair != NULL; i++) {
		const struct core_peer *peer = &core->peers[i];

		if (peer->is_witness) {
			if (peer_has_lost_contact(core, peer))
				return;
			continue;
		}
		if ((pair->data & core_bit(peer->id)) == 0)
			continue;
		if (peer_is_lost(core, peer))
			lost = lost == NULL ? peer : lost;
		else
			good++;
	}
	if (lost == NULL || good > pair->count / 2 || !master_may_degrade(core) ||
	    !master_has_other_rule(core, pair, lost))
		return;
	core->transfer_id = 0;
	/* The witness remembers who else is a voter while a change is joint: see rejoin.c. */
	master_set_epoch(core, core->epoch + 1, CORE_PHASE_DEGRADED,
			 (pair->voters | core->data) & ~core_bit(lost->id));
}

/* The node outside rset has come back: it holds the barrier that shut it out, so blocks do reach
 * its disk, and it is nearly at the end. */
static void
master_check_normal(struct core *core)
{
	const struct core_rule *pair = members_pair(core);

	/* The change to three has committed: nobody is out of the set any more. */
	if (pair == NULL) {
		master_set_epoch(core, core->epoch + 1, CORE_PHASE_NORMAL, core->data);
		return;
	}
	if (core_is_joint(core))
		return; /* first it commits */
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const struct core_peer *peer = &core->peers[i];

		if ((pair->data & core_bit(peer->id)) == 0 ||
		    (core->rset & core_bit(peer->id)) != 0)
			continue;
		if (!peer->is_matched || !peer->is_whole || peer_has_lost_contact(core, peer) ||
		    (peer->health & (MSG_HEALTH_DISK_STALLED | MSG_HEALTH_APPLY_STALLED)) != 0)
			return;
		if (core->barrier_index == 0 || peer->durable_index < core->barrier_index ||
		    peer->durable_index + CORE_CAUGHT_UP_BLOCKS < core->last_index)
			return;
	}
	for (uint32_t i = 0; i < core->peer_count; i++)
		core->peers[i].has_forgotten = false;
	core->is_returning = true;
	master_set_epoch(core, core->epoch + 1, CORE_PHASE_NORMAL, pair->data);
}

static void
master_send_register(struct core *core)
{
	const bool is_local =
	    core->barrier_index != 0 && core->durable_index >= core->barrier_index;
	struct core_peer *witness;
	struct msg *msg;

	if (core->phase != CORE_PHASE_DEGRADED || core->is_registered || members_pair(core) == NULL)
		return;
	/* P6: a register that is ahead of every log would leave nobody electable. */
	if (!is_local && !core_has_bug(core, CORE_BUG_P6_REGISTER_FIRST))
		return;
	witness = core_peer(core, core->members.witness_id);
	INVARIANT(witness != NULL);
	msg = core_send(core, witness, MSG_REGISTER);
	msg->register_.what = MSG_REGISTER_EPOCH;
	msg->register_.witness_gen = core->members.witness_gen;
	msg->register_.epoch = core->epoch;
	msg->register_.rset = core->rset;
	msg->register_.last_index = core->barrier_index;
	msg->register_.chain = history_chain(core, core->barrier_index);
}

/* It refuses, and what that says. Which incarnation answers to ENTER: two registers may have been
 * made one after the other in place of a lost one: only one of them may take a generation, for the
 * other one would grant by what it was told first. */
static void
master_meet_witness(struct core *core, const struct msg *msg)
{
	const struct msg_register_ack *ack = &msg->register_ack;

	if (core->allotted_gen == core->members.witness_gen && ack->what == MSG_REGISTER_ENTER &&
	    core->enter_voters != 0 && core->enter_boot_no == 0 && ack->epoch == core->epoch &&
	    ack->config_index == core->committed_members.config_index)
		core->enter_boot_no = msg->boot_no;
	/* It entered behind that configuration, and the change that it entered for did not come:
	 * nobody who goes by three asks it, and whoever goes by two of before is behind what it
	 * holds. It would say the same again. */
	if (ack->what == MSG_REGISTER_RETIRE &&
	    ack->config_index == core->committed_members.config_index)
		core->retired_index = ack->config_index;
}

/* P2: nothing of this epoch commits before the witness has its record durably. */
void
master_register_ack(struct core *core, const struct core_peer *peer, const struct msg *msg)
{
	const struct msg_register_ack *ack = &msg->register_ack;

	if (!peer->is_witness)
		return;
	if (!ack->is_accepted) {
		master_meet_witness(core, msg);
		return;
	}
	if (ack->what == MSG_REGISTER_RETIRE && ack->config_index > core->retired_index)
		core->retired_index = ack->config_index;
	if (ack->epoch != core->epoch)
		return;
	if (ack->what == MSG_REGISTER_ENTER && core->enter_voters == ack->rset)
		core->is_entered = true;
	if (ack->what != MSG_REGISTER_EPOCH || core->phase != CORE_PHASE_DEGRADED ||
	    core->is_registered || members_pair(core) == NULL)
		return;
	core->is_registered = true;
	core->view.solo_entries++;
}

/* The witness shall have a vote beside @next's voters: its register will be that of a barrier made
 * now, so that it is newer than any that it has had. */
enum tern_err
master_enter(struct core *core, const struct membership *next)
{
	if (core->role != CORE_MASTER)
		return TERN_ERR_NOT_MASTER;
	if (members_pair(core) != NULL || core_is_joint(core) || core->is_barrier_pending ||
	    core->transfer_id != 0 || core->members.witness_id == 0 ||
	    (next->voters & ~(core->data | core->members.learners)) != 0 ||
	    (core_count(next->voters) % 2 != 0 && next->voters != core->members.voters))
		return TERN_ERR_BUSY;
	if ((core->members.witness_gen & MEMBERSHIP_WITNESS_OUT) != 0 &&
	    (core->members.witness_gen != core->allotted_gen ||
	     next->voters != core->members.voters))
		return TERN_ERR_BUSY;
	if (core->enter_voters == next->voters)
		return TERN_OK;
	core->enter_voters = next->voters;
	core->enter_boot_no = 0;
	core->is_entered = false;
	master_set_epoch(core, core->epoch + 1, CORE_PHASE_NORMAL, core->data);
	return TERN_OK;
}

/* What the witness has to know of a change of the voters, until it has said so. */
static void
master_send_duty(struct core *core)
{
	const uint64_t index = core->committed_members.config_index;
	const struct core_peer *witness = core_peer(core, core->members.witness_id);
	struct msg_register *msg;

	if (witness == NULL || members_pair(core) != NULL || !core->has_committed)
		return;
	if (core->enter_voters != 0) {
		if (core->is_entered || core->barrier_index == 0 ||
		    core->commit_index < core->barrier_index)
			return;
		msg = &core_send(core, witness, MSG_REGISTER)->register_;
		msg->what = MSG_REGISTER_ENTER;
		msg->rset = core->enter_voters;
		msg->peer_boot_no = core->enter_boot_no;
	} else {
		/* Without the chain of that block it stays as it is: then its vote is of no use to
		 * whoever lacks the block, and who holds it needs the new voters too. */
		if (index == 0 || index < core->base_index || core->retired_index >= index ||
		    (core->members.witness_gen & MEMBERSHIP_WITNESS_OUT) != 0)
			return;
		msg = &core_send(core, witness, MSG_REGISTER)->register_;
		msg->what = MSG_REGISTER_RETIRE;
		msg->config_chain = history_chain(core, index);
	}
	msg->config_index = index;
	msg->witness_gen = core->members.witness_gen & ~MEMBERSHIP_WITNESS_OUT;
	msg->epoch = core->epoch;
	if (core->barrier_index < core->base_index)
		return;
	msg->last_index = core->barrier_index;
	msg->chain = history_chain(core, core->barrier_index);
}

enum tern_err
master_appended(struct core *core, const struct core_event *event)
{
	const struct block_meta *block = &event->block;
	const uint64_t before = core->last_index;
	enum tern_err err;

	if (core->role != CORE_MASTER)
		return TERN_ERR_NOT_MASTER;
	if (block->term != core->term || block->epoch > core->epoch)
		return TERN_ERR_MALFORMED;
	if (core_is_gen_due(core) && block->kind == BLOCK_BARRIER)
		return TERN_ERR_MALFORMED;
	/* Commands that were in the open block when the barrier was asked for belong to the epoch
	 * before; the barrier itself opens the new one. */
	const bool is_gen = force_is_gen(core, event);
	if (core->is_barrier_pending !=
	    (block->kind == BLOCK_BARRIER || block->epoch < core->epoch || is_gen))
		return TERN_ERR_MALFORMED;
	if (block->kind == BLOCK_BARRIER && block->epoch != core->epoch)
		return TERN_ERR_MALFORMED;
	if (members_check(core, block, event->next, event->before) != TERN_OK ||
	    (block->kind == BLOCK_CONFIG && !is_gen &&
	     core_judge_change(core, event->next) != CORE_CHANGE_ALLOWED))
		return TERN_ERR_MALFORMED;
	err = history_append(core, block);
	if (err != TERN_OK)
		return err;
	if (core->durable_index == before)
		core->disk_progress_ns = core->now_ns;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core->peers[i].durable_index == before)
			core->peers[i].progress_ns = core->now_ns;
	core_emit(core, CORE_EFFECT_PERSIST)->index = core->last_index;
	if (block->kind == BLOCK_CONFIG && !is_gen)
		commit_take_members(core, event->next, event->before);
	if (block->kind != BLOCK_BARRIER)
		return TERN_OK;
	core->is_barrier_pending = false;
	core->barrier_index = core->last_index;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core_is_replica(core, core->peers[i].id) && core->peers[i].search_high == 0)
			search_begin(core, &core->peers[i]);
	return TERN_OK;
}

/* ---- start and end ---- */

void
master_begin(struct core *core)
{
	const struct core_rule *pair = members_pair(core);
	const struct core_peer *silent = NULL;
	uint32_t heard = 1;

	INVARIANT(core->role == CORE_CANDIDATE);
	INVARIANT(!core->is_meta_pending);
	INVARIANT(core->match == CORE_MATCH_NONE);
	for (uint32_t i = 0; i < core->peer_count; i++) {
		struct core_peer *peer = &core->peers[i];

		if (pair != NULL && (pair->data & core_bit(peer->id)) != 0) {
			if (peer->has_answered)
				heard++;
			else
				silent = silent == NULL ? peer : silent;
		}
		*peer = (struct core_peer){ .id = peer->id,
					    .is_witness = peer->is_witness,
					    .worst_answer_ns = peer->worst_answer_ns,
					    .heard_boot_no = peer->heard_boot_no,
					    .spoke_ns = peer->spoke_ns,
					    .progress_ns = core->now_ns };
	}
	core->role = CORE_MASTER;
	core->master_id = core->config.node_id;
	core->has_followed = true;
	core->is_registered = core->has_committed = core->is_returning = false;
	core->is_barrier_pending = false;
	core->transfer_id = 0;
	core->enter_voters = core->retired_index = 0;
	core->is_entered = false;
	core->allotted_gen = core->enter_boot_no = 0;
	/* Blocks above commit_index that this node applied as an earlier master stay applied: its
	 * log still holds them. */
	memory_settle(core);
	core->memory_told = 0;
	core->round = core->read_round = 0;
	lease_begin(core);
	core->view.elections++;
	/* A peer that did not answer this very candidacy is silent: degraded from the start. While
	 * a change is joint it is not known yet who else is there. */
	if (silent != NULL && !core->is_hand_over && heard <= pair->count / 2 &&
	    !core_is_joint(core) && master_may_degrade(core))
		master_set_epoch(core, 0, CORE_PHASE_DEGRADED,
				 pair->voters & ~core_bit(silent->id));
	else
		master_set_epoch(core, 0, CORE_PHASE_NORMAL,
				 pair != NULL ? pair->data : core->data);
	core->is_hand_over = false;
	core->port_round = core->is_data_port_down ? 1 : 0;
	round_start(core);
}

void
master_farewell(struct core *core)
{
	INVARIANT(core->role == CORE_MASTER);
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core_is_member(core, &core->peers[i]))
			core_send(core, &core->peers[i], MSG_FAREWELL);
}

/* P9's other half: a master that fewer than q voters answer ends its term by itself. Registered
 * SOLO may go on alone, for nobody else can be elected. */
static bool
master_has_quorum(const struct core *core)
{
	uint64_t heard = core_bit(core->config.node_id);

	if (core->phase == CORE_PHASE_DEGRADED && core->is_registered && !core_is_joint(core) &&
	    !core->config.solo_isolated_stop)
		return true;
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (!peer_is_silent(core, &core->peers[i], core->elect_min_ns))
			heard |= core_bit(core->peers[i].id);
	return members_are_quorum(core, heard);
}

static void
master_note_commit(struct core *core)
{
	if (core->barrier_index == 0 || core->commit_index < core->barrier_index)
		return;
	core->has_committed = true;
	if (core->is_returning && core->phase == CORE_PHASE_NORMAL) {
		core->is_returning = false;
		core->view.duplex_returns++;
	}
}

/* What a heartbeat's time brings: a round, and everything that has to be repeated until answered.
 */
static void
master_beat(struct core *core)
{
	round_start(core);
	master_send_duty(core);
	memory_recognize_peers(core);
	for (uint32_t i = 0; i < core->peer_count; i++)
		if (core_is_replica(core, core->peers[i].id) && !core->peers[i].is_matched) {
			search_probe(core, &core->peers[i]);
			install_offer(core, &core->peers[i]);
		}
}

void
master_poll(struct core *core)
{
	const bool is_beat_due = core->now_ns >= core->heartbeat_ns;
	const bool was_local =
	    core->barrier_index != 0 && core->view.durable_index >= core->barrier_index;
	const bool is_local =
	    core->barrier_index != 0 && core->durable_index >= core->barrier_index;

	if (core_is_stalled(core)) {
		master_farewell(core);
		role_step_down(core);
		core_alarm(core, CORE_ALARM_STALLED, core->config.node_id);
		return;
	}
	if (!master_has_quorum(core)) {
		role_step_down(core);
		return;
	}
	transfer_poll(core, is_beat_due);
	install_check_reach(core);
	if (!core->is_barrier_pending) {
		if (core->phase == CORE_PHASE_NORMAL)
			master_check_degrade(core);
		else
			master_check_normal(core);
	}
	if (is_beat_due || (is_local && !was_local) ||
	    (core->is_barrier_pending && core->phase == CORE_PHASE_DEGRADED))
		master_send_register(core);
	if (is_beat_due)
		master_beat(core);
	replicate_commit(core);
	master_note_commit(core);
	/* Removed by what has just committed. */
	if (!core_is_voter(core, core->config.node_id)) {
		master_farewell(core);
		role_step_down(core);
	}
}
