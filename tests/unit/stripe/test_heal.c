/* SPDX-License-Identifier: Apache-2.0 */
/* Groups that come back damaged: whatever up to m pages of a row are, the data comes back. */
#include "tests/unit/stripe/rig.h"

#include <string.h>

/* What may have become of a page. Returns false when it cannot be told from a good one. */
static void
damage(struct rig *rig, uint32_t column, uint32_t row, struct prng *prng)
{
	uint8_t *page = stripe_image_page(&rig->image, column, row);
	struct page_identity group = rig->image.group;

	switch (prng_below(prng, 5)) {
	case 0: /* never written */
		memset(page, 0, PAGE_BYTES);
		break;
	case 1: /* a bit */
		page[prng_below(prng, PAGE_IDENTITY_BYTES)] ^= (uint8_t)(1u << prng_below(prng, 8));
		break;
	case 2: /* the one before, whose place this was a lap ago: a lost write */
		group.group_seq--;
		stripe_identity_write(&rig->image.layout, &group, column, row, page);
		break;
	case 3: { /* another page of this very group: a misdirected write */
		const uint32_t other = (column + 1) % stripe_devices(rig->image.layout.geometry);
		if (row < stripe_column_pages(&rig->image.layout, other))
			memcpy(page, rig_good_page(rig, other, row), PAGE_BYTES);
		else
			memset(page, 0xee, PAGE_BYTES);
		break;
	}
	default: /* of a data page: its content; of parity: its identity part, for the rest is
		    not covered by a sum */
		page[column < rig->image.layout.geometry.m ? 9 : 64 + prng_below(prng, 65)] ^= 0x10;
		break;
	}
}

static void
heal_and_check(struct rig *rig, uint32_t bad_pages)
{
	struct stripe_healed healed;

	assert_int_equal(stripe_heal(rig->code, &rig->image, &healed), TERN_OK);
	assert_int_equal(healed.bad_pages, bad_pages);
	assert_int_equal(healed.unreadable_rows, 0);
	rig_check_data(rig);
	/* A page is counted once, whoever finds it. */
	(void)stripe_parity_heal(rig->code, &rig->image, rig->scratch, &healed);
	assert_int_equal(healed.bad_pages, bad_pages);
	uint32_t sum = 0;
	for (uint32_t column = 0; column < stripe_devices(rig->image.layout.geometry); column++) {
		sum += healed.bad_of[column];
		assert_int_equal(healed.bad_of[column] != 0,
				 (healed.bad_columns & STRIPE_BIT(column)) != 0);
	}
	assert_int_equal(sum, bad_pages);
	rig_check(rig);
}

/* Up to m pages of every row, at different devices in each. */
static void
test_damaged_pages(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 77);
	for (uint32_t i = 0; i < 400; i++) {
		const struct stripe_geometry geometry = {
			(uint32_t)prng_between(&prng, 1, 8),
			(uint32_t)prng_between(&prng, 1, STRIPE_M_MAX),
		};
		const uint32_t devices = stripe_devices(geometry);
		uint32_t bad = 0;
		struct rig rig;

		rig_make(&rig, geometry, prng_below(&prng, 1000),
			 (uint32_t)prng_between(&prng, 1, 30), i);
		const uint32_t absent_count = (uint32_t)prng_below(&prng, geometry.m + 1);
		for (uint32_t c = 0; c < absent_count; c++)
			rig.image.absent |= STRIPE_BIT(prng_below(&prng, devices));
		rig_lose(&rig, rig.image.absent);
		for (uint32_t row = 0; row < rig.image.layout.rows; row++) {
			uint32_t left = geometry.m - absent_count;
			for (uint32_t column = 0; column < devices; column++) {
				if (left == 0 || (rig.image.absent & STRIPE_BIT(column)) != 0 ||
				    row >= stripe_column_pages(&rig.image.layout, column) ||
				    prng_below(&prng, 2) == 0)
					continue;
				damage(&rig, column, row, &prng);
				left--;
				bad++;
			}
		}
		heal_and_check(&rig, bad);
		rig_free(&rig);
	}
}

/* Parity whose payload is wrong says nothing of it; the pages that it gives do. */
static void
test_parity_that_lies(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 5; k++) {
		for (uint32_t m = 2; m <= 4; m++) {
			for (uint32_t liar = 0; liar < m; liar++) {
				for (uint32_t lost = 0; lost < k; lost++) {
					struct stripe_healed healed;
					struct rig rig;
					rig_make(&rig, (struct stripe_geometry){ k, m }, k,
						 2 * k + 1, m);
					rig.image.absent = STRIPE_BIT(m + lost);
					rig_lose(&rig, rig.image.absent);
					stripe_image_page(&rig.image, liar, 1)[3000] ^= 1;
					assert_int_equal(stripe_heal(rig.code, &rig.image, &healed),
							 TERN_OK);
					assert_true(healed.distrusted == 0 ||
						    healed.distrusted == STRIPE_BIT(liar));
					/* The first parity is the one that is used. */
					assert_int_equal(healed.distrusted != 0, liar == 0);
					rig_check_data(&rig);
					assert_int_equal(stripe_parity_heal(rig.code, &rig.image,
									    rig.scratch, &healed),
							 1);
					assert_int_equal(healed.bad_columns, STRIPE_BIT(liar));
					assert_int_equal(healed.bad_of[liar], 1);
					rig_check(&rig);
					rig_free(&rig);
				}
			}
		}
	}
}

/* One row has lost too much: it is said, and the other rows are as they should be. */
static void
test_one_loss_too_many(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 5; k++) {
		for (uint32_t m = 0; m <= 3; m++) {
			struct stripe_healed healed;
			struct rig rig;
			rig_make(&rig, (struct stripe_geometry){ k, m }, 1, 3 * k, m);
			/* m parity pages and a data page, or as many of the data as there are. */
			for (uint32_t column = 0; column <= m; column++)
				memset(stripe_image_page(&rig.image, column, 1), 0, PAGE_BYTES);
			stripe_image_page(&rig.image, m, 2)[100] ^= 1;
			assert_int_equal(stripe_heal(rig.code, &rig.image, &healed),
					 TERN_ERR_CORRUPT);
			assert_int_equal(healed.unreadable_rows, m == 0 ? 2 : 1);
			for (uint32_t column = m; column < k + m; column++) {
				assert_memory_equal(stripe_image_page(&rig.image, column, 0),
						    rig_good_page(&rig, column, 0), PAGE_BYTES);
				if (m != 0)
					assert_memory_equal(
					    stripe_image_page(&rig.image, column, 2),
					    rig_good_page(&rig, column, 2), PAGE_BYTES);
			}
			rig_free(&rig);
		}
	}
}

/* All the parity lies: no page that does not verify is ever called good. */
static void
test_no_page_is_invented(void **state)
{
	struct stripe_healed healed;
	struct rig rig;

	(void)state;
	rig_make(&rig, (struct stripe_geometry){ 3, 2 }, 1, 6, 1);
	rig.image.absent = STRIPE_BIT(2);
	stripe_image_page(&rig.image, 0, 0)[3000] ^= 1;
	stripe_image_page(&rig.image, 1, 0)[3001] ^= 1;
	assert_int_equal(stripe_heal(rig.code, &rig.image, &healed), TERN_ERR_CORRUPT);
	assert_int_equal(healed.unreadable_rows, 1);
	rig_free(&rig);
}

/* Bytes behind the content are zero, and are made so. */
static void
test_padding(void **state)
{
	(void)state;
	for (uint32_t m = 0; m <= 1; m++) {
		struct rig rig;
		rig_make(&rig, (struct stripe_geometry){ 2, m }, 0, 4, 3);
		uint32_t bad = 0;
		for (uint32_t i = 0; i < 4; i++) {
			uint8_t *page = rig.image.data + (size_t)i * PAGE_BYTES;
			struct page_content content;
			assert_int_equal(page_content_open(page, &content), TERN_OK);
			if (content.used_bytes < PAGE_PAYLOAD_BYTES) {
				page[PAGE_BYTES - 1] = 1;
				bad++;
			}
		}
		assert_true(bad != 0);
		heal_and_check(&rig, bad);
		rig_free(&rig);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_pages),
		cmocka_unit_test(test_parity_that_lies),
		cmocka_unit_test(test_one_loss_too_many),
		cmocka_unit_test(test_no_page_is_invented),
		cmocka_unit_test(test_padding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
