/* SPDX-License-Identifier: Apache-2.0 */
/* The recovery scan: power cuts after every page write, torn and damaged groups, lost branches. */
#include "tests/unit/cmdlog/rig.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"

#define MAX        16384u
#define AREA       1500u
#define WRITES_MAX 1400u
#define GROUPS_MAX 400u
#define SECTOR     512u
/* So many end a scan (stripe). */
#define BLANK_PAGES 8192u

/* What was true when a page write had happened: power may be cut there. */
struct moment {
	uint64_t cell;
	uint64_t acked_index;
	struct hash128 acked_chain;
	uint8_t bytes[PAGE_BYTES];
};

struct group_note {
	uint64_t first_cell, floor_index;
	uint32_t pages;
	struct hash128 floor_chain;
};

struct workload {
	struct rig rig;
	struct prng prng;
	uint64_t term, number;
	uint64_t acked_index; /* what this node has told others that it holds durably */
	uint32_t moment_count, group_count;
	struct moment *moments;
	struct group_note groups[GROUPS_MAX];
	/* Groups in flight and how many of their pages the device has taken, in any order. */
	struct log_group flights[4];
	uint64_t pages_taken[4];
	uint32_t flight_count;
};

static struct hash128
chain_of(const struct cmdlog *log, uint64_t log_index)
{
	struct block_meta meta = { 0 };

	if (log_index != 0)
		assert_true(cmdlog_meta(log, log_index, &meta));
	return meta.chain;
}

static void
note_moment(struct workload *load, uint64_t cell, const uint8_t *bytes)
{
	struct moment *moment = &load->moments[load->moment_count++];

	assert_true(load->moment_count <= WRITES_MAX);
	moment->cell = cell;
	moment->acked_index = load->acked_index;
	moment->acked_chain = chain_of(load->rig.log, load->acked_index);
	memcpy(moment->bytes, bytes, PAGE_BYTES);
}

/* The device takes one more page of a random group in flight; a whole group is durable. */
static void
device_step(struct workload *load)
{
	const uint32_t pick = (uint32_t)prng_below(&load->prng, load->flight_count);
	struct log_group *group = &load->flights[pick];
	const uint64_t page = load->pages_taken[pick]++;

	/* Even pages first, then odd ones: groups tear in the middle, not only at the end. */
	const uint64_t half = (group->pages + 1) / 2;
	const uint64_t at = page < half ? 2 * page : 2 * (page - half) + 1;
	note_moment(load, group->cell + at, group->bytes + at * PAGE_BYTES);
	if (load->pages_taken[pick] != group->pages)
		return;
	const uint64_t durable = cmdlog_group_done(load->rig.log, group->slot);
	load->flight_count--;
	load->flights[pick] = load->flights[load->flight_count];
	load->pages_taken[pick] = load->pages_taken[load->flight_count];
	if (prng_below(&load->prng, 4) != 0)
		load->acked_index = durable;
}

static void
group_issue(struct workload *load)
{
	struct log_group group;
	const uint64_t last = cmdlog_stats(load->rig.log).last_index;

	if (!rig_group_next(&load->rig, last - prng_below(&load->prng, 2), load->acked_index,
			    &group))
		return;
	load->groups[load->group_count++] = (struct group_note){
		.first_cell = group.cell,
		.pages = group.pages,
		.floor_index = load->acked_index,
		.floor_chain = chain_of(load->rig.log, load->acked_index),
	};
	load->pages_taken[load->flight_count] = 0;
	load->flights[load->flight_count++] = group;
}

/* Another master: the tail above a random point is replaced. What was acknowledged to the old
 * master and never committed may go with it. */
static void
cut_some(struct workload *load)
{
	const uint64_t last = cmdlog_stats(load->rig.log).last_index;
	const uint64_t back = 1 + prng_below(&load->prng, 6);

	while (load->flight_count != 0)
		device_step(load);
	load->term++;
	if (last <= back)
		return;
	cmdlog_cut(load->rig.log, last - back);
	if (load->acked_index > last - back)
		load->acked_index = last - back;
}

static void
block_add(struct workload *load)
{
	static const uint32_t sizes[] = { 10, 100, 1500, 4000, 9000, 16000 };

	if (prng_below(&load->prng, 8) == 0) {
		rig_barrier(&load->rig, load->term, 0);
		return;
	}
	const uint64_t commands = 1 + prng_below(&load->prng, 3);
	for (uint64_t i = 0; i < commands; i++) {
		if (rig_append(&load->rig, load->number++, sizes[prng_below(&load->prng, 6)]) !=
		    TERN_OK)
			break;
	}
	rig_seal(&load->rig, load->term, 0);
}

static void
workload_run(struct workload *load, uint32_t moments_max)
{
	while (load->moment_count < moments_max) {
		const uint64_t dice = prng_below(&load->prng, 100);
		if (dice < 12)
			block_add(load);
		else if (dice < 30 && load->flight_count < 4)
			group_issue(load);
		else if (dice < 98 && load->flight_count != 0)
			device_step(load);
		else if (dice >= 99)
			cut_some(load);
	}
}

static struct workload *
workload_make(uint64_t seed)
{
	struct workload *load = calloc(1, sizeof(*load));

	load->moments = calloc(WRITES_MAX, sizeof(*load->moments));
	rig_make(&load->rig, MAX, 512, AREA);
	prng_seed(&load->prng, seed);
	load->term = 1;
	return load;
}

static void
workload_free(struct workload *load)
{
	rig_free(&load->rig);
	free(load->moments);
	free(load);
}

/* The recovered log holds what was acknowledged, and nothing that chains onto anything else. */
static struct cmdlog_recovery
recover_and_check(struct rig *rig, uint64_t acked_index, struct hash128 acked_chain)
{
	const struct cmdlog_recovery found = rig_recover(rig, 37);

	assert_false(found.is_damaged);
	assert_true(found.last_index >= acked_index);
	assert_true(hash128_equal(chain_of(rig->log, acked_index), acked_chain));
	for (uint64_t i = 1; i <= found.last_index; i++) {
		struct cmdlog_location location;
		assert_true(cmdlog_locate(rig->log, i, &location));
		assert_int_equal(cmdlog_check_read(rig->log, i, rig_block_at(rig, &location)),
				 TERN_OK);
	}
	return found;
}

static void
test_power_cut_after_every_write(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct workload *load = workload_make(seed);
		uint64_t superseded = 0, torn = 0;

		workload_run(load, 500);
		struct rig *rig = &load->rig;
		rig->config.boot_no = 1;
		for (uint32_t n = 0; n < load->moment_count; n++) {
			const struct moment *moment = &load->moments[n];
			uint8_t *page = rig_cell(rig, moment->cell);
			/* First some sectors of the page, then all of it. */
			const size_t sectors = 1 + n % 7;
			memcpy(page, moment->bytes, sectors * SECTOR);
			struct cmdlog_recovery found =
			    recover_and_check(rig, moment->acked_index, moment->acked_chain);
			torn += found.pages_torn;
			memcpy(page, moment->bytes, PAGE_BYTES);
			found = recover_and_check(rig, moment->acked_index, moment->acked_chain);
			superseded += found.blocks_superseded;
		}
		assert_true(superseded != 0 && torn != 0);
		workload_free(load);
	}
}

/* Power cuts again and again on one device: the remains of earlier crashes stay between the boots
 * and must never be taken for damage. */
static void
test_crash_after_crash(void **state)
{
	uint64_t orphaned = 0;

	(void)state;
	for (uint64_t seed = 100; seed < 130; seed++) {
		struct workload *load = workload_make(seed);
		struct rig *rig = &load->rig;
		uint64_t acked = 0;
		struct hash128 chain = { 0 };

		if (seed % 3 != 0)
			rig_make_old(rig);
		for (uint32_t boot = 0; boot < 12; boot++) {
			/* Some are taken over by a later version on the way. */
			rig->image.is_old = rig->image.is_old && (seed % 3 == 1 || boot < 6);
			load->moment_count = 0;
			load->group_count = 0;
			load->flight_count = 0;
			load->acked_index = acked;
			if (cmdlog_stats(rig->log).end_cell > AREA - 250)
				break;
			workload_run(load, 20 + (uint32_t)prng_below(&load->prng, 60));
			cmdlog_open_discard(rig->log);
			/* The cut comes between what the last two moments show. */
			for (uint32_t n = 0; n < load->moment_count; n++)
				memcpy(rig_cell(rig, load->moments[n].cell), load->moments[n].bytes,
				       PAGE_BYTES);
			acked = load->moments[load->moment_count - 1].acked_index;
			chain = load->moments[load->moment_count - 1].acked_chain;
			const struct cmdlog_recovery found = recover_and_check(rig, acked, chain);
			orphaned += found.blocks_orphaned;
			load->term++;
		}
		workload_free(load);
	}
	assert_true(orphaned != 0);
}

/* One page of a group that was durable is damaged: either the log still holds what the other groups
 * say was acknowledged, or the node knows that it is damaged. */
static void
test_damage_is_never_taken_for_blank(void **state)
{
	(void)state;
	for (uint64_t seed = 200; seed < 204; seed++) {
		struct workload *load = workload_make(seed);
		struct rig *rig = &load->rig;
		uint32_t damaged = 0;

		workload_run(load, 350);
		while (load->flight_count != 0)
			device_step(load);
		load->acked_index = cmdlog_stats(rig->log).durable_index;
		rig_barrier(rig, load->term, 0); /* carries the last floor */
		while (load->flight_count == 0)
			group_issue(load);
		while (load->flight_count != 0)
			device_step(load);
		for (uint32_t n = 0; n < load->moment_count; n++)
			memcpy(rig_cell(rig, load->moments[n].cell), load->moments[n].bytes,
			       PAGE_BYTES);
		const struct group_note *last = &load->groups[load->group_count - 1];
		rig->config.boot_no = 1;
		for (uint64_t cell = 0; cell < last->first_cell; cell++) {
			uint8_t *page = rig_cell(rig, cell), saved[PAGE_BYTES];
			memcpy(saved, page, PAGE_BYTES);
			memset(page, cell % 2 == 0 ? 0 : 0xee, PAGE_BYTES);
			const struct cmdlog_recovery found = rig_recover(rig, 64);
			if (found.is_damaged) {
				damaged++;
			} else {
				assert_true(found.last_index >= last->floor_index);
				assert_true(hash128_equal(chain_of(rig->log, last->floor_index),
							  last->floor_chain));
			}
			memcpy(page, saved, PAGE_BYTES);
		}
		assert_true(damaged > last->first_cell / 2);
		assert_false(rig_recover(rig, 64).is_damaged);
		workload_free(load);
	}
}

/* Both tails are of equal length, so only the missing branch itself tells that it was there. */
static void
superseded_tail(bool is_old)
{
	struct rig rig;

	rig_make(&rig, MAX, 256, AREA);
	if (is_old)
		rig_make_old(&rig);
	for (uint64_t i = 1; i <= 10; i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 0);
	cmdlog_cut(rig.log, 7);
	rig_block(&rig, 2, 8, 100);
	rig_flush(&rig, 7);
	rig_block(&rig, 2, 9, 100);
	rig_flush(&rig, 8);
	const struct hash128 kept = chain_of(rig.log, 9);
	assert_true(hash128_equal(chain_of(rig.log, 9), kept));

	struct cmdlog_recovery found = rig_recover(&rig, 64);
	assert_false(found.is_damaged);
	assert_int_equal(found.last_index, 9);
	assert_int_equal(found.blocks_superseded, 3);
	assert_int_equal(rig.cut_count, 1);
	assert_int_equal(rig.cut.first_index, 8);
	assert_int_equal(rig.cut.last_index, 10);
	assert_int_equal(rig.cut.term, 2);
	assert_int_equal(found.acked_floor, 8);
	assert_true(hash128_equal(chain_of(rig.log, 9), kept));

	uint8_t saved[PAGE_BYTES], *page = rig_cell(&rig, 10);
	memcpy(saved, page, PAGE_BYTES);
	page[200] ^= 1; /* block 8 of term 2 */
	found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 10);
	assert_true(found.is_damaged);
	assert_int_equal(found.groups_torn, 1);

	/* The only group of the branch is lost, and nothing was written behind it: as if torn. */
	memset(rig_cell(&rig, 11), 0, PAGE_BYTES);
	found = rig_recover(&rig, 64);
	assert_false(found.is_damaged);
	assert_int_equal(found.last_index, 10);
	rig_free(&rig);
}

static void
test_a_superseded_tail_is_never_revived(void **state)
{
	(void)state;
	superseded_tail(false);
	superseded_tail(true);
}

/* A block of a tail that was cut comes to harm, while what superseded it is still shorter: nothing
 * that counts is lost. @lost: it; with 13 the one behind it begins the tail's next group. */
static void
rot_of_a_dead_tail(uint64_t lost, bool has_older)
{
	struct cmdlog_location at;
	struct rig rig;
	uint64_t i;

	rig_make(&rig, MAX, 256, AREA);
	for (i = 1; i <= (has_older ? 20 : 10); i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 0);
	cmdlog_cut(rig.log, 10);
	for (i = 11; i <= 15; i++) {
		rig_block(&rig, 2, i, 100);
		if (i % 2 == 0 || i == 15)
			rig_flush(&rig, i - 1);
	}
	assert_true(cmdlog_locate(rig.log, lost, &at));
	uint8_t *page = rig_block_at(&rig, &at);
	cmdlog_cut(rig.log, 10);
	for (i = 11; i <= 13; i++) {
		rig_block(&rig, 3, i, 100);
		rig_flush(&rig, i - 1);
	}
	const struct hash128 kept = chain_of(rig.log, 13);
	page[200] ^= 1;
	const struct cmdlog_recovery found = rig_recover(&rig, 64);
	assert_true(found.blocks_orphaned != 0);
	assert_false(found.is_damaged);
	assert_int_equal(found.last_index, 13);
	assert_int_equal(found.acked_floor, 12);
	assert_true(hash128_equal(chain_of(rig.log, 13), kept));

	/* What superseded it is lost as well, and is missed. */
	assert_true(cmdlog_locate(rig.log, 11, &at));
	rig_block_at(&rig, &at)[200] ^= 1;
	assert_true(rig_recover(&rig, 64).is_damaged);
	rig_free(&rig);
}

static void
test_what_was_cut_may_come_to_harm(void **state)
{
	(void)state;
	rot_of_a_dead_tail(13, false);
	/* It had superseded another one, which its first group says. */
	rot_of_a_dead_tail(13, true);
	rot_of_a_dead_tail(11, true);
}

/* The newest block, behind which no group says that it was acknowledged: the superblock does. */
static void
test_a_floor_without_a_group(void **state)
{
	struct cmdlog_location at;
	uint8_t saved[PAGE_BYTES];
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, AREA);
	for (uint64_t i = 1; i <= 10; i++) {
		rig_block(&rig, 1, i, 100);
		rig_flush(&rig, i - 1);
	}
	const struct cmdlog_floor floor = { .log_index = 10,
					    .boot_no = rig.config.boot_no,
					    .group_seq = stripe_store_group_seq(rig.image.store) };
	assert_true(cmdlog_locate(rig.log, 10, &at));
	uint8_t *page = rig_block_at(&rig, &at);
	memcpy(saved, page, PAGE_BYTES);
	for (int round = 0; round < 2; round++) {
		if (round == 0)
			memset(page, 0, PAGE_BYTES);
		else
			page[200] ^= 1;
		rig.floor = (struct cmdlog_floor){ 0 };
		assert_false(rig_recover(&rig, 64).is_damaged);
		rig.floor = floor;
		const struct cmdlog_recovery found = rig_recover(&rig, 64);
		assert_true(found.is_damaged);
		assert_int_equal(found.last_index, 9);
		assert_int_equal(found.acked_floor, 10);
		memcpy(page, saved, PAGE_BYTES);
	}
	assert_false(rig_recover(&rig, 64).is_damaged);

	/* It is given up with the tail, and what came to harm of that since is no damage. */
	for (uint64_t i = 11; i <= 12; i++) {
		rig_block(&rig, 1, i, 100);
		rig_flush(&rig, i - 1);
	}
	rig.floor.log_index = 12;
	rig.floor.boot_no = rig.config.boot_no;
	rig.floor.group_seq = stripe_store_group_seq(rig.image.store);
	assert_true(cmdlog_locate(rig.log, 12, &at));
	cmdlog_cut(rig.log, 8);
	rig_block(&rig, 2, 9, 100);
	rig_flush(&rig, 8);
	for (int round = 0; round < 2; round++) {
		const struct cmdlog_recovery found = rig_recover(&rig, 64);
		assert_false(found.is_damaged);
		assert_int_equal(found.last_index, 9);
		assert_int_equal(found.acked_floor, 8);
		rig_block_at(&rig, &at)[200] ^= 1;
	}
	rig_free(&rig);
}

/* The lost branch grew longer than the tail, and no group that is left carries a floor above it:
 * the number of cells between says that more is missing than the blocks behind the old tail. */
static void
test_a_long_lost_branch_is_told_from_a_torn_one(void **state)
{
	struct rig rig;

	(void)state;
	for (int round = 0; round < 4; round++) {
		const bool is_branch = round % 2 == 1;
		rig_make(&rig, MAX, 256, AREA);
		if (round >= 2)
			rig_make_old(&rig);
		for (uint64_t i = 1; i <= 10; i++)
			rig_block(&rig, 1, i, 100);
		rig_flush(&rig, 0);
		if (is_branch)
			cmdlog_cut(rig.log, 7);
		const uint64_t first = is_branch ? 8 : 11;
		for (uint64_t i = first; i <= 13; i++) {
			rig_block(&rig, 2, i, 100);
			rig_flush(&rig, is_branch ? 8 : 10);
		}
		/* All but the last group: cells 10 and on. */
		memset(rig_cell(&rig, 10), 0, (13 - first) * PAGE_BYTES);
		const struct cmdlog_recovery found = rig_recover(&rig, 64);
		assert_int_equal(found.last_index, 10);
		assert_int_equal(found.blocks_orphaned, 1);
		assert_int_equal(found.is_damaged, is_branch);
		rig_free(&rig);
	}
}

/* The page CRC is right and the content hash is not: such a block never becomes part of the log. */
static void
test_content_hash_is_checked(void **state)
{
	struct page_content content;
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, AREA);
	for (uint64_t i = 1; i <= 3; i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 0);
	uint8_t *page = rig_cell(&rig, 1);
	assert_int_equal(page_content_open(page, &content), TERN_OK);
	page[PAGE_PAYLOAD_OFFSET + BLOCK_HDR_BYTES + 50] ^= 4;
	page_content_seal(page, &content);
	const struct cmdlog_recovery found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 1);
	assert_int_equal(found.pages_torn, 1);
	assert_int_equal(found.blocks_orphaned, 1);
	rig_free(&rig);
}

static void
test_damage_is_made_good_by_a_new_branch(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, AREA);
	for (uint64_t i = 1; i <= 9; i++) {
		rig_block(&rig, 1, i, 100);
		rig_flush(&rig, i - 1);
	}
	memset(rig_cell(&rig, 5), 0x11, PAGE_BYTES);
	struct cmdlog_recovery found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 5);
	assert_int_equal(found.acked_floor, 8);
	assert_int_equal(found.blocks_orphaned, 3);
	assert_true(found.is_damaged);
	/* The master sends the missing blocks again; while some are missing it stays damaged. */
	for (uint64_t i = 6; i <= 7; i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 0);
	found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 7);
	assert_true(found.is_damaged);
	rig_block(&rig, 1, 8, 100);
	rig_flush(&rig, 0);
	found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 8);
	assert_false(found.is_damaged);
	rig_free(&rig);
}

/* A damaged log begins anew behind a checkpoint. Once that is its base nothing before is looked at;
 * until then a start finds the damage again. */
static void
test_a_damaged_log_begins_anew(void **state)
{
	struct rig rig;
	struct cmdlog_location at;
	struct block_meta meta;
	(void)state;

	rig_make(&rig, MAX, 160, AREA);
	for (uint64_t i = 1; i <= 30; i++) {
		(void)rig_block(&rig, 1, i, 100);
		rig_flush(&rig, i - 1);
	}
	struct cmdlog_base base = log_image_base(&rig.image, rig.log, 20);
	assert_true(cmdlog_locate(rig.log, 10, &at));
	memset(rig_block_at(&rig, &at), 0, PAGE_BYTES);
	struct cmdlog_recovery recovery = rig_recover(&rig, 7);
	assert_true(recovery.is_damaged);
	assert_false(recovery.is_untrusted || recovery.is_overwritten);
	assert_int_equal(recovery.last_index, 9);
	/* A checkpoint knows of no group. */
	base.next_cell = cmdlog_stats(rig.log).end_cell;
	base.boot_no = 0;
	base.group_seq = 0;
	cmdlog_rebase(rig.log, &base);
	assert_int_equal(cmdlog_stats(rig.log).base_index, 20);
	assert_int_equal(cmdlog_stats(rig.log).durable_index, 20);
	for (uint64_t i = 21; i <= 22; i++) {
		(void)rig_block(&rig, 2, i, 100);
		rig_flush(&rig, i - 1);
		assert_true(cmdlog_locate(rig.log, i, &at));
		assert_true(at.first_cell >= base.next_cell);
	}
	assert_true(rig_recover(&rig, 7).is_damaged);
	rig.base = base;
	recovery = rig_recover(&rig, 7);
	assert_false(recovery.is_damaged);
	assert_int_equal(recovery.last_index, 22);
	assert_int_equal(recovery.commit_floor, 20);
	assert_true(cmdlog_meta(rig.log, 22, &meta));
	assert_int_equal(meta.term, 2);
	rig_free(&rig);
}

static void
test_foreign_and_misdirected_pages(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 256, AREA);
	for (uint64_t i = 1; i <= 4; i++)
		rig_block(&rig, 1, i, 100);
	rig_flush(&rig, 0);
	/* A page of ours in a wrong place. */
	memcpy(rig_cell(&rig, 4), rig_cell(&rig, 1), PAGE_BYTES);
	struct cmdlog_recovery found = rig_recover(&rig, 64);
	assert_int_equal(stripe_store_scan_stats(rig.image.store)->pages_foreign, 1);
	assert_int_equal(found.last_index, 4);
	/* It takes no room: the log goes on over it. */
	assert_int_equal(cmdlog_stats(rig.log).end_cell, 4);
	rig_block(&rig, 1, 5, 100);
	rig_flush(&rig, 4);
	found = rig_recover(&rig, 64);
	assert_int_equal(stripe_store_scan_stats(rig.image.store)->pages_foreign, 0);
	assert_int_equal(found.last_index, 5);
	/* Another node's log: nothing of it counts. */
	rig.image.node_id++;
	found = rig_recover(&rig, 64);
	assert_int_equal(found.groups_seen, 0);
	assert_int_equal(found.last_index, 0);
	rig.image.node_id--;
	rig.config.cluster_id++;
	found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 0);
	rig.config.cluster_id--;
	/* Pages of a boot that this node does not know of: its superblock went back. */
	rig.config.boot_no = 0;
	found = rig_recover(&rig, 64);
	assert_int_equal(found.last_index, 5);
	assert_true(found.is_damaged);
	rig_free(&rig);
}

/* A start under a limit that does not allow what the log holds. */
static void
check_over(struct rig *rig, uint32_t command_bytes_max, uint32_t pages, uint64_t end_cell)
{
	rig->config.command_bytes_max = command_bytes_max;
	rig->image.group_pages_max = cmdlog_group_pages_max(command_bytes_max);
	for (uint32_t i = 0; i < 2; i++) {
		const uint32_t found = rig_recover(rig, 512).pages_over;
		const struct stripe_scan_stats *stats = stripe_store_scan_stats(rig->image.store);
		assert_int_equal(max_u32(found, stats->pages_over), pages);
		/* It is neither rot nor room. */
		assert_int_equal(stats->pages_foreign, 0);
		assert_int_equal(cmdlog_stats(rig->log).end_cell, end_cell);
		/* A store may have larger buffers than the log has blocks. */
		rig->image.group_pages_max = cmdlog_group_pages_max(300000);
	}
}

/* command_bytes_max is lowered, and what it allowed before was acknowledged: the last block, in a
 * group that is too long as well, or not, and one before the last. */
static void
test_what_another_limit_allowed_is_not_lost(void **state)
{
	static const uint32_t values[] = { 290000, 150000 };

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct cmdlog_location at;
		struct rig rig;

		rig_make(&rig, 300000, 1024, AREA);
		rig_block(&rig, 1, 1, 100);
		rig_flush(&rig, 0);
		rig_block(&rig, 1, 2, values[i / 2]);
		rig_flush(&rig, 1);
		assert_true(cmdlog_locate(rig.log, 2, &at));
		if (i % 2 != 0) {
			rig_block(&rig, 1, 3, 100);
			rig_flush(&rig, 2);
		}
		const uint64_t last = cmdlog_stats(rig.log).last_index;
		const uint64_t end = cmdlog_stats(rig.log).end_cell;
		const uint32_t enough = cmdlog_command_bytes_for(at.pages);
		assert_true(enough <= 300000);
		check_over(&rig, MAX, at.pages, end);
		check_over(&rig, enough - 1, at.pages, end);
		/* With what the refusal asks for all is there, and nothing was written over it. */
		rig.config.command_bytes_max = enough;
		rig.image.group_pages_max = cmdlog_group_pages_max(enough);
		const struct cmdlog_recovery found = rig_recover(&rig, 512);
		assert_int_equal(found.pages_over, 0);
		assert_false(found.is_damaged);
		assert_int_equal(found.last_index, last);
		/* And when a checkpoint covers it, the limit may be lowered. */
		if (i % 2 != 0) {
			assert_true(cmdlog_base_at(rig.log, 2, &rig.base));
			rig.config.command_bytes_max = MAX;
			rig.image.group_pages_max = cmdlog_group_pages_max(MAX);
			rig.base.next_cell = at.first_cell + at.group_pages;
			assert_int_equal(rig_recover(&rig, 512).pages_over, 0);
			assert_int_equal(stripe_store_scan_stats(rig.image.store)->pages_over, 0);
			assert_int_equal(cmdlog_stats(rig.log).last_index, last);
		}
		rig_free(&rig);
	}
}

static void
test_recovered_log_goes_on(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 128, AREA);
	for (uint64_t i = 1; i <= 300; i++) {
		const struct cmdlog_seal seal = { .term = 1,
						  .kind = BLOCK_COMMANDS,
						  .commit_index = i == 1 ? 0 : i - 2 };
		struct block_meta meta;
		assert_int_equal(rig_append(&rig, i, 3000), TERN_OK);
		assert_int_equal(cmdlog_seal(rig.log, &seal, &meta), TERN_OK);
		rig_flush(&rig, i - 1);
		cmdlog_set_applied(rig.log, i);
	}
	const struct hash128 chain = chain_of(rig.log, 300);
	const struct cmdlog_recovery found = rig_recover(&rig, 1000);
	assert_int_equal(found.last_index, 300);
	assert_int_equal(found.commit_floor, 298);
	assert_int_equal(found.acked_floor, 299);
	assert_true(hash128_equal(chain_of(rig.log, 300), chain));
	assert_null(cmdlog_resident(rig.log, 300));
	assert_int_equal(cmdlog_next_page_lsn(rig.log), 300);
	/* Nothing recovered lies in the ring, so all of it is free though nothing is applied. */
	assert_int_equal(cmdlog_credit_end_page(rig.log), 300 + 128);
	for (uint64_t i = 301; i <= 400; i++)
		rig_block(&rig, 2, i, 3000);
	rig_flush(&rig, 300);
	assert_int_equal(rig_walk(&rig, cmdlog_resident(rig.log, 400), 400), 1);
	struct cmdlog_location location;
	assert_true(cmdlog_locate(rig.log, 400, &location));
	assert_int_equal(location.first_cell + location.page, 399);
	assert_int_equal(rig_recover(&rig, 7).last_index, 400);
	rig_free(&rig);
}

static void
test_scan_ends_at_blank_pages_or_the_end(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, MAX, 128, 3 * BLANK_PAGES);
	rig_block(&rig, 1, 1, 3000);
	rig_flush(&rig, 0);
	assert_int_equal(rig_recover(&rig, 512).last_index, 1);
	assert_int_equal(cmdlog_stats(rig.log).end_cell, 1);
	/* A group whose predecessors were lost lies behind fewer blank pages than that. */
	rig_cell(&rig, BLANK_PAGES)[0] = 1;
	assert_int_equal(rig_recover(&rig, 512).last_index, 1);
	assert_int_equal(stripe_store_scan_stats(rig.image.store)->pages_foreign, 1);
	rig_free(&rig);

	rig_make(&rig, MAX, 128, 100);
	for (uint64_t i = 1; i <= 90; i++)
		rig_block(&rig, 1, i, 3000);
	for (int i = 0; i < 10; i++)
		rig_barrier(&rig, 1, 1);
	rig_flush(&rig, 0);
	assert_int_equal(rig_recover(&rig, 64).last_index, 100);
	rig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cut_after_every_write),
		cmocka_unit_test(test_crash_after_crash),
		cmocka_unit_test(test_damage_is_never_taken_for_blank),
		cmocka_unit_test(test_a_superseded_tail_is_never_revived),
		cmocka_unit_test(test_what_was_cut_may_come_to_harm),
		cmocka_unit_test(test_a_floor_without_a_group),
		cmocka_unit_test(test_a_long_lost_branch_is_told_from_a_torn_one),
		cmocka_unit_test(test_content_hash_is_checked),
		cmocka_unit_test(test_damage_is_made_good_by_a_new_branch),
		cmocka_unit_test(test_a_damaged_log_begins_anew),
		cmocka_unit_test(test_foreign_and_misdirected_pages),
		cmocka_unit_test(test_what_another_limit_allowed_is_not_lost),
		cmocka_unit_test(test_recovered_log_goes_on),
		cmocka_unit_test(test_scan_ends_at_blank_pages_or_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
