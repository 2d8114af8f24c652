/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of which only some devices are there: each set of them starts, or is refused, on what a
 * crash left. Sets are masks of positions.
 */
#ifndef TERN_TESTS_UNIT_STRIPE_POOL_SETS_H
#define TERN_TESTS_UNIT_STRIPE_POOL_SETS_H

#include "tests/unit/stripe/pool.h"

uint32_t pool_count(uint32_t set);
uint32_t pool_all(const struct pool *pool);
/* What the next start finds. */
void pool_only(struct pool *pool, uint32_t present);
/* @count groups that are taken, until nothing is in flight. */
void pool_write_some(struct pool *pool, uint32_t count);

/* What a pool is while its process is down. */
struct pool_saved {
	struct pool pool;
	uint8_t *images[STRIPE_DEVICES_MAX];
	struct pool_group *groups;
};

void pool_save(const struct pool *pool, struct pool_saved *saved);
/* May be called again and again, until pool_forget. */
void pool_put_back(struct pool *pool, const struct pool_saved *saved);
void pool_forget(struct pool_saved *saved);

/* After a start: everything that was acknowledged is there, and more can be. */
void pool_go_on(struct pool *pool);
/* Every set tries alone; if it starts it goes on, and is crashed; then every set tries again, and
 * who starts must hold that as well. Returns how many sets started; all are present afterwards. */
uint32_t pool_every_set(struct pool *pool, const struct pool_saved *saved);
/* The devices of @lost fail @gap writes one after the other, the process ends @turns later, and
 * every set tries. */
void
pool_crash_in_a_loss(struct stripe_geometry geometry, uint32_t lost, uint32_t gap, uint32_t turns);

#endif
