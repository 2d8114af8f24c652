/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that serves until it is told to end: each front end of a daemon has one. It sleeps in
 * poll or epoll, so it is told by a descriptor that becomes readable.
 *
 * Promises: signals stay with the other threads; begin has returned before worker_start does;
 * nothing of the thread runs once worker_stop has returned. Threads: all of this from the thread
 * that starts it, but worker_is_stopping, which is for its run.
 */
#ifndef TERN_HW_PLATFORM_WORKER_H
#define TERN_HW_PLATFORM_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "dataplane/base/err.h"

struct worker_work {
	const char *name; /* of the thread, as top shows it: at most 15 bytes */
	/* On the new thread, before all else: what belongs to the thread that opens it. An error
	 * ends the thread, and is what worker_start returns. NULL: nothing. */
	enum tern_err (*begin)(void *context);
	/* Returns soon after stop_fd has become readable. */
	void (*run)(void *context);
	void *context;
};

struct worker {
	int stop_fd; /* to be waited for by run; never read */
	_Atomic bool is_stopping;
	enum tern_err begun;
	sem_t has_begun;
	pthread_t thread;
	struct worker_work work;
};

/* What worker_close leaves as it is. */
#define WORKER_CLOSED ((struct worker){ .stop_fd = -1 })

/* Makes stop_fd. IO: errno says why. */
TERN_CHECKED enum tern_err worker_open(struct worker *worker);
/* IO: there is no thread, errno says why; else what begin returned. Only what began is stopped. */
TERN_CHECKED enum tern_err worker_start(struct worker *worker, const struct worker_work *work);
void worker_stop(struct worker *worker);
void worker_close(struct worker *worker);

static inline bool
worker_is_stopping(const struct worker *worker)
{
	return atomic_load_explicit(&worker->is_stopping, memory_order_acquire);
}

#endif
