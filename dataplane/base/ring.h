/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded single-producer single-consumer ring of variable-length records: the only way by which
 * threads hand bytes to each other.
 *
 * Invariants: head - tail <= size; a record is contiguous (a filler record pads the end of the
 * ring); head moves only in the producer, tail only in the consumer.
 * Full is normal: ring_reserve answers NULL and counts it; the producer decides what it means.
 * Limits: size is a power of two; a record, with its 8-byte header, is at most size / 2.
 */
#ifndef TERN_BASE_RING_H
#define TERN_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	_Alignas(64) _Atomic uint64_t head; /* producer: end of what is published */
	uint64_t tail_seen;                 /* producer's last look at tail */
	uint64_t reserved;   /* bytes of the reservation under way, filler included */
	uint64_t full_count; /* producer: reservations refused */
	_Alignas(64) _Atomic uint64_t tail; /* consumer: start of what is not yet consumed */
	uint64_t head_seen;                 /* consumer's last look at head */
	uint64_t peeked;                    /* bytes of the record lent by ring_peek */
	_Alignas(64) uint8_t *memory;
	uint64_t size;
};

/* Borrows @memory for the ring's life. @size: bytes, a power of two, at least 64; @memory 8-byte
 * aligned. */
void ring_init(struct ring *ring, void *memory, uint64_t size);

/* Producer. Room for one record of @bytes, 8-byte aligned, lent until ring_publish. NULL when there
 * is none now. One reservation at a time; a new one replaces an unpublished one. */
void *ring_reserve(struct ring *ring, uint32_t bytes);
/* Producer. Makes the reserved record visible to the consumer. */
void ring_publish(struct ring *ring);

/* Consumer. The oldest record, lent until ring_consume; NULL when the ring is empty. */
const void *ring_peek(struct ring *ring, uint32_t *bytes);
/* Consumer. Gives the record of the last ring_peek back. */
void ring_consume(struct ring *ring);

/* Consumer or producer: no published record is waiting. */
bool ring_is_empty(struct ring *ring);
/* Consumer or producer: bytes of published records that wait, their headers included. */
uint64_t ring_bytes_waiting(struct ring *ring);

#endif
