/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/file_store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hw/file_store/register_store.h"
#include "hw/platform/platform.h"

#define PATH_BYTES_MAX 4000u

enum tern_err
durable_pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	const uint8_t *at = bytes;

	while (count != 0) {
		const ssize_t done = pwrite(fd, at, count, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return TERN_ERR_IO;
		at += done;
		offset += done;
		count -= (size_t)done;
	}
	return TERN_OK;
}

enum tern_err
durable_pread(int fd, void *bytes, size_t count, off_t offset)
{
	uint8_t *at = bytes;

	while (count != 0) {
		const ssize_t got = pread(fd, at, count, offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return TERN_ERR_IO;
		at += got;
		offset += got;
		count -= (size_t)got;
	}
	return TERN_OK;
}

enum tern_err
file_store_write_atomic(const char *path, const void *bytes, size_t count)
{
	static const char suffix[] = ".tmp";
	char temporary[PATH_BYTES_MAX + sizeof(suffix)];
	const size_t length = strlen(path);

	if (length > PATH_BYTES_MAX)
		return TERN_ERR_TOO_LARGE;
	memcpy(temporary, path, length);
	memcpy(temporary + length, suffix, sizeof(suffix));
	const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return TERN_ERR_IO;
	enum tern_err err = durable_pwrite(fd, bytes, count, 0);
	/* The bytes before the name: otherwise a power cut may leave the new name on an empty file.
	 */
	if (err == TERN_OK && fsync(fd) != 0)
		err = TERN_ERR_IO;
	if (close(fd) != 0 && err == TERN_OK)
		err = TERN_ERR_IO;
	if (err == TERN_OK && rename(temporary, path) != 0)
		err = TERN_ERR_IO;
	if (err != TERN_OK) {
		unlink(temporary);
		return err;
	}
	return platform_directory_sync(path);
}

enum tern_err
file_store_read(const char *path, void *bytes, size_t capacity, size_t *count)
{
	uint8_t *at = bytes;
	size_t have = 0;
	uint8_t beyond;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? TERN_ERR_NOT_FOUND : TERN_ERR_IO;
	enum tern_err err = TERN_OK;
	for (;;) {
		/* When the room is used up, one byte more tells whether the file ends here. */
		const bool is_full = have == capacity;
		const ssize_t got =
		    is_full ? read(fd, &beyond, 1) : read(fd, at + have, capacity - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			err = TERN_ERR_IO;
		else if (got > 0 && is_full)
			err = TERN_ERR_TOO_LARGE;
		if (got <= 0 || is_full)
			break;
		have += (size_t)got;
	}
	close(fd);
	*count = have;
	return err;
}
