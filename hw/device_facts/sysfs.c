/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices as the kernel shows them; and files. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hw/device_facts/device_facts.h"

#define NAMES_MAX    512u
#define SECTOR_BYTES 512u /* sysfs counts in these, whatever the device's are */
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct place {
	const char *root;
	char directory[PATH_MAX]; /* of the device, links followed */
	char disk[PATH_MAX];      /* of the whole disk */
};

static void
copy(char *out, size_t out_bytes, const char *from)
{
	size_t used = 0;

	while (*from == ' ')
		from++;
	for (; *from != 0 && *from != '\n' && used + 1 < out_bytes; from++)
		out[used++] = (unsigned char)*from < ' ' ? '?' : *from;
	while (used > 0 && out[used - 1] == ' ')
		used--;
	out[used] = 0;
}

/* The first line of a file; false and "": there is none. */
static bool
line_read(const char *directory, const char *name, char *out, size_t out_bytes)
{
	char path[PATH_MAX + 64], text[DEVICE_PATH_MAX];

	out[0] = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	const ssize_t got = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (got <= 0)
		return false;
	text[got] = 0;
	copy(out, out_bytes, text);
	return out[0] != 0;
}

static bool
number_read(const char *directory, const char *name, uint64_t *value)
{
	char text[32], *end;

	if (!line_read(directory, name, text, sizeof(text)))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == 0;
}

static enum device_answer
answer_read(const char *directory, const char *name)
{
	uint64_t value;

	if (!number_read(directory, name, &value))
		return DEVICE_UNKNOWN;
	return value != 0 ? DEVICE_YES : DEVICE_NO;
}

static bool
is_one_of(const char *text, const char *yes, const char *no, enum device_answer *answer)
{
	*answer = strncmp(text, yes, strlen(yes)) == 0 ? DEVICE_YES
		  : strncmp(text, no, strlen(no)) == 0 ? DEVICE_NO
						       : DEVICE_UNKNOWN;
	return *answer != DEVICE_UNKNOWN;
}

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Follows /sys/class/block/NAME; the disk of a partition is the directory above. */
static bool
place_find(const char *root, const char *name, struct place *place)
{
	char path[PATH_MAX];

	place->root = root;
	if (name[0] == 0 || strchr(name, '/') != NULL || name[0] == '.')
		return false;
	(void)snprintf(path, sizeof(path), "%s/sys/class/block/%s", root, name);
	if (realpath(path, place->directory) == NULL)
		return false;
	memcpy(place->disk, place->directory, sizeof(place->disk));
	(void)snprintf(path, sizeof(path), "%.*s/partition", PATH_MAX - 16, place->directory);
	if (access(path, F_OK) == 0)
		*strrchr(place->disk, '/') = 0;
	return true;
}

/* SCSI: what the device's mode page says, which the kernel does not change when it is told not to
 * flush. */
static enum device_answer
scsi_cache(const struct place *place)
{
	char path[PATH_MAX + 32], inner[PATH_MAX + 320], type[64];
	enum device_answer answer = DEVICE_UNKNOWN;

	(void)snprintf(path, sizeof(path), "%s/device/scsi_disk", place->disk);
	DIR *directory = opendir(path);
	if (directory == NULL)
		return DEVICE_UNKNOWN;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (line_read(inner, "cache_type", type, sizeof(type)))
			(void)is_one_of(type, "write back", "write through", &answer);
	}
	(void)closedir(directory);
	return answer;
}

/* SCSI keeps its serial number in a binary page: type, code, length (2), text. */
static void
scsi_serial(const struct place *place, char *out, size_t out_bytes)
{
	char path[PATH_MAX + 32], text[DEVICE_TEXT_MAX];
	uint8_t page[256];

	(void)snprintf(path, sizeof(path), "%s/device/vpd_pg80", place->disk);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	const ssize_t got = read(fd, page, sizeof(page));
	(void)close(fd);
	if (got < 4 || page[1] != 0x80)
		return;
	const size_t bytes = (size_t)page[2] << 8 | page[3];
	if (bytes > (size_t)got - 4 || bytes >= sizeof(text))
		return;
	memcpy(text, page + 4, bytes);
	text[bytes] = 0;
	copy(out, out_bytes, text);
}

static void
identity_read(const struct place *place, struct device_facts *facts)
{
	const char *disk = place->disk;

	if (!line_read(disk, "device/serial", facts->serial, sizeof(facts->serial)) &&
	    !line_read(disk, "serial", facts->serial, sizeof(facts->serial)))
		scsi_serial(place, facts->serial, sizeof(facts->serial));
	(void)line_read(disk, "device/model", facts->model, sizeof(facts->model));
	if (!line_read(disk, "device/firmware_rev", facts->firmware, sizeof(facts->firmware)))
		(void)line_read(disk, "device/rev", facts->firmware, sizeof(facts->firmware));
	if (facts->is_loop)
		(void)line_read(disk, "loop/backing_file", facts->loop_file,
				sizeof(facts->loop_file));
}

static void
queue_read(const struct place *place, struct device_facts *facts)
{
	char text[64], numa[16];
	uint64_t value;

	if (line_read(place->disk, "queue/write_cache", text, sizeof(text)))
		(void)is_one_of(text, "write back", "write through", &facts->is_flushed_by_kernel);
	facts->has_fua = answer_read(place->disk, "queue/fua");
	facts->is_rotational = answer_read(place->disk, "queue/rotational");
	facts->can_poll = answer_read(place->disk, "queue/io_poll");
	if (number_read(place->disk, "queue/logical_block_size", &value) && value <= UINT32_MAX)
		facts->logical_bytes = (uint32_t)value;
	if (number_read(place->disk, "queue/physical_block_size", &value) && value <= UINT32_MAX)
		facts->physical_bytes = (uint32_t)value;
	facts->has_volatile_cache = scsi_cache(place);
	if (line_read(place->disk, "device/numa_node", numa, sizeof(numa)))
		facts->numa_node = (int32_t)strtol(numa, NULL, 10);
}

/* Of several links the best: one that names the medium itself before those of a path or vendor. */
static uint32_t
link_rank(const char *name)
{
	static const char *const best[] = { "nvme-eui.", "nvme-uuid.", "nvme-nvme.", "wwn-",
					    "nvme-",     "scsi-",      "ata-",       "virtio-" };
	const uint32_t count = sizeof(best) / sizeof(best[0]);

	for (uint32_t i = 0; i < count; i++)
		if (strncmp(name, best[i], strlen(best[i])) == 0)
			return i;
	return count;
}

static void
by_id_find(const char *root, struct device_facts *facts)
{
	char path[PATH_MAX], link[PATH_MAX + 260], target[PATH_MAX], best[256] = "";

	(void)snprintf(path, sizeof(path), "%s/dev/disk/by-id", root);
	DIR *directory = opendir(path);
	if (directory == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		const char *name = entry->d_name;
		(void)snprintf(link, sizeof(link), "%s/%s", path, name);
		const ssize_t bytes = readlink(link, target, sizeof(target) - 1);
		if (bytes <= 0)
			continue;
		target[bytes] = 0;
		if (strcmp(last_part(target), facts->name) != 0)
			continue;
		if (best[0] != 0 &&
		    (link_rank(best) < link_rank(name) ||
		     (link_rank(best) == link_rank(name) && strcmp(best, name) < 0)))
			continue;
		(void)snprintf(best, sizeof(best), "%s", name);
	}
	(void)closedir(directory);
	if (best[0] != 0)
		(void)snprintf(facts->by_id, sizeof(facts->by_id), "/dev/disk/by-id/%s", best);
}

enum tern_err
device_facts_read_name(const char *root, const char *name, struct device_facts *facts)
{
	char numbers[32];
	struct place place;
	uint64_t sectors = 0;

	*facts = (struct device_facts){ .kind = DEVICE_ABSENT, .numa_node = -1 };
	if (!place_find(root, name, &place))
		return TERN_ERR_NOT_FOUND;
	facts->kind = DEVICE_BLOCK;
	copy(facts->name, sizeof(facts->name), last_part(place.directory));
	copy(facts->disk, sizeof(facts->disk), last_part(place.disk));
	facts->is_partition = strcmp(facts->name, facts->disk) != 0;
	facts->is_loop = strncmp(facts->disk, "loop", 4) == 0;
	facts->is_ram = strncmp(facts->disk, "ram", 3) == 0 || strncmp(facts->disk, "zram", 4) == 0;
	if (number_read(place.directory, "size", &sectors))
		facts->bytes = sectors * SECTOR_BYTES;
	facts->is_read_only = answer_read(place.directory, "ro") == DEVICE_YES;
	if (line_read(place.directory, "dev", numbers, sizeof(numbers)))
		(void)sscanf(numbers, "%u:%u", &facts->major, &facts->minor);
	identity_read(&place, facts);
	queue_read(&place, facts);
	by_id_find(root, facts);
	return TERN_OK;
}

static void
file_system_name(int64_t magic, struct device_facts *facts)
{
	const char *name = magic == EXT4_SUPER_MAGIC                      ? "ext4"
			   : magic == XFS_SUPER_MAGIC                     ? "xfs"
			   : magic == BTRFS_SUPER_MAGIC                   ? "btrfs"
			   : magic == OVERLAYFS_SUPER_MAGIC               ? "overlay"
			   : magic == TMPFS_MAGIC || magic == RAMFS_MAGIC ? "tmpfs"
									  : "";

	(void)snprintf(facts->file_system, sizeof(facts->file_system), "%s", name);
	facts->is_ram = magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
}

enum tern_err
device_facts_read(const char *root, const char *path, struct device_facts *facts)
{
	char link[PATH_MAX], target[PATH_MAX];
	struct statfs fs;
	struct stat st;

	*facts = (struct device_facts){ .kind = DEVICE_ABSENT, .numa_node = -1 };
	if (stat(path, &st) != 0)
		return errno == ENOENT || errno == ENOTDIR ? TERN_ERR_NOT_FOUND : TERN_ERR_IO;
	if (S_ISBLK(st.st_mode)) {
		(void)snprintf(link, sizeof(link), "%s/sys/dev/block/%u:%u", root,
			       major(st.st_rdev), minor(st.st_rdev));
		const ssize_t bytes = readlink(link, target, sizeof(target) - 1);
		if (bytes <= 0)
			return TERN_ERR_IO;
		target[bytes] = 0;
		return device_facts_read_name(root, last_part(target), facts);
	}
	facts->kind = S_ISREG(st.st_mode) ? DEVICE_FILE : DEVICE_OTHER;
	facts->bytes = (uint64_t)st.st_size;
	if (statfs(path, &fs) == 0)
		file_system_name(fs.f_type, facts);
	return TERN_OK;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

uint32_t
device_names(const char *root, char (*names)[DEVICE_NAME_MAX], uint32_t max)
{
	char path[PATH_MAX], one[PATH_MAX + 260];
	uint32_t count = 0;
	uint64_t sectors;

	(void)snprintf(path, sizeof(path), "%s/sys/class/block", root);
	DIR *directory = opendir(path);
	if (directory == NULL)
		return 0;
	for (const struct dirent *entry; count < max && (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= DEVICE_NAME_MAX)
			continue;
		(void)snprintf(one, sizeof(one), "%s/%s", path, entry->d_name);
		if (!number_read(one, "size", &sectors) || sectors == 0 ||
		    answer_read(one, "hidden") == DEVICE_YES)
			continue;
		memcpy(names[count++], entry->d_name, strlen(entry->d_name) + 1);
	}
	(void)closedir(directory);
	qsort(names, count, sizeof(names[0]), compare_names);
	return count;
}

bool
device_serial_is_shared(const char *root, const struct device_facts *facts)
{
	char names[NAMES_MAX][DEVICE_NAME_MAX];
	const uint32_t count = facts->serial[0] == 0 ? 0 : device_names(root, names, NAMES_MAX);

	for (uint32_t i = 0; i < count; i++) {
		struct device_facts other;
		if (strcmp(names[i], facts->disk) != 0 &&
		    device_facts_read_name(root, names[i], &other) == TERN_OK &&
		    !other.is_partition && strcmp(other.serial, facts->serial) == 0)
			return true;
	}
	return false;
}
