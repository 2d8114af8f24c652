/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/platform/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base/invariant.h"

enum tern_err
worker_open(struct worker *worker)
{
	*worker = WORKER_CLOSED;
	worker->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return worker->stop_fd >= 0 ? TERN_OK : TERN_ERR_IO;
}

static void *
worker_main(void *context)
{
	struct worker *worker = context;
	const struct worker_work work = worker->work;
	const enum tern_err err = work.begin != NULL ? work.begin(work.context) : TERN_OK;

	worker->begun = err;
	sem_post(&worker->has_begun);
	if (err == TERN_OK)
		work.run(work.context);
	return NULL;
}

enum tern_err
worker_start(struct worker *worker, const struct worker_work *work)
{
	sigset_t all, before;

	worker->work = *work;
	sem_init(&worker->has_begun, 0, 0);
	/* A thread inherits the mask of the one that makes it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int failed = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed == 0) {
		pthread_setname_np(worker->thread, work->name);
		while (sem_wait(&worker->has_begun) != 0)
			;
	}
	sem_destroy(&worker->has_begun);
	if (failed != 0) {
		errno = failed;
		return TERN_ERR_IO;
	}
	if (worker->begun != TERN_OK)
		pthread_join(worker->thread, NULL);
	return worker->begun;
}

void
worker_stop(struct worker *worker)
{
	const uint64_t one = 1;

	atomic_store_explicit(&worker->is_stopping, true, memory_order_release);
	/* An eventfd refuses a write only at its limit. */
	const ssize_t written = write(worker->stop_fd, &one, sizeof(one));
	INVARIANT(written == (ssize_t)sizeof(one));
	pthread_join(worker->thread, NULL);
}

void
worker_close(struct worker *worker)
{
	if (worker->stop_fd >= 0)
		close(worker->stop_fd);
	worker->stop_fd = -1;
}
