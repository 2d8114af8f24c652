/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/submit.h"

#include "dataplane/base/invariant.h"

uint64_t
submit_completions_bytes(uint32_t in_flight_max)
{
	/* A record has a header of 8 bytes, and one filler may pad the ring's end. */
	const uint64_t need =
	    ((uint64_t)in_flight_max + 2) * (sizeof(struct submit_completion) + 8);
	uint64_t size = 4096;

	INVARIANT(in_flight_max >= 1 && in_flight_max <= 1u << 20);
	while (size < need)
		size *= 2;
	return size;
}
