/* SPDX-License-Identifier: Apache-2.0 */
/* Both copies of XXH3, called by name, against each other and against the packaged library. */
#include "dataplane/base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

struct hash128 hash128_unit_plain(const void *data, size_t bytes);
uint64_t hash64_unit_plain(const void *data, size_t bytes);
struct hash128 hash128_unit_avx2(const void *data, size_t bytes);
uint64_t hash64_unit_avx2(const void *data, size_t bytes);

#define BYTES_MAX 20000u

struct input {
	uint8_t data[BYTES_MAX + 8];
};

static int
set_up(void **context)
{
	struct input *input = malloc(sizeof(*input));
	struct prng prng;

	prng_seed(&prng, 8);
	for (size_t i = 0; i < sizeof(input->data); i++)
		input->data[i] = (uint8_t)prng_next(&prng);
	*context = input;
	return 0;
}

static int
tear_down(void **context)
{
	free(*context);
	return 0;
}

static void
assert_hash128(struct hash128 hash, XXH128_hash_t expected)
{
	assert_int_equal(hash.low, expected.low64);
	assert_int_equal(hash.high, expected.high64);
}

static void
test_known_values(void **context)
{
	(void)context;
	assert_int_equal(hash64("", 0), 0x2d06800538d394c2ULL);
	const struct hash128 hash = hash128("", 0);
	assert_int_equal(hash.high, 0x99aa06d3014798d8ULL);
	assert_int_equal(hash.low, 0x6001c324468d497fULL);
	assert_true(hash128_equal(hash, hash128("x", 0)));
	assert_false(hash128_equal(hash, hash128("x", 1)));
}

/* Every length on which the algorithm changes its way (16, 128, 240, 1024), and unaligned input. */
static void
test_plain_and_library(void **context)
{
	const struct input *input = *context;

	for (size_t bytes = 0; bytes < BYTES_MAX; bytes += bytes < 1200 ? 1 : 611) {
		const uint8_t *data = input->data + bytes % 8;
		assert_int_equal(hash64_unit_plain(data, bytes), XXH3_64bits(data, bytes));
		assert_hash128(hash128_unit_plain(data, bytes), XXH3_128bits(data, bytes));
		assert_int_equal(hash64(data, bytes), XXH3_64bits(data, bytes));
		assert_int_equal(hash64_seeded(data, bytes, bytes * 77),
				 XXH3_64bits_withSeed(data, bytes, bytes * 77));
		assert_hash128(hash128(data, bytes), XXH3_128bits(data, bytes));
	}
}

static void
test_avx2_and_library(void **context)
{
	const struct input *input = *context;

	if (!__builtin_cpu_supports("avx2"))
		skip();
	for (size_t bytes = 0; bytes < BYTES_MAX; bytes += bytes < 1200 ? 1 : 611) {
		const uint8_t *data = input->data + bytes % 8;
		assert_int_equal(hash64_unit_avx2(data, bytes), XXH3_64bits(data, bytes));
		assert_hash128(hash128_unit_avx2(data, bytes), XXH3_128bits(data, bytes));
	}
}

static void
test_stream(void **context)
{
	const struct input *input = *context;
	struct hash128_stream stream, copy;
	struct prng prng;

	prng_seed(&prng, 9);
	for (uint32_t round = 0; round < 200; round++) {
		const size_t bytes = prng_below(&prng, BYTES_MAX);
		hash128_begin(&stream);
		for (size_t at = 0; at < bytes;) {
			size_t part = prng_below(&prng, 1500);
			part = part > bytes - at ? bytes - at : part;
			hash128_add(&stream, input->data + at, part);
			at += part;
		}
		copy = stream;
		const struct hash128 whole = hash128(input->data, bytes);
		assert_true(hash128_equal(hash128_end(&stream), whole));
		assert_true(hash128_equal(hash128_end(&copy), whole));
		/* A copy goes on by itself. */
		hash128_add(&copy, "more", 4);
		assert_false(hash128_equal(hash128_end(&copy), whole));
		assert_true(hash128_equal(hash128_end(&stream), whole));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test_setup_teardown(test_plain_and_library, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_avx2_and_library, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stream, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
