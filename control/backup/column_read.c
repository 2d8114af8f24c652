/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/backup/columns.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

struct backup_reader {
	char name[BACKUP_NAME_MAX];
	struct backup_hdr hdr;
	uint32_t dir_count;
	struct backup_part parts[BACKUP_DIRS_MAX]; /* by directory */
	int fds[BACKUP_DIRS_MAX];                  /* the same; -1: none */
	int dir_of[BACKUP_DIRS_MAX];               /* by column; -1: none */
	struct stripe_code *code;
	struct stripe_layout layout;
	void *code_memory;
	uint8_t *data, *parity, *scratch; /* scratch: parity that is computed anew */
	uint8_t *bytes;                   /* payloads of a stripe, contiguous */
	uint64_t stripe;
	uint32_t bad[BACKUP_ROWS_MAX]; /* columns of which this row is lost, of the stripe */
};

const char *
backup_part_state_text(enum backup_part_state state)
{
	switch (state) {
	case BACKUP_PART_OK:
		return "ok";
	case BACKUP_PART_DAMAGED:
		return "damaged";
	case BACKUP_PART_MISSING:
		return "missing";
	case BACKUP_PART_FOREIGN:
		return "foreign";
	case BACKUP_PART_DUPLICATE:
		return "duplicate";
	}
	return "unknown";
}

/* False: less than that could be read; the rest of @bytes is zero. */
static bool
read_all(int fd, uint8_t *bytes, size_t count, uint64_t offset)
{
	while (count != 0) {
		const ssize_t done = pread(fd, bytes, count, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			memset(bytes, 0, count);
			return false;
		}
		bytes += done;
		offset += (uint64_t)done;
		count -= (size_t)done;
	}
	return true;
}

/* ---- finding ---- */

/* One of the two header pages of a file. False: neither is good. @is_whole: both are. */
static bool
hdr_read(int fd, struct backup_hdr *hdr, uint8_t *column, bool *is_whole)
{
	uint8_t page[PAGE_BYTES];
	struct backup_hdr behind;
	uint8_t column_behind;
	struct stat facts;

	if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size < (off_t)PAGE_BYTES)
		return false;
	const bool is_front =
	    read_all(fd, page, PAGE_BYTES, 0) && backup_hdr_decode(page, hdr, column) == TERN_OK;
	const uint64_t last = is_front
				  ? backup_file_bytes(hdr) - PAGE_BYTES
				  : (uint64_t)facts.st_size / PAGE_BYTES * PAGE_BYTES - PAGE_BYTES;
	bool is_behind = read_all(fd, page, PAGE_BYTES, last) &&
			 backup_hdr_decode(page, &behind, &column_behind) == TERN_OK;
	if (is_front && is_behind)
		is_behind = backup_hdr_equal(hdr, &behind) && *column == column_behind;
	*is_whole = is_front && is_behind;
	if (!is_front && is_behind) {
		*hdr = behind;
		*column = column_behind;
	}
	return is_front || is_behind;
}

static bool
name_of(const char *file, char name[BACKUP_NAME_MAX])
{
	const size_t bytes = strlen(file), suffix = sizeof(BACKUP_SUFFIX) - 1;

	if (bytes <= suffix || bytes - suffix >= BACKUP_NAME_MAX ||
	    strcmp(file + bytes - suffix, BACKUP_SUFFIX) != 0)
		return false;
	memcpy(name, file, bytes - suffix);
	name[bytes - suffix] = 0;
	return true;
}

static int
path_open(const char *dir, const char *name, char path[BACKUP_PATH_MAX])
{
	const int bytes = snprintf(path, BACKUP_PATH_MAX, "%s/%s%s", dir, name, BACKUP_SUFFIX);

	return bytes < 0 || (size_t)bytes >= BACKUP_PATH_MAX
		   ? -1
		   : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static void
found_note(struct backup_found *found, uint32_t *count, const char *dir, const char *name)
{
	char path[BACKUP_PATH_MAX];
	uint32_t at = 0;
	uint8_t column;
	bool is_whole;

	while (at < *count && strcmp(found[at].name, name) != 0)
		at++;
	if (at == BACKUP_FOUND_MAX)
		return;
	if (at == *count) {
		found[at] = (struct backup_found){ 0 };
		(void)snprintf(found[at].name, BACKUP_NAME_MAX, "%s", name);
		(*count)++;
	}
	found[at].files++;
	if (found[at].has_hdr)
		return;
	const int fd = path_open(dir, name, path);
	if (fd < 0)
		return;
	found[at].has_hdr = hdr_read(fd, &found[at].hdr, &column, &is_whole);
	(void)close(fd);
}

static int
newest_first(const void *a, const void *b)
{
	const struct backup_found *x = a, *y = b;

	if (x->has_hdr != y->has_hdr)
		return x->has_hdr ? -1 : 1;
	if (x->hdr.created_s != y->hdr.created_s)
		return x->hdr.created_s > y->hdr.created_s ? -1 : 1;
	return -strcmp(x->name, y->name);
}

uint32_t
backup_find(const char *const *dirs, uint32_t dir_count, struct backup_found *found)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < dir_count; i++) {
		DIR *stream = opendir(dirs[i]);
		const struct dirent *entry;
		char name[BACKUP_NAME_MAX];
		while (stream != NULL && (entry = readdir(stream)) != NULL) {
			if (name_of(entry->d_name, name))
				found_note(found, &count, dirs[i], name);
		}
		if (stream != NULL)
			(void)closedir(stream);
	}
	qsort(found, count, sizeof(found[0]), newest_first);
	return count;
}

/* ---- opening ---- */

/* A header that other directories may be measured by: the one that most files with the name have.
 * False: none of them can be read. */
static bool
hdr_choose(struct backup_reader *reader)
{
	struct backup_hdr hdrs[BACKUP_DIRS_MAX];
	uint32_t votes[BACKUP_DIRS_MAX] = { 0 }, count = 0, best = 0;

	for (uint32_t dir = 0; dir < reader->dir_count; dir++) {
		struct backup_hdr hdr;
		uint32_t at = 0;
		uint8_t column;
		bool is_whole;
		if (reader->fds[dir] < 0 || !hdr_read(reader->fds[dir], &hdr, &column, &is_whole))
			continue;
		while (at < count && !backup_hdr_equal(&hdrs[at], &hdr))
			at++;
		if (at == count)
			hdrs[count++] = hdr;
		votes[at]++;
		best = votes[at] > votes[best] ? at : best;
	}
	if (count != 0)
		reader->hdr = hdrs[best];
	return count != 0;
}

/* Which column a file without a good header page holds: any page of it tells. -1: it is of another
 * backup, or nothing of it can be read. */
static int
column_by_pages(const struct backup_reader *reader, int fd)
{
	const struct backup_hdr *hdr = &reader->hdr;
	uint8_t page[PAGE_BYTES];
	struct backup_page what;

	for (uint64_t i = 0; i < hdr->stripe_count * hdr->rows; i++) {
		if (!read_all(fd, page, PAGE_BYTES, (1 + i) * PAGE_BYTES))
			return -1;
		if (backup_page_open(page, &what) != TERN_OK)
			continue;
		return hash128_equal(what.id, hdr->id) && what.k == hdr->geometry.k &&
			       what.m == hdr->geometry.m
			   ? (int)what.column
			   : -1;
	}
	return -1;
}

static void
part_judge(struct backup_reader *reader, uint32_t dir)
{
	struct backup_part *part = &reader->parts[dir];
	const int fd = reader->fds[dir];
	struct backup_hdr hdr;
	struct stat facts;
	uint8_t column = 0;
	bool is_whole = false;

	part->column = -1;
	part->state = BACKUP_PART_MISSING;
	if (fd < 0)
		return;
	part->state = BACKUP_PART_FOREIGN;
	if (hdr_read(fd, &hdr, &column, &is_whole))
		part->column = backup_hdr_equal(&hdr, &reader->hdr) ? (int)column : -1;
	else
		part->column = column_by_pages(reader, fd);
	if (part->column < 0)
		return;
	if (reader->dir_of[part->column] >= 0) {
		part->state = BACKUP_PART_DUPLICATE;
		return;
	}
	reader->dir_of[part->column] = (int)dir;
	part->is_hdr_bad = !is_whole;
	part->is_short =
	    fstat(fd, &facts) != 0 || (uint64_t)facts.st_size < backup_file_bytes(&reader->hdr);
	part->state = part->is_hdr_bad || part->is_short ? BACKUP_PART_DAMAGED : BACKUP_PART_OK;
}

static bool
memory_take(struct backup_reader *reader)
{
	const struct stripe_geometry geometry = reader->hdr.geometry;
	const size_t row_bytes = (size_t)reader->hdr.rows * PAGE_BYTES;

	reader->layout = stripe_layout_make(geometry, 0, geometry.k * reader->hdr.rows);
	reader->code_memory = aligned_alloc(64, align_up_u64(stripe_code_bytes(), 64));
	reader->data = aligned_alloc(PAGE_BYTES, geometry.k * row_bytes);
	reader->parity = aligned_alloc(PAGE_BYTES, (geometry.m + 1) * row_bytes);
	reader->scratch = aligned_alloc(PAGE_BYTES, (geometry.m + 1) * row_bytes);
	reader->bytes = malloc(backup_stripe_bytes(&reader->hdr));
	return reader->code_memory != NULL && reader->data != NULL && reader->parity != NULL &&
	       reader->scratch != NULL && reader->bytes != NULL &&
	       stripe_code_init(reader->code_memory, geometry, &reader->code) == TERN_OK;
}

static enum tern_err
choose_name(const struct backup_reader_config *config, struct backup_reader *reader, char *text,
	    size_t text_bytes)
{
	struct backup_found *found;
	uint32_t count = 0;

	if (config->name != NULL) {
		(void)snprintf(reader->name, BACKUP_NAME_MAX, "%s", config->name);
		return TERN_OK;
	}
	found = calloc(BACKUP_FOUND_MAX, sizeof(*found));
	if (found != NULL)
		count = backup_find(config->dirs, config->dir_count, found);
	if (count != 0)
		(void)snprintf(reader->name, BACKUP_NAME_MAX, "%s", found[0].name);
	free(found);
	(void)snprintf(text, text_bytes, "there is no backup in %s%s", config->dirs[0],
		       config->dir_count > 1 ? " and the other directories" : "");
	return count != 0 ? TERN_OK : TERN_ERR_NOT_FOUND;
}

static enum tern_err
open_files(const struct backup_reader_config *config, struct backup_reader *reader, char *text,
	   size_t text_bytes)
{
	uint32_t count = 0;

	for (uint32_t dir = 0; dir < config->dir_count; dir++) {
		reader->fds[dir] =
		    path_open(config->dirs[dir], reader->name, reader->parts[dir].path);
		count += reader->fds[dir] >= 0;
	}
	if (count == 0) {
		(void)snprintf(text, text_bytes,
			       "no directory holds %s; `tern backup list` shows what is there",
			       reader->name);
		return TERN_ERR_NOT_FOUND;
	}
	if (!hdr_choose(reader)) {
		(void)snprintf(text, text_bytes,
			       "%s: no header page can be read in any of %u files", reader->name,
			       count);
		return TERN_ERR_CORRUPT;
	}
	for (uint32_t dir = 0; dir < config->dir_count; dir++)
		part_judge(reader, dir);
	return TERN_OK;
}

enum tern_err
backup_reader_open(const struct backup_reader_config *config, struct backup_reader **out,
		   char *text, size_t text_bytes)
{
	struct backup_reader *reader = calloc(1, sizeof(*reader));

	INVARIANT(config->dir_count >= 1 && config->dir_count <= BACKUP_DIRS_MAX);
	(void)snprintf(text, text_bytes, "out of memory");
	if (reader == NULL)
		return TERN_ERR_NO_MEMORY;
	reader->dir_count = config->dir_count;
	for (uint32_t i = 0; i < BACKUP_DIRS_MAX; i++)
		reader->fds[i] = reader->dir_of[i] = -1;
	enum tern_err err = choose_name(config, reader, text, text_bytes);
	if (err == TERN_OK)
		err = open_files(config, reader, text, text_bytes);
	if (err == TERN_OK && !memory_take(reader))
		err = TERN_ERR_NO_MEMORY;
	if (err != TERN_OK) {
		backup_reader_close(reader);
		return err;
	}
	*out = reader;
	return TERN_OK;
}

void
backup_reader_close(struct backup_reader *reader)
{
	if (reader == NULL)
		return;
	for (uint32_t i = 0; i < reader->dir_count; i++) {
		if (reader->fds[i] >= 0)
			(void)close(reader->fds[i]);
	}
	free(reader->code_memory);
	free(reader->data);
	free(reader->parity);
	free(reader->scratch);
	free(reader->bytes);
	free(reader);
}

const struct backup_hdr *
backup_reader_hdr(const struct backup_reader *reader)
{
	return &reader->hdr;
}

const char *
backup_reader_name(const struct backup_reader *reader)
{
	return reader->name;
}

const struct backup_part *
backup_reader_part(const struct backup_reader *reader, uint32_t dir)
{
	INVARIANT(dir < reader->dir_count);
	return &reader->parts[dir];
}

uint32_t
backup_reader_missing(const struct backup_reader *reader)
{
	uint32_t missing = 0;

	for (uint32_t column = 0; column < stripe_devices(reader->hdr.geometry); column++) {
		if (reader->dir_of[column] < 0)
			missing |= STRIPE_BIT(column);
	}
	return missing;
}

/* ---- stripes ---- */

static uint8_t *
column_at(const struct backup_reader *reader, uint8_t *parity, uint32_t column)
{
	const size_t bytes = (size_t)reader->hdr.rows * PAGE_BYTES;
	const uint32_t m = reader->hdr.geometry.m;

	return column < m ? parity + column * bytes : reader->data + (column - m) * bytes;
}

static bool
is_page_good(const struct backup_reader *reader, const uint8_t *page, uint32_t column, uint32_t row)
{
	struct backup_page what;

	return backup_page_open(page, &what) == TERN_OK && what.kind == BACKUP_PAGE_STRIPE &&
	       hash128_equal(what.id, reader->hdr.id) && what.column == column && what.row == row &&
	       what.stripe == reader->stripe && what.k == reader->hdr.geometry.k &&
	       what.m == reader->hdr.geometry.m;
}

static void
column_read(struct backup_reader *reader, uint32_t column)
{
	const uint32_t rows = reader->hdr.rows;
	const int dir = reader->dir_of[column];
	uint8_t *pages = column_at(reader, reader->parity, column);

	if (dir >= 0)
		(void)read_all(reader->fds[dir], pages, (size_t)rows * PAGE_BYTES,
			       (1 + reader->stripe * rows) * PAGE_BYTES);
	for (uint32_t row = 0; row < rows; row++) {
		if (dir >= 0 && is_page_good(reader, pages + (size_t)row * PAGE_BYTES, column, row))
			continue;
		reader->bad[row] |= STRIPE_BIT(column);
		if (dir < 0)
			continue;
		reader->parts[dir].bad_pages++;
		reader->parts[dir].state = BACKUP_PART_DAMAGED;
	}
}

/* Rows of which nothing is lost: their parity must be what the data give. */
static void
parity_compare(struct backup_reader *reader)
{
	const uint32_t rows = reader->hdr.rows;

	stripe_encode(reader->code, &reader->layout, reader->data, reader->scratch);
	for (uint32_t column = 0; column < reader->hdr.geometry.m; column++) {
		const uint8_t *found = column_at(reader, reader->parity, column);
		const uint8_t *right = column_at(reader, reader->scratch, column);
		const int dir = reader->dir_of[column];
		for (uint32_t row = 0; row < rows; row++) {
			const size_t at = (size_t)row * PAGE_BYTES + BACKUP_IDENTITY_BYTES;
			if (reader->bad[row] != 0 ||
			    memcmp(found + at, right + at, BACKUP_PAYLOAD_BYTES) == 0)
				continue;
			reader->parts[dir].bad_pages++;
			reader->parts[dir].state = BACKUP_PART_DAMAGED;
		}
	}
}

static bool
stripe_heal_rows(struct backup_reader *reader)
{
	const uint32_t parity = STRIPE_BIT(reader->hdr.geometry.m) - 1;

	for (uint32_t row = 0; row < reader->hdr.rows; row++) {
		const uint32_t lost = reader->bad[row];
		const struct stripe_decode decode = {
			.lost = lost,
			.wanted = lost & ~parity,
			.first_row = row,
			.end_row = row + 1,
		};
		if (decode.wanted != 0 && stripe_decode(reader->code, &reader->layout, &decode,
							reader->data, reader->parity) != TERN_OK)
			return false;
	}
	return true;
}

enum tern_err
backup_reader_next(struct backup_reader *reader, const uint8_t **bytes, size_t *count, char *text,
		   size_t text_bytes)
{
	const struct backup_hdr *hdr = &reader->hdr;
	const uint64_t before = reader->stripe * backup_stripe_bytes(hdr);

	*count = 0;
	if (reader->stripe == hdr->stripe_count)
		return TERN_OK;
	memset(reader->bad, 0, sizeof(reader->bad));
	for (uint32_t column = 0; column < stripe_devices(hdr->geometry); column++)
		column_read(reader, column);
	if (!stripe_heal_rows(reader)) {
		(void)snprintf(text, text_bytes,
			       "stripe %llu of %llu: more than %u of its %u columns are lost",
			       (unsigned long long)reader->stripe,
			       (unsigned long long)hdr->stripe_count, hdr->geometry.m,
			       stripe_devices(hdr->geometry));
		return TERN_ERR_CORRUPT;
	}
	parity_compare(reader);
	for (uint32_t page = 0; page < reader->layout.pages; page++)
		memcpy(reader->bytes + (size_t)page * BACKUP_PAYLOAD_BYTES,
		       reader->data + (size_t)page * PAGE_BYTES + BACKUP_IDENTITY_BYTES,
		       BACKUP_PAYLOAD_BYTES);
	reader->stripe++;
	*bytes = reader->bytes;
	*count = (size_t)min_u64(backup_stripe_bytes(hdr), hdr->stored_bytes - before);
	return TERN_OK;
}
