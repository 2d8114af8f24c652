/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/resp_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

#define ARGS_MAX 16u

static const struct resp_limits limits = {
	.bulk_bytes_max = 1000,
	.request_bytes_max = 4000,
	.args_max = ARGS_MAX,
};

struct bench {
	struct resp_arg args[ARGS_MAX];
	uint8_t unquoted[RESP_INLINE_BYTES_MAX];
	struct resp_room room;
};

static int
setup(void **context)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->room = (struct resp_room){ bench->args, bench->unquoted };
	*context = bench;
	return 0;
}

static int
teardown(void **context)
{
	free(*context);
	return 0;
}

/* A request as "count|arg|arg|". */
static void
describe(const struct resp_request *request, char *text, size_t room)
{
	size_t used = (size_t)snprintf(text, room, "%u|", request->args_count);

	for (uint32_t i = 0; i < request->args_count; i++) {
		assert_true(used + request->args[i].bytes + 2 < room);
		memcpy(text + used, request->args[i].data, request->args[i].bytes);
		used += request->args[i].bytes;
		text[used++] = '|';
	}
	text[used] = 0;
}

/* Feeds @data with cuts: first up to @cut, then all (cut 0: byte by byte). Always from a fresh
 * allocation of the exact size, so that a read past the end is found by the sanitizer, and with the
 * shared room spoilt between calls. */
static enum resp_result
feed(struct bench *bench, const char *data, size_t bytes, size_t cut, struct resp_request *request,
     uint8_t **kept)
{
	struct resp_parser parser = { 0 };
	size_t there = cut == 0 ? 1 : cut;

	*kept = NULL;
	for (;;) {
		free(*kept);
		*kept = malloc(there);
		memcpy(*kept, data, there);
		memset(bench->args, 0xee, sizeof(bench->args));
		const enum resp_result result =
		    resp_parse(&parser, &limits, &bench->room, *kept, there, request);
		if (result != RESP_MORE || there == bytes)
			return result;
		there = cut == 0 ? there + 1 : bytes;
	}
}

#define DATA(text) text, sizeof(text) - 1

static const struct {
	const char *data;
	size_t bytes;
	const char *want;
} good[] = {
	{ DATA("*1\r\n$4\r\nPING\r\n"), "1|PING|" },
	{ DATA("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n"), "3|SET|k||" },
	{ DATA("*2\r\n$3\r\nGET\r\n$6\r\na\r\n\r\nb\r\n"), "2|GET|a\r\n\r\nb|" },
	{ DATA("*0\r\n"), "0|" },
	{ DATA("*-1\r\n"), "0|" },
	{ DATA("PING\r\n"), "1|PING|" },
	{ DATA("PING\n"), "1|PING|" },
	{ DATA("  SET  key\tvalue  \r\n"), "3|SET|key|value|" },
	{ DATA("\r\n"), "0|" },
	{ DATA("SET k \"a b\\n\\x41\\\"\\\\\"\r\n"), "3|SET|k|a b\nA\"\\|" },
	{ DATA("SET k 'a \\' b\\n'\r\n"), "3|SET|k|a ' b\\n|" },
	{ DATA("SET k \"\"\r\n"), "3|SET|k||" },
	{ DATA("SET a\"b c\"\r\n"), "2|SET|ab c|" },
	{ DATA("+OK\r\n"), "1|+OK|" },
};

static void
test_good_at_every_cut(void **context)
{
	struct bench *bench = *context;
	struct resp_request request;
	char text[2000];
	uint8_t *kept;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		for (size_t cut = 0; cut < good[i].bytes; cut++) {
			assert_int_equal(
			    feed(bench, good[i].data, good[i].bytes, cut, &request, &kept),
			    RESP_REQUEST);
			describe(&request, text, sizeof(text));
			assert_string_equal(text, good[i].want);
			assert_int_equal(request.bytes, good[i].bytes);
			free(kept);
		}
	}
}

/* The same requests one after the other, through one parser and a window that moves. */
static void
test_stream(void **context)
{
	struct bench *bench = *context;
	struct resp_parser parser = { 0 };
	struct resp_request request;
	struct prng prng;
	char stream[2048], text[2000];
	size_t bytes = 0;

	prng_seed(&prng, 3);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memcpy(stream + bytes, good[i].data, good[i].bytes);
		bytes += good[i].bytes;
	}
	for (uint32_t round = 0; round < 500; round++) {
		size_t start = 0, end = 0, found = 0;
		while (found < sizeof(good) / sizeof(good[0])) {
			const enum resp_result result =
			    resp_parse(&parser, &limits, &bench->room, (uint8_t *)stream + start,
				       end - start, &request);
			if (result == RESP_MORE) {
				assert_true(end < bytes);
				end += 1 + prng_below(&prng, bytes - end);
				continue;
			}
			assert_int_equal(result, RESP_REQUEST);
			describe(&request, text, sizeof(text));
			assert_string_equal(text, good[found++].want);
			start += request.bytes;
		}
		assert_int_equal(start, bytes);
	}
}

static const struct {
	const char *data;
	size_t bytes;
	const char *want;
} bad[] = {
	{ DATA("*1\r\n$2147483648\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$99999999999999999999\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$1001\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$-1\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$x\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$ 1\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$01\r\n"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$1\rx"), "ERR Protocol error: invalid bulk length" },
	{ DATA("*1\r\n$11111111111111111111111111111111111"),
	  "ERR Protocol error: invalid bulk length" },
	{ DATA("*17\r\n"), "ERR Protocol error: invalid multibulk length" },
	{ DATA("*2147483648\r\n"), "ERR Protocol error: invalid multibulk length" },
	{ DATA("*x\r\n"), "ERR Protocol error: invalid multibulk length" },
	{ DATA("*\r\n"), "ERR Protocol error: invalid multibulk length" },
	{ DATA("*1\r\n*1\r\n$1\r\na\r\n"), "ERR Protocol error: expected '$', got '*'" },
	{ DATA("*1\r\n+PING\r\n"), "ERR Protocol error: expected '$', got a reply" },
	{ DATA("*1\r\nPING\r\n"), "ERR Protocol error: expected '$'" },
	{ DATA("*1\r\n$1\r\nabc"), "ERR Protocol error: bulk string without its end" },
	{ DATA("*1\r\n$1\r\na\rc"), "ERR Protocol error: bulk string without its end" },
	{ DATA("SET \"a\r\n"), "ERR Protocol error: unbalanced quotes in request" },
	{ DATA("SET 'a\r\n"), "ERR Protocol error: unbalanced quotes in request" },
	{ DATA("SET \"a\"b\r\n"), "ERR Protocol error: unbalanced quotes in request" },
	{ DATA("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\r\n"),
	  "ERR Protocol error: too big inline request" },
};

static void
test_bad_at_every_cut(void **context)
{
	struct bench *bench = *context;
	struct resp_request request;
	uint8_t *kept;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (size_t cut = 0; cut < bad[i].bytes; cut++) {
			assert_int_equal(
			    feed(bench, bad[i].data, bad[i].bytes, cut, &request, &kept),
			    RESP_ERROR);
			assert_string_equal(request.error, bad[i].want);
			free(kept);
		}
	}
}

/* Many arguments, each within its limit, together over that of a request. */
static void
test_request_limit(void **context)
{
	struct bench *bench = *context;
	struct resp_parser parser = { 0 };
	struct resp_request request;
	uint8_t data[8000];
	size_t bytes = 0;

	memcpy(data, "*10\r\n", 5);
	bytes = 5;
	for (int i = 0; i < 3; i++) {
		memcpy(data + bytes, "$1000\r\n", 7);
		memset(data + bytes + 7, 'x', 1000);
		memcpy(data + bytes + 1007, "\r\n", 2);
		bytes += 1009;
	}
	assert_int_equal(resp_parse(&parser, &limits, &bench->room, data, bytes, &request),
			 RESP_MORE);
	memcpy(data + bytes, "$1000\r\n", 7);
	bytes += 7;
	assert_int_equal(resp_parse(&parser, &limits, &bench->room, data, bytes, &request),
			 RESP_ERROR);
}

static void
test_inline_limit(void **context)
{
	struct bench *bench = *context;
	struct resp_parser parser = { 0 };
	struct resp_request request;
	uint8_t *data = malloc(RESP_INLINE_BYTES_MAX);

	memset(data, 'x', RESP_INLINE_BYTES_MAX);
	assert_int_equal(
	    resp_parse(&parser, &limits, &bench->room, data, RESP_INLINE_BYTES_MAX - 1, &request),
	    RESP_MORE);
	assert_int_equal(
	    resp_parse(&parser, &limits, &bench->room, data, RESP_INLINE_BYTES_MAX, &request),
	    RESP_ERROR);
	assert_string_equal(request.error, "ERR Protocol error: too big inline request");
	free(data);
}

static void
test_garbage(void **context)
{
	static const char alphabet[] = "*$\r\n0123456789-abc\"'\\x +:";
	struct bench *bench = *context;
	struct prng prng;

	prng_seed(&prng, 11);
	for (uint32_t round = 0; round < 200000; round++) {
		const size_t bytes = 1 + prng_below(&prng, 60);
		uint8_t *data = malloc(bytes);
		struct resp_parser parser = { 0 };
		struct resp_request request;
		for (size_t i = 0; i < bytes; i++)
			data[i] = (uint8_t)alphabet[prng_below(&prng, sizeof(alphabet) - 1)];
		if (prng_below(&prng, 2) == 0)
			data[0] = '*';
		for (size_t there = 1; there <= bytes; there++) {
			const enum resp_result result =
			    resp_parse(&parser, &limits, &bench->room, data, there, &request);
			if (result == RESP_REQUEST)
				assert_true(request.bytes >= 1 && request.bytes <= there);
			if (result != RESP_MORE)
				break;
		}
		free(data);
	}
}

static void
test_integers(void **context)
{
	static const struct {
		const char *text;
		bool is_good;
		int64_t value;
	} table[] = {
		{ "0", true, 0 },
		{ "-1", true, -1 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "-0", false, 0 },
		{ "00", false, 0 },
		{ "01", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "1.0", false, 0 },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t value = 0;
		const struct resp_arg arg = { (const uint8_t *)table[i].text,
					      (uint32_t)strlen(table[i].text) };
		assert_int_equal(resp_i64(arg, &value), table[i].is_good);
		if (table[i].is_good)
			assert_true(value == table[i].value);
	}
	assert_true(resp_is((struct resp_arg){ (const uint8_t *)"PiNg", 4 }, "ping"));
	assert_false(resp_is((struct resp_arg){ (const uint8_t *)"PiN", 3 }, "ping"));
	assert_false(resp_is((struct resp_arg){ (const uint8_t *)"PINGS", 5 }, "ping"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good_at_every_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_at_every_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inline_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test(test_integers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
