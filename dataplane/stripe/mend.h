/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a store without parity that another node gave, put back where they were lost. The
 * store's owner knows what they must be; thread and errors are the store's.
 */
#ifndef TERN_STRIPE_MEND_H
#define TERN_STRIPE_MEND_H

#include "dataplane/stripe/store.h"
#include "dataplane/wire/page.h"

struct stripe_mend {
	struct page_identity group; /* that they are of; column and own_cell are ignored */
	uint32_t page, pages;       /* of it */
	uint8_t *bytes; /* @pages pages, page aligned; their identity parts are written now, then
			 * they must not change until the completion */
	uint64_t user;
};
/* Writes them in place; completion STRIPE_DONE_GROUP. One device (INVARIANT), cells that are still
 * needed and were given out (INVARIANT). Errors as of a write. */
TERN_CHECKED enum tern_err
stripe_store_mend(struct stripe_store *store, const struct stripe_mend *mend, uint64_t now_ns);

#endif
