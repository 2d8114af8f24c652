/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/hear.h"

#define HEAR_TIMES      2u /* the longest silence of late is allowed twice */
#define HEAR_GAP_MAX    2u /* times T_elect_min: an outage was no longer silence than that */
#define HEAR_HALVING_NS 1000000000u

/* Halves with every second. */
static uint64_t
hear_worst_ns(const struct core *core)
{
	const uint64_t halvings = (core->now_ns - core->worst_gap_at_ns) / HEAR_HALVING_NS;

	return halvings < 64 ? core->worst_gap_ns >> halvings : 0;
}

uint64_t
hear_patience_ns(const struct core *core)
{
	const uint64_t wanted_ns = HEAR_TIMES * hear_worst_ns(core);

	return wanted_ns > core->elect_min_ns ? wanted_ns : core->elect_min_ns;
}

/* After an election the first to be heard ends nobody's silence. */
void
hear_master(struct core *core, uint16_t master_id)
{
	if (core->has_heard && core->heard_id == master_id) {
		const uint64_t most_ns = HEAR_GAP_MAX * core->elect_min_ns;
		uint64_t gap_ns = core->now_ns - core->heard_ns;

		if (gap_ns > most_ns)
			gap_ns = most_ns;
		if (gap_ns > hear_worst_ns(core)) {
			core->worst_gap_ns = gap_ns;
			core->worst_gap_at_ns = core->now_ns;
		}
	}
	core->has_heard = true;
	core->heard_id = master_id;
	core->heard_ns = core->now_ns;
}

bool
hear_lives(const struct core *core, uint16_t candidate)
{
	return core->has_heard && core->heard_id != candidate &&
	       core->now_ns - core->heard_ns < hear_patience_ns(core);
}

/* A replica waits as long as its master deserves, any other node T_elect. */
void
hear_arm(struct core *core)
{
	const bool is_following = core->role == CORE_FOLLOWER && core->master_id != 0;
	const uint64_t least_ns = is_following ? hear_patience_ns(core) : core->elect_min_ns;
	const uint64_t range_ns = core->elect_max_ns - core->elect_min_ns;

	core->election_ns = core->now_ns + prng_between(&core->prng, least_ns, least_ns + range_ns);
}
