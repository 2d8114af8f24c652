/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/superblock.h"

#include <assert.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

/* "TernPool", read as a little-endian integer. */
#define SUPERBLOCK_MAGIC 0x6c6f6f506e726554ULL

struct checkpoint_le {
	le64 log_index, term, first_page, pages;
	le64 chain[2];
	le32 epoch, reserved;
};

struct shard_record_le {
	le16 shard, voted_for, witness_id, reserved0;
	le32 witness_gen, reserved1;
	le64 term, voters, learners, config_index;
	struct checkpoint_le checkpoints[SUPERBLOCK_CHECKPOINTS];
	uint8_t join, reserved2[3];
	le32 floor_boot_no; /* from format 4 on */
	le64 floor_group_seq, floor_index;
	uint8_t reserved[8];
};
static_assert(sizeof(struct shard_record_le) == 192, "frozen by format 1");
static_assert(offsetof(struct shard_record_le, floor_boot_no) == 164, "frozen by format 4");

struct base_le {
	le64 log_index, term, page_end, time_ns, next_cell;
	le64 chain[2];
	le32 epoch;
	uint8_t kind, reserved[3];
};
static_assert(sizeof(struct base_le) == 64, "frozen by format 1");

struct base_group_le {
	le64 group_seq;
	le32 boot_no, reserved;
};
static_assert(sizeof(struct base_group_le) == 16, "frozen by format 1");

struct fork_le {
	le32 gen_id, parent_id, before_witness_gen, superseded_id;
	le16 before_witness_id, superseded_number;
	uint8_t is_known, reserved[3];
	le64 log_index, commit_index, before_voters, before_learners, before_index;
	le64 chain[2];
};
static_assert(sizeof(struct fork_le) == 80, "frozen by format 3");

struct superblock_le {
	le64 magic;
	le32 crc32c; /* bytes [12, 4096) */
	le32 format;
	le64 sequence, cluster_id;
	le32 cluster_gen, boot_no, pool_gen;
	le16 node_id;
	uint8_t k, m;
	uint8_t device, reserved0[7];
	le64 failed_devices;
	le64 log_first_page, log_pages, checkpoint_first_page, checkpoint_pages;
	le64 tail_cell, born_ns;
	le32 shard_count, reserved1;
	uint8_t reserved[136];
	struct shard_record_le shards[SUPERBLOCK_SHARDS_MAX];
	struct base_le bases[SUPERBLOCK_SHARDS_MAX];
	struct base_group_le base_groups[SUPERBLOCK_SHARDS_MAX];
	struct fork_le fork;
};
static_assert(offsetof(struct superblock_le, shards) == 256, "frozen by format 1");
static_assert(offsetof(struct superblock_le, bases) == 1792, "frozen by format 1");
static_assert(offsetof(struct superblock_le, base_groups) == 2304, "frozen by format 1");
static_assert(offsetof(struct superblock_le, fork) == 2432, "frozen by format 3");
static_assert(sizeof(struct superblock_le) <= SUPERBLOCK_BYTES, "one page");

static void
shard_encode(struct shard_record_le *le, const struct shard_record *shard)
{
	le->shard = le16_make(shard->shard);
	le->join = (uint8_t)shard->join;
	le->voted_for = le16_make(shard->voted_for);
	le->witness_id = le16_make(shard->witness_id);
	le->witness_gen = le32_make(shard->witness_gen);
	le->term = le64_make(shard->term);
	le->voters = le64_make(shard->voters);
	le->learners = le64_make(shard->learners);
	le->config_index = le64_make(shard->config_index);
	le->floor_boot_no = le32_make(shard->floor.boot_no);
	le->floor_group_seq = le64_make(shard->floor.group_seq);
	le->floor_index = le64_make(shard->floor.log_index);
	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++) {
		const struct superblock_checkpoint *checkpoint = &shard->checkpoints[i];
		le->checkpoints[i].log_index = le64_make(checkpoint->log_index);
		le->checkpoints[i].term = le64_make(checkpoint->term);
		le->checkpoints[i].first_page = le64_make(checkpoint->first_page);
		le->checkpoints[i].pages = le64_make(checkpoint->pages);
		le->checkpoints[i].epoch = le32_make(checkpoint->epoch);
		hash128_put(le->checkpoints[i].chain, checkpoint->chain);
	}
}

static void
shard_decode(const struct shard_record_le *le, struct shard_record *shard)
{
	*shard = (struct shard_record){
		.shard = le16_get(le->shard),
		.join = (enum superblock_join)le->join,
		.voted_for = le16_get(le->voted_for),
		.witness_id = le16_get(le->witness_id),
		.witness_gen = le32_get(le->witness_gen),
		.term = le64_get(le->term),
		.voters = le64_get(le->voters),
		.learners = le64_get(le->learners),
		.config_index = le64_get(le->config_index),
		.floor = { .log_index = le64_get(le->floor_index),
			   .group_seq = le64_get(le->floor_group_seq),
			   .boot_no = le32_get(le->floor_boot_no) },
	};
	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++)
		shard->checkpoints[i] = (struct superblock_checkpoint){
			.log_index = le64_get(le->checkpoints[i].log_index),
			.term = le64_get(le->checkpoints[i].term),
			.first_page = le64_get(le->checkpoints[i].first_page),
			.pages = le64_get(le->checkpoints[i].pages),
			.epoch = le32_get(le->checkpoints[i].epoch),
			.chain = hash128_get(le->checkpoints[i].chain),
		};
}

static void
base_encode(struct base_le *le, struct base_group_le *group, const struct superblock_base *base)
{
	group->group_seq = le64_make(base->group_seq);
	group->boot_no = le32_make(base->boot_no);
	le->log_index = le64_make(base->log_index);
	le->term = le64_make(base->term);
	le->page_end = le64_make(base->page_end);
	le->time_ns = le64_make(base->time_ns);
	le->next_cell = le64_make(base->next_cell);
	le->epoch = le32_make(base->epoch);
	le->kind = base->kind;
	hash128_put(le->chain, base->chain);
}

static struct superblock_base
base_decode(const struct base_le *le, const struct base_group_le *group)
{
	return (struct superblock_base){
		.log_index = le64_get(le->log_index),
		.term = le64_get(le->term),
		.page_end = le64_get(le->page_end),
		.time_ns = le64_get(le->time_ns),
		.next_cell = le64_get(le->next_cell),
		.epoch = le32_get(le->epoch),
		.kind = le->kind,
		.chain = hash128_get(le->chain),
		.boot_no = le32_get(group->boot_no),
		.group_seq = le64_get(group->group_seq),
	};
}

static struct fork_le
fork_encode(const struct superblock *superblock)
{
	const struct superblock_fork *fork = &superblock->fork;
	struct fork_le le = {
		.gen_id = le32_make(superblock->generation.id),
		.parent_id = le32_make(fork->notice.parent_id),
		.before_witness_gen = le32_make(fork->before.witness_gen),
		.superseded_id = le32_make(fork->superseded_by.id),
		.before_witness_id = le16_make(fork->before.witness_id),
		.superseded_number = le16_make((uint16_t)fork->superseded_by.number),
		.is_known = fork->notice.is_known,
		.log_index = le64_make(fork->notice.log_index),
		.commit_index = le64_make(fork->notice.commit_index),
		.before_voters = le64_make(fork->before.voters),
		.before_learners = le64_make(fork->before.learners),
		.before_index = le64_make(fork->before.config_index),
	};

	hash128_put(le.chain, fork->notice.chain);
	return le;
}

static struct superblock_fork
fork_decode(const struct fork_le *le)
{
	return (struct superblock_fork){
		.notice = { .is_known = le->is_known != 0,
			    .parent_id = le32_get(le->parent_id),
			    .log_index = le64_get(le->log_index),
			    .commit_index = le64_get(le->commit_index),
			    .chain = hash128_get(le->chain) },
		.before = { .config_index = le64_get(le->before_index),
			    .voters = le64_get(le->before_voters),
			    .learners = le64_get(le->before_learners),
			    .witness_id = le16_get(le->before_witness_id),
			    .witness_gen = le32_get(le->before_witness_gen) },
		.superseded_by = { le16_get(le->superseded_number), le32_get(le->superseded_id) },
	};
}

void
superblock_encode(uint8_t *out, const struct superblock *superblock)
{
	struct superblock_le le = {
		.magic = le64_make(SUPERBLOCK_MAGIC),
		.format = le32_make(SUPERBLOCK_FORMAT),
		.sequence = le64_make(superblock->sequence),
		.cluster_id = le64_make(superblock->cluster_id),
		.cluster_gen = le32_make(superblock->generation.number),
		.fork = fork_encode(superblock),
		.boot_no = le32_make(superblock->boot_no),
		.pool_gen = le32_make(superblock->pool_gen),
		.node_id = le16_make(superblock->node_id),
		.k = superblock->k,
		.m = superblock->m,
		.device = superblock->device,
		.failed_devices = le64_make(superblock->failed_devices),
		.log_first_page = le64_make(superblock->log_first_page),
		.log_pages = le64_make(superblock->log_pages),
		.checkpoint_first_page = le64_make(superblock->checkpoint_first_page),
		.checkpoint_pages = le64_make(superblock->checkpoint_pages),
		.tail_cell = le64_make(superblock->tail_cell),
		.born_ns = le64_make(superblock->born_ns),
		.shard_count = le32_make(superblock->shard_count),
	};

	INVARIANT(superblock->shard_count <= SUPERBLOCK_SHARDS_MAX);
	INVARIANT(superblock->sequence != 0 && superblock->node_id != 0);
	INVARIANT(generation_is_sound(&superblock->generation));
	for (uint32_t i = 0; i < superblock->shard_count; i++) {
		shard_encode(&le.shards[i], &superblock->shards[i]);
		base_encode(&le.bases[i], &le.base_groups[i], &superblock->shards[i].base);
	}
	memset(out, 0, SUPERBLOCK_BYTES);
	memcpy(out, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(out + 12, SUPERBLOCK_BYTES - 12));
	memcpy(out + offsetof(struct superblock_le, crc32c), &le.crc32c, sizeof(le.crc32c));
}

enum tern_err
superblock_decode(const uint8_t *bytes, struct superblock *superblock)
{
	uint8_t again[SUPERBLOCK_BYTES];
	struct superblock_le le;

	memcpy(&le, bytes, sizeof(le));
	if (le64_get(le.magic) != SUPERBLOCK_MAGIC)
		return bytes_are_zero(bytes, SUPERBLOCK_BYTES) ? TERN_ERR_BLANK : TERN_ERR_FOREIGN;
	if (le32_get(le.crc32c) != crc32c(bytes + 12, SUPERBLOCK_BYTES - 12))
		return TERN_ERR_CORRUPT;
	if (le32_get(le.format) < 1 || le32_get(le.format) > SUPERBLOCK_FORMAT)
		return TERN_ERR_VERSION;
	const uint32_t shard_count = le32_get(le.shard_count);
	*superblock = (struct superblock){
		.format = le32_get(le.format),
		.sequence = le64_get(le.sequence),
		.cluster_id = le64_get(le.cluster_id),
		.generation = { le32_get(le.cluster_gen), le32_get(le.fork.gen_id) },
		.fork = fork_decode(&le.fork),
		.node_id = le16_get(le.node_id),
		.boot_no = le32_get(le.boot_no),
		.pool_gen = le32_get(le.pool_gen),
		.k = le.k,
		.m = le.m,
		.device = le.device,
		.failed_devices = le64_get(le.failed_devices),
		.log_first_page = le64_get(le.log_first_page),
		.log_pages = le64_get(le.log_pages),
		.checkpoint_first_page = le64_get(le.checkpoint_first_page),
		.checkpoint_pages = le64_get(le.checkpoint_pages),
		.tail_cell = le64_get(le.tail_cell),
		.born_ns = le64_get(le.born_ns),
		.shard_count = shard_count,
	};
	if (superblock->sequence == 0 || superblock->node_id == 0 || superblock->k == 0 ||
	    shard_count > SUPERBLOCK_SHARDS_MAX || !generation_is_sound(&superblock->generation) ||
	    superblock->log_first_page < SUPERBLOCK_AREA_PAGES)
		return TERN_ERR_CORRUPT;
	for (uint32_t i = 0; i < shard_count; i++) {
		if (le.shards[i].join > SUPERBLOCK_SUPERSEDED)
			return TERN_ERR_CORRUPT;
		shard_decode(&le.shards[i], &superblock->shards[i]);
		superblock->shards[i].base = base_decode(&le.bases[i], &le.base_groups[i]);
	}
	/* What the encoder writes no field to must be zero. The format was looked at. */
	const size_t at = offsetof(struct superblock_le, sequence);
	superblock_encode(again, superblock);
	return memcmp(again + at, bytes + at, SUPERBLOCK_BYTES - at) == 0 ? TERN_OK
									  : TERN_ERR_CORRUPT;
}
