/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small area that is used again and again: random blocks, groups that come back in any order,
 * cuts, reclaiming behind a base, and crashes that tear what is in flight. What was durable is
 * found again, and nothing of an earlier lap.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "tests/unit/cmdlog/rig.h"

#define AREA   220u
#define BLOCKS 8192u
#define STEPS  6000u
#define ROUNDS 12u

struct laps {
	struct rig rig;
	struct prng prng;
	struct hash128 chains[BLOCKS];
	struct log_group flying[4];
	uint32_t flying_count;
	uint64_t number, term, committed, newest_base;
	uint64_t crashes, cuts, laps, full;
};

static uint32_t
roll(struct laps *l, uint64_t sides)
{
	return (uint32_t)prng_below(&l->prng, sides);
}

static void
append(struct laps *l)
{
	const struct cmdlog_stats stats = cmdlog_stats(l->rig.log);

	if (stats.last_index + 1 >= BLOCKS)
		return;
	const enum tern_err err =
	    rig_append(&l->rig, l->number++, roll(l, 3) == 0 ? roll(l, 12000) : roll(l, 200));
	l->full += err == TERN_ERR_LOG_FULL;
	if (err != TERN_OK && cmdlog_open_count(l->rig.log) == 0)
		return;
	const struct block_meta meta = rig_seal(&l->rig, l->term, 0);
	l->chains[meta.log_index] = meta.chain;
}

static void
write_some(struct laps *l)
{
	struct log_group *group = &l->flying[l->flying_count];

	if (l->flying_count < 4 && rig_group_next(&l->rig, UINT64_MAX, l->committed, group)) {
		assert_in_range(group->cell % AREA + group->pages, 1, AREA);
		l->flying_count++;
	}
}

static void
complete(struct laps *l)
{
	if (l->flying_count == 0)
		return;
	const uint32_t which = roll(l, l->flying_count);
	const struct log_group group = l->flying[which];
	rig_write(&l->rig, &group);
	const uint64_t durable = cmdlog_group_done(l->rig.log, group.slot);
	l->flying[which] = l->flying[--l->flying_count];
	if (durable > l->committed && roll(l, 2) == 0)
		l->committed += roll(l, durable - l->committed + 1);
	cmdlog_set_applied(l->rig.log, l->committed);
}

static void
cut(struct laps *l)
{
	while (l->flying_count != 0)
		complete(l);
	const uint64_t last = cmdlog_stats(l->rig.log).last_index;
	if (last == l->committed)
		return;
	cmdlog_cut(l->rig.log, l->committed + roll(l, last - l->committed));
	l->term++;
	l->cuts++;
}

/* A checkpoint at the newest committed block; the log before it goes, or stays for a while. */
static void
checkpoint(struct laps *l)
{
	const struct cmdlog_stats stats = cmdlog_stats(l->rig.log);

	if (l->committed > stats.base_index && l->committed <= stats.durable_index) {
		l->rig.base = log_image_base(&l->rig.image, l->rig.log, l->committed);
		l->newest_base = l->committed;
	}
	if (roll(l, 3) != 0)
		log_image_reclaim(&l->rig.image, l->rig.log, l->newest_base);
	assert_in_range(cmdlog_stats(l->rig.log).used_pages, 0, AREA);
}

static void
crash(struct laps *l)
{
	const struct cmdlog_stats before = cmdlog_stats(l->rig.log);

	for (uint32_t i = 0; i < l->flying_count; i++) {
		const struct log_group *group = &l->flying[i];
		for (uint32_t page = 0; page < group->pages; page++)
			if (roll(l, 3) != 0)
				memcpy(rig_cell(&l->rig, group->cell + page),
				       group->bytes + (size_t)page * PAGE_BYTES, PAGE_BYTES);
	}
	l->flying_count = 0;
	/* At some start a later version takes over what an earlier one wrote. */
	l->rig.image.is_old = l->rig.image.is_old && roll(l, 8) != 0;
	const struct cmdlog_recovery found = rig_recover(&l->rig, 1 + roll(l, 60));
	assert_false(found.is_damaged);
	/* A tail that was cut and not yet superseded on the image is there again. */
	assert_in_range(found.last_index, before.durable_index, BLOCKS - 1);
	for (uint64_t i = max_u64(l->newest_base, 1); i <= found.last_index; i++) {
		struct block_meta meta;
		struct cmdlog_location at;
		assert_true(cmdlog_meta(l->rig.log, i, &meta));
		if (i <= before.durable_index)
			assert_true(hash128_equal(meta.chain, l->chains[i]));
		l->chains[i] = meta.chain;
		if (i == l->newest_base)
			continue;
		assert_true(cmdlog_locate(l->rig.log, i, &at));
		assert_int_equal(cmdlog_check_read(l->rig.log, i, rig_block_at(&l->rig, &at)),
				 TERN_OK);
	}
	cmdlog_set_applied(l->rig.log, l->committed);
	l->term++;
	l->crashes++;
}

static void
run(struct laps *l, uint64_t seed)
{
	prng_seed(&l->prng, seed);
	l->number = l->committed = l->newest_base = 0;
	l->term = 1;
	l->flying_count = 0;
	rig_make(&l->rig, 12100, 8 * (CMDLOG_BLOCK_BYTES_TARGET / PAGE_BYTES + 2), AREA);
	if (seed % 2 == 0)
		rig_make_old(&l->rig);
	for (uint32_t step = 0; step < STEPS; step++) {
		const uint32_t what = roll(l, 200);
		if (what == 0)
			crash(l);
		else if (what < 4)
			cut(l);
		else if (what < (seed % 3 == 0 ? 5u : 14u)) /* so rarely that the log is full */
			checkpoint(l);
		else if (what < 80)
			append(l);
		else if (what < 140)
			write_some(l);
		else
			complete(l);
	}
	l->laps += cmdlog_stats(l->rig.log).end_cell / AREA;
	rig_free(&l->rig);
}

static void
test_laps(void **context)
{
	struct laps *l = calloc(1, sizeof(*l));
	(void)context;

	assert_non_null(l);
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		run(l, seed);
	assert_in_range(l->laps, 3 * ROUNDS, UINT64_MAX);
	assert_in_range(l->crashes, 100, UINT64_MAX);
	assert_in_range(l->cuts, 100, UINT64_MAX);
	assert_in_range(l->full, 10, UINT64_MAX);
	free(l);
}

/* A base that the log went past a lap ago is found out. */
static void
test_overwritten(void **context)
{
	struct rig rig;
	struct cmdlog_base old, base;
	(void)context;

	rig_make(&rig, 4000, 8 * (CMDLOG_BLOCK_BYTES_TARGET / PAGE_BYTES + 2), 64);
	for (uint64_t i = 1; i <= 150; i++) {
		(void)rig_block(&rig, 1, i, 100);
		rig_flush(&rig, i - 1);
		cmdlog_set_applied(rig.log, i);
		if (i % 20 != 0)
			continue;
		base = log_image_base(&rig.image, rig.log, i);
		if (i == 60)
			old = base;
		log_image_reclaim(&rig.image, rig.log, i);
	}
	rig.base = base;
	const struct cmdlog_recovery good = rig_recover(&rig, 7);
	assert_false(good.is_damaged);
	assert_int_equal(good.last_index, 150);
	assert_int_equal(good.commit_floor, 140);
	rig.base = old;
	const struct cmdlog_recovery bad = rig_recover(&rig, 7);
	assert_true(bad.is_damaged);
	rig.base = (struct cmdlog_base){ 0 };
	assert_true(rig_recover(&rig, 7).is_damaged);
	rig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_laps),
		cmocka_unit_test(test_overwritten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
