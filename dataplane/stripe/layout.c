/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/layout.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

struct stripe_place
stripe_cell_place(struct stripe_geometry geometry, uint64_t cell, uint64_t area_pages)
{
	const uint32_t devices = stripe_devices(geometry);
	const uint64_t row = cell / devices;

	INVARIANT(area_pages != 0);
	return (struct stripe_place){
		.device = (uint32_t)(cell % devices),
		.page = row % area_pages,
		.lap = row / area_pages,
	};
}

uint64_t
stripe_place_cell(struct stripe_geometry geometry, const struct stripe_place *place,
		  uint64_t area_pages)
{
	INVARIANT(place->page < area_pages && place->device < stripe_devices(geometry));
	return (place->lap * area_pages + place->page) * stripe_devices(geometry) + place->device;
}

struct stripe_layout
stripe_layout_make(struct stripe_geometry geometry, uint64_t first_cell, uint32_t pages)
{
	INVARIANT(stripe_geometry_is_valid(geometry));
	INVARIANT(pages >= 1 && pages <= STRIPE_PAGES_MAX);
	const struct stripe_layout layout = {
		.geometry = geometry,
		.first_cell = first_cell,
		.pages = pages,
		.rows = (pages + geometry.k - 1) / geometry.k,
		.full_rows = pages / geometry.k,
		.long_columns = pages % geometry.k,
		.cells = stripe_group_cells(geometry, pages),
	};

	INVARIANT(first_cell < STRIPE_CELL_END && layout.cells <= STRIPE_CELL_END - first_cell);
	return layout;
}

enum tern_err
stripe_cell_fit(struct stripe_geometry geometry, uint64_t cell, uint32_t pages, uint64_t area_pages,
		uint64_t *first_cell)
{
	const uint64_t lap_cells = area_pages * stripe_devices(geometry);
	const uint32_t cells = stripe_group_cells(geometry, pages);

	INVARIANT(pages >= 1 && area_pages != 0);
	if (cells > lap_cells)
		return TERN_ERR_TOO_LARGE;
	const uint64_t left = lap_cells - cell % lap_cells;
	*first_cell = cells <= left ? cell : cell + left;
	return TERN_OK;
}

uint32_t
stripe_column_pages(const struct stripe_layout *layout, uint32_t column)
{
	INVARIANT(column < stripe_devices(layout->geometry));
	if (stripe_column_is_parity(layout, column))
		return layout->rows;
	return layout->full_rows + (column - layout->geometry.m < layout->long_columns);
}

uint32_t
stripe_column_first(const struct stripe_layout *layout, uint32_t column)
{
	INVARIANT(!stripe_column_is_parity(layout, column));
	const uint32_t data = column - layout->geometry.m;

	return data * layout->full_rows + min_u32(data, layout->long_columns);
}

uint32_t
stripe_columns_empty(const struct stripe_layout *layout)
{
	const uint32_t devices = stripe_devices(layout->geometry);
	const uint32_t used = min_u32(devices, layout->geometry.m + layout->pages);

	return (STRIPE_BIT(devices) - 1) & ~(STRIPE_BIT(used) - 1);
}

void
stripe_page_find(const struct stripe_layout *layout, uint32_t page, uint32_t *column, uint32_t *row)
{
	const uint32_t long_pages = layout->long_columns * (layout->full_rows + 1);

	INVARIANT(page < layout->pages);
	if (page < long_pages) {
		*column = layout->geometry.m + page / (layout->full_rows + 1);
		*row = page % (layout->full_rows + 1);
	} else { /* full_rows is not 0, for there are pages in short columns */
		*column = layout->geometry.m + layout->long_columns +
			  (page - long_pages) / layout->full_rows;
		*row = (page - long_pages) % layout->full_rows;
	}
}

void
stripe_identity_write(const struct stripe_layout *layout, const struct page_identity *group,
		      uint32_t column, uint32_t row, uint8_t *page)
{
	struct page_identity identity = *group;

	INVARIANT(group->k == layout->geometry.k && group->m == layout->geometry.m);
	INVARIANT(group->first_cell == layout->first_cell && group->group_pages == layout->pages);
	INVARIANT(row < stripe_column_pages(layout, column));
	identity.column = (uint8_t)column;
	identity.own_cell = stripe_cell_at(layout, column, row);
	page_identity_encode(page, &identity);
}

bool
stripe_identity_is(const struct stripe_layout *layout, const struct page_identity *group,
		   uint32_t column, uint32_t row, const uint8_t *page)
{
	uint8_t expected[PAGE_IDENTITY_BYTES];

	stripe_identity_write(layout, group, column, row, expected);
	return memcmp(page, expected, sizeof(expected)) == 0;
}

enum tern_err
stripe_identity_layout(struct stripe_geometry geometry, const struct page_identity *identity,
		       struct stripe_layout *layout, uint32_t *row)
{
	const uint32_t devices = stripe_devices(geometry);

	if (identity->k != geometry.k || identity->m != geometry.m)
		return TERN_ERR_FOREIGN;
	if (identity->group_pages < 1 || identity->group_pages > STRIPE_PAGES_MAX ||
	    identity->first_cell >= STRIPE_CELL_END ||
	    stripe_group_cells(geometry, identity->group_pages) >
		STRIPE_CELL_END - identity->first_cell ||
	    identity->column >= devices)
		return TERN_ERR_CORRUPT;
	*layout = stripe_layout_make(geometry, identity->first_cell, identity->group_pages);
	const uint64_t distance = identity->own_cell - identity->first_cell;
	if (identity->own_cell < identity->first_cell || distance >= layout->cells ||
	    distance % devices != identity->column)
		return TERN_ERR_CORRUPT;
	*row = (uint32_t)(distance / devices);
	INVARIANT(*row < stripe_column_pages(layout, identity->column));
	return TERN_OK;
}

bool
stripe_identity_is_same_group(const struct page_identity *a, const struct page_identity *b)
{
	return a->cluster_id == b->cluster_id && a->node_id == b->node_id &&
	       a->pool_gen == b->pool_gen && a->boot_no == b->boot_no &&
	       a->group_seq == b->group_seq && a->first_cell == b->first_cell &&
	       a->group_pages == b->group_pages && a->k == b->k && a->m == b->m &&
	       a->acked_floor == b->acked_floor && a->branch_group == b->branch_group;
}
