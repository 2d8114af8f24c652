/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/platform/platform.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/base/bits.h"

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

void *
platform_arena_map(size_t bytes)
{
	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return NULL;
	void *arena = mmap(NULL, align_up_u64(bytes, PLATFORM_PAGE_BYTES), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return arena == MAP_FAILED ? NULL : arena;
}

void
platform_arena_unmap(void *arena, size_t bytes)
{
	if (arena != NULL)
		munmap(arena, align_up_u64(bytes, PLATFORM_PAGE_BYTES));
}
