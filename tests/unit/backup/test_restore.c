/* SPDX-License-Identifier: Apache-2.0 */
/* From a backup's files to a node's storage and back: what a start of the node finds there is the
 * backup's prefix up to the position that was wanted, whatever devices the node has. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/backup/backup.h"
#include "control/backup/pack.h"
#include "control/backup/source.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"
#include "tests/unit/backup/sample.h"

#define NEW_CLUSTER  0xbeefu
#define DEVICE_BYTES (4ull << 20)
#define LOG_PAGES    (DEVICE_BYTES / PAGE_BYTES - SUPERBLOCK_AREA_PAGES)
#define AREA_BYTES   (8ull << 20) /* of checkpoints */

static struct sample sample;
static char root[64], text[BACKUP_TEXT_MAX];
static char dirs_text[3][96];
static const char *const dirs[3] = { dirs_text[0], dirs_text[1], dirs_text[2] };

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "restore-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (uint32_t i = 0; i < 3; i++) {
		(void)snprintf(dirs_text[i], sizeof(dirs_text[i]), "%s/d%u", root, i);
		assert_int_equal(mkdir(dirs_text[i], 0700), 0);
	}
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	assert_int_equal(system(command), 0);
	return 0;
}

/* ---- a backup of the sample ---- */

static enum tern_err
to_writer(void *context, const uint8_t *bytes, size_t count)
{
	return backup_writer_add(context, bytes, count, text, sizeof(text)) ? TERN_OK : TERN_ERR_IO;
}

static struct backup_reader *
backup_make(uint64_t first_index)
{
	const struct backup_writer_config config = {
		.geometry = { 2, 1 }, .dirs = dirs, .name = "s", .id = { 1, 2 }, .rows = 4
	};
	const struct backup_reader_config from = { dirs, 3, NULL };
	struct backup_reader *reader = NULL;
	struct backup_writer *writer;

	sample_make(&sample, first_index, CHECKPOINT_CHUNK_PAYLOAD_MAX + 5000, SAMPLE_BLOCKS);
	assert_true(backup_writer_open(&config, &writer, text, sizeof(text)));
	const struct backup_drain drain = { writer, to_writer };
	struct backup_packer *packer = backup_packer_open(&drain);
	assert_non_null(packer);
	assert_int_equal(backup_packer_add(packer, sample.bytes, sample.count), TERN_OK);
	assert_int_equal(backup_packer_end(packer), TERN_OK);
	assert_true(backup_writer_finish(writer, &sample.hdr, text, sizeof(text)));
	backup_packer_close(packer);
	backup_writer_close(writer);
	assert_int_equal(backup_reader_open(&from, &reader, text, sizeof(text)), TERN_OK);
	return reader;
}

/* ---- a node's storage, as `tern` makes it for a restore ---- */

static struct node_config *
node_make(uint32_t k, uint32_t m)
{
	struct node_config *config = calloc(1, sizeof(*config));

	assert_non_null(config);
	(void)snprintf(config->name, sizeof(config->name), "a");
	(void)snprintf(config->file, sizeof(config->file), "node.conf");
	config->kind = NODE_DATA;
	config->id = 1;
	config->is_dev = true;
	config->data_nodes = 6;
	config->witness_id = 3;
	config->device_count = k + m;
	config->parity = m;
	config->disk.queue_depth = 32;
	config->disk.allow_volatile = true;
	config->log.command_bytes_max = 64u << 10;
	config->state.capacity_bytes = sample.hdr.capacity_bytes;
	config->state.value_bytes_max = sample.hdr.value_bytes_max;
	config->state.sessions_max = sample.hdr.sessions_max;
	for (uint32_t i = 0; i < k + m; i++) {
		(void)snprintf(config->devices[i].path, sizeof(config->devices[i].path),
			       "%s/device-%u", root, i);
		config->devices[i].bytes = DEVICE_BYTES;
	}
	return config;
}

static void
storage_make(const struct node_config *config, enum superblock_join join, uint64_t log_pages)
{
	struct superblock superblock = {
		.sequence = 1,
		.cluster_id = NEW_CLUSTER,
		.generation = { 1, 0 },
		.node_id = config->id,
		.pool_gen = 1,
		.k = (uint8_t)(config->device_count - config->parity),
		.m = (uint8_t)config->parity,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = log_pages,
		.checkpoint_first_page = config->devices[0].bytes / PAGE_BYTES,
		.checkpoint_pages = AREA_BYTES / PAGE_BYTES,
		.shard_count = 1,
	};
	uint64_t bytes;
	int fd;

	superblock.shards[0] =
	    (struct shard_record){ .join = join, .voters = 6, .witness_id = 3, .witness_gen = 1 };
	for (uint32_t i = 0; i < config->device_count; i++) {
		const char *path = config->devices[i].path;
		(void)unlink(path);
		assert_int_equal(nvme_create_file(path, config->devices[i].bytes + AREA_BYTES, text,
						  sizeof(text)),
				 TERN_OK);
		assert_int_equal(nvme_device_open(path, true, &fd, &bytes, text, sizeof(text)),
				 TERN_OK);
		superblock.device = (uint8_t)i;
		assert_int_equal(superblock_write_all(fd, &superblock), TERN_OK);
		(void)close(fd);
	}
}

static bool
is_filling(const struct node_config *config)
{
	struct superblock found;
	uint32_t good_mask;
	uint64_t bytes;
	int fd;

	assert_int_equal(
	    nvme_device_open(config->devices[0].path, false, &fd, &bytes, text, sizeof(text)),
	    TERN_OK);
	assert_int_equal(superblock_read(fd, &found, &good_mask), TERN_OK);
	(void)close(fd);
	return superblock_is_filling(&found);
}

/* ---- what a start finds ---- */

struct seen {
	uint64_t blocks, chunks, expected_index;
};

static enum tern_err
see_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	(void)context;
	(void)page;
	assert_int_equal(hdr->cluster_id, NEW_CLUSTER);
	assert_int_equal(hdr->state.hash, 99);
	return TERN_OK;
}

static enum tern_err
see_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	struct seen *seen = context;

	/* The payload is the same as in the backup, where the header page is the first one. */
	assert_memory_equal(bytes + CHECKPOINT_CHUNK_HDR_BYTES,
			    sample.bytes +
				(1 + (size_t)chunk->number * CHECKPOINT_CHUNK_PAGES) * PAGE_BYTES +
				CHECKPOINT_CHUNK_HDR_BYTES,
			    (size_t)pages * PAGE_BYTES - CHECKPOINT_CHUNK_HDR_BYTES);
	seen->chunks++;
	return TERN_OK;
}

static enum tern_err
see_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	struct seen *seen = context;

	(void)bytes;
	assert_int_equal(hdr->log_index, ++seen->expected_index);
	assert_true(hash128_equal(chain, sample.chains[hdr->log_index - sample.hdr.first_index]));
	seen->blocks++;
	return TERN_OK;
}

static enum tern_err
look(const struct node_config *config, uint64_t index, struct seen *seen,
     struct backup_source_facts *facts)
{
	const struct backup_source_limit limit = { .cluster_id = NEW_CLUSTER, .index = index };
	const struct backup_sink sink = { seen, see_checkpoint, see_chunk, see_block };

	*seen = (struct seen){ .expected_index = sample.hdr.first_index };
	return backup_source_read(config, &limit, &sink, facts, text, sizeof(text));
}

static void
check_restore(uint64_t first_index, uint32_t k, uint32_t m, uint64_t position)
{
	struct backup_reader *reader = backup_make(first_index);
	struct node_config *config = node_make(k, m);
	struct backup_restored restored;
	struct backup_source_facts facts;
	struct seen seen;

	storage_make(config, SUPERBLOCK_REJOINING, LOG_PAGES);
	if (backup_restore(reader, config, position, &restored, text, sizeof(text)) != TERN_OK)
		fail_msg("%u+%u to %llu: %s", k, m, (unsigned long long)position, text);
	assert_int_equal(restored.position, position);
	assert_false(is_filling(config));
	assert_true(hash128_equal(restored.chain, sample.chains[position - first_index]));
	/* With as many devices lost as it bears. */
	for (uint32_t lost = 0; lost <= m; lost++) {
		if (lost != 0)
			assert_int_equal(unlink(config->devices[(lost * 2) % (k + m)].path), 0);
		const enum tern_err err = look(config, UINT64_MAX, &seen, &facts);
		if (lost != 0 && k + m - lost <= m) {
			/* The half that is left may have been left behind. */
			assert_int_equal(err, TERN_ERR_FOREIGN);
			continue;
		}
		assert_int_equal(err, TERN_OK);
		assert_int_equal(seen.blocks, position - first_index);
		assert_int_equal(seen.chunks, first_index != 0 ? 2 : 0);
		assert_int_equal(facts.last_index, position);
		assert_int_equal(facts.cluster_id, NEW_CLUSTER);
		assert_true(hash128_equal(facts.chain, restored.chain));
	}
	backup_reader_close(reader);
	free(config);
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
}

static void
test_positions(void **state)
{
	(void)state;
	check_restore(0, 1, 0, 1);
	check_restore(0, 1, 0, 17);
	check_restore(0, 1, 0, SAMPLE_BLOCKS);
	check_restore(300, 1, 0, 300);
	check_restore(300, 1, 0, 301);
	check_restore(300, 1, 0, 300 + SAMPLE_BLOCKS);
}

static void
test_geometries(void **state)
{
	(void)state;
	check_restore(300, 1, 1, 320);
	check_restore(300, 2, 1, 300 + SAMPLE_BLOCKS);
	check_restore(0, 3, 2, 33);
}

static void
expect_refused(struct backup_reader *reader, const struct node_config *config, uint64_t position,
	       enum tern_err err, const char *words)
{
	struct backup_restored restored;

	assert_int_equal(backup_restore(reader, config, position, &restored, text, sizeof(text)),
			 err);
	if (strstr(text, words) == NULL)
		fail_msg("\"%s\" says nothing of \"%s\"", text, words);
}

static void
test_refused(void **state)
{
	struct backup_reader *reader = backup_make(300);
	struct node_config *config = node_make(1, 0);

	(void)state;
	storage_make(config, SUPERBLOCK_REJOINING, LOG_PAGES);
	expect_refused(reader, config, 299, TERN_ERR_NOT_FOUND, "300 to 340");
	expect_refused(reader, config, 341, TERN_ERR_NOT_FOUND, "300 to 340");
	config->state.capacity_bytes++;
	expect_refused(reader, config, 300, TERN_ERR_CONFIG, "state.capacity");
	config->state.capacity_bytes--;
	config->is_log_volatile = true;
	expect_refused(reader, config, 300, TERN_ERR_CONFIG, "volatile");
	config->is_log_volatile = false;
	config->kind = NODE_WITNESS;
	expect_refused(reader, config, 300, TERN_ERR_CONFIG, "witness");
	config->kind = NODE_DATA;
	/* Storage of a member is nobody's to fill. */
	storage_make(config, SUPERBLOCK_MEMBER, LOG_PAGES);
	expect_refused(reader, config, 300, TERN_ERR_FOREIGN, "just now");
	/* Nor is one on which something lies that is not known. */
	storage_make(config, SUPERBLOCK_REJOINING, LOG_PAGES);
	const int fd = open(config->devices[0].path, O_WRONLY);
	assert_int_equal(
	    pwrite(fd, "what is it", 10, (off_t)(SUPERBLOCK_AREA_PAGES + 3) * PAGE_BYTES), 10);
	assert_int_equal(close(fd), 0);
	expect_refused(reader, config, 300, TERN_ERR_FOREIGN, "not blank");
	backup_reader_close(reader);
	free(config);
}

/* A log that does not fit leaves storage that is no member's, and may be gone over. */
static void
test_too_small(void **state)
{
	struct backup_reader *reader = backup_make(0);
	struct node_config *config = node_make(1, 0);
	struct backup_source_facts facts;
	struct seen seen;

	(void)state;
	storage_make(config, SUPERBLOCK_REJOINING, sample.hdr.log_pages);
	expect_refused(reader, config, sample.hdr.last_index, TERN_ERR_TOO_LARGE, "too small");
	assert_true(is_filling(config));
	assert_int_equal(look(config, UINT64_MAX, &seen, &facts), TERN_ERR_FOREIGN);
	backup_reader_close(reader);
	free(config);
}

/* Damage on the devices: of one that bears it nothing is seen, of one that does not it is told. */
static void
test_damaged_source(void **state)
{
	struct backup_reader *reader = backup_make(300);
	struct node_config *config = node_make(2, 1);
	struct backup_restored restored;
	struct backup_source_facts facts;
	struct seen seen;
	uint8_t junk[PAGE_BYTES];

	(void)state;
	memset(junk, 0x5a, sizeof(junk));
	storage_make(config, SUPERBLOCK_REJOINING, LOG_PAGES);
	assert_int_equal(backup_restore(reader, config, 340, &restored, text, sizeof(text)),
			 TERN_OK);
	for (uint32_t device = 0; device < 2; device++) {
		FILE *stream = fopen(config->devices[device].path, "r+");
		assert_non_null(stream);
		/* The log area's third row, and the second page of the checkpoint. */
		assert_int_equal(fseek(stream, (SUPERBLOCK_AREA_PAGES + 2) * PAGE_BYTES, SEEK_SET),
				 0);
		assert_int_equal(fwrite(junk, sizeof(junk), 1, stream), 1);
		assert_int_equal(
		    fseek(stream, (long)config->devices[0].bytes + PAGE_BYTES, SEEK_SET), 0);
		assert_int_equal(fwrite(junk, sizeof(junk), 1, stream), 1);
		assert_int_equal(fclose(stream), 0);
		const enum tern_err err = look(config, UINT64_MAX, &seen, &facts);
		assert_int_equal(err, device == 0 ? TERN_OK : TERN_ERR_CORRUPT);
		if (device == 0)
			assert_int_equal(facts.last_index, 340);
	}
	backup_reader_close(reader);
	free(config);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_positions), CASE(test_geometries),     CASE(test_refused),
		CASE(test_too_small), CASE(test_damaged_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
