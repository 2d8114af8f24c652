/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that serve until they are told to end. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "hw/platform/worker.h"

struct service {
	struct worker worker;
	enum tern_err begin_err;
	pthread_t began_on;
	bool takes_signals;
	_Atomic bool has_begun, has_run, has_ended;
};

static enum tern_err
begin(void *context)
{
	struct service *service = context;
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	service->takes_signals = !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGINT);
	service->began_on = pthread_self();
	service->has_begun = true;
	return service->begin_err;
}

/* Sleeps without a limit: only stop_fd wakes it. */
static void
run(void *context)
{
	struct service *service = context;
	struct pollfd wait = { .fd = service->worker.stop_fd, .events = POLLIN };

	service->has_run = true;
	while (!worker_is_stopping(&service->worker))
		(void)poll(&wait, 1, -1);
	service->has_ended = true;
}

static struct worker_work
work_of(struct service *service)
{
	return (struct worker_work){
		.name = "tern-test", .begin = begin, .run = run, .context = service
	};
}

static void
serves_until_it_is_stopped(void **state)
{
	struct service service = { .worker = WORKER_CLOSED };
	const struct worker_work work = work_of(&service);
	sigset_t before, after;

	(void)state;
	assert_int_equal(worker_open(&service.worker), TERN_OK);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(worker_start(&service.worker, &work), TERN_OK);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_true(service.has_begun);
	assert_false(pthread_equal(service.began_on, pthread_self()));
	assert_false(service.takes_signals);
	for (int i = 1; i < NSIG; i++)
		assert_int_equal(sigismember(&after, i), sigismember(&before, i));
	assert_false(worker_is_stopping(&service.worker));
	worker_stop(&service.worker);
	assert_true(service.has_run);
	assert_true(service.has_ended);
	worker_close(&service.worker);
}

static void
a_thread_that_cannot_begin_does_not_run(void **state)
{
	struct service service = { .worker = WORKER_CLOSED, .begin_err = TERN_ERR_NO_MEMORY };
	const struct worker_work work = work_of(&service);

	(void)state;
	assert_int_equal(worker_open(&service.worker), TERN_OK);
	assert_int_equal(worker_start(&service.worker, &work), TERN_ERR_NO_MEMORY);
	assert_true(service.has_begun);
	assert_false(service.has_run);
	worker_close(&service.worker);
}

static void
begin_may_be_left_out(void **state)
{
	struct service service = { .worker = WORKER_CLOSED };
	struct worker_work work = work_of(&service);

	(void)state;
	work.begin = NULL;
	assert_int_equal(worker_open(&service.worker), TERN_OK);
	assert_int_equal(worker_start(&service.worker, &work), TERN_OK);
	worker_stop(&service.worker);
	assert_false(service.has_begun);
	assert_true(service.has_ended);
	worker_close(&service.worker);
}

static void
what_is_closed_is_left_alone(void **state)
{
	struct worker worker = WORKER_CLOSED;

	(void)state;
	worker_close(&worker);
	assert_int_not_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
	assert_int_equal(worker_open(&worker), TERN_OK);
	const int fd = worker.stop_fd;
	worker_close(&worker);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	worker_close(&worker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_until_it_is_stopped),
		cmocka_unit_test(a_thread_that_cannot_begin_does_not_run),
		cmocka_unit_test(begin_may_be_left_out),
		cmocka_unit_test(what_is_closed_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
