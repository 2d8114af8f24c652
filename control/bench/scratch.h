/* SPDX-License-Identifier: Apache-2.0 */
/* A file to measure a device with. It has no name: it is gone with this process, however that
 * ends. */
#ifndef TERN_BENCH_SCRATCH_H
#define TERN_BENCH_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_scratch {
	int fd;        /* keeps it */
	char path[32]; /* by which this process opens it */
};

/* Makes one of @bytes zeros (a multiple of 1 MiB) below @directory; while it is made its name
 * begins with @name, and SIGINT and SIGTERM wait. False: @text says why, and nothing is left. */
bool bench_scratch_open(struct bench_scratch *scratch, const char *directory, const char *name,
			uint64_t bytes, char *text, size_t text_bytes);
void bench_scratch_close(struct bench_scratch *scratch);

#endif
