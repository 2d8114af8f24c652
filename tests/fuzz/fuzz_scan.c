/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery of the command log, through the store, from an area of any content. The input says how
 * the area comes about:
 * write groups of well-formed pages whose numbers are as they must be or deliberately not, lost
 * pages, flipped bytes, junk. Then the scan, the accessors, and the log in use again; a second scan
 * of the same area must find the same.
 */
#include "dataplane/base/bits.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/cmdlog/mend.h"
#include "dataplane/wire/command.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/log_image.h"
#include "tests/support/mirror.h"

#define AREA_PAGES        64u
#define BLOCKS_MAX        64u
#define RING_BYTES        (128u * PAGE_BYTES)
#define COMMAND_BYTES_MAX 256u
#define CLUSTER_ID        7u
#define NODE_ID           2u
#define BOOT_NO           3u
#define GROUP_BLOCKS_MAX  3u

/* What a writer of good groups would do next. */
struct writer {
	uint32_t boot_no;
	uint64_t cell, group_seq, last_index;
	uint32_t branch_group;
	bool is_old; /* groups do not tell their branch */
	uint64_t page_end[BLOCKS_MAX + 1], time_ns[BLOCKS_MAX + 1];
	struct hash128 chain[BLOCKS_MAX + 1];
};

struct rig {
	_Alignas(64) uint8_t memory[32 * 1024];
	_Alignas(64) uint8_t entries[BLOCKS_MAX * 128];
	struct log_image image;
	uint8_t *area;
	uint8_t *ring;
	struct cmdlog *log;
	struct writer writer;
	struct cmdlog_base anchor; /* for the next scan; log_index 0: none */
};

/* ---- the area ---- */

/* Writes block @index of @pages pages at @at and takes note of it. Gives the pages used. */
static void
write_block(struct rig *rig, struct fuzz_input *in, uint8_t *at, uint64_t index, uint32_t pages)
{
	struct writer *writer = &rig->writer;
	const uint8_t how = fuzz_u8(in);
	struct block_hdr hdr = {
		.kind = (how & 1) != 0 ? BLOCK_COMMANDS : BLOCK_BARRIER,
		.log_index = index,
		.term = 1 + (how >> 1 & 3),
		.command_count = 0,
		.payload_bytes = BLOCK_HDR_BYTES + (pages - 1) * PAGE_PAYLOAD_BYTES,
		.page_lsn = writer->page_end[index - 1],
		.time_ns = writer->time_ns[index - 1] + 1,
		.commit_index = (how >> 3 & 1) != 0 ? index - 1 : 0,
		.prev_chain = writer->chain[index - 1],
		.machine_version = 1,
	};

	if (how == 0xff)
		hdr.page_lsn = fuzz_take(in, 8);
	if (how == 0xfe)
		hdr.time_ns = fuzz_take(in, 8) >> 1; /* a log takes in no later ones */
	if (how == 0xfd)
		hdr.prev_chain.low++;
	hdr.pages = block_pages(hdr.payload_bytes);
	hdr.content_hash = block_content_hash(at, hdr.payload_bytes);
	if (how == 0xfc)
		hdr.content_hash.low++;
	block_hdr_encode(at + PAGE_PAYLOAD_OFFSET, &hdr);
	uint32_t left = hdr.payload_bytes;
	for (uint32_t i = 0; i < hdr.pages; i++) {
		const struct page_content content = {
			.cluster_id = CLUSTER_ID,
			.term = hdr.term,
			.log_index = index,
			.page_in_block = i,
			.used_bytes = min_u32(left, PAGE_PAYLOAD_BYTES),
			.shard = how == 0xfb,
		};
		page_content_seal(at + (size_t)i * PAGE_BYTES, &content);
		left -= content.used_bytes;
	}
	writer->page_end[index] = writer->page_end[index - 1] + hdr.pages;
	writer->time_ns[index] = hdr.time_ns;
	writer->chain[index] = block_chain(at + PAGE_PAYLOAD_OFFSET);
	writer->last_index = index;
}

static void
bend_identity(struct fuzz_input *in, struct page_identity *identity)
{
	const uint8_t how = fuzz_u8(in), by = how >> 3;

	switch (how & 7) {
	case 1:
		identity->group_pages += by;
		break;
	case 2:
		identity->first_cell -= min_u64(identity->first_cell, by);
		break;
	case 3:
		identity->acked_floor = by;
		break;
	case 4:
		identity->group_seq = by;
		break;
	case 5:
		identity->node_id ^= by == 31;
		identity->k = by == 30 ? 2 : 1;
		break;
	case 6:
		identity->boot_no += by == 31;
		break;
	case 7:
		identity->branch_group = by;
		break;
	default:
		break;
	}
}

/* Writes the identity parts of a group; some of its pages get lost or damaged. */
static void
finish_group(struct rig *rig, struct fuzz_input *in, uint32_t pages)
{
	struct writer *writer = &rig->writer;
	struct page_identity identity = {
		.cluster_id = CLUSTER_ID,
		.group_seq = writer->group_seq,
		.first_cell = writer->cell,
		.boot_no = writer->boot_no,
		.group_pages = pages,
		.branch_group = writer->is_old ? 0 : writer->branch_group,
		.node_id = NODE_ID,
		.k = 1,
	};
	const uint8_t lost = fuzz_u8(in);

	bend_identity(in, &identity);
	for (uint32_t i = 0; i < pages; i++) {
		uint8_t *page = rig->area + (writer->cell + i) * PAGE_BYTES;

		identity.own_cell = writer->cell + i;
		page_identity_encode(page, &identity);
		if (lost < 128 && (lost >> i & 1) != 0 && i < 7)
			memset(page, 0, PAGE_BYTES);
	}
	if (lost >= 192)
		rig->area[writer->cell * PAGE_BYTES + fuzz_take(in, 2) % (pages * PAGE_BYTES)] ^=
		    lost;
	writer->cell += pages;
}

static void
write_group(struct rig *rig, struct fuzz_input *in)
{
	struct writer *writer = &rig->writer;
	const uint8_t how = fuzz_u8(in), index_how = fuzz_u8(in);
	uint64_t index = writer->last_index + 1;
	uint32_t pages = 0;

	if ((how & 0x30) == 0x30) {
		writer->boot_no++;
		writer->group_seq = 0;
		writer->branch_group = 0;
	}
	writer->branch_group++;
	writer->group_seq += (how & 0xc0) == 0xc0 ? 2 : 1;
	if (index_how >= 192) { /* supersedes a tail, or goes on at an index it knows of */
		index = 1 + index_how % (writer->last_index + 1);
		writer->branch_group = index == writer->last_index + 1 ? writer->branch_group : 1;
	}
	for (uint32_t i = 0; i < 1 + how % GROUP_BLOCKS_MAX; i++, index++) {
		const uint32_t block = 1 + (uint32_t)(how >> 2 & 3) % 3;

		if (index > BLOCKS_MAX || writer->cell + pages + block > AREA_PAGES)
			break;
		write_block(rig, in, rig->area + (writer->cell + pages) * PAGE_BYTES, index, block);
		pages += block;
	}
	if (pages != 0)
		finish_group(rig, in, pages);
}

static void
make_area(struct rig *rig, struct fuzz_input *in)
{
	struct writer *writer = &rig->writer;

	memset(rig->area, 0, AREA_PAGES * PAGE_BYTES);
	*writer = (struct writer){ .boot_no = 1, .is_old = (fuzz_u8(in) & 1) != 0 };
	while (in->left != 0 && writer->cell < AREA_PAGES) {
		const uint8_t what = fuzz_u8(in);

		if (what < 200)
			write_group(rig, in);
		else if (what < 240)
			writer->cell += what % 4;
		else if (writer->cell < AREA_PAGES)
			memset(rig->area + writer->cell++ * PAGE_BYTES, what, PAGE_BYTES);
	}
}

/* ---- the log ---- */

static void
cut_check(void *context)
{
	const struct rig *rig = context;
	struct cmdlog_location at;
	struct cmdlog_cut cut;

	REQUIRE(cmdlog_scan_cut(rig->log, &cut) && cut.first_index <= cut.last_index);
	for (uint64_t i = cut.first_index; i <= cut.last_index; i++) {
		REQUIRE(cmdlog_locate(rig->log, i, &at) && at.pages != 0);
		REQUIRE(cmdlog_check_read(rig->log, i,
					  rig->area + (at.first_cell + at.page) * PAGE_BYTES) ==
			TERN_OK);
	}
}

static struct cmdlog_recovery
scan(struct rig *rig, uint32_t boot_no, uint32_t run)
{
	const struct cmdlog_config config = {
		.cluster_id = CLUSTER_ID,
		.boot_no = boot_no,
		.ring = rig->ring,
		.ring_bytes = RING_BYTES,
		.command_bytes_max = COMMAND_BYTES_MAX,
		.area_cells = AREA_PAGES,
		.data_columns = 1,
		.blocks_max = BLOCKS_MAX,
		.entries = (struct cmdlog_entry *)(void *)rig->entries,
		.groups_in_flight_max = 2,
	};

	REQUIRE(cmdlog_bytes() <= sizeof(rig->memory));
	REQUIRE(cmdlog_entry_bytes() * BLOCKS_MAX <= sizeof(rig->entries));
	REQUIRE(cmdlog_init(rig->memory, &config, &rig->log) == TERN_OK);
	rig->image.boot_no = boot_no;
	log_image_open(&rig->image, run);
	if (rig->anchor.meta.log_index != 0)
		cmdlog_set_anchor(rig->log, &rig->anchor);
	cmdlog_scan_begin(rig->log);
	return log_image_scan(&rig->image, 0, rig->log, cut_check, rig);
}

/* The blocks lie one behind the other, on the device where the log says, each chained onto the one
 * before. */
static void
check_blocks(const struct rig *rig, uint64_t last_index)
{
	const uint64_t base_index = cmdlog_stats(rig->log).base_index;
	struct cmdlog_location location;
	struct block_meta meta;
	uint64_t page_lsn = cmdlog_page_end(rig->log, base_index);

	REQUIRE(!cmdlog_meta(rig->log, 0, &meta) && !cmdlog_locate(rig->log, 0, &location));
	REQUIRE(!cmdlog_meta(rig->log, last_index + 1, &meta));
	for (uint64_t i = base_index + 1; i <= last_index; i++) {
		REQUIRE(cmdlog_meta(rig->log, i, &meta) && meta.log_index == i);
		REQUIRE(cmdlog_locate(rig->log, i, &location));
		REQUIRE(location.page_lsn == page_lsn && location.pages != 0);
		const uint64_t cell = location.first_cell + location.page;
		REQUIRE(cell + location.pages <= AREA_PAGES);
		REQUIRE(cmdlog_check_read(rig->log, i, rig->area + cell * PAGE_BYTES) == TERN_OK);
		page_lsn += location.pages;
	}
	REQUIRE(cmdlog_next_page_lsn(rig->log) == page_lsn);
}

static void
check_found(const struct rig *rig, const struct cmdlog_recovery *found)
{
	const struct cmdlog_stats stats = cmdlog_stats(rig->log);

	REQUIRE(found->last_index == stats.last_index && stats.durable_index == stats.last_index);
	REQUIRE(found->commit_floor <= found->last_index);
	REQUIRE(stats.used_pages <= AREA_PAGES);
	REQUIRE(found->groups_torn + found->groups_foreign <= found->groups_seen);
	REQUIRE(found->is_damaged || found->acked_floor <= found->last_index);
	check_blocks(rig, found->last_index);
}

/* ---- a checkpoint of what was found, and pages of it that are lost ---- */

static void
scan_anchored(struct rig *rig, uint8_t how, uint8_t run)
{
	static uint8_t kept[AREA_PAGES * PAGE_BYTES];
	const struct cmdlog_stats stats = cmdlog_stats(rig->log);
	struct cmdlog_base base;

	if (stats.last_index == 0 ||
	    !cmdlog_base_at(rig->log, 1 + how % stats.last_index, &rig->anchor))
		return;
	memcpy(kept, rig->area, sizeof(kept));
	/* What is held is anchored only where an earlier copy of it lies behind a hole; then too
	 * the log ends where it did. */
	struct cmdlog_recovery found = scan(rig, BOOT_NO, 1 + run % AREA_PAGES);
	REQUIRE(found.last_index == stats.last_index &&
		hash128_equal(cmdlog_stats(rig->log).last_chain, stats.last_chain));
	memset(rig->area + run % AREA_PAGES * PAGE_BYTES, 0, PAGE_BYTES);
	memset(rig->area, 0, how % AREA_PAGES * PAGE_BYTES);
	found = scan(rig, BOOT_NO, AREA_PAGES);
	check_found(rig, &found);
	if (cmdlog_anchored_base(rig->log, &base)) {
		REQUIRE(base.meta.log_index == rig->anchor.meta.log_index);
		REQUIRE(cmdlog_stats(rig->log).base_index == base.meta.log_index);
		REQUIRE(base.next_cell <= cmdlog_stats(rig->log).end_cell);
	} else if (!found.is_damaged) {
		REQUIRE(found.last_index >= rig->anchor.meta.log_index);
	}
	rig->anchor = (struct cmdlog_base){ 0 };
	memcpy(rig->area, kept, sizeof(kept));
	(void)scan(rig, BOOT_NO, AREA_PAGES);
}

/* ---- use after the scan ---- */

/* Seals a block, with a command or as a barrier, and writes it. False: no room. */
static bool
add_block(struct rig *rig, bool is_barrier)
{
	const struct cmdlog_stats stats = cmdlog_stats(rig->log);
	struct cmdlog_seal seal = { .term = 9, .kind = BLOCK_BARRIER };
	uint8_t command[COMMAND_BYTES_MAX];
	struct command_writer writer;
	struct block_meta meta;
	struct log_group group;
	uint64_t log_index;
	uint32_t bytes, slot;

	if (!is_barrier) {
		seal.kind = BLOCK_COMMANDS;
		command_begin(&writer, command, sizeof(command));
		command_add_arg(&writer, "key", 3);
		command_add_arg(&writer, "value", 5);
		REQUIRE(command_end(&writer, COMMAND_SET, 0, 0, 0, 0, &bytes) == TERN_OK);
		if (cmdlog_append(rig->log, command, bytes, &log_index, &slot) != TERN_OK)
			return false;
		REQUIRE(log_index == stats.last_index + 1 && slot == 0);
	}
	const enum tern_err err = cmdlog_seal(rig->log, &seal, &meta);
	REQUIRE(err == TERN_OK || (is_barrier && err == TERN_ERR_LOG_FULL));
	if (err != TERN_OK)
		return false;
	REQUIRE(meta.log_index == stats.last_index + 1);
	REQUIRE(cmdlog_resident(rig->log, meta.log_index) != NULL);
	REQUIRE(log_image_group_next(&rig->image, rig->log, meta.log_index, stats.durable_index,
				     &group));
	REQUIRE(group.cell >= stats.end_cell && group.cell + group.pages <= AREA_PAGES);
	log_image_write(&rig->image, &group);
	REQUIRE(cmdlog_group_done(rig->log, group.slot) == meta.log_index);
	return true;
}

/* False: the area is so full that a cut could not be made durable by a block that supersedes the
 * tail. */
static bool
use(struct rig *rig, uint8_t how)
{
	const uint64_t last_index = cmdlog_stats(rig->log).last_index;
	uint32_t added = 0;

	if ((how & 1) != 0)
		cmdlog_cut(rig->log, last_index - min_u64(last_index, how >> 1 & 7));
	while (added < (how >> 4 & 3u) + 1 && add_block(rig, added % 2 == 0))
		added++;
	check_blocks(rig, cmdlog_stats(rig->log).last_index);
	return added != 0 || (how & 1) == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct rig rig;
	struct fuzz_input in = { data, bytes };
	const uint8_t how = fuzz_u8(&in), run = fuzz_u8(&in);

	if (rig.ring == NULL) {
		rig.ring = mirror_map(RING_BYTES);
		log_image_make(&rig.image, AREA_PAGES, COMMAND_BYTES_MAX);
		rig.image.cluster_id = CLUSTER_ID;
		rig.image.node_id = NODE_ID;
		rig.area = log_image_cell(&rig.image, 0);
	}
	REQUIRE(rig.ring != NULL);
	make_area(&rig, &in);
	const struct cmdlog_recovery found = scan(&rig, BOOT_NO, 1 + run % AREA_PAGES);
	check_found(&rig, &found);
	const struct cmdlog_stats before = cmdlog_stats(rig.log);
	const struct cmdlog_recovery same = scan(&rig, BOOT_NO, AREA_PAGES);
	REQUIRE(same.last_index == found.last_index && same.is_damaged == found.is_damaged);
	REQUIRE(hash128_equal(before.last_chain, cmdlog_stats(rig.log).last_chain));
	scan_anchored(&rig, how, run);
	if (found.is_damaged || !use(&rig, how))
		return 0;
	/* All that was made durable is found by the next boot. */
	const struct cmdlog_stats used = cmdlog_stats(rig.log);
	const struct cmdlog_recovery next = scan(&rig, BOOT_NO + 1, AREA_PAGES);
	check_found(&rig, &next);
	REQUIRE(!next.is_damaged && next.last_index == used.last_index);
	REQUIRE(hash128_equal(used.last_chain, cmdlog_stats(rig.log).last_chain));
	return 0;
}
