/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold whatever happens; the numbers are those of protocol section 15. */
#ifndef TERN_TESTS_UNIT_CORE_CHECKER_H
#define TERN_TESTS_UNIT_CORE_CHECKER_H

#include "tests/unit/core/cluster.h"

/* After every step: I1, I3. */
void check_node(struct cluster *cluster, struct fake_node *node);
/* I4, I7. */
void check_commit(struct cluster *cluster, struct fake_node *node, uint64_t index);
/* I9. */
/* Class memory counts on two copies: both data nodes held the block, in this incarnation of the
 * other one or in its last. */
void check_memory_commit(struct cluster *cluster, const struct fake_node *node, uint64_t index);
/* What is applied is in the log, and ahead of the commit only where it may be. */
void check_applied(struct cluster *cluster, const struct fake_node *node);
void check_cut(struct cluster *cluster, const struct fake_node *node, uint64_t keep_index);
/* I6. */
void check_register(struct cluster *cluster, const struct witness_register *before,
		    const struct witness_register *after);
/* I8. */
void check_witness_answer(struct cluster *cluster, const struct core_effect *effect);
/* I12, as far as indexes tell. */
void
check_read(struct cluster *cluster, const struct fake_node *node, const struct core_effect *effect);
/* I2, between the two logs. */
void check_logs(struct cluster *cluster);
/* Healed and quiet: one serving master in DUPLEX, equal logs, everything committed is there. */
void check_converged(struct cluster *cluster);

#endif
