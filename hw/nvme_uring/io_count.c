/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/nvme_uring/io_count.h"

#include <assert.h>
#include <stddef.h>

#include "dataplane/base/invariant.h"

#define UNIT_SHIFT 8u /* the scale begins at 256 ns */
#define STEPS      8u
#define STEP_BITS  3u

static_assert(sizeof(struct io_counts) % sizeof(uint64_t) == 0, "whole words");
#define WORD(member) (offsetof(struct io_counts, member) / sizeof(uint64_t))

/* One writer, so a load and a store are enough. */
static void
add(struct io_cell *cell, size_t word, uint64_t value)
{
	_Atomic uint64_t *at = &cell->words[word];

	atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + value,
			      memory_order_relaxed);
}

uint32_t
io_bucket(uint64_t ns)
{
	const uint64_t units = ns >> UNIT_SHIFT;

	if (units < STEPS)
		return (uint32_t)units;
	const uint32_t top = 63u - (uint32_t)__builtin_clzll(units);
	const uint32_t bucket =
	    STEPS * (top - STEP_BITS + 1) + (uint32_t)(units >> (top - STEP_BITS) & (STEPS - 1));
	return bucket < IO_BUCKETS ? bucket : IO_BUCKETS - 1;
}

uint64_t
io_bucket_ns(uint32_t bucket)
{
	INVARIANT(bucket < IO_BUCKETS);
	if (bucket < STEPS)
		return ((uint64_t)(bucket + 1) << UNIT_SHIFT) - 1;
	const uint32_t shift = bucket / STEPS - 1;
	const uint64_t units = (uint64_t)(STEPS + bucket % STEPS + 1) << shift;
	return (units << UNIT_SHIFT) - 1;
}

void
io_begin(struct io_cell *cell)
{
	add(cell, WORD(in_flight), 1);
}

void
io_end(struct io_cell *cell, enum disk_request_kind kind, uint32_t bytes, uint64_t ns, bool is_ok)
{
	const size_t base = kind == DISK_WRITE ? WORD(writes) : WORD(reads);
	const size_t at = base - WORD(reads);

	add(cell, WORD(in_flight), UINT64_MAX); /* one less */
	if (!is_ok) {
		add(cell, WORD(reads.errors) + at, 1);
		return;
	}
	add(cell, WORD(reads.count) + at, 1);
	add(cell, WORD(reads.bytes) + at, bytes);
	add(cell, WORD(reads.ns) + at, ns);
	add(cell, WORD(reads.buckets) + at + io_bucket(ns), 1);
}

void
io_read(const struct io_cell *cell, struct io_counts *counts)
{
	uint64_t *out = (uint64_t *)(void *)counts;

	for (size_t i = 0; i < IO_WORDS; i++)
		out[i] = atomic_load_explicit(&cell->words[i], memory_order_relaxed);
}
