/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks that the gateway looks at. */
#include <time.h>

#include "control/gateway/gateway_internal.h"

uint64_t
gateway_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
gateway_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
