/* SPDX-License-Identifier: Apache-2.0 */
/* What the walks have found and made good, in the counts of their jobs. */
#include "dataplane/runtime/heal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

static struct heal_sums
sums_read(const struct runtime *rt)
{
	const struct stripe_device_stats *stats = stripe_store_device_stats(rt->store);
	struct heal_sums sums = { 0 };

	for (uint32_t i = 0; i < stripe_devices(runtime_geometry(rt)); i++) {
		sums.bad += stats[i].bad;
		sums.repaired += stats[i].repaired;
		sums.unrepairable += stats[i].unrepairable;
		sums.refilled += stats[i].refilled;
	}
	return sums;
}

void
heal_tally_begin(struct runtime *rt, struct heal_walk *walk)
{
	walk->sums = sums_read(rt);
}

void
heal_tally_end(struct runtime *rt, struct heal_walk *walk)
{
	const struct heal_sums now = sums_read(rt);

	if (walk->job == NULL)
		return;
	walk->job->found += now.bad - walk->sums.bad;
	walk->job->repaired += now.repaired - walk->sums.repaired;
	walk->job->refilled += now.refilled - walk->sums.refilled;
	/* Meanwhile a read may have had made good what an earlier scrub could not. */
	walk->job->unrepairable +=
	    max_u64(now.unrepairable, walk->sums.unrepairable) - walk->sums.unrepairable;
}

void
heal_tally_hurt(struct runtime *rt, bool is_filled)
{
	struct healer *heal = &rt->heal;
	struct heal_walk *walk = heal->hurt;

	heal->hurt = NULL;
	heal->unreadable += !is_filled;
	heal_tally_end(rt, walk);
}

void
heal_on_refilled(struct runtime *rt, bool is_filled)
{
	INVARIANT(rt->heal.hurt != NULL && rt->heal.is_refilling);
	rt->heal.is_refilling = false;
	heal_tally_hurt(rt, is_filled);
}
