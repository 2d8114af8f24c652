/* SPDX-License-Identifier: Apache-2.0 */
/* Where pages lie: every geometry, many sizes, every place of a first cell. */
#include "tests/unit/stripe/rig.h"

#include <stdlib.h>
#include <string.h>

/* Each cell of the group once; a column on one device, its pages one after the other. */
static void
check_group(struct stripe_geometry geometry, uint64_t first_cell, uint32_t pages)
{
	const struct stripe_layout layout = stripe_layout_make(geometry, first_cell, pages);
	const uint32_t devices = stripe_devices(geometry);
	uint8_t *seen = calloc(1, layout.cells);
	uint32_t count = 0, on_devices = 0, next_page = 0;

	assert_non_null(seen);
	assert_int_equal(layout.cells, pages + geometry.m * layout.rows);
	for (uint32_t column = 0; column < devices; column++) {
		const uint32_t rows = stripe_column_pages(&layout, column);
		const uint32_t device = stripe_column_device(&layout, column);
		assert_int_equal(stripe_device_column(&layout, device), column);
		assert_int_equal(on_devices & STRIPE_BIT(device), 0);
		on_devices |= STRIPE_BIT(device);
		assert_int_equal((stripe_columns_empty(&layout) >> column) & 1, rows == 0);
		assert_int_equal(stripe_column_is_parity(&layout, column), column < geometry.m);
		if (column < geometry.m)
			assert_int_equal(rows, layout.rows);
		else
			assert_int_equal(stripe_column_first(&layout, column), next_page);
		uint64_t before = 0;
		for (uint32_t row = 0; row < rows; row++) {
			const uint64_t cell = stripe_cell_at(&layout, column, row);
			const struct stripe_place place =
			    stripe_cell_place(geometry, cell, UINT64_C(1) << 50);
			assert_true(cell >= first_cell && cell - first_cell < layout.cells);
			assert_int_equal(seen[cell - first_cell]++, 0);
			assert_int_equal(place.device, device);
			assert_true(row == 0 || place.page == before + 1);
			before = place.page;
			count++;
			if (column >= geometry.m) {
				uint32_t found_column, found_row;
				stripe_page_find(&layout, next_page++, &found_column, &found_row);
				assert_int_equal(found_column, column);
				assert_int_equal(found_row, row);
			}
		}
	}
	assert_int_equal(count, layout.cells);
	assert_int_equal(next_page, pages);
	free(seen);
}

static void
test_every_geometry(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= STRIPE_K_MAX; k++) {
		for (uint32_t m = 0; m <= STRIPE_M_MAX; m++) {
			const struct stripe_geometry geometry = { k, m };
			for (uint32_t pages = 1; pages <= 3 * k + 2; pages++)
				for (uint64_t cell = 0; cell < k + m; cell++)
					check_group(geometry, 1000 * (k + m) + cell, pages);
			check_group(geometry, 12345, 64);
			check_group(geometry, 54321, 4097);
			check_group(geometry, 0, STRIPE_PAGES_MAX);
		}
	}
}

static void
test_plain_is_what_it_was(void **state)
{
	const struct stripe_geometry plain = { 1, 0 };
	const struct stripe_layout layout = stripe_layout_make(plain, 700, 9);

	(void)state;
	assert_int_equal(layout.cells, 9);
	for (uint32_t page = 0; page < 9; page++) {
		uint32_t column, row;
		stripe_page_find(&layout, page, &column, &row);
		assert_int_equal(column, 0);
		assert_int_equal(stripe_cell_at(&layout, column, row), 700 + page);
		assert_int_equal(stripe_cell_place(plain, 700 + page, 10000).page, 700 + page);
	}
}

static void
test_places_and_laps(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 5; k++) {
		for (uint32_t m = 0; m <= 2; m++) {
			const struct stripe_geometry geometry = { k, m };
			const uint64_t area = 7;
			for (uint64_t cell = 0; cell < 3 * area * (k + m); cell++) {
				const struct stripe_place place =
				    stripe_cell_place(geometry, cell, area);
				assert_true(place.page < area && place.device < k + m);
				assert_int_equal(place.lap, cell / (area * (k + m)));
				assert_int_equal(stripe_place_cell(geometry, &place, area), cell);
			}
		}
	}
}

static void
test_groups_do_not_straddle(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 6; k++) {
		for (uint32_t m = 0; m <= 3; m++) {
			const struct stripe_geometry geometry = { k, m };
			const uint64_t area = 11, lap_cells = area * (k + m);
			for (uint32_t pages = 1; pages <= k * area + 1; pages++) {
				const uint32_t cells = stripe_group_cells(geometry, pages);
				for (uint64_t cell = lap_cells; cell < 2 * lap_cells; cell++) {
					uint64_t first;
					const enum tern_err err =
					    stripe_cell_fit(geometry, cell, pages, area, &first);
					assert_int_equal(err, cells > lap_cells ? TERN_ERR_TOO_LARGE
										: TERN_OK);
					if (err != TERN_OK)
						continue;
					const bool is_moved = cell % lap_cells + cells > lap_cells;
					assert_int_equal(first, is_moved ? 2 * lap_cells : cell);
					assert_int_equal(
					    stripe_cell_place(geometry, first, area).lap,
					    stripe_cell_place(geometry, first + cells - 1, area)
						.lap);
				}
			}
		}
	}
}

static void
test_parity_rotates(void **state)
{
	const struct stripe_geometry geometry = { 4, 2 };
	uint32_t parity_pages[6] = { 0 };
	uint64_t cell = 0;
	struct prng prng;

	(void)state;
	prng_seed(&prng, 2);
	for (uint32_t i = 0; i < 20000; i++) {
		const struct stripe_layout layout =
		    stripe_layout_make(geometry, cell, (uint32_t)prng_between(&prng, 1, 9));
		for (uint32_t column = 0; column < 2; column++)
			parity_pages[stripe_column_device(&layout, column)] += layout.rows;
		cell += layout.cells;
	}
	for (uint32_t device = 1; device < 6; device++) {
		assert_in_range(parity_pages[device], parity_pages[0] * 9 / 10,
				parity_pages[0] * 11 / 10);
	}
}

static void
test_identity_of_every_page(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= STRIPE_K_MAX; k += 3) {
		for (uint32_t m = 0; m <= STRIPE_M_MAX; m++) {
			const struct stripe_geometry geometry = { k, m };
			struct rig rig;
			rig_make(&rig, geometry, 3, 2 * k + 1, k);
			for (uint32_t column = 0; column < k + m; column++) {
				const uint32_t rows =
				    stripe_column_pages(&rig.image.layout, column);
				for (uint32_t row = 0; row < rows; row++) {
					struct page_identity identity;
					struct stripe_layout layout;
					uint32_t found_row;
					const uint8_t *page =
					    stripe_image_page(&rig.image, column, row);
					assert_int_equal(page_identity_decode(page, &identity),
							 TERN_OK);
					assert_true(stripe_identity_is_same_group(
					    &identity, &rig.image.group));
					assert_int_equal(stripe_identity_layout(geometry, &identity,
										&layout,
										&found_row),
							 TERN_OK);
					assert_true(layout.first_cell ==
							rig.image.layout.first_cell &&
						    layout.pages == rig.image.layout.pages &&
						    layout.cells == rig.image.layout.cells);
					assert_int_equal(identity.column, column);
					assert_int_equal(found_row, row);
				}
			}
			rig_free(&rig);
		}
	}
}

static void
test_identities_that_contradict_themselves(void **state)
{
	const struct stripe_geometry geometry = { 3, 2 };
	const struct page_identity good = {
		.cluster_id = 1,
		.node_id = 1,
		.first_cell = 10,
		.own_cell = 13,
		.group_pages = 4,
		.column = 3,
		.k = 3,
		.m = 2,
	};
	struct page_identity bad[8];
	struct stripe_layout layout;
	uint32_t row;

	(void)state;
	assert_int_equal(stripe_identity_layout(geometry, &good, &layout, &row), TERN_OK);
	for (uint32_t i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].k = 4;
	bad[1].m = 0;
	bad[2].column = 4;
	bad[3].own_cell = 14;
	bad[4].own_cell = 18; /* column 3 has one page, 4 pages being 2 + 1 + 1 */
	bad[5].first_cell = 14;
	bad[6].first_cell = STRIPE_CELL_END;
	bad[7].group_pages = 0;
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(stripe_identity_layout(geometry, &bad[i], &layout, &row),
				 i < 2 ? TERN_ERR_FOREIGN : TERN_ERR_CORRUPT);
}

static void
test_what_makes_another_group(void **state)
{
	struct page_identity a = { .cluster_id = 1, .k = 2, .m = 1, .group_pages = 3 }, b = a;

	(void)state;
	b.column = 2;
	b.own_cell = 8;
	assert_true(stripe_identity_is_same_group(&a, &b));
#define DIFFERS(field)                                               \
	do {                                                         \
		b = a;                                               \
		b.field++;                                           \
		assert_false(stripe_identity_is_same_group(&a, &b)); \
	} while (0)
	DIFFERS(cluster_id);
	DIFFERS(node_id);
	DIFFERS(pool_gen);
	DIFFERS(boot_no);
	DIFFERS(group_seq);
	DIFFERS(first_cell);
	DIFFERS(group_pages);
	DIFFERS(k);
	DIFFERS(m);
	DIFFERS(acked_floor);
#undef DIFFERS
}

static void
test_refusals(void **state)
{
	const struct stripe_geometry geometry = { 2, 1 };

	(void)state;
	expect_assert_failure((void)stripe_layout_make(geometry, 0, 0));
	expect_assert_failure((void)stripe_layout_make(geometry, 0, STRIPE_PAGES_MAX + 1));
	expect_assert_failure((void)stripe_layout_make(geometry, STRIPE_CELL_END - 2, 2));
	expect_assert_failure((void)stripe_layout_make((struct stripe_geometry){ 0, 1 }, 0, 1));
	expect_assert_failure((void)stripe_layout_make((struct stripe_geometry){ 17, 1 }, 0, 1));
	expect_assert_failure((void)stripe_layout_make((struct stripe_geometry){ 1, 5 }, 0, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_geometry),
		cmocka_unit_test(test_plain_is_what_it_was),
		cmocka_unit_test(test_places_and_laps),
		cmocka_unit_test(test_groups_do_not_straddle),
		cmocka_unit_test(test_parity_rotates),
		cmocka_unit_test(test_identity_of_every_page),
		cmocka_unit_test(test_identities_that_contradict_themselves),
		cmocka_unit_test(test_what_makes_another_group),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
