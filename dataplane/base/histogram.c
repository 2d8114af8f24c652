/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/histogram.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

static uint32_t
bucket_of(uint64_t value)
{
	if (value < HISTOGRAM_STEPS)
		return (uint32_t)value;
	const uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - 5u;
	return (shift + 1) * HISTOGRAM_STEPS + (uint32_t)((value >> shift) - HISTOGRAM_STEPS);
}

static uint64_t
bucket_top(uint32_t bucket)
{
	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	const uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
	const uint64_t step = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
	return ((step + 1) << shift) - 1;
}

void
histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram_add_many(histogram, value, 1);
}

void
histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t count)
{
	const uint32_t bucket = bucket_of(value);

	INVARIANT(bucket < HISTOGRAM_BUCKETS && count != 0);
	histogram->counts[bucket] += count;
	histogram->total_count += count;
	histogram->max = max_u64(histogram->max, value);
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->counts[i] += from->counts[i];
	into->total_count += from->total_count;
	into->max = max_u64(into->max, from->max);
}

uint64_t
histogram_at(const struct histogram *histogram, uint32_t permille)
{
	const uint64_t rank = div_up_u64(histogram->total_count * permille, 1000);
	uint64_t seen = 0;

	INVARIANT(permille <= 1000);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen >= rank && seen != 0)
			return min_u64(bucket_top(i), histogram->max);
	}
	return 0;
}
