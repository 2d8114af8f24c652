/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/lease.h"

#include "dataplane/core/core_internal.h"
#include "dataplane/core/members.h"

#define MILLION UINT64_C(1000000)

/* ---- the voter ---- */

/* The clock may have been read before the heartbeat came, and the node been paused in between. */
uint32_t
lease_promise(struct core *core, uint16_t master_id)
{
	const uint64_t units = core->elect_min_ns / MSG_PROMISE_UNIT_NS;

	core->lease.promised_id = master_id;
	core->lease.is_given = true;
	return units < MSG_PROMISE_UNITS_MAX ? (uint32_t)units : MSG_PROMISE_UNITS_MAX;
}

void
lease_pass_time(struct core *core, uint64_t now_ns)
{
	if (!core->lease.is_given || now_ns == core->now_ns)
		return;
	core->lease.is_given = false;
	core->lease.promised_until_ns = now_ns + core->elect_min_ns;
}

bool
lease_binds(const struct core *core, uint16_t candidate)
{
	const struct core_lease *lease = &core->lease;

	return lease->promised_id != 0 && lease->promised_id != candidate &&
	       (lease->is_given || core->now_ns < lease->promised_until_ns);
}

/* ---- the master ---- */

void
lease_begin(struct core *core)
{
	core->lease.has_offered = false;
	lease_forget(core);
}

void
lease_forget(struct core *core)
{
	core->lease.since_round = core->round;
	for (uint32_t i = 0; i < CORE_NODES_MAX; i++)
		core->lease.ends_ns[i] = 0;
}

void
lease_answered(struct core *core, uint32_t at, const struct msg_heartbeat_ack *ack)
{
	const uint64_t drift = 2 * (uint64_t)core->config.timers.clock_drift_ppm;
	uint64_t promised_ns = (uint64_t)ack->promise_units * MSG_PROMISE_UNIT_NS;
	uint64_t left_ns, span_ns;

	INVARIANT(at < core->peer_count && ack->round <= core->round);
	if (!core->config.timers.has_leases || ack->promise_units == 0 ||
	    ack->round <= core->lease.since_round || core->round - ack->round >= CORE_ROUNDS_MAX)
		return;
	if (promised_ns > core->elect_min_ns)
		promised_ns = core->elect_min_ns;
	left_ns = core->round_sent_ns[ack->round % CORE_ROUNDS_MAX];
	if (core_has_member_bug(core, CORE_MEMBER_BUG_LEASE_FROM_ANSWER))
		left_ns = core->now_ns;
	span_ns = promised_ns / MILLION * (MILLION - drift) +
		  promised_ns % MILLION * (MILLION - drift) / MILLION;
	if (core_has_member_bug(core, CORE_MEMBER_BUG_LEASE_FULL))
		span_ns = promised_ns;
	INVARIANT(span_ns <= core->elect_min_ns);
	if (left_ns + span_ns > core->lease.ends_ns[at])
		core->lease.ends_ns[at] = left_ns + span_ns;
}

/* Until when so many of @rule's voters are bound that nobody else finds a quorum of it. UINT64_MAX:
 * this node is one. */
static uint64_t
lease_rule_until_ns(const struct core *core, const struct core_rule *rule)
{
	const bool is_of_it = (rule->voters & core_bit(core->config.node_id)) != 0;
	const uint32_t wanted = rule->quorum - is_of_it;
	uint64_t ends[CORE_NODES_MAX] = { 0 };
	uint32_t count = 0;

	if (wanted == 0)
		return UINT64_MAX;
	/* Sorted, latest first. */
	for (uint32_t i = 0; i < core->peer_count; i++) {
		const uint64_t end_ns = core->lease.ends_ns[i];
		uint32_t at = count;

		if ((rule->voters & core_bit(core->peers[i].id)) == 0)
			continue;
		for (; at > 0 && ends[at - 1] < end_ns; at--)
			ends[at] = ends[at - 1];
		ends[at] = end_ns;
		count++;
	}
	return wanted <= count ? ends[wanted - 1] : 0;
}

/* A hand-over is exempt from the promise, and the message that began one may arrive at any time. */
static bool
lease_is_offered(const struct core *core)
{
	return (core->transfer_id != 0 || core->lease.has_offered) &&
	       !core_has_member_bug(core, CORE_MEMBER_BUG_LEASE_HAND_OVER);
}

uint64_t
lease_until_ns(const struct core *core)
{
	uint64_t until_ns = UINT64_MAX;

	if (!core->config.timers.has_leases || core->role != CORE_MASTER || !core->has_committed ||
	    lease_is_offered(core))
		return 0;
	for (uint32_t i = 0; i < core->rule_count; i++) {
		const uint64_t ns = lease_rule_until_ns(core, &core->rules[i]);
		until_ns = ns < until_ns ? ns : until_ns;
	}
	return until_ns == UINT64_MAX ? 0 : until_ns;
}
