/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/support/mirror.h"

#include <sys/mman.h>
#include <unistd.h>

uint8_t *
mirror_map(size_t bytes)
{
	uint8_t *memory = NULL;
	const int fd = memfd_create("tern-test-ring", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)bytes) == 0) {
		void *both = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (both != MAP_FAILED) {
			void *a = mmap(both, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				       fd, 0);
			void *b = mmap((uint8_t *)both + bytes, bytes, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, fd, 0);
			if (a != MAP_FAILED && b != MAP_FAILED)
				memory = both;
		}
	}
	close(fd);
	return memory;
}

void
mirror_unmap(uint8_t *memory, size_t bytes)
{
	munmap(memory, 2 * bytes);
}
