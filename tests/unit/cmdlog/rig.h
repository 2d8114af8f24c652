/* SPDX-License-Identifier: Apache-2.0 */
/* A command log on a device image in memory, and commands whose bytes can be checked again. */
#ifndef TERN_TESTS_UNIT_CMDLOG_RIG_H
#define TERN_TESTS_UNIT_CMDLOG_RIG_H

#include "tests/support/check.h"

#include "dataplane/base/prng.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/cmdlog/mend.h"
#include "dataplane/wire/command.h"
#include "tests/support/log_image.h"

#define RIG_CLUSTER 0x1122334455667788ULL
#define RIG_NODE    3u

struct rig {
	struct cmdlog *log;
	struct cmdlog_config config;
	void *memory;
	struct log_image image;
	uint8_t *scratch;
	struct cmdlog_cut cut; /* the last one that rig_recover was shown */
	uint64_t cut_count, cut_blocks;
	struct cmdlog_base base;   /* what rig_recover begins with; log_index 0: the first cell */
	struct cmdlog_base anchor; /* and what a checkpoint covers; log_index 0: there is none */
	struct cmdlog_floor floor; /* and what a superblock says besides */
};

/* A log of boot 1 on a blank image. */
void
rig_make(struct rig *rig, uint32_t command_bytes_max, uint64_t ring_pages, uint64_t area_pages);
/* From the next boot on, which begins now, groups are written as earlier versions did. */
void rig_make_old(struct rig *rig);
void rig_free(struct rig *rig);
/* The log is forgotten; the image is scanned by the next boot, @chunk pages at a time, or
 * more if a group is longer. */
struct cmdlog_recovery rig_recover(struct rig *rig, uint32_t chunk);

/* Encodes the command that @number stands for, with @value_bytes of value. Returns its length. */
uint32_t rig_command(uint8_t *out, uint32_t capacity, uint64_t number, uint32_t value_bytes);
/* Checks that these are the bytes of a command made by rig_command; gives its number. */
uint64_t rig_command_check(const uint8_t *bytes, uint32_t count);

enum tern_err rig_append(struct rig *rig, uint64_t number, uint32_t value_bytes);
enum tern_err rig_append_reserved(struct rig *rig, uint64_t number, uint32_t value_bytes);
/* Seals the open block with commit_index 0. */
struct block_meta rig_seal(struct rig *rig, uint64_t term, uint32_t epoch);
struct block_meta rig_barrier(struct rig *rig, uint64_t term, uint32_t epoch);
/* One command, one block. */
struct block_meta rig_block(struct rig *rig, uint64_t term, uint64_t number, uint32_t value_bytes);
/* Writes everything up to the last block to the image, group by group. */
void rig_flush(struct rig *rig, uint64_t acked_floor);
/* Where a cell lies on the image. */
uint8_t *rig_cell(struct rig *rig, uint64_t cell);
void rig_write(struct rig *rig, const struct log_group *group);
bool rig_group_next(struct rig *rig, uint64_t persist_index, uint64_t acked_floor,
		    struct log_group *group);
/* The bytes of a block on the image. */
uint8_t *rig_block_at(struct rig *rig, const struct cmdlog_location *location);
/* Walks a block; its commands must be numbered from @first on. Returns how many there are. */
uint32_t rig_walk(struct rig *rig, const uint8_t *block, uint64_t first);

#endif
