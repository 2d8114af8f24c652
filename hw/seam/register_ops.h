/* SPDX-License-Identifier: Apache-2.0 */
/* The seam of the witness's register: one small record, durable before its completion is reported.
 * A store that failed is never retried: nothing more is promised. Thread: one owner. */
#ifndef TERN_HW_SEAM_REGISTER_OPS_H
#define TERN_HW_SEAM_REGISTER_OPS_H

#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/witness_register.h"

struct register_ops {
	/* Starts (an adapter may also finish) storing @reg. One store at a time. IO: failed. */
	enum tern_err (*store)(void *store, const struct witness_register *reg, uint64_t op_id);
	/* op_ids of stores that became durable since the last call, at most @max. */
	uint32_t (*poll)(void *store, uint64_t *op_ids, uint32_t max);
};

struct register_port {
	const struct register_ops *ops;
	void *store;
};

#endif
