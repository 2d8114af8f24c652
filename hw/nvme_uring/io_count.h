/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device was asked, and how long it took: counters that the port's owner adds to and any
 * thread may read meanwhile. A reader sees each counter as it was at some moment, not all at one.
 *
 * Latencies fall into buckets of a log-linear scale, eight steps in each power of two of 256 ns, so
 * one is known within an eighth. Those of two readings can be subtracted.
 */
#ifndef TERN_HW_NVME_URING_IO_COUNT_H
#define TERN_HW_NVME_URING_IO_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

#include "hw/seam/disk_ops.h"

#define IO_BUCKETS 240u

/* Of one kind of request. */
struct io_kind {
	uint64_t count, bytes, errors; /* count, bytes: those that succeeded */
	uint64_t ns;                   /* the sum of what these took */
	uint64_t buckets[IO_BUCKETS];
};

struct io_counts {
	uint64_t in_flight;
	struct io_kind reads, writes;
};

#define IO_WORDS (sizeof(struct io_counts) / sizeof(uint64_t))

/* struct io_counts, word by word. */
struct io_cell {
	_Atomic uint64_t words[IO_WORDS];
};

/* Owner. */
void io_begin(struct io_cell *cell);
void
io_end(struct io_cell *cell, enum disk_request_kind kind, uint32_t bytes, uint64_t ns, bool is_ok);
/* Any thread. */
void io_read(const struct io_cell *cell, struct io_counts *counts);

uint32_t io_bucket(uint64_t ns);
/* The largest value that falls into it. */
uint64_t io_bucket_ns(uint32_t bucket);

#endif
