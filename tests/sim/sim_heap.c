/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_heap.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "tests/support/mirror.h"

#define KERNEL_PAGE    4096u
#define KEPT_MAX       64u
#define WORDS          512u                                    /* of the page map, read at once */
#define PAGE_IS_STORED (UINT64_C(1) << 63 | UINT64_C(1) << 62) /* in memory, or swapped out */

struct kept {
	void *memory; /* NULL: none */
	uint64_t bytes;
	bool is_mirror;
};

/* Of the process, which runs one world. */
static struct kept kept_all[KEPT_MAX];

static uint64_t
mapped_bytes(uint64_t bytes, bool is_mirror)
{
	return align_up_u64(bytes, KERNEL_PAGE) * (is_mirror ? 2 : 1);
}

/* NULL: none is kept of this kind. */
static void *
kept_take(uint64_t bytes, bool is_mirror)
{
	for (uint32_t i = 0; i < KEPT_MAX; i++) {
		struct kept *kept = &kept_all[i];
		void *memory = kept->memory;
		if (memory == NULL || kept->bytes != bytes || kept->is_mirror != is_mirror)
			continue;
		if (mprotect(memory, mapped_bytes(bytes, is_mirror), PROT_READ | PROT_WRITE) != 0)
			return NULL;
		kept->memory = NULL;
		return memory;
	}
	return NULL;
}

static bool
kept_put(void *memory, uint64_t bytes, bool is_mirror)
{
	for (uint32_t i = 0; i < KEPT_MAX; i++) {
		if (kept_all[i].memory != NULL)
			continue;
		if (mprotect(memory, mapped_bytes(bytes, is_mirror), PROT_NONE) != 0)
			return false;
		kept_all[i] = (struct kept){ memory, bytes, is_mirror };
		return true;
	}
	return false;
}

/* Of a node's memory little is ever touched, and by the kernel's map of pages it is known what:
 * only that is cleared. False: there is no such map. */
static bool
clear(uint8_t *memory, uint64_t bytes)
{
	static int map_fd = -1;
	const uint64_t pages = align_up_u64(bytes, KERNEL_PAGE) / KERNEL_PAGE;
	uint64_t words[WORDS];

	if (map_fd < 0)
		map_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (uint64_t first = 0; first < pages; first += WORDS) {
		const uint64_t count = min_u64(pages - first, WORDS);
		const uint64_t at = (uintptr_t)memory / KERNEL_PAGE + first;
		const ssize_t length = (ssize_t)(count * sizeof(*words));
		if (pread(map_fd, words, (size_t)length, (off_t)(at * sizeof(*words))) != length)
			return false;
		for (uint64_t i = 0; i < count; i++)
			if ((words[i] & PAGE_IS_STORED) != 0)
				memset(memory + (first + i) * KERNEL_PAGE, 0, KERNEL_PAGE);
	}
	return true;
}

static void *
take(uint64_t bytes, bool is_mirror)
{
	void *memory = kept_take(bytes, is_mirror);

	if (memory != NULL)
		return memory;
	memory = is_mirror ? mirror_map(bytes)
			   : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);
	if (memory == NULL || memory == MAP_FAILED) {
		perror("sim_take");
		_exit(1);
	}
	return memory;
}

static void
give(void *memory, uint64_t bytes, bool is_mirror)
{
	bool is_clear = true;

	if (is_mirror)
		memset(memory, 0, bytes); /* most of it is touched */
	else
		is_clear = clear(memory, bytes);
	if (is_clear && kept_put(memory, bytes, is_mirror))
		return;
	if (is_mirror)
		mirror_unmap(memory, bytes);
	else
		(void)munmap(memory, bytes);
}

void *
sim_take(uint64_t bytes)
{
	return take(bytes, false);
}

void
sim_give(void *memory, uint64_t bytes)
{
	give(memory, bytes, false);
}

uint8_t *
sim_take_mirror(uint64_t bytes)
{
	return take(bytes, true);
}

void
sim_give_mirror(uint8_t *memory, uint64_t bytes)
{
	give(memory, bytes, true);
}
