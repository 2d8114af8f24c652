/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmdlog/rig.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/cmdlog/mend.h"
#include "tests/support/mirror.h"

uint8_t *
rig_block_at(struct rig *rig, const struct cmdlog_location *location)
{
	return rig_cell(rig, location->first_cell + location->page);
}

/* The scan is at a cut: the tail that gives way is whole on the image. */
static void
note_cut(void *context)
{
	struct rig *rig = context;

	assert_true(cmdlog_scan_cut(rig->log, &rig->cut));
	assert_true(rig->cut.first_index <= rig->cut.last_index);
	for (uint64_t i = rig->cut.first_index; i <= rig->cut.last_index; i++) {
		struct cmdlog_location at;
		assert_true(cmdlog_locate(rig->log, i, &at));
		assert_int_equal(cmdlog_check_read(rig->log, i, rig_block_at(rig, &at)), TERN_OK);
	}
	rig->cut_count++;
	rig->cut_blocks += rig->cut.last_index - rig->cut.first_index + 1;
}

static struct cmdlog_recovery
rig_scan(struct rig *rig, uint64_t first_cell)
{
	cmdlog_scan_begin(rig->log);
	return log_image_scan(&rig->image, first_cell, rig->log, note_cut, rig);
}

void
rig_make(struct rig *rig, uint32_t command_bytes_max, uint64_t ring_pages, uint64_t area_pages)
{
	*rig = (struct rig){ 0 };
	rig->memory = aligned_alloc(64, (cmdlog_bytes() + 63) / 64 * 64);
	log_image_make(&rig->image, area_pages, command_bytes_max);
	rig->image.cluster_id = RIG_CLUSTER;
	rig->image.node_id = RIG_NODE;
	rig->scratch = malloc(command_bytes_max);
	rig->config = (struct cmdlog_config){
		.cluster_id = RIG_CLUSTER,
		.boot_no = 1,
		.ring = mirror_map(ring_pages * PAGE_BYTES),
		.ring_bytes = ring_pages * PAGE_BYTES,
		.command_bytes_max = command_bytes_max,
		.area_cells = area_pages,
		.data_columns = 1,
		.blocks_max = area_pages,
		.entries = calloc(area_pages, cmdlog_entry_bytes()),
		.groups_in_flight_max = 4,
	};
	assert_non_null(rig->config.ring);
	/* What a ring held before must never matter. */
	memset(rig->config.ring, 0xa5, rig->config.ring_bytes);
	assert_int_equal(cmdlog_init(rig->memory, &rig->config, &rig->log), TERN_OK);
	log_image_open(&rig->image, 0);
	(void)rig_scan(rig, 0);
}

void
rig_free(struct rig *rig)
{
	mirror_unmap(rig->config.ring, rig->config.ring_bytes);
	free(rig->config.entries);
	free(rig->scratch);
	log_image_free(&rig->image);
	free(rig->memory);
}

uint8_t *
rig_cell(struct rig *rig, uint64_t cell)
{
	return log_image_cell(&rig->image, cell);
}

struct cmdlog_recovery
rig_recover(struct rig *rig, uint32_t chunk)
{
	rig->config.boot_no++;
	memset(rig->config.ring, 0x5a, rig->config.ring_bytes);
	memset(rig->config.entries, 0x5a, rig->config.blocks_max * cmdlog_entry_bytes());
	assert_int_equal(cmdlog_init(rig->memory, &rig->config, &rig->log), TERN_OK);
	rig->cut_count = 0;
	rig->cut_blocks = 0;
	if (rig->base.meta.log_index != 0)
		cmdlog_set_base(rig->log, &rig->base);
	if (rig->anchor.meta.log_index != 0)
		cmdlog_set_anchor(rig->log, &rig->anchor);
	cmdlog_set_floor(rig->log, &rig->floor);
	rig->image.boot_no = rig->config.boot_no;
	rig->image.cluster_id = rig->config.cluster_id;
	log_image_open(&rig->image, chunk);
	const struct cmdlog_recovery recovery = rig_scan(rig, rig->base.next_cell);
	assert_int_equal(rig->cut_blocks, recovery.blocks_superseded);
	return recovery;
}

void
rig_make_old(struct rig *rig)
{
	rig->image.is_old = true;
	(void)rig_recover(rig, 0);
}

uint32_t
rig_command(uint8_t *out, uint32_t capacity, uint64_t number, uint32_t value_bytes)
{
	struct command_writer writer;
	uint8_t *value = malloc(value_bytes + 8);
	struct prng prng;
	uint32_t bytes = 0;

	prng_seed(&prng, number);
	for (uint32_t i = 0; i < value_bytes; i++)
		value[i] = (uint8_t)prng_next(&prng);
	command_begin(&writer, out, capacity);
	command_add_arg(&writer, &number, sizeof(number));
	command_add_arg(&writer, value, value_bytes);
	assert_int_equal(command_end(&writer, COMMAND_SET, 0, 7, number + 1, 0, &bytes), TERN_OK);
	free(value);
	return bytes;
}

uint64_t
rig_command_check(const uint8_t *bytes, uint32_t count)
{
	struct command command;
	struct command_arg key, value;
	struct prng prng;
	uint64_t number;

	assert_int_equal(command_decode(bytes, count, &command), TERN_OK);
	const uint8_t *cursor = command.args;
	assert_true(command_arg_next(&command, &cursor, &key));
	assert_true(command_arg_next(&command, &cursor, &value));
	assert_int_equal(key.bytes, sizeof(number));
	memcpy(&number, key.data, sizeof(number));
	prng_seed(&prng, number);
	for (uint32_t i = 0; i < value.bytes; i++)
		assert_int_equal(value.data[i], (uint8_t)prng_next(&prng));
	return number;
}

typedef enum tern_err append_fn(struct cmdlog *log, const uint8_t *command, uint32_t bytes,
				uint64_t *log_index, uint32_t *slot);

static enum tern_err
append(struct rig *rig, uint64_t number, uint32_t value_bytes, append_fn *into)
{
	uint8_t *command = malloc(value_bytes + 128);
	const uint32_t before = cmdlog_open_count(rig->log);
	uint64_t log_index;
	uint32_t slot;

	const uint32_t bytes = rig_command(command, value_bytes + 128, number, value_bytes);
	const enum tern_err err = into(rig->log, command, bytes, &log_index, &slot);
	if (err == TERN_OK) {
		assert_int_equal(slot, before);
		assert_int_equal(log_index, cmdlog_stats(rig->log).last_index + 1);
	}
	free(command);
	return err;
}

enum tern_err
rig_append(struct rig *rig, uint64_t number, uint32_t value_bytes)
{
	return append(rig, number, value_bytes, cmdlog_append);
}

enum tern_err
rig_append_reserved(struct rig *rig, uint64_t number, uint32_t value_bytes)
{
	return append(rig, number, value_bytes, cmdlog_append_reserved);
}

static struct block_meta
seal(struct rig *rig, uint64_t term, uint32_t epoch, enum block_kind kind)
{
	const struct cmdlog_seal request = { .term = term, .epoch = epoch, .kind = kind };
	struct block_meta meta;

	assert_int_equal(cmdlog_seal(rig->log, &request, &meta), TERN_OK);
	return meta;
}

struct block_meta
rig_seal(struct rig *rig, uint64_t term, uint32_t epoch)
{
	return seal(rig, term, epoch, BLOCK_COMMANDS);
}

struct block_meta
rig_barrier(struct rig *rig, uint64_t term, uint32_t epoch)
{
	return seal(rig, term, epoch, BLOCK_BARRIER);
}

struct block_meta
rig_block(struct rig *rig, uint64_t term, uint64_t number, uint32_t value_bytes)
{
	assert_int_equal(rig_append(rig, number, value_bytes), TERN_OK);
	return rig_seal(rig, term, 0);
}

void
rig_write(struct rig *rig, const struct log_group *group)
{
	log_image_write(&rig->image, group);
}

bool
rig_group_next(struct rig *rig, uint64_t persist_index, uint64_t acked_floor,
	       struct log_group *group)
{
	return log_image_group_next(&rig->image, rig->log, persist_index, acked_floor, group);
}

void
rig_flush(struct rig *rig, uint64_t acked_floor)
{
	struct log_group group;

	while (rig_group_next(rig, UINT64_MAX, acked_floor, &group)) {
		rig_write(rig, &group);
		assert_int_equal(cmdlog_group_done(rig->log, group.slot), group.last_index);
	}
}

uint32_t
rig_walk(struct rig *rig, const uint8_t *block, uint64_t first)
{
	struct cmdlog_cursor cursor;
	struct block_hdr hdr;
	const uint8_t *command;
	uint32_t bytes, slot, count = 0;

	assert_int_equal(
	    cmdlog_cursor_begin(&cursor, block, rig->scratch, rig->config.command_bytes_max, &hdr),
	    TERN_OK);
	while (cmdlog_cursor_next(&cursor, &command, &bytes, &slot)) {
		assert_int_equal(slot, count);
		assert_int_equal(rig_command_check(command, bytes), first + count);
		count++;
	}
	assert_int_equal(count, hdr.command_count);
	return count;
}
