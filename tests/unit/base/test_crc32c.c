/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/crc32c.h"

#include <string.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

/* Bit by bit, from the definition: reflected polynomial 0x1EDC6F41. */
static uint32_t
crc32c_slow(const uint8_t *data, size_t bytes)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* The check value, and RFC 3720 section B.4. */
static void
test_vectors(void **context)
{
	uint8_t data[32];
	(void)context;

	assert_int_equal(crc32c("123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c("", 0), 0);
	memset(data, 0, sizeof(data));
	assert_int_equal(crc32c(data, sizeof(data)), 0x8a9136aau);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(crc32c(data, sizeof(data)), 0x62a8ab43u);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = i;
	assert_int_equal(crc32c(data, sizeof(data)), 0x46dd794eu);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(data, sizeof(data)), 0x113fdb5cu);
}

static void
test_every_length_and_split(void **context)
{
	uint8_t data[600];
	struct prng prng;
	(void)context;

	prng_seed(&prng, 1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)prng_next(&prng);
	for (size_t bytes = 0; bytes <= sizeof(data) - 8; bytes++) {
		const size_t offset = bytes % 8;
		const uint32_t whole = crc32c(data + offset, bytes);
		assert_int_equal(whole, crc32c_slow(data + offset, bytes));
		const size_t split = bytes / 3;
		assert_int_equal(whole, crc32c_more(crc32c(data + offset, split),
						    data + offset + split, bytes - split));
	}
}

static void
test_too_long(void **context)
{
	uint8_t byte = 0;
	(void)context;

	expect_assert_failure(crc32c(&byte, (size_t)INT32_MAX + 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_every_length_and_split),
		cmocka_unit_test(test_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
