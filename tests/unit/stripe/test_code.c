/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding and decoding: against arithmetic of our own, against ISA-L called raw, every choice of
 * lost columns. */
#include "tests/unit/stripe/rig.h"

#include <stdlib.h>
#include <string.h>

#include <isa-l/erasure_code.h>

/* GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, bit by bit. */
static uint8_t
slow_mul(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (uint32_t i = 0; i < 8; i++) {
		if ((b >> i & 1) != 0)
			product ^= a;
		a = (uint8_t)(a << 1 ^ ((a & 0x80) != 0 ? 0x1d : 0));
	}
	return product;
}

static uint8_t
slow_inverse(uint8_t a)
{
	for (uint32_t b = 1; b < 256; b++) {
		if (slow_mul(a, (uint8_t)b) == 1)
			return (uint8_t)b;
	}
	return 0;
}

/* Byte @at of parity @p in @row, by the definition of the code. */
static uint8_t
slow_parity(const struct rig *rig, uint32_t p, uint32_t row, uint32_t at)
{
	const struct stripe_geometry geometry = rig->image.layout.geometry;
	uint8_t sum = 0;

	for (uint32_t d = 0; d < geometry.k; d++) {
		const uint32_t column = geometry.m + d;
		if (row >= stripe_column_pages(&rig->image.layout, column))
			continue;
		const uint8_t coefficient = slow_inverse((uint8_t)((geometry.k + p) ^ d));
		sum ^= slow_mul(coefficient, stripe_image_page(&rig->image, column, row)[at]);
	}
	return sum;
}

static void
test_parity_by_definition(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= STRIPE_K_MAX; k += 2) {
		for (uint32_t m = 1; m <= STRIPE_M_MAX; m++) {
			struct rig rig;
			rig_make(&rig, (struct stripe_geometry){ k, m }, 5, k + k / 2 + 1, k + m);
			for (uint32_t p = 0; p < m; p++) {
				for (uint32_t row = 0; row < rig.image.layout.rows; row++) {
					const uint8_t *page = stripe_image_page(&rig.image, p, row);
					for (uint32_t at = PAGE_IDENTITY_BYTES; at < PAGE_BYTES;
					     at += 61)
						assert_int_equal(page[at],
								 slow_parity(&rig, p, row, at));
				}
			}
			rig_free(&rig);
		}
	}
}

/* The same columns, padded with zeros to the same length, given to ISA-L without us. */
static void
test_parity_against_raw(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 11);
	for (uint32_t i = 0; i < 200; i++) {
		const uint32_t k = (uint32_t)prng_between(&prng, 1, STRIPE_K_MAX);
		const uint32_t m = (uint32_t)prng_between(&prng, 1, STRIPE_M_MAX);
		const uint32_t n = (uint32_t)prng_between(&prng, 1, 70);
		uint8_t matrix[STRIPE_DEVICES_MAX * STRIPE_K_MAX];
		uint8_t tables[32 * STRIPE_K_MAX * STRIPE_M_MAX];
		uint8_t *from[STRIPE_K_MAX], *to[STRIPE_M_MAX];
		struct rig rig;

		rig_make(&rig, (struct stripe_geometry){ k, m }, i, n, i);
		const uint32_t length = rig.image.layout.rows * PAGE_BYTES;
		uint8_t *padded = calloc(k + m, length);
		assert_non_null(padded);
		for (uint32_t d = 0; d < k; d++) {
			from[d] = padded + (size_t)d * length;
			const uint32_t rows = stripe_column_pages(&rig.image.layout, m + d);
			if (rows != 0)
				memcpy(from[d], stripe_image_page(&rig.image, m + d, 0),
				       (size_t)rows * PAGE_BYTES);
		}
		for (uint32_t p = 0; p < m; p++)
			to[p] = padded + (size_t)(k + p) * length;
		gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
		ec_init_tables((int)k, (int)m, matrix + (size_t)k * k, tables);
		ec_encode_data((int)length, (int)k, (int)m, tables, from, to);
		stripe_encode(rig.code, &rig.image.layout, rig.image.data, rig.image.parity);
		assert_memory_equal(rig.image.parity, to[0], (size_t)m * length);
		/* Step by step, in another order. */
		memset(rig.image.parity, 0xff, (size_t)m * length);
		stripe_encode_begin(rig.code, &rig.image.layout, rig.image.parity);
		for (uint32_t d = k; d-- > 0;) {
			const uint32_t column = m + (d + i) % k;
			if (stripe_column_pages(&rig.image.layout, column) != 0)
				stripe_encode_add(rig.code, &rig.image.layout, column,
						  rig.image.data, rig.image.parity);
		}
		assert_memory_equal(rig.image.parity, to[0], (size_t)m * length);
		free(padded);
		rig_free(&rig);
	}
}

/* Loses the columns of @lost, brings them back, and finds every byte as it was. */
static void
lose_and_restore(struct rig *rig, uint32_t lost)
{
	struct stripe_layout *layout = &rig->image.layout;
	const uint32_t has_pages = lost & ~stripe_columns_empty(layout);
	const struct stripe_decode decode = {
		.lost = lost,
		.wanted = lost,
		.end_row = layout->rows,
	};

	rig_lose(rig, lost);
	const enum tern_err err =
	    stripe_decode(rig->code, layout, &decode, rig->image.data, rig->image.parity);
	if ((uint32_t)__builtin_popcount(has_pages) > layout->geometry.m) {
		assert_int_equal(err, TERN_ERR_NOT_FOUND);
		rig_lose(rig, 0);
		memcpy(rig->image.data, rig->good,
		       (size_t)(rig->pages + rig->parity_pages) * PAGE_BYTES);
		return;
	}
	assert_int_equal(err, TERN_OK);
	stripe_image_identify(&rig->image, lost);
	rig_check(rig);
}

/* Every set of columns, also those that are too many. */
static void
test_every_loss_of_small_geometries(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 6; k++) {
		for (uint32_t m = 0; m <= STRIPE_M_MAX && k + m <= 8; m++) {
			for (uint32_t n = 1; n <= 2 * k + 1; n++) {
				struct rig rig;
				rig_make(&rig, (struct stripe_geometry){ k, m }, n, n, n);
				for (uint32_t lost = 0; lost < STRIPE_BIT(k + m); lost++)
					lose_and_restore(&rig, lost);
				rig_free(&rig);
			}
		}
	}
}

/* The largest geometry: every choice of four of twenty, so that no matrix is singular. */
static void
test_every_loss_of_the_largest_geometry(void **state)
{
	uint64_t found, made;
	struct rig rig;

	(void)state;
	rig_make(&rig, (struct stripe_geometry){ STRIPE_K_MAX, STRIPE_M_MAX }, 3, 19, 1);
	for (uint32_t lost = 1; lost < STRIPE_BIT(STRIPE_DEVICES_MAX); lost++) {
		if (__builtin_popcount(lost) <= (int)STRIPE_M_MAX)
			lose_and_restore(&rig, lost);
	}
	stripe_code_patterns(rig.code, &found, &made);
	assert_true(made > STRIPE_PATTERNS_MAX);
	rig_free(&rig);
}

static void
test_random_groups(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 4);
	for (uint32_t i = 0; i < 300; i++) {
		const struct stripe_geometry geometry = {
			(uint32_t)prng_between(&prng, 1, STRIPE_K_MAX),
			(uint32_t)prng_between(&prng, 0, STRIPE_M_MAX),
		};
		const uint32_t n = (uint32_t)prng_between(&prng, 1, i % 10 == 0 ? 400 : 40);
		struct rig rig;

		rig_make(&rig, geometry, prng_below(&prng, STRIPE_CELL_END / 2), n, i);
		for (uint32_t j = 0; j < 10; j++) {
			uint32_t lost = 0;
			for (uint32_t c = 0; c < geometry.m; c++)
				lost |= STRIPE_BIT(prng_below(&prng, stripe_devices(geometry)));
			lose_and_restore(&rig, lost);
		}
		rig_free(&rig);
	}
}

/* Only what is asked for is written, and only in the rows that are asked for. */
static void
test_part_of_what_is_lost(void **state)
{
	const struct stripe_geometry geometry = { 4, 3 };
	struct rig rig;

	(void)state;
	rig_make(&rig, geometry, 2, 4 * 5 + 2, 8);
	for (uint32_t lost = 0; lost < STRIPE_BIT(7); lost++) {
		for (uint32_t wanted = lost;; wanted = (wanted - 1) & lost) {
			const struct stripe_decode decode = { lost, wanted, 2, 6 };
			if (__builtin_popcount(lost) > 3)
				break;
			rig_lose(&rig, lost);
			assert_int_equal(stripe_decode(rig.code, &rig.image.layout, &decode,
						       rig.image.data, rig.image.parity),
					 TERN_OK);
			for (uint32_t column = 0; column < 7; column++) {
				const uint32_t rows =
				    stripe_column_pages(&rig.image.layout, column);
				for (uint32_t row = 0; row < rows; row++) {
					const uint8_t *page =
					    stripe_image_page(&rig.image, column, row);
					const bool is_lost = (lost & STRIPE_BIT(column)) != 0;
					const bool is_made =
					    (wanted & STRIPE_BIT(column)) != 0 && row >= 2;
					if (is_lost && !is_made)
						assert_int_equal(page[200], 0xa5);
					else
						assert_memory_equal(
						    page + 64,
						    rig_good_page(&rig, column, row) + 64,
						    PAGE_BYTES - 64);
				}
			}
			memcpy(rig.image.data, rig.good,
			       (size_t)(rig.pages + rig.parity_pages) * PAGE_BYTES);
			if (wanted == 0)
				break;
		}
	}
	rig_free(&rig);
}

/* In the last row a lost column that has no page there does not count. */
static void
test_short_columns_cost_nothing(void **state)
{
	const struct stripe_geometry geometry = { 4, 2 };
	struct rig rig;

	(void)state;
	rig_make(&rig, geometry, 0, 4 + 2, 8); /* data columns: 2, 2, 1, 1 pages */
	const uint32_t lost = STRIPE_BIT(2) | STRIPE_BIT(3) | STRIPE_BIT(4) | STRIPE_BIT(5);
	struct stripe_decode decode = { lost, lost, 1, 2 };
	memset(stripe_image_page(&rig.image, 2, 1), 0, PAGE_BYTES);
	memset(stripe_image_page(&rig.image, 3, 1), 0, PAGE_BYTES);
	assert_int_equal(
	    stripe_decode(rig.code, &rig.image.layout, &decode, rig.image.data, rig.image.parity),
	    TERN_OK);
	stripe_image_identify(&rig.image, lost);
	rig_check(&rig);
	decode.first_row = 0;
	assert_int_equal(
	    stripe_decode(rig.code, &rig.image.layout, &decode, rig.image.data, rig.image.parity),
	    TERN_ERR_NOT_FOUND);
	rig_check(&rig);
	rig_free(&rig);
}

static void
test_patterns_are_kept(void **state)
{
	uint64_t found, made;
	struct rig rig;

	(void)state;
	rig_make(&rig, (struct stripe_geometry){ 4, 2 }, 0, 8, 1);
	for (uint32_t i = 0; i < 10; i++) {
		lose_and_restore(&rig, 3);
		lose_and_restore(&rig, 5);
	}
	stripe_code_patterns(rig.code, &found, &made);
	assert_int_equal(made, 2);
	assert_int_equal(found, 18);
	rig_free(&rig);
}

static void
test_refusals(void **state)
{
	static const struct stripe_geometry bad[] = { { 0, 1 }, { 17, 2 }, { 4, 5 }, { 0, 0 } };
	struct stripe_code *code;
	void *memory = rig_memory(stripe_code_bytes());

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(stripe_code_init(memory, bad[i], &code), TERN_ERR_CONFIG);
	free(memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parity_by_definition),
		cmocka_unit_test(test_parity_against_raw),
		cmocka_unit_test(test_every_loss_of_small_geometries),
		cmocka_unit_test(test_every_loss_of_the_largest_geometry),
		cmocka_unit_test(test_random_groups),
		cmocka_unit_test(test_part_of_what_is_lost),
		cmocka_unit_test(test_short_columns_cost_nothing),
		cmocka_unit_test(test_patterns_are_kept),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
