/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/platform/platform.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "dataplane/base/invariant.h"

enum tern_err
platform_pin_thread(uint32_t cpu)
{
	cpu_set_t set;

	if (cpu >= CPU_SETSIZE)
		return TERN_ERR_CONFIG;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0 ? TERN_OK
									      : TERN_ERR_CONFIG;
}

uint32_t
platform_cpu_count(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	const int count = CPU_COUNT(&set);
	return count > 0 ? (uint32_t)count : 1;
}

uint64_t
platform_descriptors_raise(void)
{
	struct rlimit limit;
	const int failed = getrlimit(RLIMIT_NOFILE, &limit);

	INVARIANT(failed == 0);
	const struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		limit = raised;
	return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

int
platform_signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

uint64_t
platform_random_u64(void)
{
	uint64_t value = 0;
	ssize_t got;

	/* At most 256 bytes are never cut short; only a signal before the pool is ready is
	 * repeated. */
	do {
		got = getrandom(&value, sizeof(value), 0);
	} while (got < 0 && errno == EINTR);
	INVARIANT(got == (ssize_t)sizeof(value));
	return value;
}
