/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The erasure code of write groups: Reed-Solomon over GF(2^8) by Intel ISA-L, with its Cauchy
 * matrix (gf_gen_cauchy1_matrix: every square part of it can be inverted, so any k of the k + m
 * columns give all others back; Bloemer et al. 1995). The only room that includes
 * isa-l/erasure_code.h.
 *
 * Each row of a group is a code word of its own: its pages in the k data columns (one that has no
 * page there counts as zeros) and in the m parity columns. Whole pages are coded, identity parts
 * included; those of parity pages are then written over, so what a decode gives in the first
 * PAGE_IDENTITY_BYTES of a page is meaningless until stripe_identity_write has made them anew.
 * Content headers and payloads come back exactly.
 *
 * In memory the data columns of a group lie in its n contiguous pages (as in the log ring), and
 * the parity columns one after the other, rows pages each.
 *
 * Decode matrices are kept by erasure pattern, STRIPE_PATTERNS_MAX of them; the oldest gives way.
 *
 * Thread: one owner (decoding fills the table of patterns). Pure: no allocation, no globals.
 */
#ifndef TERN_STRIPE_CODE_H
#define TERN_STRIPE_CODE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/stripe/layout.h"

#define STRIPE_PATTERNS_MAX 64u

struct stripe_code; /* fields in code.c */

size_t stripe_code_bytes(void);
/* @memory: stripe_code_bytes(), 64-byte aligned, borrowed for ever. CONFIG: no such geometry. */
TERN_CHECKED enum tern_err
stripe_code_init(void *memory, struct stripe_geometry geometry, struct stripe_code **code);
struct stripe_geometry stripe_code_geometry(const struct stripe_code *code);

/* Parity of a group. @data: its pages; @parity: m * layout->rows pages, written from end to end.
 * Both page aligned, borrowed until return. */
void stripe_encode(const struct stripe_code *code, const struct stripe_layout *layout,
		   const uint8_t *data, uint8_t *parity);

/* The same step by step: while the parity grows by a column, earlier columns may already be on
 * their way to their devices. begin, then add each data column that is not empty once, in any
 * order; the parity is then the one of stripe_encode. */
void stripe_encode_begin(const struct stripe_code *code, const struct stripe_layout *layout,
			 uint8_t *parity);
void stripe_encode_add(const struct stripe_code *code, const struct stripe_layout *layout,
		       uint32_t column, const uint8_t *data, uint8_t *parity);

/* Columns of a group as masks, and rows [first_row, end_row) of it. */
struct stripe_decode {
	uint32_t lost;   /* columns whose pages must not be read */
	uint32_t wanted; /* of these: columns whose pages are to be written */
	uint32_t first_row, end_row;
};
/* Fills the wanted pages of these rows in @data and @parity from the columns that are not lost.

 * NOT_FOUND: in some row more than m columns that have a page there are lost; nothing was written.
 */
TERN_CHECKED enum tern_err
stripe_decode(struct stripe_code *code, const struct stripe_layout *layout,
	      const struct stripe_decode *decode, uint8_t *data, uint8_t *parity);

/* How often a decode matrix was found in the table, and how often it had to be made. */
void stripe_code_patterns(const struct stripe_code *code, uint64_t *found, uint64_t *made);

#endif
