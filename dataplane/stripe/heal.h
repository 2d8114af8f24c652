/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a write group whole that was read back from its devices: which of its pages are good, and
 * what the others must be. Used alike by degraded reads, recovery, rebuild and scrub.
 *
 * A page is good when its identity part is exactly the one that its group and place give (anything
 * else is blank, stale, foreign or misdirected) and, for a data page, its content CRC holds and the
 * rest of its payload is zero. A parity page has no sum over its payload: whether it was right
 * shows in the pages that are decoded with it, so a decoded page counts only when it verifies, and
 * other parity is tried while there is any.
 *
 * Pages heal row by row: in every row up to m pages may be bad, whichever devices hold them.
 *
 * Thread: the owner of the code. Pure.
 */
#ifndef TERN_STRIPE_HEAL_H
#define TERN_STRIPE_HEAL_H

#include "dataplane/stripe/code.h"

/* A group in memory. */
struct stripe_image {
	struct page_identity group; /* column and own_cell do not matter */
	struct stripe_layout layout;
	uint8_t *data;   /* layout.pages pages */
	uint8_t *parity; /* m * layout.rows pages */
	uint32_t absent; /* columns that were not read: what their memory holds means nothing */
};

struct stripe_healed {
	uint32_t bad_pages;                  /* that were read, and are not what they must be */
	uint32_t bad_columns;                /* mask: columns that have such a page */
	uint32_t bad_of[STRIPE_DEVICES_MAX]; /* bad_pages, column by column */
	uint32_t decoded_pages;              /* bad or absent data pages that were made anew */
	uint32_t distrusted;                 /* mask: parity that gave pages which did not verify */
	uint32_t unreadable_rows;
};

/* Makes all data pages good, identity parts included; parity pages are read and stay as they are.
 * CORRUPT: some rows cannot be restored (healed->unreadable_rows); pages of these rows that were
 * bad mean nothing, all others are good. */
TERN_CHECKED enum tern_err
stripe_heal(struct stripe_code *code, struct stripe_image *image, struct stripe_healed *healed);

/* With good data pages: computes the parity anew into @scratch (m * layout.rows pages), identity
 * parts included, and copies to image->parity what was absent or different there. Parity pages that
 * were read and differed, and that @healed does not count yet, are counted there. Returns how many
 * such pages there were. */
uint32_t stripe_parity_heal(const struct stripe_code *code, struct stripe_image *image,
			    uint8_t *scratch, struct stripe_healed *healed);

/* Fills image->group of a group that was read by its address: with the identity that most of its
 * pages give. False: none is of a group with this address. */
bool stripe_image_find(struct stripe_image *image, uint64_t cluster_id, uint16_t node_id);

/* Zeros the data pages that are absent or not good: what is left can be believed. */
void stripe_image_clear_bad(struct stripe_image *image);

/* Of data pages whose content is good: what lies behind their used bytes is zero, as it must be. No
 * sum that others check covers it, and parity does. */
void stripe_image_clear_padding(struct stripe_image *image);

/* Writes the identity parts of all pages of these columns. */
void stripe_image_identify(struct stripe_image *image, uint32_t columns);

/* Where the page at (@column, @row) lies in memory. */
uint8_t *stripe_image_page(const struct stripe_image *image, uint32_t column, uint32_t row);

#endif
