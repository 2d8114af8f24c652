/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that the endpoint looks at. */
#include <time.h>

#include "control/endpoint/endpoint_internal.h"

uint64_t
endpoint_now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_BOOTTIME, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
