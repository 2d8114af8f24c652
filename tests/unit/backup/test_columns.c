/* SPDX-License-Identifier: Apache-2.0 */
/* The K + M files of a backup: whatever M directories are lost or damaged, what was written is read
 * back, and what is wrong is named. One more, and it is refused. Directories come in any order. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/backup/columns.h"
#include "dataplane/base/prng.h"

#define ROWS  2u
#define BYTES 70000u
#define NAME  "one"

static char root[64];
static char dirs_text[BACKUP_DIRS_MAX][96];
static const char *dirs[BACKUP_DIRS_MAX];
static uint8_t content[BYTES];
static char text[BACKUP_TEXT_MAX];

static void
file_path(const char *dir, const char *name, char out[256])
{
	(void)snprintf(out, 256, "%s/%s%s", dir, name, BACKUP_SUFFIX);
}

static void
wipe(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	assert_int_equal(system(command), 0);
}

static int
setup(void **state)
{
	struct prng prng;

	(void)state;
	(void)snprintf(root, sizeof(root), "backup-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (uint32_t i = 0; i < BACKUP_DIRS_MAX; i++) {
		(void)snprintf(dirs_text[i], sizeof(dirs_text[i]), "%s/d%u", root, i);
		assert_int_equal(mkdir(dirs_text[i], 0700), 0);
		dirs[i] = dirs_text[i];
	}
	prng_seed(&prng, 7);
	for (uint32_t i = 0; i < BYTES; i++)
		content[i] = (uint8_t)prng_next(&prng);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	wipe();
	return 0;
}

static struct backup_hdr
hdr_of(uint64_t created_s)
{
	return (struct backup_hdr){ .cluster_id = 9,
				    .node_id = 1,
				    .created_s = created_s,
				    .last_index = 5,
				    .commit_index = 5,
				    .last_term = 1,
				    .log_pages = 5,
				    .block_pages_max = 1 };
}

static void
write_one(struct stripe_geometry geometry, const char *name, uint64_t created_s)
{
	const struct backup_writer_config config = {
		.geometry = geometry,
		.dirs = dirs,
		.name = name,
		.id = { 5, created_s },
		.rows = ROWS,
	};
	struct backup_hdr hdr = hdr_of(created_s);
	struct backup_writer *writer;

	assert_true(backup_writer_open(&config, &writer, text, sizeof(text)));
	/* What is forgotten leaves no trace. */
	assert_true(backup_writer_add(writer, content, BYTES / 3, text, sizeof(text)));
	backup_writer_reset(writer);
	assert_true(backup_writer_add(writer, content, 1, text, sizeof(text)));
	assert_true(backup_writer_add(writer, content + 1, BYTES - 1, text, sizeof(text)));
	assert_true(backup_writer_finish(writer, &hdr, text, sizeof(text)));
	backup_writer_close(writer);
	assert_int_equal(hdr.stored_bytes, BYTES);
}

/* Reads all of it. OK only if it is what was written. */
static enum tern_err
read_one(struct backup_reader *reader)
{
	size_t at = 0, count = 1;
	const uint8_t *bytes = NULL;

	for (;;) {
		const enum tern_err err =
		    backup_reader_next(reader, &bytes, &count, text, sizeof(text));
		if (err != TERN_OK)
			return err;
		if (count == 0)
			break;
		assert_true(at + count <= BYTES);
		assert_memory_equal(bytes, content + at, count);
		at += count;
	}
	assert_int_equal(at, BYTES);
	return TERN_OK;
}

static struct backup_reader *
open_some(const char *const *where, uint32_t count, const char *name)
{
	const struct backup_reader_config config = { where, count, name };
	struct backup_reader *reader = NULL;

	if (backup_reader_open(&config, &reader, text, sizeof(text)) != TERN_OK)
		return NULL;
	return reader;
}

static const struct stripe_geometry geometries[] = { { 1, 0 }, { 1, 1 }, { 1, 2 }, { 2, 1 },
						     { 2, 2 }, { 3, 2 }, { 4, 2 } };
#define GEOMETRIES (sizeof(geometries) / sizeof(geometries[0]))

static void
rename_file(uint32_t dir, bool is_away)
{
	char path[256], away[300];

	file_path(dirs[dir], NAME, path);
	(void)snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(is_away ? rename(path, away) : rename(away, path), 0);
}

/* Every set of directories that are empty. */
static void
test_lost(void **state)
{
	(void)state;
	for (size_t g = 0; g < GEOMETRIES; g++) {
		const uint32_t count = stripe_devices(geometries[g]);
		wipe();
		assert_int_equal(setup(NULL), 0);
		write_one(geometries[g], NAME, 1);
		for (uint32_t lost = 0; lost + 1 < STRIPE_BIT(count); lost++) {
			for (uint32_t i = 0; i < count; i++)
				if ((lost & STRIPE_BIT(i)) != 0)
					rename_file(i, true);
			struct backup_reader *reader = open_some(dirs, count, NULL);
			assert_non_null(reader);
			assert_int_equal(backup_reader_missing(reader), lost);
			const bool is_good = (uint32_t)__builtin_popcount(lost) <= geometries[g].m;
			assert_int_equal(read_one(reader), is_good ? TERN_OK : TERN_ERR_CORRUPT);
			for (uint32_t i = 0; i < count; i++)
				assert_int_equal(backup_reader_part(reader, i)->state,
						 (lost & STRIPE_BIT(i)) != 0 ? BACKUP_PART_MISSING
									     : BACKUP_PART_OK);
			backup_reader_close(reader);
			for (uint32_t i = 0; i < count; i++)
				if ((lost & STRIPE_BIT(i)) != 0)
					rename_file(i, false);
		}
	}
}

/* Flips a byte of page @page of a directory's file, which flips it back the next time. */
static void
flip(uint32_t dir, uint64_t page, uint32_t at)
{
	char path[256];
	uint8_t byte;

	file_path(dirs[dir], NAME, path);
	const int fd = open(path, O_RDWR);
	const off_t offset = (off_t)(page * PAGE_BYTES + at);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	(void)close(fd);
}

/* Every set of directories with a damaged page in the same row; and whatever page it is of one. */
static void
test_damaged(void **state)
{
	(void)state;
	for (size_t g = 0; g < GEOMETRIES; g++) {
		const uint32_t count = stripe_devices(geometries[g]);
		wipe();
		assert_int_equal(setup(NULL), 0);
		write_one(geometries[g], NAME, 1);
		for (uint32_t bad = 1; bad < STRIPE_BIT(count); bad++) {
			for (uint32_t i = 0; i < count; i++)
				if ((bad & STRIPE_BIT(i)) != 0)
					flip(i, 2, 100 + i * 600);
			struct backup_reader *reader = open_some(dirs, count, NAME);
			assert_non_null(reader);
			const bool is_good = (uint32_t)__builtin_popcount(bad) <= geometries[g].m;
			assert_int_equal(read_one(reader), is_good ? TERN_OK : TERN_ERR_CORRUPT);
			for (uint32_t i = 0; i < count; i++) {
				const struct backup_part *part = backup_reader_part(reader, i);
				const bool is_bad = (bad & STRIPE_BIT(i)) != 0;
				assert_int_equal(part->state,
						 is_bad ? BACKUP_PART_DAMAGED : BACKUP_PART_OK);
				assert_int_equal(part->bad_pages, is_bad);
			}
			backup_reader_close(reader);
			for (uint32_t i = 0; i < count; i++)
				if ((bad & STRIPE_BIT(i)) != 0)
					flip(i, 2, 100 + i * 600);
		}
	}
}

/* Damage of more directories than m, never of more than m in one row. */
static void
test_rows(void **state)
{
	struct backup_reader *reader;

	(void)state;
	write_one((struct stripe_geometry){ 2, 1 }, NAME, 1);
	for (uint32_t dir = 0; dir < 3; dir++)
		flip(dir, 1 + dir, 0);
	reader = open_some(dirs, 3, NULL);
	assert_non_null(reader);
	assert_int_equal(read_one(reader), TERN_OK);
	for (uint32_t dir = 0; dir < 3; dir++)
		assert_int_equal(backup_reader_part(reader, dir)->bad_pages, 1);
	backup_reader_close(reader);
}

static void
test_headers(void **state)
{
	struct backup_reader *reader;
	struct stat facts;
	char path[256];

	(void)state;
	write_one((struct stripe_geometry){ 2, 1 }, NAME, 1);
	file_path(dirs[0], NAME, path);
	assert_int_equal(stat(path, &facts), 0);
	const uint64_t last = (uint64_t)facts.st_size / PAGE_BYTES - 1;
	/* One of the two pages of one file; both; both of all but one. */
	flip(0, 0, 70);
	reader = open_some(dirs, 3, NULL);
	assert_int_equal(read_one(reader), TERN_OK);
	assert_true(backup_reader_part(reader, 0)->is_hdr_bad);
	assert_int_equal(backup_reader_part(reader, 0)->state, BACKUP_PART_DAMAGED);
	backup_reader_close(reader);
	flip(0, last, 70);
	flip(1, 0, 5);
	flip(1, last, 300);
	reader = open_some(dirs, 3, NULL);
	assert_int_equal(read_one(reader), TERN_OK);
	assert_int_equal(backup_reader_missing(reader), 0);
	assert_int_equal(backup_reader_part(reader, 1)->column, 1);
	backup_reader_close(reader);
	flip(2, 0, 5);
	flip(2, last, 5);
	assert_null(open_some(dirs, 3, NULL));
	assert_non_null(strstr(text, "no header page"));
}

/* Files that end at every page, and inside of one. */
static void
test_cut_off(void **state)
{
	struct stat facts;
	char path[256];

	(void)state;
	write_one((struct stripe_geometry){ 2, 2 }, NAME, 1);
	file_path(dirs[0], NAME, path);
	assert_int_equal(stat(path, &facts), 0);
	for (off_t bytes = facts.st_size - 1; bytes >= 0; bytes -= PAGE_BYTES / 2) {
		assert_int_equal(truncate(path, bytes), 0);
		struct backup_reader *reader = open_some(dirs, 4, NULL);
		assert_non_null(reader);
		assert_int_equal(read_one(reader), TERN_OK);
		const struct backup_part *part = backup_reader_part(reader, 0);
		assert_int_not_equal(part->state, BACKUP_PART_OK);
		assert_true(part->is_short || part->state == BACKUP_PART_FOREIGN);
		backup_reader_close(reader);
	}
}

static void
test_order(void **state)
{
	const char *turned[6];
	struct backup_reader *reader;

	(void)state;
	write_one((struct stripe_geometry){ 4, 2 }, NAME, 1);
	for (uint32_t shift = 0; shift < 6; shift++) {
		for (uint32_t i = 0; i < 6; i++)
			turned[i] = dirs[(5 - i + shift) % 6];
		reader = open_some(turned, 6, NULL);
		assert_int_equal(read_one(reader), TERN_OK);
		for (uint32_t i = 0; i < 6; i++) {
			assert_int_equal(backup_reader_part(reader, i)->state, BACKUP_PART_OK);
			assert_int_equal(backup_reader_part(reader, i)->column,
					 (int)((5 - i + shift) % 6));
		}
		backup_reader_close(reader);
	}
	/* Any four, and no others. */
	reader = open_some(turned + 1, 4, NULL);
	assert_int_equal(read_one(reader), TERN_OK);
	backup_reader_close(reader);
}

static void
copy(const char *from_dir, const char *from_name, const char *to_dir, const char *to_name)
{
	char from[256], to[256], command[600];

	file_path(from_dir, from_name, from);
	file_path(to_dir, to_name, to);
	(void)snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

/* Another backup's file under this one's name, one that is no backup's, one that is there twice,
 * and a page of another stripe: known for what they are. */
static void
test_foreign(void **state)
{
	struct backup_reader *reader;
	char path[256];

	(void)state;
	write_one((struct stripe_geometry){ 2, 2 }, NAME, 1);
	write_one((struct stripe_geometry){ 2, 2 }, "two", 2);
	copy(dirs[0], "two", dirs[0], NAME);
	file_path(dirs[1], NAME, path);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	(void)fputs("not a backup", stream);
	(void)fclose(stream);
	copy(dirs[3], NAME, dirs[4], NAME);
	reader = open_some(dirs, 6, NAME);
	assert_int_equal(read_one(reader), TERN_OK);
	assert_int_equal(backup_reader_part(reader, 0)->state, BACKUP_PART_FOREIGN);
	assert_int_equal(backup_reader_part(reader, 1)->state, BACKUP_PART_FOREIGN);
	assert_int_equal(backup_reader_part(reader, 4)->state, BACKUP_PART_DUPLICATE);
	assert_int_equal(backup_reader_part(reader, 5)->state, BACKUP_PART_MISSING);
	assert_int_equal(backup_reader_missing(reader), STRIPE_BIT(0) | STRIPE_BIT(1));
	backup_reader_close(reader);
}

static void
test_misplaced_page(void **state)
{
	uint8_t page[PAGE_BYTES];
	char path[256];

	(void)state;
	write_one((struct stripe_geometry){ 1, 1 }, NAME, 1);
	file_path(dirs[1], NAME, path);
	const int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, page, PAGE_BYTES, PAGE_BYTES), (ssize_t)PAGE_BYTES);
	assert_int_equal(pwrite(fd, page, PAGE_BYTES, 2 * PAGE_BYTES), (ssize_t)PAGE_BYTES);
	(void)close(fd);
	struct backup_reader *reader = open_some(dirs, 2, NULL);
	assert_int_equal(read_one(reader), TERN_OK);
	assert_int_equal(backup_reader_part(reader, 1)->bad_pages, 1);
	backup_reader_close(reader);
}

static void
test_find(void **state)
{
	struct backup_found *found = calloc(BACKUP_FOUND_MAX, sizeof(*found));

	(void)state;
	assert_non_null(found);
	assert_int_equal(backup_find(dirs, 4, found), 0);
	assert_null(open_some(dirs, 4, NULL));
	write_one((struct stripe_geometry){ 2, 1 }, "b", 20);
	write_one((struct stripe_geometry){ 3, 1 }, "a", 30);
	write_one((struct stripe_geometry){ 1, 0 }, "c", 10);
	assert_int_equal(backup_find(dirs, 4, found), 3);
	assert_string_equal(found[0].name, "a");
	assert_string_equal(found[1].name, "b");
	assert_string_equal(found[2].name, "c");
	assert_int_equal(found[0].files, 4);
	assert_int_equal(found[1].files, 3);
	struct backup_reader *reader = open_some(dirs, 4, NULL);
	assert_string_equal(backup_reader_name(reader), "a");
	backup_reader_close(reader);
	assert_null(open_some(dirs, 4, "d"));
	free(found);
}

/* A directory that is not there, and one that has the name already: nothing is left anywhere. */
static void
test_refused(void **state)
{
	const char *some[3] = { dirs[0], dirs[1], "nowhere" };
	struct backup_writer_config config = {
		.geometry = { 2, 1 }, .dirs = some, .name = NAME, .rows = ROWS
	};
	struct backup_found *found = calloc(BACKUP_FOUND_MAX, sizeof(*found));
	struct backup_writer *writer = NULL;
	char command[128];

	(void)state;
	assert_non_null(found);
	assert_false(backup_writer_open(&config, &writer, text, sizeof(text)));
	assert_non_null(strstr(text, "nowhere"));
	some[2] = dirs[2];
	assert_true(backup_writer_open(&config, &writer, text, sizeof(text)));
	assert_true(backup_writer_add(writer, content, BYTES, text, sizeof(text)));
	assert_int_equal(backup_find(dirs, 3, found), 0);
	backup_writer_close(writer);
	(void)snprintf(command, sizeof(command), "test -z \"$(ls %s %s %s | grep tern)\"", dirs[0],
		       dirs[1], dirs[2]);
	assert_int_equal(system(command), 0);
	write_one((struct stripe_geometry){ 1, 0 }, NAME, 1);
	assert_false(backup_writer_open(&config, &writer, text, sizeof(text)));
	assert_int_equal(backup_find(dirs, 3, found), 1);
	free(found);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_lost),    CASE(test_damaged),        CASE(test_rows),
		CASE(test_headers), CASE(test_cut_off),        CASE(test_order),
		CASE(test_foreign), CASE(test_misplaced_page), CASE(test_find),
		CASE(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
