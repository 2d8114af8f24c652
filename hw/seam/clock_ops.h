/* SPDX-License-Identifier: Apache-2.0 */
/* The time seam. monotonic_ns never goes backwards within a process; wall_ns may. cycles is for
 * counting what work costs, and for nothing else: a simulator answers 0. */
#ifndef TERN_HW_SEAM_CLOCK_OPS_H
#define TERN_HW_SEAM_CLOCK_OPS_H

#include <stdint.h>

struct clock_ops {
	uint64_t (*monotonic_ns)(void *clock);
	uint64_t (*wall_ns)(void *clock);
	uint64_t (*cycles)(void *clock);
};

struct clock_port {
	const struct clock_ops *ops;
	void *clock;
};

#endif
