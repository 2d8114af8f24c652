/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses a device: looked for in the kernel's lists, and at last by asking for it alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/device_facts/signature.h"

#define PARTS_MAX      256u /* a disk and its partitions */
#define NAMES_MAX      512u
#define LINE_MAX_BYTES 4096u

struct user {
	const char *root;
	char names[PARTS_MAX][DEVICE_NAME_MAX];
	char numbers[PARTS_MAX][24]; /* "259:0" */
	uint32_t count;
	char *who;
	size_t who_bytes;
};

static bool
part_add(struct user *user, const char *name)
{
	char path[PATH_MAX];

	if (user->count == PARTS_MAX || strlen(name) >= DEVICE_NAME_MAX)
		return false;
	(void)snprintf(path, sizeof(path), "%s/sys/class/block/%s/dev", user->root, name);
	FILE *stream = fopen(path, "re");
	if (stream == NULL)
		return false;
	char *number = user->numbers[user->count];
	if (fgets(number, (int)sizeof(user->numbers[0]), stream) == NULL)
		number[0] = 0;
	(void)fclose(stream);
	number[strcspn(number, "\n")] = 0;
	memcpy(user->names[user->count++], name, strlen(name) + 1);
	return true;
}

/* The device, and its partitions if it is a whole disk. */
static void
parts_find(struct user *user, const struct device_facts *facts)
{
	char path[PATH_MAX], inner[PATH_MAX + 280];

	(void)part_add(user, facts->name);
	if (facts->is_partition)
		return;
	(void)snprintf(path, sizeof(path), "%s/sys/class/block/%s", user->root, facts->name);
	DIR *directory = opendir(path);
	if (directory == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (strncmp(entry->d_name, facts->name, strlen(facts->name)) != 0)
			continue;
		(void)snprintf(inner, sizeof(inner), "%s/%s/partition", path, entry->d_name);
		if (access(inner, F_OK) == 0)
			(void)part_add(user, entry->d_name);
	}
	(void)closedir(directory);
}

/* "12 1 259:2 / /home rw ..." */
static bool
is_mounted(struct user *user)
{
	char path[PATH_MAX], line[LINE_MAX_BYTES], number[32], at[512];
	bool is_found = false;

	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", user->root);
	FILE *stream = fopen(path, "re");
	while (stream != NULL && !is_found && fgets(line, sizeof(line), stream) != NULL) {
		if (sscanf(line, "%*s %*s %31s %*s %511s", number, at) != 2)
			continue;
		for (uint32_t i = 0; i < user->count && !is_found; i++) {
			is_found = strcmp(number, user->numbers[i]) == 0;
			if (is_found)
				(void)snprintf(user->who, user->who_bytes, "%s is mounted at %s",
					       user->names[i], at);
		}
	}
	if (stream != NULL)
		(void)fclose(stream);
	return is_found;
}

static bool
is_swap(struct user *user)
{
	char path[PATH_MAX], line[LINE_MAX_BYTES], device[512];
	bool is_found = false;

	(void)snprintf(path, sizeof(path), "%s/proc/swaps", user->root);
	FILE *stream = fopen(path, "re");
	while (stream != NULL && !is_found && fgets(line, sizeof(line), stream) != NULL) {
		if (sscanf(line, "%511s", device) != 1)
			continue;
		const char *slash = strrchr(device, '/');
		for (uint32_t i = 0; slash != NULL && i < user->count && !is_found; i++) {
			is_found = strcmp(slash + 1, user->names[i]) == 0;
			if (is_found)
				(void)snprintf(user->who, user->who_bytes,
					       "%s is swap space in use", user->names[i]);
		}
	}
	if (stream != NULL)
		(void)fclose(stream);
	return is_found;
}

/* Device mapper (LVM, crypt, multipath), md and bcache stand in holders/. */
static bool
is_held(struct user *user)
{
	char path[PATH_MAX];

	for (uint32_t i = 0; i < user->count; i++) {
		(void)snprintf(path, sizeof(path), "%s/sys/class/block/%s/holders", user->root,
			       user->names[i]);
		DIR *directory = opendir(path);
		bool is_found = false;
		for (const struct dirent *entry;
		     directory != NULL && !is_found && (entry = readdir(directory)) != NULL;) {
			is_found = entry->d_name[0] != '.';
			if (is_found)
				(void)snprintf(user->who, user->who_bytes, "%s is a part of %.64s",
					       user->names[i], entry->d_name);
		}
		if (directory != NULL)
			(void)closedir(directory);
		if (is_found)
			return true;
	}
	return false;
}

/* A file that a loop device shows is in use by it. */
static bool
is_behind_loop(const char *root, const char *path, char *who, size_t who_bytes)
{
	char real[PATH_MAX], names[NAMES_MAX][DEVICE_NAME_MAX];
	bool is_found = false;

	if (realpath(path, real) == NULL)
		return false;
	const uint32_t count = device_names(root, names, NAMES_MAX);
	for (uint32_t i = 0; i < count && !is_found; i++) {
		struct device_facts facts;
		if (strncmp(names[i], "loop", 4) != 0 ||
		    device_facts_read_name(root, names[i], &facts) != TERN_OK)
			continue;
		is_found = strcmp(facts.loop_file, real) == 0;
		if (is_found)
			(void)snprintf(who, who_bytes, "%s is shown by /dev/%s", path, names[i]);
	}
	return is_found;
}

/* O_EXCL on a block device is what mounts and other users have it by; the lock is what Tern's own
 * processes have theirs by. */
static bool
is_held_alone(const char *path, int exclusive, char *who, size_t who_bytes)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | exclusive);
	const bool is_busy = fd < 0 && errno == EBUSY;
	const bool is_locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

	if (fd >= 0)
		(void)close(fd);
	if (is_busy)
		(void)snprintf(who, who_bytes, "somebody has %s open for himself alone", path);
	else if (is_locked)
		(void)snprintf(who, who_bytes, "another process uses %s", path);
	return is_busy || is_locked;
}

bool
device_is_in_use(const char *root, const char *path, const struct device_facts *facts, char *who,
		 size_t who_bytes)
{
	struct user user = { .root = root, .who = who, .who_bytes = who_bytes };

	who[0] = 0;
	if (facts->kind == DEVICE_FILE)
		return is_behind_loop(root, path, who, who_bytes) ||
		       is_held_alone(path, 0, who, who_bytes);
	if (facts->kind != DEVICE_BLOCK)
		return false;
	parts_find(&user, facts);
	if (is_mounted(&user) || is_swap(&user) || is_held(&user))
		return true;
	return root[0] == 0 && is_held_alone(path, O_EXCL, who, who_bytes);
}
