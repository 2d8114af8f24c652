/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration asks of sets of nodes. */
#ifndef TERN_CORE_RULE_H
#define TERN_CORE_RULE_H

#include <stdbool.h>
#include <stdint.h>

/* What one configuration asks for. */
struct core_rule {
	uint64_t data;   /* voters with a log: mask */
	uint64_t voters; /* V: of an even number, the witness too */
	uint32_t count;  /* of data */
	uint32_t quorum; /* votes of V */
};

static inline bool
core_rule_has_witness(const struct core_rule *rule)
{
	return rule->voters != rule->data;
}

#endif
