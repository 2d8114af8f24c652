/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of write groups (dataplane/stripe) beside its raw devices: files of one directory,
 * O_DIRECT and durable writes through the storage adapter that the daemons use, both through one
 * open port. Raw means the very requests that the store makes of its groups (device, place, length,
 * as many in flight), handed to the port as they are: no parity, no identity parts, no group that
 * waits for all of its columns. They take turns of BENCH_STRIPE_SLICE_NS, each until all that it
 * began is durable.
 *
 * Thread: the caller's, which owns the port while it measures.
 */
#ifndef TERN_BENCH_STRIPE_H
#define TERN_BENCH_STRIPE_H

#include "control/bench/bench.h"
#include "control/bench/scratch.h"
#include "dataplane/stripe/layout.h"

#define BENCH_STRIPE_SIZES    3u
#define BENCH_STRIPE_SLICE_NS 20000000u
#define BENCH_STRIPE_GROUPS   16u /* in flight */

/* Zero-written files, one a device. */
struct bench_stripe {
	uint32_t devices;
	struct bench_scratch files[STRIPE_DEVICES_MAX];
};

/* One size of block, each of which is a write group. */
struct bench_stripe_point {
	uint32_t block_bytes, group_pages;
	double blocks_per_s;
	double device_bytes_per_s; /* pages that were written for them, parity counted */
	double raw_bytes_per_s;
};

struct bench_stripe_result {
	struct bench_stripe_point points[BENCH_STRIPE_SIZES];
	char mode[64];                   /* what the adapter says of itself */
	uint64_t writes, durable_writes; /* requests of both sides; forced through or flushed */
};

/* Makes the files in @directory. False: @text says why; nothing is left. */
bool bench_stripe_open(struct bench_stripe *bench, const char *directory, uint32_t devices,
		       char *text, size_t text_bytes);
/* Measures every size for @duration_ns a side on the first k + m files, which there are
 * (INVARIANT). False: @text says why. */
bool bench_stripe_measure(const struct bench_stripe *bench, struct stripe_geometry geometry,
			  uint64_t duration_ns, struct bench_stripe_result *result, char *text,
			  size_t text_bytes);
/* Removes the files. */
void bench_stripe_close(struct bench_stripe *bench);

#endif
