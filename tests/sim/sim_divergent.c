/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of what a node names on its divergent ring: whoever reads the devices finds it. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/stripe/heal.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_spare.h"

/* Reads the group that @block lies in from every device that is there, and heals it. */
static const uint8_t *
divergent_read(const struct sim_node *node, const struct divergent_record *record,
	       const struct divergent_block *block, struct stripe_code *code,
	       struct stripe_image *image)
{
	const struct stripe_layout *layout = &image->layout;
	struct stripe_healed healed;

	for (uint32_t column = 0; column < stripe_devices(record->geometry); column++) {
		const size_t bytes = (size_t)stripe_column_pages(layout, column) * PAGE_BYTES;
		if (bytes == 0)
			continue;
		const struct stripe_place place = stripe_cell_place(
		    record->geometry, stripe_cell_at(layout, column, 0), record->log_pages);
		const uint64_t at = (record->log_first_page + place.page) * PAGE_BYTES;
		const uint32_t drive = sim_spare_drive(&node->disk, place.device);
		if ((node->disk.gone >> drive & 1) != 0 || at + bytes > node->disk.image_bytes)
			image->absent |= STRIPE_BIT(column);
		else
			memcpy(stripe_image_page(image, column, 0),
			       sim_disk_at(&node->disk, drive, at), bytes);
	}
	if (!stripe_image_find(image, record->cluster_id, node->id))
		return NULL;
	(void)!stripe_heal(code, image, &healed);
	return image->data + (size_t)block->page * PAGE_BYTES;
}

/* Nobody else has a tail that was cut: what comes to harm of it on all devices is not made good. */
static bool
is_harmed(const struct sim_node *node, const struct divergent_block *block)
{
	const struct sim_hurt *hurt = &node->disk.hurt;

	return hurt->count != 0 && hurt->first_cell == block->first_cell;
}

/* As a control thread would read it: the block is there, whatever of it has to be decoded. */
static void
divergent_check(const struct sim_node *node, const struct divergent_record *record,
		const struct divergent_block *block)
{
	struct stripe_image image = {
		.layout =
		    stripe_layout_make(record->geometry, block->first_cell, block->group_pages),
	};
	void *code_memory =
	    aligned_alloc(PAGE_BYTES, align_up_u64(stripe_code_bytes(), PAGE_BYTES));
	uint8_t *pages = aligned_alloc(PAGE_BYTES, (size_t)image.layout.cells * PAGE_BYTES);
	struct stripe_code *code;
	bool is_whole = true;

	if (code_memory == NULL || pages == NULL ||
	    stripe_code_init(code_memory, record->geometry, &code) != TERN_OK)
		abort();
	image.data = pages;
	image.parity = pages + (size_t)image.layout.pages * PAGE_BYTES;
	const uint8_t *bytes = divergent_read(node, record, block, code, &image);
	for (uint32_t page = 0; page < block->pages && is_whole; page++) {
		struct page_content content;
		is_whole =
		    bytes != NULL &&
		    page_content_open(bytes + (size_t)page * PAGE_BYTES, &content) == TERN_OK &&
		    content.log_index == block->log_index &&
		    (content.log_index != record->last_index || content.term == record->last_term);
	}
	free(pages);
	free(code_memory);
	if (!is_whole)
		sim_fail(node->sim, "divergent",
			 "node %u: the group at cell %llu does not give block %llu", node->id,
			 (unsigned long long)block->first_cell,
			 (unsigned long long)block->log_index);
}

void
sim_check_divergent(struct sim_node *node)
{
	const struct divergent_record *record;
	uint32_t bytes;

	while ((record = ring_peek(&node->divergent, &bytes)) != NULL) {
		const struct divergent_block *blocks = (const struct divergent_block *)(record + 1);
		sim_count(node->sim, node->life == SIM_NODE_BOOTING ? SIM_COUNT_divergent_at_boot
								    : SIM_COUNT_divergent_tails);
		for (uint32_t i = 0; i < record->count; i++)
			if (!is_harmed(node, &blocks[i]))
				divergent_check(node, record, &blocks[i]);
		sim_force_exported(node, record);
		ring_consume(&node->divergent);
	}
}
