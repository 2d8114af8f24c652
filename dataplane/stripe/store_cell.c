/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

uint64_t
stripe_cell_offset(const struct stripe_store *store, uint64_t cell)
{
	const struct superblock *superblock = &store->super.wanted;
	const struct stripe_place place =
	    stripe_cell_place(store->geometry, cell, superblock->log_pages);

	return (superblock->log_first_page + place.page) * PAGE_BYTES;
}

void
stripe_image_begin(const struct stripe_store *store, struct stripe_image *image,
		   uint64_t first_cell, uint32_t pages)
{
	image->layout = stripe_layout_make(store->geometry, first_cell, pages);
	image->absent = 0;
}

bool
stripe_page_is_written(const struct stripe_store *store, const uint8_t *page, uint64_t cell,
		       struct page_identity *identity, struct stripe_layout *layout)
{
	uint32_t row;

	return page_identity_decode(page, identity) == TERN_OK &&
	       identity->cluster_id == store->super.wanted.cluster_id &&
	       identity->node_id == store->config.node_id && identity->own_cell == cell &&
	       stripe_identity_layout(store->geometry, identity, layout, &row) == TERN_OK;
}

bool
stripe_page_is_ours(const struct stripe_store *store, const uint8_t *page, uint64_t cell,
		    struct page_identity *identity, struct stripe_layout *layout)
{
	return stripe_page_is_written(store, page, cell, identity, layout) &&
	       identity->group_pages <= store->config.group_pages_max;
}

bool
stripe_all_fits(const struct superblock *superblock, uint64_t bytes)
{
	const uint64_t pages = bytes / PAGE_BYTES, first = superblock->checkpoint_first_page;

	return stripe_area_fits(superblock, bytes) &&
	       (superblock->checkpoint_pages == 0 ||
		(pages >= first && pages - first >= superblock->checkpoint_pages));
}

bool
stripe_area_fits(const struct superblock *superblock, uint64_t bytes)
{
	return bytes / PAGE_BYTES >= superblock->log_first_page &&
	       bytes / PAGE_BYTES - superblock->log_first_page >= superblock->log_pages;
}
