/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes of a damaged log: for every page, and every short run of pages, that is lost of a log of
 * several boots, what the scan names is put back from a copy, and the next scan finds the log that
 * was there.
 */
#include "tests/unit/cmdlog/rig.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/cmdlog/mend.h"

#define MAX    16384u
#define AREA   160u
#define BLOCKS 400u

struct fixture {
	struct rig rig;
	struct prng prng;
	uint64_t first_cell, end_cell;
	struct block_meta metas[BLOCKS];
	uint8_t *copy; /* of the area */
	uint64_t damaged, mended, too_long, holes, pages, wrapped, inferred;
};

/* A boot more, with a few blocks, in groups of one or several. */
static void
boot_write(struct fixture *fix, uint32_t blocks, uint64_t term)
{
	static const uint32_t sizes[] = { 10, 100, 1500, 6000 };
	struct rig *rig = &fix->rig;

	for (uint32_t i = 0; i < blocks; i++) {
		const uint64_t acked = cmdlog_stats(rig->log).durable_index;
		(void)rig_block(rig, term, i, sizes[prng_below(&fix->prng, 4)]);
		if (prng_below(&fix->prng, 3) != 0 || i + 1 == blocks)
			rig_flush(rig, acked);
	}
}

/* What lies before the last third of the area is reclaimed, so that the log goes on at its begin.
 */
static void
wrap(struct fixture *fix)
{
	struct rig *rig = &fix->rig;
	const uint64_t keep = cmdlog_stats(rig->log).last_index - 12;

	cmdlog_set_applied(rig->log, keep);
	rig->base = log_image_base(&rig->image, rig->log, keep);
	(void)rig_recover(rig, 0);
}

static void
fixture_make(struct fixture *fix, uint64_t seed, bool is_wrapped)
{
	struct rig *rig = &fix->rig;

	rig_make(rig, MAX, 512, AREA);
	memset(fix->metas, 0, sizeof(fix->metas));
	prng_seed(&fix->prng, seed);
	for (uint64_t boot = 1; boot <= 3; boot++) {
		boot_write(fix, 18, boot);
		(void)rig_recover(rig, 0);
	}
	if (is_wrapped) {
		while (cmdlog_stats(rig->log).end_cell < AREA - 18)
			boot_write(fix, 1, 4);
		wrap(fix);
		boot_write(fix, 24, 5);
	}
	boot_write(fix, 6, 6);
	rig_flush(rig, cmdlog_stats(rig->log).durable_index);
	const struct cmdlog_recovery found = rig_recover(rig, 0);
	assert_false(found.is_damaged);
	assert_true(found.last_index < BLOCKS);
	fix->first_cell = rig->base.next_cell;
	fix->end_cell = cmdlog_stats(rig->log).end_cell;
	for (uint64_t i = cmdlog_stats(rig->log).base_index + 1; i <= found.last_index; i++)
		assert_true(cmdlog_meta(rig->log, i, &fix->metas[i]));
	fix->copy = malloc(AREA * PAGE_BYTES);
	for (uint64_t page = 0; page < AREA; page++)
		memcpy(fix->copy + page * PAGE_BYTES, rig_cell(rig, page), PAGE_BYTES);
}

static void
fixture_free(struct fixture *fix)
{
	rig_free(&fix->rig);
	free(fix->copy);
	fix->copy = NULL;
}

static void
restore(struct fixture *fix)
{
	for (uint64_t page = 0; page < AREA; page++)
		memcpy(rig_cell(&fix->rig, page), fix->copy + page * PAGE_BYTES, PAGE_BYTES);
}

/* As another node would give them: everything but the identity part. */
static void
piece_fill(struct fixture *fix, const struct cmdlog_piece *piece)
{
	struct page_identity identity = piece->group;

	assert_true(piece->pages >= 1 && piece->page + piece->pages <= identity.group_pages);
	for (uint32_t i = 0; i < piece->pages; i++) {
		const uint64_t cell = identity.first_cell + piece->page + i;
		const uint8_t *sound = fix->copy + cell % AREA * PAGE_BYTES;
		uint8_t *page = rig_cell(&fix->rig, cell);
		struct page_identity was;
		assert_int_equal(page_identity_decode(sound, &was), TERN_OK);
		fix->inferred += was.group_seq != identity.group_seq;
		assert_int_equal(was.own_cell, cell);
		identity.own_cell = cell;
		identity.column = 0;
		memcpy(page, sound, PAGE_BYTES);
		page_identity_encode(page, &identity);
		fix->pages++;
	}
}

static void
holes_fill(struct fixture *fix)
{
	const struct cmdlog *log = fix->rig.log;

	for (uint32_t i = 0; i < cmdlog_hole_count(log); i++) {
		const struct cmdlog_hole *hole = cmdlog_hole(log, i);
		uint32_t pages = 0;
		assert_true(hole->after_index < hole->last_index);
		assert_true(hash128_equal(hole->last_chain, fix->metas[hole->last_index].chain));
		for (uint32_t p = 0; p < hole->piece_count; p++) {
			piece_fill(fix, &hole->pieces[p]);
			pages += hole->pieces[p].pages;
		}
		assert_int_equal(pages, hole->pages);
		fix->holes++;
		fix->wrapped += hole->pieces[0].group.first_cell / AREA !=
				hole->pieces[hole->piece_count - 1].group.first_cell / AREA;
	}
}

/* Groups of which nothing is left, side by side, are put back as one, for where one ended and the
 * next began is not known. One that is longer than a group may be is left to a master. */
static bool
is_too_long(const struct fixture *fix, uint64_t first, uint64_t count)
{
	const uint64_t most = cmdlog_group_pages_max(MAX);
	uint64_t run = 0;

	for (uint64_t cell = first; cell < first + count;) {
		const uint8_t *sound = fix->copy + cell % AREA * PAGE_BYTES;
		struct page_identity was;
		if (cell % AREA == 0)
			run = 0;
		if (page_identity_decode(sound, &was) != TERN_OK) {
			cell++;
			continue;
		}
		const uint64_t end = was.first_cell + was.group_pages;
		run = was.first_cell >= first && end <= first + count ? run + was.group_pages : 0;
		if (run > most)
			return true;
		cell = end;
	}
	return false;
}

/* Cells [first, first + count) are lost, and @also, if it is one. */
static void
lose_and_mend(struct fixture *fix, uint64_t first, uint64_t count, uint64_t also)
{
	struct rig *rig = &fix->rig;
	const struct block_meta *last = NULL;

	for (uint64_t i = 0; i < BLOCKS; i++)
		if (fix->metas[i].log_index != 0)
			last = &fix->metas[i];
	restore(fix);
	for (uint64_t i = 0; i < count; i++)
		memset(rig_cell(rig, first + i), 0, PAGE_BYTES);
	if (also != UINT64_MAX)
		memset(rig_cell(rig, also), 0xa5, PAGE_BYTES);
	struct cmdlog_recovery found = rig_recover(rig, 0);
	if (!found.is_damaged)
		return;
	fix->damaged++;
	if (cmdlog_hole_count(rig->log) == 0) {
		fix->too_long += is_too_long(fix, first, count);
		return;
	}
	holes_fill(fix);
	found = rig_recover(rig, 0);
	/* The rest of a group that was known by lost pages only may show another hole now. */
	if (found.is_damaged && cmdlog_hole_count(rig->log) != 0) {
		holes_fill(fix);
		found = rig_recover(rig, 0);
	}
	if (found.is_damaged)
		return;
	assert_int_equal(found.last_index, last->log_index);
	assert_true(hash128_equal(cmdlog_stats(rig->log).last_chain, last->chain));
	fix->mended++;
}

static void
test_every_page(void **state)
{
	struct fixture fix = { 0 };

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		fixture_make(&fix, seed, seed % 2 == 0);
		for (uint64_t cell = fix.first_cell; cell < fix.end_cell; cell++)
			lose_and_mend(&fix, cell, 1, UINT64_MAX);
		fixture_free(&fix);
	}
	print_message("%llu damaged, %llu mended, %llu holes, %llu pages, %llu inferred\n",
		      (unsigned long long)fix.damaged, (unsigned long long)fix.mended,
		      (unsigned long long)fix.holes, (unsigned long long)fix.pages,
		      (unsigned long long)fix.inferred);
	assert_true(fix.damaged > 300);
	assert_int_equal(fix.mended, fix.damaged);
}

static void
test_runs_and_two_places(void **state)
{
	struct fixture fix = { 0 };

	(void)state;
	for (uint64_t seed = 11; seed <= 16; seed++) {
		fixture_make(&fix, seed, seed % 2 == 0);
		for (uint64_t cell = fix.first_cell; cell + 6 < fix.end_cell; cell++) {
			const uint64_t count = 1 + prng_below(&fix.prng, 4);
			/* Not the last blocks, which would be taken for torn. */
			const uint64_t span = fix.end_cell - fix.first_cell - 6;
			const uint64_t also = fix.first_cell + prng_below(&fix.prng, span);
			lose_and_mend(&fix, cell, count, also);
		}
		fixture_free(&fix);
	}
	print_message("%llu damaged, %llu mended, %llu holes, %llu pages, %llu inferred\n",
		      (unsigned long long)fix.damaged, (unsigned long long)fix.mended,
		      (unsigned long long)fix.holes, (unsigned long long)fix.pages,
		      (unsigned long long)fix.inferred);
	assert_true(fix.damaged > 300);
	assert_int_equal(fix.mended, fix.damaged);
	assert_true(fix.holes > fix.mended && fix.inferred != 0);
}

static void
test_across_the_end(void **state)
{
	struct fixture fix = { 0 };

	(void)state;
	for (uint64_t seed = 32; seed <= 40; seed += 2) {
		fixture_make(&fix, seed, true);
		for (uint64_t before = 1; before <= 8; before++)
			for (uint64_t behind = 0; behind <= 4; behind++)
				lose_and_mend(&fix, AREA - before, before + behind, UINT64_MAX);
		fixture_free(&fix);
	}
	print_message("%llu damaged, %llu mended, %llu across the end, %llu too long\n",
		      (unsigned long long)fix.damaged, (unsigned long long)fix.mended,
		      (unsigned long long)fix.wrapped, (unsigned long long)fix.too_long);
	assert_true(fix.wrapped > 100);
	assert_int_equal(fix.mended + fix.too_long, fix.damaged);
#ifndef TERN_TINY_LIMITS
	assert_int_equal(fix.too_long, 0);
#endif
}

/* A node finds what it holds by index and chain: of its log, and behind its own holes. */
static void
test_found_by_chain(void **state)
{
	struct fixture fix = { 0 };
	struct cmdlog_location at;
	struct block_hdr hdr;

	(void)state;
	fixture_make(&fix, 21, false);
	struct rig *rig = &fix.rig;
	const uint64_t last = cmdlog_stats(rig->log).last_index;
	assert_true(cmdlog_locate(rig->log, 9, &at));
	memset(rig_cell(rig, at.first_cell + at.page), 0, PAGE_BYTES);
	assert_true(rig_recover(rig, 0).is_damaged);
	assert_int_equal(cmdlog_stats(rig->log).last_index, 8);
	uint64_t count = 0;
	for (uint64_t i = 1; i <= last; i++) {
		const struct hash128 chain = fix.metas[i].chain;
		const struct hash128 other = { chain.low ^ 1, chain.high };
		assert_false(cmdlog_find(rig->log, i, other, &at));
		if (!cmdlog_find(rig->log, i, chain, &at))
			continue;
		count++;
		assert_int_equal(
		    cmdlog_check_block(rig->log, i, chain, rig_block_at(rig, &at), at.pages, &hdr),
		    TERN_OK);
		assert_int_equal(
		    cmdlog_check_block(rig->log, i, other, rig_block_at(rig, &at), at.pages, &hdr),
		    TERN_ERR_CORRUPT);
		assert_int_equal(cmdlog_check_block(rig->log, i + 1, chain, rig_block_at(rig, &at),
						    at.pages, &hdr),
				 TERN_ERR_CORRUPT);
	}
	assert_int_equal(count, last - 1);
	assert_false(cmdlog_find(rig->log, 0, fix.metas[1].chain, &at));
	fixture_free(&fix);
}

/* The blocks of a write group, as the index has them: all of its pages, but where the log begins in
 * the middle of it. */
static void
test_blocks_of_a_group(void **state)
{
	struct fixture fix = { 0 };
	struct cmdlog_group_blocks blocks;
	struct cmdlog_location at;
	uint64_t of_many = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		fixture_make(&fix, seed, seed % 2 == 0);
		const struct cmdlog *log = fix.rig.log;
		const struct cmdlog_stats stats = cmdlog_stats(log);
		for (uint64_t i = stats.base_index + 1; i <= stats.durable_index; i++) {
			uint32_t pages = 0;
			assert_true(cmdlog_locate(log, i, &at));
			const uint64_t cell = at.first_cell;
			const uint32_t group_pages = at.group_pages;
			assert_true(cmdlog_group_blocks(log, cell, group_pages, &blocks));
			assert_true(blocks.first_index <= i && i <= blocks.last_index);
			assert_int_equal(blocks.behind_index, blocks.last_index);
			for (uint64_t k = blocks.first_index; k <= blocks.last_index; k++) {
				assert_true(cmdlog_locate(log, k, &at));
				assert_int_equal(at.first_cell, cell);
				pages += at.pages;
			}
			assert_int_equal(blocks.is_all, pages == group_pages);
			of_many += blocks.last_index > blocks.first_index;
			struct page_identity group;
			assert_int_equal(page_identity_decode(rig_cell(&fix.rig, cell), &group),
					 TERN_OK);
			assert_int_equal(group.boot_no, blocks.boot_no);
			assert_int_equal(group.group_seq, blocks.group_seq);
			/* Another length, or a cell inside, is none that the log knows. */
			assert_true(cmdlog_group_blocks(log, cell, group_pages + 1, &blocks));
			assert_false(blocks.is_all);
			if (group_pages > 1 &&
			    cmdlog_group_blocks(log, cell + 1, group_pages - 1, &blocks))
				assert_true(blocks.first_index == 0 && !blocks.is_all &&
					    blocks.behind_index > i);
		}
		assert_false(cmdlog_group_blocks(log, fix.end_cell, 1, &blocks));
		fixture_free(&fix);
	}
	assert_true(of_many > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_page),
		cmocka_unit_test(test_runs_and_two_places),
		cmocka_unit_test(test_across_the_end),
		cmocka_unit_test(test_found_by_chain),
		cmocka_unit_test(test_blocks_of_a_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
