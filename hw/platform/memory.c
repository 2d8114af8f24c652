/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/platform/platform.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/base/bits.h"

#define HUGE_BYTES ((size_t)2 << 20)

/* Both halves show the file's pages; the reservation below them keeps the two halves together. */
static bool
map_twice(uint8_t *base, size_t bytes, int fd)
{
	const int protection = PROT_READ | PROT_WRITE;
	const int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;

	return mmap(base, bytes, protection, flags, fd, 0) != MAP_FAILED &&
	       mmap(base + bytes, bytes, protection, flags, fd, 0) != MAP_FAILED;
}

uint8_t *
platform_ring_map(size_t bytes)
{
	if (bytes == 0 || bytes % PLATFORM_PAGE_BYTES != 0 || bytes > SIZE_MAX / 4)
		return NULL;
	const int fd = memfd_create("tern-log-ring", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;

	uint8_t *ring = NULL;
	if (ftruncate(fd, (off_t)bytes) == 0) {
		void *both = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (both != MAP_FAILED) {
			if (map_twice(both, bytes, fd))
				ring = both;
			else
				munmap(both, 2 * bytes);
		}
	}
	close(fd); /* the maps keep the memory */
	return ring;
}

void
platform_ring_unmap(uint8_t *ring, size_t bytes)
{
	if (ring != NULL)
		munmap(ring, 2 * bytes);
}

/* Reserves @bytes at a multiple of HUGE_BYTES. */
static void *
map_aligned(size_t bytes)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *all = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, flags, -1, 0);

	if (all == MAP_FAILED)
		return NULL;
	uint8_t *start = (uint8_t *)align_up_u64((uintptr_t)all, HUGE_BYTES);
	if (start != all)
		(void)munmap(all, (size_t)(start - all));
	(void)munmap(start + bytes, (size_t)(all + HUGE_BYTES - start));
	return start;
}

static bool
populate(void *arena, size_t bytes)
{
	volatile uint8_t *at = arena;

	if (madvise(arena, bytes, MADV_POPULATE_WRITE) == 0)
		return true;
	if (errno != EINVAL)
		return false;
	for (size_t i = 0; i < bytes; i += PLATFORM_PAGE_BYTES) /* a kernel before 5.14 */
		at[i] = 0;
	return true;
}

static void *
arena_map(size_t bytes, bool is_lazy)
{
	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return NULL;
	const size_t whole = align_up_u64(bytes, PLATFORM_PAGE_BYTES);
	void *place = map_aligned(whole);
	if (place == NULL)
		return NULL;
	void *arena = mmap(place, whole, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	/* Random access over gigabytes in 4 KiB pages costs a walk of the page table for each
	 * access: huge pages are asked for, and done without where there are none. */
	if (arena != MAP_FAILED && !is_lazy)
		(void)madvise(arena, whole, MADV_HUGEPAGE);
	if (arena != MAP_FAILED && (is_lazy || populate(arena, whole)))
		return arena;
	munmap(place, whole);
	return NULL;
}

void *
platform_arena_map(size_t bytes)
{
	return arena_map(bytes, false);
}

void *
platform_arena_map_lazily(size_t bytes)
{
	return arena_map(bytes, true);
}

void
platform_arena_unmap(void *arena, size_t bytes)
{
	if (arena != NULL)
		munmap(arena, align_up_u64(bytes, PLATFORM_PAGE_BYTES));
}
