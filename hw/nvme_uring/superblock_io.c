/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/nvme_uring/superblock_io.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/wire/superblock_update.h"
#include "dataplane/wire/page.h"

static enum tern_err
pages_read(int fd, uint64_t offset, uint8_t *bytes, size_t count)
{
	size_t have = 0;

	while (have < count) {
		const ssize_t got = pread(fd, bytes + have, count - have, (off_t)(offset + have));
		if (got < 0 && errno == EINTR)
			continue;
		/* A part that is no whole page cannot be continued with O_DIRECT. */
		if (got <= 0 || got % (ssize_t)PAGE_BYTES != 0)
			return TERN_ERR_IO;
		have += (size_t)got;
	}
	return TERN_OK;
}

static enum tern_err
pages_write(int fd, uint64_t offset, const uint8_t *bytes, size_t count)
{
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = count };

	return pwritev2(fd, &iov, 1, (off_t)offset, RWF_DSYNC) == (ssize_t)count ? TERN_OK
										 : TERN_ERR_IO;
}

enum tern_err
superblock_read(int fd, struct superblock *superblock, uint32_t *good_mask)
{
	_Alignas(4096) uint8_t copies[SUPERBLOCK_COPIES * SUPERBLOCK_BYTES];
	const enum tern_err err = pages_read(fd, 0, copies, sizeof(copies));

	return err == TERN_OK ? superblock_choose(copies, superblock, good_mask) : err;
}

enum tern_err
superblock_write(int fd, const struct superblock *superblock)
{
	_Alignas(4096) uint8_t copies[SUPERBLOCK_COPIES * SUPERBLOCK_BYTES];
	_Alignas(4096) uint8_t update[SUPERBLOCK_UPDATE_BYTES];
	struct superblock newest = { 0 };
	uint32_t good_mask;
	const enum tern_err err = pages_read(fd, 0, copies, sizeof(copies));

	if (err != TERN_OK)
		return err;
	/* Without a good copy any pair will do. */
	if (superblock_choose(copies, &newest, &good_mask) != TERN_OK)
		newest.sequence = 0;
	const uint64_t copy = superblock_next_copy(copies, &newest);
	superblock_update_encode(update, superblock);
	return pages_write(fd, copy * SUPERBLOCK_BYTES, update, sizeof(update));
}

enum tern_err
superblock_write_all(int fd, const struct superblock *superblock)
{
	_Alignas(4096) uint8_t copies[2 * SUPERBLOCK_UPDATE_BYTES];

	superblock_update_encode(copies, superblock);
	memcpy(copies + SUPERBLOCK_UPDATE_BYTES, copies, SUPERBLOCK_UPDATE_BYTES);
	return pages_write(fd, 0, copies, sizeof(copies));
}

enum tern_err
superblock_read_pages(int fd, uint64_t first_page, uint8_t *bytes, uint32_t pages)
{
	return pages_read(fd, first_page * PAGE_BYTES, bytes, (size_t)pages * PAGE_BYTES);
}
