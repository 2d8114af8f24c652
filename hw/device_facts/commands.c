/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a device can be given NVMe commands in place of block I/O, and where. */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "hw/device_facts/device_facts.h"

#define PAGE_BYTES 4096u

/* "nvme3n1" and "ng3n1": numbers after @prefix and "n", and nothing else. */
static bool
is_name_space(const char *name, const char *prefix, unsigned int *first, unsigned int *number)
{
	char back[DEVICE_NAME_MAX];
	const size_t length = strlen(prefix);

	if (strncmp(name, prefix, length) != 0 ||
	    sscanf(name + length, "%un%u", first, number) != 2)
		return false;
	(void)snprintf(back, sizeof(back), "%s%un%u", prefix, *first, *number);
	return strcmp(back, name) == 0;
}

/* Ways to a namespace of several controllers: the kernel shows each as a hidden device
 * ("nvme3c4n1" is one of nvme3n1). 0: it is of one controller alone. */
static uint32_t
paths_count(const char *root, unsigned int first, unsigned int number)
{
	char path[PATH_MAX];
	unsigned int group, controller, other;
	uint32_t count = 0;

	(void)snprintf(path, sizeof(path), "%s/sys/class/block", root);
	DIR *directory = opendir(path);
	if (directory == NULL)
		return 0;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
		if (sscanf(entry->d_name, "nvme%uc%un%u", &group, &controller, &other) == 3)
			count += group == first && other == number;
	(void)closedir(directory);
	return count;
}

/* The name of the character device begins with another number than that of the block device where a
 * controller's and its subsystem's differ. But both have one parent, and below that a namespace has
 * one number. */
static bool
node_find(const char *root, const struct device_facts *facts, unsigned int number,
	  struct device_command_node *node)
{
	char path[PATH_MAX], file[PATH_MAX + 320];
	unsigned int ignored, other;
	bool is_found = false;

	(void)snprintf(path, sizeof(path), "%s/sys/class/block/%s/device", root, facts->disk);
	DIR *directory = opendir(path);
	if (directory == NULL)
		return false;
	for (const struct dirent *entry; !is_found && (entry = readdir(directory)) != NULL;) {
		const size_t bytes = strlen(entry->d_name) + 1;
		if (bytes > sizeof(node->name) ||
		    !is_name_space(entry->d_name, "ng", &ignored, &other) || other != number)
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s/dev", path, entry->d_name);
		FILE *stream = fopen(file, "re");
		if (stream == NULL)
			continue;
		is_found = fscanf(stream, "%u:%u", &node->major, &node->minor) == 2;
		(void)fclose(stream);
		memcpy(node->name, entry->d_name, bytes);
	}
	(void)closedir(directory);
	return is_found;
}

/* What is wrong with the blocks that it is formatted in; NULL: nothing. */
static const char *
format_wrong(const struct device_facts *facts)
{
	const struct nvme_page_namespace *name_space = &facts->name_space;

	if (!facts->has_namespace)
		return "does not say how it is formatted, or this process may not ask: that needs "
		       "root (CAP_SYS_ADMIN)";
	const struct nvme_page_format *format = &name_space->formats[name_space->format_in_use];
	if (format->metadata_bytes != 0)
		return "is formatted with metadata beside its blocks, which commands would have to "
		       "bring; `nvme format` with an LBA format that has none changes that";
	if (format->lba_bytes == 0 || PAGE_BYTES % format->lba_bytes != 0 ||
	    format->lba_bytes != facts->logical_bytes ||
	    facts->bytes / format->lba_bytes > name_space->blocks)
		return "says other blocks than the kernel has of it";
	return NULL;
}

/* What is wrong with the device itself; NULL: nothing, and it is namespace @number of its group. */
static const char *
device_wrong(const char *root, const struct device_facts *facts, unsigned int *number)
{
	unsigned int first;

	if (facts->kind != DEVICE_BLOCK)
		return "is no block device; NVMe commands go to a whole namespace (/dev/nvme0n1)";
	if (!is_name_space(facts->disk, "nvme", &first, number))
		return "is no NVMe namespace";
	if (facts->is_partition)
		return "is a partition: NVMe commands go to a whole namespace, and nothing holds "
		       "them to the bounds of a part; give the node all of it";
	if (facts->can_poll != DEVICE_YES)
		return "has no queues to poll (nvme.poll_queues=N on the kernel's command line), "
		       "and NVMe commands are sooner only where completions are polled";
	if (facts->is_flushed_by_kernel != DEVICE_NO && facts->has_fua != DEVICE_YES)
		return "cannot be told to force single writes through its cache (queue/fua)";
	if (paths_count(root, first, *number) > 1)
		return "has several paths, and only block I/O takes another when one fails";
	return NULL;
}

bool
device_takes_commands(const char *root, const struct device_facts *facts,
		      struct device_command_node *node, char *why, size_t why_bytes)
{
	unsigned int number = 0;
	const char *wrong = device_wrong(root, facts, &number);

	if (wrong == NULL)
		wrong = format_wrong(facts);
	if (wrong == NULL && !node_find(root, facts, number, node))
		wrong = "has no character device that takes commands (Linux 5.13)";
	(void)snprintf(why, why_bytes, "%s", wrong == NULL ? "" : wrong);
	return wrong == NULL;
}
