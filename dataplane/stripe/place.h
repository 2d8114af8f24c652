/* SPDX-License-Identifier: Apache-2.0 */
/* Where a checkpoint's parts lie in its slot (docs/reference/log-format.md), for the node and for
 * who reads or makes its storage without it. Arithmetic only. */
#ifndef TERN_STRIPE_PLACE_H
#define TERN_STRIPE_PLACE_H

#include "dataplane/base/invariant.h"
#include "dataplane/stripe/store.h"
#include "dataplane/wire/checkpoint.h"

/* Pages that the first @pages of a checkpoint take on each device. */
static inline uint64_t
stripe_place_end(struct stripe_geometry geometry, uint64_t pages)
{
	INVARIANT(pages >= 1);
	return 1 + stripe_parts_rows(geometry, pages - 1, CHECKPOINT_CHUNK_PAGES);
}

/* The header (@page 0), or the chunk that begins at @page of the checkpoint whose slot begins at
 * @first_page of every device. */
static inline struct stripe_blob
stripe_place_blob(struct stripe_geometry geometry, uint64_t first_page, uint64_t page,
		  uint8_t *bytes, uint32_t pages)
{
	const uint64_t chunk = page == 0 ? 0 : (page - 1) / CHECKPOINT_CHUNK_PAGES + 1;

	INVARIANT(page == 0 || (page - 1) % CHECKPOINT_CHUNK_PAGES == 0);
	return (struct stripe_blob){
		.first_page = first_page + (page == 0 ? 0 : stripe_place_end(geometry, page)),
		.pages = pages,
		.turn = (uint32_t)chunk,
		.bytes = bytes,
	};
}

#endif
