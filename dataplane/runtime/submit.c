/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/submit.h"

#include "dataplane/base/invariant.h"

uint64_t
submit_completions_bytes_for(uint32_t in_flight_max, uint64_t reply_bytes_max)
{
	/* A record has a header of 8 bytes and is rounded up to 8; one filler, shorter than the
	 * longest record, may pad the ring's end; and no record is longer than half the ring. */
	const uint64_t need =
	    ((uint64_t)in_flight_max + 2) * (sizeof(struct submit_completion) + 16) +
	    2 * reply_bytes_max;
	uint64_t size = 4096;

	INVARIANT(in_flight_max >= 1 && in_flight_max <= 1u << 20);
	INVARIANT(reply_bytes_max <= 1u << 30);
	while (size < need)
		size *= 2;
	return size;
}

uint64_t
submit_completions_bytes(uint32_t in_flight_max)
{
	return submit_completions_bytes_for(in_flight_max, 0);
}
