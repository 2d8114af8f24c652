/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pages of a write group lie on k + m devices. Arithmetic only.
 *
 * A cell is the address of a page, rising for ever: cell a is page a / (k + m) of device
 * a mod (k + m), modulo the pages of a device's area; how often the area was gone through is the
 * cell's lap. A group of n pages is a stripe of its own width (as in RAID-Z, Bonwick 2005): it
 *takes n + m * ceil(n / k) consecutive cells, so column c begins at cell first_cell + c, and its
 *pages follow each other on one device:
 *
 *	columns 0 .. m - 1      parity, ceil(n / k) pages each
 *	columns m .. m + k - 1  data; the first n mod k of them ceil(n / k) pages, the rest
 *	                        floor(n / k), which is none when n < k
 *
 * A data column holds a run of neighbouring pages of the group, so a group that is contiguous in
 * memory is written with one request a device. Cells follow each other, so every device gets the
 * same number of pages; which of them are parity depends on first_cell, and changes with every
 *group that does not fill its rows.
 *
 * Invariants: the cells of a group's columns are exactly [first_cell, first_cell + cells), each
 * once; no two columns of a group share a device; no group straddles the end of the area.
 * Limits: k 1..16, m 0..4, n 1..65535, cells below STRIPE_CELL_END.
 */
#ifndef TERN_STRIPE_LAYOUT_H
#define TERN_STRIPE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/page.h"

#define STRIPE_K_MAX       16u
#define STRIPE_M_MAX       4u
#define STRIPE_DEVICES_MAX (STRIPE_K_MAX + STRIPE_M_MAX)
#define STRIPE_SPARES_MAX  4u /* devices besides, to take the place of one that failed */
#define STRIPE_DRIVES_MAX  (STRIPE_DEVICES_MAX + STRIPE_SPARES_MAX)
#define STRIPE_PAGES_MAX   65535u
/* Pages of each device that a start reads in one request, and so those of the largest group and two
 * more. */
#define STRIPE_SCAN_ROWS_MAX 512u
/* At 100 GB/s the log comes here after a thousand years. */
#define STRIPE_CELL_END (UINT64_C(1) << 60)
/* Columns of a group, or devices, as a mask: bit c is column c. */
#define STRIPE_BIT(number) (UINT32_C(1) << (number))

struct stripe_geometry {
	uint32_t k; /* devices' worth of data */
	uint32_t m; /* devices that may be lost */
};

static inline uint32_t
stripe_devices(struct stripe_geometry geometry)
{
	return geometry.k + geometry.m;
}

static inline bool
stripe_geometry_is_valid(struct stripe_geometry geometry)
{
	return geometry.k >= 1 && geometry.k <= STRIPE_K_MAX && geometry.m <= STRIPE_M_MAX;
}

struct stripe_place {
	uint32_t device;
	uint64_t page; /* in the device's area */
	uint64_t lap;
};

/* @area_pages: of one device, at least 1. */
struct stripe_place
stripe_cell_place(struct stripe_geometry geometry, uint64_t cell, uint64_t area_pages);
/* The cell of a page of a device, in lap @lap. */
uint64_t stripe_place_cell(struct stripe_geometry geometry, const struct stripe_place *place,
			   uint64_t area_pages);

/* One group. */
struct stripe_layout {
	struct stripe_geometry geometry;
	uint64_t first_cell;
	uint32_t pages;        /* n */
	uint32_t rows;         /* ceil(n / k): pages of a parity column */
	uint32_t full_rows;    /* floor(n / k): rows in which every data column has a page */
	uint32_t long_columns; /* n mod k: data columns that have a page in the last row */
	uint32_t cells;
};

/* The geometry is valid, 1 <= @pages <= STRIPE_PAGES_MAX, the cells end before STRIPE_CELL_END
 * (INVARIANT). */
struct stripe_layout
stripe_layout_make(struct stripe_geometry geometry, uint64_t first_cell, uint32_t pages);

/* Cells that a group of @pages pages takes. */
static inline uint32_t
stripe_group_cells(struct stripe_geometry geometry, uint32_t pages)
{
	return pages + geometry.m * ((pages + geometry.k - 1) / geometry.k);
}

/* Pages that a run of @pages pages takes on each device when it is coded by itself. */
static inline uint64_t
stripe_rows(struct stripe_geometry geometry, uint64_t pages)
{
	return (pages + geometry.k - 1) / geometry.k;
}
/* The same of @pages pages that are coded @part pages at a time. */
static inline uint64_t
stripe_parts_rows(struct stripe_geometry geometry, uint64_t pages, uint32_t part)
{
	return pages / part * stripe_rows(geometry, part) + stripe_rows(geometry, pages % part);
}

/* The first cell at or behind @cell at which a group of @pages pages lies within one lap.
 * TOO_LARGE: it is longer than the area. */
TERN_CHECKED enum tern_err
stripe_cell_fit(struct stripe_geometry geometry, uint64_t cell, uint32_t pages, uint64_t area_pages,
		uint64_t *first_cell);

static inline bool
stripe_column_is_parity(const struct stripe_layout *layout, uint32_t column)
{
	return column < layout->geometry.m;
}

/* Pages of a column, 0 for a data column that a small group leaves out. */
uint32_t stripe_column_pages(const struct stripe_layout *layout, uint32_t column);
/* Of a data column: the number in the group of its first page. */
uint32_t stripe_column_first(const struct stripe_layout *layout, uint32_t column);
/* Columns that have no page, as a mask. */
uint32_t stripe_columns_empty(const struct stripe_layout *layout);

static inline uint32_t
stripe_column_device(const struct stripe_layout *layout, uint32_t column)
{
	return (uint32_t)((layout->first_cell + column) % stripe_devices(layout->geometry));
}

/* The column that @device holds. */
static inline uint32_t
stripe_device_column(const struct stripe_layout *layout, uint32_t device)
{
	const uint32_t count = stripe_devices(layout->geometry);

	return (uint32_t)((device + count - layout->first_cell % count) % count);
}

static inline uint64_t
stripe_cell_at(const struct stripe_layout *layout, uint32_t column, uint32_t row)
{
	return layout->first_cell + column + (uint64_t)row * stripe_devices(layout->geometry);
}

/* The column and row of page @page (0 .. n - 1) of the group. */
void stripe_page_find(const struct stripe_layout *layout, uint32_t page, uint32_t *column,
		      uint32_t *row);

/* ---- identity parts: wire/page.h, all derivable from the group ---- */

/* What is the same in every page of a group: @group with column and own_cell ignored. Writes the
 * identity part of the page at (@column, @row) to @page. @group and @layout agree (INVARIANT). */
void stripe_identity_write(const struct stripe_layout *layout, const struct page_identity *group,
			   uint32_t column, uint32_t row, uint8_t *page);
/* Whether @page has exactly the identity part that stripe_identity_write gives. */
bool stripe_identity_is(const struct stripe_layout *layout, const struct page_identity *group,
			uint32_t column, uint32_t row, const uint8_t *page);
/* The group that a page with this identity says it is part of, and its row. FOREIGN: another
 * geometry than @geometry. CORRUPT: its numbers contradict each other. */
TERN_CHECKED enum tern_err
stripe_identity_layout(struct stripe_geometry geometry, const struct page_identity *identity,
		       struct stripe_layout *layout, uint32_t *row);
/* Whether two pages may be combined: all but column and own cell agrees. */
bool stripe_identity_is_same_group(const struct page_identity *a, const struct page_identity *b);

#endif
