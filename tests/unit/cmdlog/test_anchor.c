/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint stands in for what it covers: logs of several boots and masters lose pages, and are
 * found from the checkpoint on, as they would be if they had been reclaimed up to it before. Where
 * that would find a damaged log, or the place to begin at is lost, nothing is called whole.
 */
#include "tests/unit/cmdlog/rig.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/cmdlog/mend.h"

#define MAX    16384u
#define AREA   400u
#define BLOCKS 400u

struct fixture {
	struct rig rig;
	struct prng prng;
	uint64_t term, floor, last, end_cell, lose_end;
	struct cmdlog_base reclaimed, covered;
	struct hash128 chains[BLOCKS];
	uint8_t *copy;            /* of the area */
	uint64_t blocks_at[AREA]; /* by cell: whose page it is, of the log; 0: of none */
	uint64_t losses, whole, anchored, damaged, not_needed, again;
};

static void
blocks_write(struct fixture *fix, uint32_t blocks)
{
	static const uint32_t sizes[] = { 10, 100, 1500, 6000 };
	struct rig *rig = &fix->rig;

	for (uint32_t i = 0; i < blocks; i++) {
		(void)rig_block(rig, fix->term, i, sizes[prng_below(&fix->prng, 4)]);
		if (prng_below(&fix->prng, 3) != 0 || i + 1 == blocks) {
			rig_flush(rig, fix->floor);
			fix->floor = cmdlog_stats(rig->log).durable_index;
		}
	}
}

/* Another master, which knows of nothing above that. */
static void
cut(struct fixture *fix, uint64_t least)
{
	struct rig *rig = &fix->rig;
	const uint64_t last = cmdlog_stats(rig->log).last_index;

	fix->term++;
	const uint64_t keep = prng_between(&fix->prng, least, last);
	cmdlog_cut(rig->log, keep);
	fix->floor = fix->floor < keep ? fix->floor : keep;
}

static void
some_more(struct fixture *fix, uint64_t least)
{
	for (uint32_t i = 0; i < 3; i++) {
		blocks_write(fix, 3 + (uint32_t)prng_below(&fix->prng, 6));
		if (prng_below(&fix->prng, 2) == 0) {
			cut(fix, least);
			blocks_write(fix, 4);
		}
		if (prng_below(&fix->prng, 2) == 0)
			assert_false(rig_recover(&fix->rig, 0).is_damaged);
	}
}

/* Which cells hold what of the log as it is. */
static void
cells_note(struct fixture *fix)
{
	struct rig *rig = &fix->rig;
	struct cmdlog_location at;

	memset(fix->blocks_at, 0, sizeof(fix->blocks_at));
	for (uint64_t i = 1; i <= fix->last; i++) {
		struct block_meta meta;
		assert_true(cmdlog_locate(rig->log, i, &at));
		assert_true(cmdlog_meta(rig->log, i, &meta));
		fix->chains[i] = meta.chain;
		for (uint32_t page = 0; page < at.pages; page++)
			fix->blocks_at[at.first_cell + at.page + page] = i;
	}
}

static void
fixture_make(struct fixture *fix, uint64_t seed)
{
	struct rig *rig = &fix->rig;

	rig_make(rig, MAX, 512, AREA);
	prng_seed(&fix->prng, seed);
	fix->term = 1;
	fix->floor = 0;
	some_more(fix, 1);
	/* All that is there is committed, and a checkpoint is made of it, or of less. */
	const uint64_t commit = cmdlog_stats(rig->log).durable_index;
	const uint64_t covered = prng_between(&fix->prng, commit > 6 ? commit - 6 : 1, commit);
	some_more(fix, commit);
	/* Damage at the very end is beyond what a scan can tell. */
	fix->lose_end = cmdlog_stats(rig->log).end_cell;
	blocks_write(fix, 6);
	rig_flush(rig, fix->floor);
	const struct cmdlog_recovery found = rig_recover(rig, 0);
	assert_false(found.is_damaged);
	fix->last = found.last_index;
	fix->end_cell = cmdlog_stats(rig->log).end_cell;
	assert_true(fix->last < BLOCKS && fix->end_cell < AREA);
	cells_note(fix);
	assert_true(cmdlog_base_at(rig->log, covered, &fix->reclaimed));
	fix->covered = fix->reclaimed;
	fix->covered.next_cell = 0;
	fix->covered.boot_no = 0;
	fix->covered.group_seq = 0;
	fix->copy = malloc(AREA * PAGE_BYTES);
	memcpy(fix->copy, rig_cell(rig, 0), AREA * PAGE_BYTES);
}

static void
fixture_free(struct fixture *fix)
{
	rig_free(&fix->rig);
	free(fix->copy);
	fix->copy = NULL;
}

/* As a node that reclaimed its log. */
static struct cmdlog_recovery
recover_reclaimed(struct fixture *fix)
{
	fix->rig.base = fix->reclaimed;
	fix->rig.anchor = (struct cmdlog_base){ 0 };
	return rig_recover(&fix->rig, 0);
}

static struct cmdlog_recovery
recover_anchored(struct fixture *fix)
{
	fix->rig.base = (struct cmdlog_base){ 0 };
	fix->rig.anchor = fix->covered;
	return rig_recover(&fix->rig, 0);
}

/* Not a block is of another history, and none is missing. */
static void
check_whole(const struct fixture *fix, const struct cmdlog_recovery *found)
{
	const struct cmdlog *log = fix->rig.log;

	assert_int_equal(found->last_index, fix->last);
	for (uint64_t i = cmdlog_stats(log).base_index; i <= found->last_index; i++) {
		struct block_meta meta;
		if (i == 0)
			continue;
		assert_true(cmdlog_meta(log, i, &meta));
		assert_true(hash128_equal(meta.chain, fix->chains[i]));
	}
}

/* What the scan says of its base is what the next one begins with. */
static void
check_again(struct fixture *fix, const struct cmdlog_recovery *before)
{
	struct cmdlog_base base;

	if (!cmdlog_anchored_base(fix->rig.log, &base))
		return;
	fix->again++;
	assert_int_equal(base.meta.log_index, fix->covered.meta.log_index);
	fix->rig.base = base;
	fix->rig.anchor = (struct cmdlog_base){ 0 };
	const struct cmdlog_recovery found = rig_recover(&fix->rig, 0);
	assert_false(found.is_damaged);
	assert_int_equal(found.last_index, before->last_index);
	check_whole(fix, &found);
}

static void
lose(struct fixture *fix, uint64_t first, uint64_t count, uint64_t also)
{
	const uint64_t covered = fix->covered.meta.log_index;
	bool is_needed = false, is_held = true;
	struct cmdlog_base base;

	memcpy(rig_cell(&fix->rig, 0), fix->copy, AREA * PAGE_BYTES);
	for (uint64_t i = 0; i <= count; i++) {
		const uint64_t cell = i == count ? also : first + i;
		if (cell >= fix->lose_end)
			continue;
		memset(rig_cell(&fix->rig, cell), 0, PAGE_BYTES);
		is_needed |= fix->blocks_at[cell] > covered;
		is_held &= fix->blocks_at[cell] != covered;
	}
	fix->losses++;
	const struct cmdlog_recovery reclaimed = recover_reclaimed(fix);
	if (!reclaimed.is_damaged)
		check_whole(fix, &reclaimed);
	const struct cmdlog_recovery found = recover_anchored(fix);
	fix->anchored += cmdlog_anchored_base(fix->rig.log, &base);
	/* Tails that were cut are not needed either, but may show that something else was lost. */
	if (!reclaimed.is_damaged && !is_needed && is_held) {
		fix->not_needed++;
		assert_false(found.is_damaged);
	}
	if (!reclaimed.is_damaged && reclaimed.last_index > covered) {
		assert_false(found.is_damaged);
		assert_int_equal(found.last_index, reclaimed.last_index);
	}
	if (found.is_damaged) {
		fix->damaged++;
		return;
	}
	fix->whole++;
	check_whole(fix, &found);
	check_again(fix, &found);
}

static void
test_losses(void **state)
{
	static struct fixture fix;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct cmdlog_base base;
		fixture_make(&fix, seed);
		/* Where nothing is lost the log begins where it did. */
		assert_false(recover_anchored(&fix).is_damaged);
		assert_false(cmdlog_anchored_base(fix.rig.log, &base));
		assert_int_equal(cmdlog_stats(fix.rig.log).base_index, 0);
		for (uint64_t cell = 0; cell < fix.lose_end; cell++) {
			lose(&fix, cell, 1, UINT64_MAX);
			lose(&fix, cell, 1 + prng_below(&fix.prng, 8),
			     prng_below(&fix.prng, fix.lose_end));
		}
		fixture_free(&fix);
	}
	print_message("%llu losses: %llu whole, %llu of them by the checkpoint, %llu damaged; "
		      "%llu of what was not needed\n",
		      (unsigned long long)fix.losses, (unsigned long long)fix.whole,
		      (unsigned long long)fix.again, (unsigned long long)fix.damaged,
		      (unsigned long long)fix.not_needed);
	assert_true(fix.again > 200 && fix.damaged > 200 && fix.not_needed > 200);
	assert_true(fix.anchored > fix.again);
}

static void
block_lose(struct fixture *fix, uint64_t log_index)
{
	for (uint64_t cell = 0; cell < fix->end_cell; cell++)
		if (fix->blocks_at[cell] == log_index)
			memset(rig_cell(&fix->rig, cell), 0, PAGE_BYTES);
}

static void
piece_fill(struct fixture *fix, const struct cmdlog_piece *piece)
{
	struct page_identity identity = piece->group;

	identity.column = 0;
	for (uint32_t i = 0; i < piece->pages; i++) {
		const uint64_t cell = identity.first_cell + piece->page + i;
		uint8_t *page = rig_cell(&fix->rig, cell);
		assert_true(fix->blocks_at[cell] > fix->covered.meta.log_index);
		identity.own_cell = cell;
		memcpy(page, fix->copy + cell * PAGE_BYTES, PAGE_BYTES);
		page_identity_encode(page, &identity);
	}
}

/* Two blocks before the checkpoint's last, that one, and two behind it. True: they were put back.
 */
static bool
straddle(struct fixture *fix)
{
	const uint64_t covered = fix->covered.meta.log_index;
	struct rig *rig = &fix->rig;
	uint32_t pages = 0;

	for (uint64_t i = covered - 2; i <= covered + 2; i++)
		block_lose(fix, i);
	assert_true(recover_anchored(fix).is_damaged);
	if (cmdlog_hole_count(rig->log) == 0)
		return false;
	assert_int_equal(cmdlog_hole_count(rig->log), 1);
	const struct cmdlog_hole *hole = cmdlog_hole(rig->log, 0);
	/* Before a tail that was cut: what lies behind it is told to nobody. */
	if (hole->last_index != covered + 2 ||
	    !hash128_equal(hole->last_chain, fix->chains[hole->last_index]))
		return false;
	assert_int_equal(hole->after_index, covered);
	assert_true(hash128_equal(hole->after_chain, fix->chains[covered]));
	for (uint32_t i = 0; i < hole->piece_count; i++) {
		piece_fill(fix, &hole->pieces[i]);
		pages += hole->pieces[i].pages;
	}
	assert_int_equal(pages, hole->pages);
	const struct cmdlog_recovery found = recover_anchored(fix);
	assert_false(found.is_damaged);
	assert_int_equal(found.last_index, fix->last);
	check_whole(fix, &found);
	return true;
}

/* A hole that reaches beyond what the checkpoint covers: only what lies beyond is missing. */
static void
test_straddle(void **state)
{
	static struct fixture fix;
	uint32_t filled = 0;

	(void)state;
	for (uint64_t seed = 101; seed <= 160; seed++) {
		fixture_make(&fix, seed);
		const uint64_t covered = fix.covered.meta.log_index;
		if (covered >= 4 && covered + 4 <= fix.last)
			filled += straddle(&fix);
		fixture_free(&fix);
	}
	print_message("%u holes begin at the checkpoint\n", filled);
	assert_true(filled > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_straddle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
