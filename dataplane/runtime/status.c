/* SPDX-License-Identifier: Apache-2.0 */
/* A sequence lock: Boehm, "Can seqlocks get along with programming language memory models?" (2012).
 * The copies are made word by word with relaxed atomics, so that a torn read is merely retried. */
#include "dataplane/runtime/status.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct node_status) % sizeof(uint64_t) == 0, "copied in words");

#define STATUS_WORDS (sizeof(struct node_status) / sizeof(uint64_t))

void
status_publish(struct status_cell *cell, const struct node_status *status)
{
	_Atomic uint64_t *to = (_Atomic uint64_t *)(void *)&cell->status;
	const uint64_t version = atomic_load_explicit(&cell->version, memory_order_relaxed);

	atomic_store_explicit(&cell->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < STATUS_WORDS; i++) {
		uint64_t word;
		memcpy(&word, (const uint8_t *)status + i * sizeof(word), sizeof(word));
		atomic_store_explicit(&to[i], word, memory_order_relaxed);
	}
	atomic_store_explicit(&cell->version, version + 2, memory_order_release);
}

void
status_read(struct status_cell *cell, struct node_status *status)
{
	_Atomic uint64_t *from = (_Atomic uint64_t *)(void *)&cell->status;
	uint64_t before, after;

	do {
		before = atomic_load_explicit(&cell->version, memory_order_acquire);
		for (size_t i = 0; i < STATUS_WORDS; i++) {
			const uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
			memcpy((uint8_t *)status + i * sizeof(word), &word, sizeof(word));
		}
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&cell->version, memory_order_relaxed);
	} while (before != after || (before & 1) != 0);
}
