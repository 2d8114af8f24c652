/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/backup/columns.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

struct backup_writer {
	struct backup_writer_config config;
	struct stripe_code *code;
	struct stripe_layout layout;
	void *code_memory;
	uint8_t *data, *parity;
	uint32_t page, at; /* where the next byte goes: page of the stripe, byte of its payload */
	uint64_t stripe_count, stored_bytes;
	uint32_t opened; /* files */
	int fds[BACKUP_DIRS_MAX];
	char paths[BACKUP_DIRS_MAX][BACKUP_PATH_MAX];
	char parts[BACKUP_DIRS_MAX][BACKUP_PATH_MAX + 8];
	bool is_finished;
};

static bool
fail(char *text, size_t text_bytes, const char *path, const char *what)
{
	(void)snprintf(text, text_bytes, "%s: %s: %s", path, what, strerror(errno));
	return false;
}

static bool
file_make(struct backup_writer *writer, uint32_t column, char *text, size_t text_bytes)
{
	const char *dir = writer->config.dirs[column];
	char *path = writer->paths[column], *part = writer->parts[column];
	const int bytes =
	    snprintf(path, BACKUP_PATH_MAX, "%s/%s%s", dir, writer->config.name, BACKUP_SUFFIX);

	if (bytes < 0 || (size_t)bytes >= BACKUP_PATH_MAX) {
		(void)snprintf(text, text_bytes, "%.64s...: the path is too long", dir);
		return false;
	}
	memcpy(part, path, (size_t)bytes);
	memcpy(part + bytes, ".part", sizeof(".part"));
	if (access(path, F_OK) == 0) {
		errno = EEXIST;
		return fail(text, text_bytes, path, "it cannot be made");
	}
	writer->fds[column] = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (writer->fds[column] < 0)
		return fail(text, text_bytes, part, "it cannot be made");
	writer->opened++;
	return true;
}

bool
backup_writer_open(const struct backup_writer_config *config, struct backup_writer **out,
		   char *text, size_t text_bytes)
{
	const uint32_t count = stripe_devices(config->geometry);
	const uint32_t pages = config->geometry.k * config->rows;
	const size_t parity_pages = (size_t)config->geometry.m * config->rows;
	struct backup_writer *writer = calloc(1, sizeof(*writer));

	INVARIANT(stripe_geometry_is_valid(config->geometry));
	INVARIANT(config->rows >= 1 && config->rows <= BACKUP_ROWS_MAX);
	(void)snprintf(text, text_bytes, "out of memory");
	if (writer == NULL)
		return false;
	writer->config = *config;
	writer->layout = stripe_layout_make(config->geometry, 0, pages);
	writer->code_memory = aligned_alloc(64, align_up_u64(stripe_code_bytes(), 64));
	writer->data = aligned_alloc(PAGE_BYTES, (size_t)pages * PAGE_BYTES);
	writer->parity = aligned_alloc(PAGE_BYTES, (parity_pages + 1) * PAGE_BYTES);
	bool is_good =
	    writer->code_memory != NULL && writer->data != NULL && writer->parity != NULL &&
	    stripe_code_init(writer->code_memory, config->geometry, &writer->code) == TERN_OK;
	for (uint32_t column = 0; column < count && is_good; column++)
		is_good = file_make(writer, column, text, text_bytes);
	if (!is_good) {
		backup_writer_close(writer);
		return false;
	}
	*out = writer;
	return true;
}

void
backup_writer_reset(struct backup_writer *writer)
{
	writer->page = writer->at = 0;
	writer->stripe_count = writer->stored_bytes = 0;
}

static bool
write_all(int fd, const uint8_t *bytes, size_t count, uint64_t offset)
{
	while (count != 0) {
		const ssize_t done = pwrite(fd, bytes, count, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		offset += (uint64_t)done;
		count -= (size_t)done;
	}
	return true;
}

/* Where a column of the stripe lies: its pages follow each other. */
static uint8_t *
column_at(struct backup_writer *writer, uint32_t column)
{
	const size_t bytes = (size_t)writer->config.rows * PAGE_BYTES;
	const uint32_t m = writer->config.geometry.m;

	return column < m ? writer->parity + column * bytes : writer->data + (column - m) * bytes;
}

static bool
stripe_write(struct backup_writer *writer, char *text, size_t text_bytes)
{
	const uint32_t rows = writer->config.rows;
	const struct stripe_geometry geometry = writer->config.geometry;

	stripe_encode(writer->code, &writer->layout, writer->data, writer->parity);
	for (uint32_t column = 0; column < stripe_devices(geometry); column++) {
		uint8_t *pages = column_at(writer, column);
		for (uint32_t row = 0; row < rows; row++) {
			const struct backup_page what = {
				.id = writer->config.id,
				.stripe = writer->stripe_count,
				.row = row,
				.kind = BACKUP_PAGE_STRIPE,
				.k = (uint8_t)geometry.k,
				.m = (uint8_t)geometry.m,
				.column = (uint8_t)column,
			};
			backup_page_seal(pages + (size_t)row * PAGE_BYTES, &what);
		}
		if (!write_all(writer->fds[column], pages, (size_t)rows * PAGE_BYTES,
			       (1 + writer->stripe_count * rows) * PAGE_BYTES))
			return fail(text, text_bytes, writer->parts[column],
				    "it cannot be written");
	}
	writer->stripe_count++;
	writer->page = writer->at = 0;
	return true;
}

bool
backup_writer_add(struct backup_writer *writer, const uint8_t *bytes, size_t count, char *text,
		  size_t text_bytes)
{
	while (count != 0) {
		const size_t some = min_u64(count, BACKUP_PAYLOAD_BYTES - writer->at);
		uint8_t *page = writer->data + (size_t)writer->page * PAGE_BYTES;
		memcpy(page + BACKUP_IDENTITY_BYTES + writer->at, bytes, some);
		bytes += some;
		count -= some;
		writer->at += (uint32_t)some;
		writer->stored_bytes += some;
		if (writer->at < BACKUP_PAYLOAD_BYTES)
			return true;
		writer->at = 0;
		writer->page++;
		if (writer->page == writer->layout.pages && !stripe_write(writer, text, text_bytes))
			return false;
	}
	return true;
}

/* The rest of the last stripe is zero. */
static bool
tail_write(struct backup_writer *writer, char *text, size_t text_bytes)
{
	if (writer->page == 0 && writer->at == 0)
		return true;
	for (; writer->page < writer->layout.pages; writer->page++, writer->at = 0) {
		uint8_t *page = writer->data + (size_t)writer->page * PAGE_BYTES;
		memset(page + BACKUP_IDENTITY_BYTES + writer->at, 0,
		       BACKUP_PAYLOAD_BYTES - writer->at);
	}
	return stripe_write(writer, text, text_bytes);
}

static bool
file_finish(struct backup_writer *writer, const struct backup_hdr *hdr, uint32_t column, char *text,
	    size_t text_bytes)
{
	const int fd = writer->fds[column];
	uint8_t page[PAGE_BYTES];

	backup_hdr_encode(page, hdr, (uint8_t)column, false);
	bool is_good = write_all(fd, page, PAGE_BYTES, 0);
	backup_hdr_encode(page, hdr, (uint8_t)column, true);
	is_good = is_good && write_all(fd, page, PAGE_BYTES, backup_file_bytes(hdr) - PAGE_BYTES) &&
		  ftruncate(fd, (off_t)backup_file_bytes(hdr)) == 0 && fsync(fd) == 0;
	return is_good || fail(text, text_bytes, writer->parts[column], "it cannot be written");
}

bool
backup_writer_finish(struct backup_writer *writer, struct backup_hdr *hdr, char *text,
		     size_t text_bytes)
{
	const uint32_t count = stripe_devices(writer->config.geometry);
	bool is_good = tail_write(writer, text, text_bytes);
	uint32_t named = 0;

	hdr->id = writer->config.id;
	hdr->geometry = writer->config.geometry;
	hdr->rows = writer->config.rows;
	hdr->stripe_count = writer->stripe_count;
	hdr->stored_bytes = writer->stored_bytes;
	for (uint32_t column = 0; column < count && is_good; column++)
		is_good = file_finish(writer, hdr, column, text, text_bytes);
	for (; named < count && is_good; named++) {
		is_good = rename(writer->parts[named], writer->paths[named]) == 0 &&
			  platform_directory_sync(writer->paths[named]) == TERN_OK;
		if (!is_good)
			(void)fail(text, text_bytes, writer->paths[named], "it cannot be named");
	}
	for (uint32_t column = 0; column < named && !is_good; column++)
		(void)unlink(writer->paths[column]);
	writer->is_finished = is_good;
	return is_good;
}

void
backup_writer_close(struct backup_writer *writer)
{
	if (writer == NULL)
		return;
	for (uint32_t column = 0; column < writer->opened; column++) {
		(void)close(writer->fds[column]);
		if (!writer->is_finished)
			(void)unlink(writer->parts[column]);
	}
	free(writer->code_memory);
	free(writer->data);
	free(writer->parity);
	free(writer);
}
