/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <string.h>

#include "control/config/config_units.h"

struct good {
	const char *text;
	uint64_t value;
};

static void
sizes(void **unused)
{
	static const struct good good[] = {
		{ "0B", 0 },
		{ "4096B", 4096 },
		{ "64KiB", 65536 },
		{ "2GiB", 2ull << 30 },
		{ "1.5MiB", 1572864 },
		{ "16 MiB", 16ull << 20 },
		{ "4194304KiB", 4ull << 30 },
		{ "3TiB", 3ull << 40 },
	};
	static const char *const bad[] = {
		"",       "12",       "GiB",  "2GB",   "2gib",          "-1KiB",
		"1.KiB",  "1.2.3KiB", "0.3B", "2GiB ", "9999999999TiB", "1234567890123456789012KiB",
		"0x10KiB"
	};
	uint64_t value;

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(config_parse_bytes(good[i].text, &value));
		assert_int_equal(value, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(config_parse_bytes(bad[i], &value));
}

static void
times(void **unused)
{
	static const struct good good[] = {
		{ "1ns", 1 },       { "20us", 20000 },      { "0.25ms", 250000 },
		{ "3ms", 3000000 }, { "1.5s", 1500000000 }, { "0ns", 0 },
	};
	static const char *const bad[] = { "", "20", "us", "1.5ns", "1m", "20 U", "1e3us" };
	uint64_t value;

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(config_parse_ns(good[i].text, &value));
		assert_int_equal(value, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(config_parse_ns(bad[i], &value));
}

static void
written_forms_read_back(void **unused)
{
	static const uint64_t values[] = { 0, 1, 1023, 1024, 65536, 1ull << 30, (1ull << 40) + 1 };
	char text[CONFIG_UNITS_TEXT_MAX];
	uint64_t value;

	(void)unused;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		config_format_bytes(values[i], text);
		assert_true(config_parse_bytes(text, &value));
		assert_int_equal(value, values[i]);
		config_format_ns(values[i], text);
		assert_true(config_parse_ns(text, &value));
		assert_int_equal(value, values[i]);
	}
	config_format_bytes(65536, text);
	assert_string_equal(text, "64KiB");
	config_format_ns(250000, text);
	assert_string_equal(text, "250us");
}

static void
geometries(void **unused)
{
	static const char *const bad[] = { "",    "4",   "4+",   "+2",   "4+2 ",  " 4+2", "4-2",
					   "a+2", "4+b", "4++2", "4+2+", "004+2", "4+200" };
	uint32_t k, m;

	(void)unused;
	assert_true(config_parse_geometry("4+2", &k, &m));
	assert_int_equal(k, 4);
	assert_int_equal(m, 2);
	assert_true(config_parse_geometry("16+0", &k, &m));
	assert_int_equal(k, 16);
	assert_int_equal(m, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(config_parse_geometry(bad[i], &k, &m));
}

static void
distance(void **unused)
{
	char longer[100];

	(void)unused;
	assert_int_equal(config_distance("", ""), 0);
	assert_int_equal(config_distance("timers", "timers"), 0);
	assert_int_equal(config_distance("timer", "timers"), 1);
	assert_int_equal(config_distance("tiemrs", "timers"), 1);
	assert_int_equal(config_distance("", "abc"), 3);
	assert_int_equal(config_distance("kitten", "sitting"), 3);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(config_distance(longer, "timers"), 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(times),
		cmocka_unit_test(written_forms_read_back),
		cmocka_unit_test(geometries),
		cmocka_unit_test(distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
