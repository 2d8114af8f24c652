/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/file_store/register_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/invariant.h"
#include "hw/file_store/durable.h"
#include "hw/platform/platform.h"

/* A slot has a page of its own, so that a torn write of one never touches the other. */
#define SLOT_PAGE_BYTES 4096u
#define SLOT_COUNT      2u
#define FILE_BYTES      ((REGISTER_STORE_SHARD + 1) * REGISTER_STORE_SHARD_BYTES)

static_assert(SLOT_COUNT * SLOT_PAGE_BYTES == REGISTER_STORE_SHARD_BYTES, "frozen by format 1");

static off_t
slot_offset(uint16_t shard, uint64_t sequence)
{
	return (off_t)shard * REGISTER_STORE_SHARD_BYTES +
	       (off_t)(sequence % SLOT_COUNT * SLOT_PAGE_BYTES);
}

enum tern_err
register_store_create(const char *path, const struct witness_register *birth)
{
	uint8_t file[FILE_BYTES] = { 0 };
	struct witness_register reg = *birth;

	reg.sequence = 1;
	INVARIANT(reg.shard == REGISTER_STORE_SHARD);
	witness_register_encode(file + slot_offset(reg.shard, reg.sequence), &reg);
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? TERN_ERR_BUSY : TERN_ERR_IO;
	enum tern_err err = durable_pwrite(fd, file, sizeof(file), 0);
	if (err == TERN_OK && fsync(fd) != 0)
		err = TERN_ERR_IO;
	if (err == TERN_OK)
		err = platform_directory_sync(path);
	if (err != TERN_OK)
		unlink(path);
	close(fd);
	return err;
}

/* Blank only when nothing was ever written; a slot that belongs to something else says more than
 * one that is damaged. */
static enum tern_err
slots_verdict(const enum tern_err errs[SLOT_COUNT])
{
	static const enum tern_err order[] = { TERN_ERR_CORRUPT, TERN_ERR_VERSION,
					       TERN_ERR_FOREIGN };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
			if (errs[slot] == order[i])
				return order[i];
		}
	}
	return TERN_ERR_BLANK;
}

static enum tern_err
slots_load(int fd, struct witness_register *newest)
{
	uint8_t file[FILE_BYTES];
	enum tern_err errs[SLOT_COUNT];
	struct stat st;
	bool has_any = false;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return TERN_ERR_IO;
	if (st.st_size < (off_t)FILE_BYTES)
		return TERN_ERR_CORRUPT;
	const enum tern_err err = durable_pread(fd, file, sizeof(file), 0);
	if (err != TERN_OK)
		return err;
	for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
		struct witness_register reg;
		const size_t at =
		    REGISTER_STORE_SHARD * REGISTER_STORE_SHARD_BYTES + slot * SLOT_PAGE_BYTES;
		errs[slot] = witness_register_decode(file + at, &reg);
		/* A register in another's place was put there by no write of ours. */
		if (errs[slot] == TERN_OK && (reg.shard != REGISTER_STORE_SHARD ||
					      slot_offset(reg.shard, reg.sequence) != (off_t)at))
			errs[slot] = TERN_ERR_CORRUPT;
		if (errs[slot] == TERN_OK && (!has_any || reg.sequence > newest->sequence)) {
			*newest = reg;
			has_any = true;
		}
	}
	return has_any ? TERN_OK : slots_verdict(errs);
}

enum tern_err
register_store_open(struct register_store *store, const char *path, struct witness_register *reg)
{
	*store = (struct register_store){ .fd = -1 };
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? TERN_ERR_NOT_FOUND : TERN_ERR_IO;
	enum tern_err err = TERN_OK;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		err = errno == EWOULDBLOCK ? TERN_ERR_BUSY : TERN_ERR_IO;
	if (err == TERN_OK)
		err = slots_load(fd, reg);
	/* What was just read may still sit in a cache of a process that was killed before its
	 * flush. */
	if (err == TERN_OK && fdatasync(fd) != 0)
		err = TERN_ERR_IO;
	if (err != TERN_OK) {
		close(fd);
		return err;
	}
	*store = (struct register_store){ .fd = fd, .sequence = reg->sequence };
	return TERN_OK;
}

/* Durable on return, in the slot of the next sequence, over the older one of what is there. */
static enum tern_err
slot_write(struct register_store *store, struct witness_register *reg)
{
	uint8_t page[SLOT_PAGE_BYTES] = { 0 };

	reg->sequence = store->sequence + 1;
	witness_register_encode(page, reg);
	if (durable_pwrite(store->fd, page, sizeof(page), slot_offset(reg->shard, reg->sequence)) !=
		TERN_OK ||
	    fdatasync(store->fd) != 0) {
		store->is_failed = true;
		return TERN_ERR_IO;
	}
	store->sequence = reg->sequence;
	return TERN_OK;
}

enum tern_err
register_store_write(struct register_store *store, struct witness_register *reg)
{
	INVARIANT(store->fd >= 0 && reg->shard == REGISTER_STORE_SHARD);
	if (store->is_failed)
		return TERN_ERR_IO;
	/* Never both at once: while one is torn the other is whole. And never one alone: were it
	 * lost later, the other one would be the register of before, which grants what was
	 * promised away since. */
	for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
		const enum tern_err err = slot_write(store, reg);
		if (err != TERN_OK)
			return err;
	}
	return TERN_OK;
}

void
register_store_close(struct register_store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
}
