/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The erasure code of write groups (dataplane/stripe) beside ISA-L called raw: the same
 * coefficients, the same memory, the same lengths, in slices of a few milliseconds in turn, on one
 * core.
 */
#ifndef TERN_BENCH_EC_H
#define TERN_BENCH_EC_H

#include "control/bench/bench.h"
#include "dataplane/stripe/layout.h"

#define BENCH_EC_SIZES      3u
#define BENCH_EC_POINTS_MAX (3u * BENCH_EC_SIZES + STRIPE_M_MAX)

/* One thing that is measured. Bytes are those of the group's data pages. */
struct bench_ec_point {
	char name[48]; /* "encode 64 KiB", "decode 2 lost 256 KiB" */
	double bytes_per_s, raw_bytes_per_s;
	bool has_raw; /* false: there is nothing in ISA-L to set it beside */
};

struct bench_ec_result {
	uint32_t point_count;
	struct bench_ec_point points[BENCH_EC_POINTS_MAX];
};

/* Measures every point for @duration_ns a side. The geometry is valid and m >= 1 (INVARIANT).
 * False: @text says why. Also false when ISA-L and the room give different bytes. */
bool bench_ec_measure(struct stripe_geometry geometry, uint64_t duration_ns,
		      struct bench_ec_result *result, char *text, size_t text_bytes);

#endif
