/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, describing and making devices: start-up only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "hw/nvme_uring/nvme_internal.h"
#include "hw/platform/platform.h"

#define ZERO_CHUNK_BYTES (1024u * 1024u)
#define REQUESTS_LEFT    "or one that has ended left requests that the device has not answered yet"

void
nvme_explain(char *err_text, size_t err_bytes, const char *what, const char *path, int error)
{
	char reason[128] = "";

	if (err_text == NULL || err_bytes == 0)
		return;
	/* The GNU form returns the text, which need not lie in the buffer. */
	const char *text = error == 0 ? "" : strerror_r(error, reason, sizeof(reason));
	snprintf(err_text, err_bytes, "%s: %s%s%s", path, what, error == 0 ? "" : ": ", text);
}

/* Reads one line of sysfs for the device; "" when there is none. */
static void
sysfs_read(dev_t dev, const char *name, char *out, size_t out_bytes)
{
	char path[128];

	out[0] = '\0';
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	const ssize_t got = read(fd, out, out_bytes - 1);
	close(fd);
	out[got > 0 ? got : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* A partition's queue belongs to the disk that it lies on. */
static void
queue_read(dev_t dev, const char *name, char *out, size_t out_bytes)
{
	char path[64];

	for (uint32_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", i == 0 ? "queue" : "../queue", name);
		sysfs_read(dev, path, out, out_bytes);
		if (out[0] != '\0')
			return;
	}
}

static uint64_t
queue_number(dev_t dev, const char *name)
{
	char text[24];

	queue_read(dev, name, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

/* A polled request that the kernel has to cut never ends: a worker of its own tries it again for
 * ever (Linux 6.1). So it is cut here. @dev: of the block device, or of that which the file lies
 * on. Memory may be no two pages in a row. */
static void
poll_describe(dev_t dev, bool is_file, struct nvme_device *device)
{
	const uint64_t segments = queue_number(dev, "max_segments");
	const uint64_t bytes = queue_number(dev, "max_sectors_kb") * 1024;
	const uint64_t chunk_bytes = queue_number(dev, "chunk_sectors") * 512;
	char start[24];

	sysfs_read(dev, "start", start, sizeof(start)); /* of a partition */
	device->start_bytes = strtoull(start, NULL, 10) * 512;
	device->piece_bytes =
	    (uint32_t)min_u64(min_u64(segments * DISK_PAGE_BYTES, bytes), NVME_REQUEST_BYTES_MAX);
	device->piece_bytes -= device->piece_bytes % DISK_PAGE_BYTES;
	device->chunk_bytes = (uint32_t)min_u64(chunk_bytes, UINT32_MAX);
	/* Where a file's bytes lie nobody knows here. */
	const bool is_chunk_good = chunk_bytes == 0 || (!is_file && chunk_bytes <= UINT32_MAX &&
							chunk_bytes % DISK_PAGE_BYTES == 0 &&
							device->start_bytes % DISK_PAGE_BYTES == 0);
	device->can_poll = queue_number(dev, "io_poll") == 1 && is_chunk_good &&
			   device->piece_bytes >= NVME_PIECE_BYTES_MIN;
}

uint32_t
nvme_piece_bytes(const struct nvme_device *device, uint64_t offset, uint32_t length)
{
	uint64_t bytes = length;

	if (device->piece_bytes != 0)
		bytes = min_u64(bytes, device->piece_bytes);
	if (device->chunk_bytes != 0)
		bytes = min_u64(bytes, device->chunk_bytes -
					   (device->start_bytes + offset) % device->chunk_bytes);
	return (uint32_t)bytes;
}

static void
block_describe(dev_t dev, struct nvme_device *device)
{
	char link_path[64], target[256] = "", cache[32];

	snprintf(link_path, sizeof(link_path), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	const ssize_t length = readlink(link_path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	const char *slash = strrchr(target, '/');
	const char *name = slash == NULL ? target : slash + 1;

	queue_read(dev, "write_cache", cache, sizeof(cache));
	device->is_volatile = strncmp(name, "ram", 3) == 0 || strncmp(name, "zram", 4) == 0;
	/* A loop device speaks for itself, not for the file that it lies on. */
	device->is_write_through =
	    strcmp(cache, "write through") == 0 && strncmp(name, "loop", 4) != 0;
}

static enum tern_err
device_describe(const char *path, struct nvme_device *device, char *err_text, size_t err_bytes)
{
	struct stat st;
	struct statfs fs;

	if (fstat(device->fd, &st) != 0 || fstatfs(device->fd, &fs) != 0) {
		nvme_explain(err_text, err_bytes, "cannot be examined", path, errno);
		return TERN_ERR_IO;
	}
	if (S_ISBLK(st.st_mode)) {
		int sector_bytes = 0;
		if (ioctl(device->fd, BLKGETSIZE64, &device->bytes) != 0 ||
		    ioctl(device->fd, BLKSSZGET, &sector_bytes) != 0) {
			nvme_explain(err_text, err_bytes, "cannot be examined", path, errno);
			return TERN_ERR_IO;
		}
		if (sector_bytes <= 0 || DISK_PAGE_BYTES % (unsigned int)sector_bytes != 0) {
			nvme_explain(err_text, err_bytes, "its sectors are larger than 4096 bytes",
				     path, 0);
			return TERN_ERR_UNSUPPORTED;
		}
		device->is_block = true;
		block_describe(st.st_rdev, device);
		poll_describe(st.st_rdev, false, device);
	} else if (S_ISREG(st.st_mode)) {
		device->bytes = (uint64_t)st.st_size;
		device->is_volatile = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
		poll_describe(st.st_dev, true, device);
	} else {
		nvme_explain(err_text, err_bytes, "is neither a file nor a block device", path, 0);
		return TERN_ERR_CONFIG;
	}
	const int flags = fcntl(device->fd, F_GETFL);
	device->is_direct = flags >= 0 && (flags & O_DIRECT) != 0;
	if (!device->is_direct) {
		nvme_explain(err_text, err_bytes, "O_DIRECT did not stay set", path, 0);
		return TERN_ERR_UNSUPPORTED;
	}
	return TERN_OK;
}

static enum tern_err
open_failed(const char *path, int error, char *err_text, size_t err_bytes)
{
	switch (error) {
	case ENOENT:
		nvme_explain(err_text, err_bytes, "does not exist", path, 0);
		return TERN_ERR_NOT_FOUND;
	case EINVAL:
		nvme_explain(err_text, err_bytes,
			     "this file system does not allow O_DIRECT; use one that does (ext4, "
			     "xfs) or a block device",
			     path, 0);
		return TERN_ERR_UNSUPPORTED;
	case EBUSY:
		nvme_explain(err_text, err_bytes,
			     "is mounted, another process uses it, " REQUESTS_LEFT, path, 0);
		return TERN_ERR_BUSY;
	default:
		nvme_explain(err_text, err_bytes, "cannot be opened", path, error);
		return TERN_ERR_IO;
	}
}

/* Opens the device and, if asked to, makes it ours alone: O_EXCL refuses a block device that is
 * mounted, the lock refuses other processes of ours. */
static enum tern_err
claim_open(const char *path, int flags, bool is_claimed, int *out, char *err_text, size_t err_bytes)
{
	struct stat st;

	if (is_claimed && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	const int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return open_failed(path, errno, err_text, err_bytes);
	if (is_claimed && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		nvme_explain(err_text, err_bytes, "another process uses it, " REQUESTS_LEFT, path,
			     0);
		close(fd);
		return TERN_ERR_BUSY;
	}
	*out = fd;
	return TERN_OK;
}

static enum tern_err
probe(const char *path, int flags, bool is_claimed, struct nvme_device *device, char *err_text,
      size_t err_bytes)
{
	*device = NVME_DEVICE_CLOSED;
	enum tern_err err =
	    claim_open(path, flags | O_DIRECT, is_claimed, &device->fd, err_text, err_bytes);
	if (err != TERN_OK)
		return err;
	err = device_describe(path, device, err_text, err_bytes);
	if (err != TERN_OK) {
		close(device->fd);
		device->fd = -1;
	}
	return err;
}

enum tern_err
nvme_device_probe(const char *path, uint64_t until_ns, struct nvme_device *device, char *err_text,
		  size_t err_bytes)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	enum tern_err err = probe(path, O_RDWR, true, device, err_text, err_bytes);

	while (err == TERN_ERR_BUSY && platform_monotonic_ns() < until_ns) {
		nanosleep(&pause, NULL);
		err = probe(path, O_RDWR, true, device, err_text, err_bytes);
	}
	return err;
}

enum tern_err
nvme_device_open(const char *path, bool is_writable, int *fd, uint64_t *bytes, char *err_text,
		 size_t err_bytes)
{
	struct nvme_device device;
	const enum tern_err err =
	    probe(path, is_writable ? O_RDWR : O_RDONLY, is_writable, &device, err_text, err_bytes);

	if (err == TERN_OK) {
		*fd = device.fd;
		*bytes = device.bytes;
	}
	return err;
}

/* Zeros from the start, in large direct writes, then a flush. Returns 0 or an errno. */
static int
zero_write(int fd, uint64_t bytes)
{
	void *zeros = platform_arena_map(ZERO_CHUNK_BYTES);
	int error = 0;

	if (zeros == NULL)
		return ENOMEM;
	for (uint64_t offset = 0; offset < bytes && error == 0;) {
		const uint64_t left = bytes - offset;
		const size_t part = left < ZERO_CHUNK_BYTES ? (size_t)left : ZERO_CHUNK_BYTES;
		const ssize_t done = pwrite(fd, zeros, part, (off_t)offset);
		if (done != (ssize_t)part)
			error = done < 0 ? errno : ENOSPC;
		offset += part;
	}
	platform_arena_unmap(zeros, ZERO_CHUNK_BYTES);
	if (error == 0 && fsync(fd) != 0)
		error = errno;
	return error;
}

/* A name that is not there below /dev was meant for a device; a file would lie in RAM there. */
static bool
is_device_name(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0;
}

enum tern_err
nvme_create_file(const char *path, uint64_t bytes, char *err_text, size_t err_bytes)
{
	if (is_device_name(path) && access(path, F_OK) != 0)
		return open_failed(path, ENOENT, err_text, err_bytes);
	if (bytes == 0 || bytes % ZERO_CHUNK_BYTES != 0 || bytes > INT64_MAX) {
		nvme_explain(err_text, err_bytes, "its size must be a multiple of 1 MiB", path, 0);
		return TERN_ERR_CONFIG;
	}
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0) {
		const int open_error = errno;
		if (open_error == EEXIST) {
			nvme_explain(err_text, err_bytes, "exists already, left as it is", path, 0);
			return TERN_ERR_BUSY;
		}
		/* Some file systems make the name before they find that they refuse O_DIRECT. */
		if (open_error == EINVAL)
			unlink(path);
		return open_failed(path, open_error, err_text, err_bytes);
	}
	/* Asking for the space first finds a full disk early and gives long extents. */
	int error = fallocate(fd, 0, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP ? 0 : errno;
	if (error == 0)
		error = zero_write(fd, bytes);
	if (error == 0)
		error = platform_directory_sync(path) == TERN_OK ? 0 : EIO;
	close(fd);
	if (error == 0)
		return TERN_OK;
	unlink(path);
	nvme_explain(err_text, err_bytes, "cannot be written with zeros", path, error);
	return TERN_ERR_IO;
}

enum tern_err
nvme_reserve_file(const char *path, uint64_t bytes, char *err_text, size_t err_bytes)
{
	const int fd = bytes > INT64_MAX ? -1 : open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return open_failed(path, errno, err_text, err_bytes);
	int error = fallocate(fd, 0, 0, (off_t)bytes) == 0 ? 0 : errno;
	if (error == EOPNOTSUPP)
		error = ftruncate(fd, (off_t)bytes) == 0 ? 0 : errno;
	if (error == 0 && fsync(fd) != 0)
		error = errno;
	close(fd);
	if (error == 0)
		return TERN_OK;
	snprintf(
	    err_text, err_bytes,
	    "%s: room for checkpoints cannot be reserved: %s; the log and it take %llu MiB: make "
	    "room, or state.capacity or devices[].size (`tern dev up --log-size`) smaller, or "
	    "choose another path",
	    path, strerror(error), (unsigned long long)(bytes >> 20));
	return TERN_ERR_IO;
}

enum tern_err
nvme_prepare_device(const char *path, uint64_t bytes, char *err_text, size_t err_bytes)
{
	struct nvme_device device;
	const enum tern_err err = probe(path, O_RDWR, true, &device, err_text, err_bytes);

	if (err != TERN_OK)
		return err;
	enum tern_err result = TERN_OK;
	if (!device.is_block || bytes > device.bytes || bytes % DISK_PAGE_BYTES != 0) {
		nvme_explain(err_text, err_bytes,
			     device.is_block ? "is smaller than asked for, or no whole pages"
					     : "is no block device",
			     path, 0);
		result = TERN_ERR_CONFIG;
	} else {
		const uint64_t all = device.bytes - device.bytes % DISK_PAGE_BYTES;
		const int error = zero_write(device.fd, bytes == 0 ? all : bytes);
		if (error != 0) {
			nvme_explain(err_text, err_bytes, "cannot be written with zeros", path,
				     error);
			result = TERN_ERR_IO;
		}
	}
	close(device.fd);
	return result;
}
