/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/support/run.h"

#include <signal.h>
#include <time.h>

static volatile sig_atomic_t is_over;

static void
on_signal(int signal)
{
	(void)signal;
	is_over = 1;
}

uint64_t
run_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
run_until_signal(void)
{
	(void)signal(SIGTERM, on_signal);
}

bool
run_is_over(void)
{
	return is_over != 0;
}
