/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/platform/platform.h"

#include <time.h>

static uint64_t
read_ns(clockid_t id)
{
	struct timespec now = { 0 };

	/* Cannot fail for these clocks: both are always there on Linux. */
	if (clock_gettime(id, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
platform_monotonic_ns(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

uint64_t
platform_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

static uint64_t
clock_monotonic_ns(void *clock)
{
	(void)clock;
	return platform_monotonic_ns();
}

static uint64_t
clock_wall_ns(void *clock)
{
	(void)clock;
	return platform_wall_ns();
}

static uint64_t
clock_cycles(void *clock)
{
	(void)clock;
	return platform_cycles();
}

static const struct clock_ops platform_clock_ops = {
	.monotonic_ns = clock_monotonic_ns,
	.wall_ns = clock_wall_ns,
	.cycles = clock_cycles,
};

struct clock_port
platform_clock(void)
{
	return (struct clock_port){ .ops = &platform_clock_ops, .clock = NULL };
}
