/* SPDX-License-Identifier: Apache-2.0 */
#include "control/bench/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hw/nvme_uring/nvme.h"

static int
make(const char *path, uint64_t bytes, char *text, size_t text_bytes)
{
	if (nvme_create_file(path, bytes, text, text_bytes) != TERN_OK)
		return -1;
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		(void)snprintf(text, text_bytes, "%s: %s", path, strerror(errno));
	(void)unlink(path);
	return fd;
}

bool
bench_scratch_open(struct bench_scratch *scratch, const char *directory, const char *name,
		   uint64_t bytes, char *text, size_t text_bytes)
{
	char path[512];
	sigset_t ends, before;

	(void)snprintf(path, sizeof(path), "%.400s/%s-%d", directory, name, (int)getpid());
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGINT);
	(void)sigaddset(&ends, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &ends, &before);
	scratch->fd = make(path, bytes, text, text_bytes);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)snprintf(scratch->path, sizeof(scratch->path), "/proc/self/fd/%d", scratch->fd);
	return scratch->fd >= 0;
}

void
bench_scratch_close(struct bench_scratch *scratch)
{
	(void)close(scratch->fd);
	scratch->fd = -1;
}
