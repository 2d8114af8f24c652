/* SPDX-License-Identifier: Apache-2.0 */
/* Turns, sleeps and standstills of a data thread, by times that the test names; what is said lands
 * here instead of in a log. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/daemon/standstill.h"
#include "hw/platform/platform.h"
#include "tests/support/check.h"

#define MS    1000000ull
#define START (1000 * MS)

static char said[256];
static unsigned say_count;

void
platform_diag(enum platform_level level, const char *format, ...)
{
	va_list arguments;

	assert_int_equal(level, PLATFORM_WARNING);
	va_start(arguments, format);
	(void)vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
	say_count++;
}

static void
assert_shown(const struct standstill *standstill, long long count, long long last_ms,
	     long long worst_ms)
{
	json_t *object = standstill_json(standstill);

	assert_int_equal(json_integer_value(json_object_get(object, "count")), count);
	assert_int_equal(json_integer_value(json_object_get(object, "last_ms")), last_ms);
	assert_int_equal(json_integer_value(json_object_get(object, "worst_ms")), worst_ms);
	json_decref(object);
}

static void
test_turns_and_sleeps_are_none(void **context)
{
	struct standstill standstill = { 0 };
	uint64_t now_ns = START;

	(void)context;
	standstill_look(&standstill, now_ns); /* the first turn is late for nothing */
	for (unsigned i = 0; i < 100; i++)
		standstill_look(&standstill, now_ns += STANDSTILL_NS);
	standstill_due(&standstill, now_ns + 500 * MS); /* a long sleep, which ends in time, */
	standstill_look(&standstill, now_ns += 510 * MS);
	standstill_due(&standstill, now_ns + 500 * MS); /* or before it, by a request */
	standstill_look(&standstill, now_ns += 100 * MS);
	assert_shown(&standstill, 0, 0, 0);
	standstill_tell(&standstill, "a", now_ns);
	assert_int_equal(say_count, 0);
}

/* What came after the sleep counts, not the sleep. */
static void
test_standstills_count(void **context)
{
	struct standstill standstill = { 0 };
	uint64_t now_ns = START;

	(void)context;
	standstill_look(&standstill, now_ns);
	standstill_look(&standstill, now_ns += 90 * MS);
	assert_shown(&standstill, 1, 90, 90);
	standstill_due(&standstill, now_ns + 100 * MS);
	standstill_look(&standstill, now_ns += 130 * MS);
	assert_shown(&standstill, 2, 30, 90);
	/* A request ended the sleep early: the turn after it is due at once again. */
	standstill_due(&standstill, now_ns + 100 * MS);
	standstill_look(&standstill, now_ns += 10 * MS);
	standstill_look(&standstill, now_ns += 50 * MS);
	assert_shown(&standstill, 3, 50, 90);
}

static void
test_told_once_a_second(void **context)
{
	struct standstill standstill = { 0 };
	uint64_t now_ns = START;

	(void)context;
	say_count = 0;
	standstill_look(&standstill, now_ns);
	standstill_look(&standstill, now_ns += 70 * MS);
	standstill_tell(&standstill, "a", now_ns);
	assert_string_equal(said, "stood_still node=a ms=70 count=1");
	standstill_look(&standstill, now_ns += 300 * MS);
	standstill_look(&standstill, now_ns += 200 * MS);
	standstill_tell(&standstill, "a", now_ns);
	assert_int_equal(say_count, 1);
	standstill_look(&standstill, now_ns += 600 * MS);
	standstill_tell(&standstill, "a", now_ns); /* the longest of three */
	assert_string_equal(said, "stood_still node=a ms=600 count=4");
	standstill_tell(&standstill, "a", now_ns + 5000 * MS);
	assert_int_equal(say_count, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns_and_sleeps_are_none),
		cmocka_unit_test(test_standstills_count),
		cmocka_unit_test(test_told_once_a_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
