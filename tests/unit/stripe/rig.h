/* SPDX-License-Identifier: Apache-2.0 */
/* A write group in memory, with good content and everything around it to code it. */
#ifndef TERN_TESTS_UNIT_STRIPE_RIG_H
#define TERN_TESTS_UNIT_STRIPE_RIG_H

#include "tests/support/check.h"

#include "dataplane/base/prng.h"
#include "dataplane/stripe/heal.h"

#define RIG_CLUSTER 0x7465726eULL
#define RIG_NODE    2u

struct rig {
	struct stripe_code *code;
	struct stripe_image image;
	uint8_t *good;    /* data pages as they were, then parity pages */
	uint8_t *scratch; /* for stripe_parity_heal */
	uint32_t pages, parity_pages;
	void *memory[4];
};

/* A group of @pages random pages at @first_cell, encoded, identity parts written. */
void rig_make(struct rig *rig, struct stripe_geometry geometry, uint64_t first_cell, uint32_t pages,
	      uint64_t seed);
void rig_free(struct rig *rig);
/* Overwrites what the columns of @columns hold. */
void rig_lose(struct rig *rig, uint32_t columns);
/* The good bytes of a page. */
const uint8_t *rig_good_page(const struct rig *rig, uint32_t column, uint32_t row);
/* Everything is as it was. */
void rig_check(const struct rig *rig);
void rig_check_data(const struct rig *rig);
/* 64-byte aligned memory. */
void *rig_memory(size_t bytes);
struct stripe_code *rig_code(struct stripe_geometry geometry, void **memory);

#endif
