/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/ring.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

/* Every record starts with its payload's length; FILLER runs to the end of the ring's memory. */
#define RECORD_HDR_BYTES 8u
#define RECORD_FILLER    UINT32_MAX

static uint64_t
record_bytes(uint32_t bytes)
{
	return align_up_u64((uint64_t)bytes + RECORD_HDR_BYTES, 8);
}

static uint32_t *
record_at(const struct ring *ring, uint64_t position)
{
	return (uint32_t *)(void *)(ring->memory + (position & (ring->size - 1)));
}

void
ring_init(struct ring *ring, void *memory, uint64_t size)
{
	INVARIANT(is_pow2_u64(size) && size >= 64);
	INVARIANT(((uintptr_t)memory & 7) == 0);
	*ring = (struct ring){ .memory = memory, .size = size };
}

void *
ring_reserve(struct ring *ring, uint32_t bytes)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	const uint64_t need = record_bytes(bytes);
	const uint64_t to_end = ring->size - (head & (ring->size - 1));
	const uint64_t filler = need > to_end ? to_end : 0;

	INVARIANT(need <= ring->size / 2);
	if (head + filler + need - ring->tail_seen > ring->size) {
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
		if (head + filler + need - ring->tail_seen > ring->size) {
			ring->full_count++;
			return NULL;
		}
	}
	if (filler != 0)
		record_at(ring, head)[0] = RECORD_FILLER;
	uint32_t *record = record_at(ring, head + filler);
	record[0] = bytes;
	record[1] = 0;
	ring->reserved = filler + need;
	return record + RECORD_HDR_BYTES / sizeof(*record);
}

void
ring_publish(struct ring *ring)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	INVARIANT(ring->reserved != 0);
	atomic_store_explicit(&ring->head, head + ring->reserved, memory_order_release);
	ring->reserved = 0;
}

const void *
ring_peek(struct ring *ring, uint32_t *bytes)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	for (int pass = 0; pass < 2; pass++) {
		if (tail == ring->head_seen) {
			ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
			if (tail == ring->head_seen)
				return NULL;
		}
		uint32_t *record = record_at(ring, tail);
		if (record[0] != RECORD_FILLER) {
			*bytes = record[0];
			ring->peeked = record_bytes(record[0]);
			return record + RECORD_HDR_BYTES / sizeof(*record);
		}
		tail += ring->size - (tail & (ring->size - 1));
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
	}
	INVARIANT(false && "a filler record follows a filler record");
	return NULL;
}

void
ring_consume(struct ring *ring)
{
	const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	INVARIANT(ring->peeked != 0);
	atomic_store_explicit(&ring->tail, tail + ring->peeked, memory_order_release);
	ring->peeked = 0;
}

uint64_t
ring_bytes_waiting(struct ring *ring)
{
	/* In this order: head is never behind a tail that was seen before. */
	const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

	return atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
}

bool
ring_is_empty(struct ring *ring)
{
	return ring_bytes_waiting(ring) == 0;
}
