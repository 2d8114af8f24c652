/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device that hangs keeps, until it answers, is never more than what was under way with it.
 * There is room for all devices that the pool bears to lose, and for one more where a spare may
 * take the place of one that has not answered yet.
 */
#include "dataplane/stripe/store_internal.h"

uint32_t
stripe_hangs_of(const struct stripe_store_config *config)
{
	const uint32_t m = config->geometry.m;

	return m + (m != 0 && config->spare_count != 0);
}

uint32_t
stripe_device_requests_of(const struct stripe_store_config *config)
{
	return config->groups_max + 1 + config->reads_max + 2;
}

bool
stripe_hangs_are_borne(const struct stripe_store *store, uint32_t hangs)
{
	const struct stripe_store_config *config = &store->config;
	const uint64_t requests = stripe_device_requests_of(config);
	uint32_t kept = 0;

	/* In quarantine, or about to be: when the other devices have answered, too. */
	for (uint32_t i = 0; i < store->read_slots; i++)
		kept += store->reads[i].orphans != 0;
	return kept + config->reads_max * (1 + hangs) <= store->read_slots &&
	       store->stats.hung_requests + requests * hangs <= requests * stripe_hangs_of(config);
}
