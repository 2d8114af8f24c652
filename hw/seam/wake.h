/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking a thread that may sleep: an eventfd and a flag that says whether anybody sleeps on it, so
 * that waking a busy thread costs one load. The sleeper sets the flag, looks for work once more,
 * and only then sleeps; the waker publishes its work before it looks at the flag.
 */
#ifndef TERN_HW_SEAM_WAKE_H
#define TERN_HW_SEAM_WAKE_H

#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

struct wake {
	_Atomic uint32_t is_asleep;
	int fd; /* eventfd, non-blocking; -1: the owner never sleeps (simulator, tests) */
};

/* Any thread. */
static inline void
wake_up(struct wake *wake)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&wake->is_asleep, memory_order_relaxed) != 0 && wake->fd >= 0) {
		const uint64_t one = 1;
		/* The only failure of an eventfd is a counter at its limit: then it is readable. */
		if (write(wake->fd, &one, sizeof(one)) < 0)
			return;
	}
}

/* The sleeper: say so, then look for work once more. */
static inline void
wake_prepare(struct wake *wake)
{
	atomic_store_explicit(&wake->is_asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

/* The sleeper, awake again: clear the flag and drain the eventfd. */
static inline void
wake_done(struct wake *wake)
{
	atomic_store_explicit(&wake->is_asleep, 0, memory_order_relaxed);
	if (wake->fd >= 0) {
		uint64_t count;
		if (read(wake->fd, &count, sizeof(count)) < 0)
			return;
	}
}

#endif
