/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/resp_write.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"

static void
write_all(struct resp_writer *w)
{
	resp_simple(w, "OK");
	resp_error(w, "ERR a\r\nb");
	resp_integer(w, INT64_MIN);
	resp_integer(w, 0);
	resp_bulk(w, "a\0b", 3);
	resp_text(w, "");
	resp_bulk_i64(w, -42);
	resp_null(w);
	resp_array(w, 0);
	resp_map(w, 2);
	resp_set(w, 3);
	resp_verbatim(w, "hi", 2);
}

#define COMMON \
	"+OK\r\n-ERR a  b\r\n:-9223372036854775808\r\n:0\r\n$3\r\na\0b\r\n$0\r\n\r\n$3\r\n-42\r\n"

static const char resp2[] = COMMON "$-1\r\n*0\r\n*4\r\n*3\r\n$2\r\nhi\r\n";
static const char resp3[] = COMMON "_\r\n*0\r\n%2\r\n~3\r\n=6\r\ntxt:hi\r\n";

static void
test_both_protocols(void **context)
{
	uint8_t data[512];

	(void)context;
	struct resp_writer w = { .data = data, .capacity = sizeof(data), .protocol = 2 };
	write_all(&w);
	assert_int_equal(w.used, sizeof(resp2) - 1);
	assert_memory_equal(data, resp2, w.used);
	w = (struct resp_writer){ .data = data, .capacity = sizeof(data), .protocol = 3 };
	write_all(&w);
	assert_int_equal(w.used, sizeof(resp3) - 1);
	assert_memory_equal(data, resp3, w.used);
	assert_false(w.is_full);
}

/* Every capacity below the need: the writer stops, says so, and stays in its bounds. */
static void
test_full_is_sticky(void **context)
{
	(void)context;
	for (size_t capacity = 0; capacity < sizeof(resp2) - 1; capacity++) {
		uint8_t *data = malloc(capacity + 1);
		struct resp_writer w = { .data = data, .capacity = capacity, .protocol = 2 };
		data[capacity] = 0xa5;
		write_all(&w);
		assert_true(w.is_full);
		assert_true(w.used <= capacity);
		assert_memory_equal(data, resp2, w.used);
		assert_int_equal(data[capacity], 0xa5);
		const size_t used = w.used;
		resp_array(&w, 0);
		assert_int_equal(w.used, used);
		free(data);
	}
}

static bool
grow(struct resp_writer *w, size_t capacity)
{
	if (capacity > 100)
		return false;
	w->data = realloc(w->data, capacity);
	w->capacity = capacity;
	return true;
}

static void
test_grows(void **context)
{
	struct resp_writer w = { .grow = grow, .protocol = 3 };

	(void)context;
	write_all(&w);
	assert_int_equal(w.is_full, sizeof(resp3) - 1 > 100);
	assert_true(w.used <= 100);
	assert_memory_equal(w.data, resp3, w.used);
	free(w.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_protocols),
		cmocka_unit_test(test_full_is_sticky),
		cmocka_unit_test(test_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
