/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram of nanoseconds (the shape of HdrHistogram): 32 linear steps in each power
 * of two, so a value is known within 1/32. Exact counts; two histograms can be added up.
 */
#ifndef TERN_BASE_HISTOGRAM_H
#define TERN_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS   32u
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 60u)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t total_count;
	uint64_t max;
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t count);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value below or at which @permille of 1000 values lie (999 for p99.9): the upper bound of its
 * bucket, never above the largest value seen; 0 when empty. */
uint64_t histogram_at(const struct histogram *histogram, uint32_t permille);

#endif
