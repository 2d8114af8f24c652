/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "control/bench/run.h"

#define LINE_BYTES_MAX 65536u

/* A decimal integer of @bytes digits with an optional minus; false: it is none. */
static bool
parse_integer(const char *text, size_t bytes, int64_t *value)
{
	const bool is_negative = bytes > 0 && text[0] == '-';
	uint64_t sum = 0;

	if (bytes - is_negative == 0 || bytes - is_negative > 18)
		return false;
	for (size_t i = is_negative; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		sum = sum * 10 + (uint64_t)(text[i] - '0');
	}
	*value = is_negative ? -(int64_t)sum : (int64_t)sum;
	return true;
}

int64_t
bench_reply_parse(const char *data, size_t bytes, struct bench_reply *reply)
{
	const char *end = memchr(data, '\n', bytes);

	if (end == NULL)
		return bytes > LINE_BYTES_MAX ? -1 : 0;
	const size_t line = (size_t)(end - data) + 1; /* with CR LF */
	if (line < 3 || end[-1] != '\r')
		return -1;
	*reply = (struct bench_reply){ .kind = data[0], .text = data + 1, .bytes = line - 3 };
	switch (data[0]) {
	case '+':
	case '-':
		return (int64_t)line;
	case '_':
		return reply->bytes == 0 ? (int64_t)line : -1;
	case ':':
		return parse_integer(reply->text, reply->bytes, &reply->integer) ? (int64_t)line
										 : -1;
	case '$':
		break;
	default:
		return -1;
	}
	int64_t length;
	if (!parse_integer(reply->text, reply->bytes, &length) || length < -1 || length > (1 << 29))
		return -1;
	if (length == -1) {
		reply->kind = '_';
		return (int64_t)line;
	}
	if (bytes < line + (size_t)length + 2)
		return 0;
	reply->text = end + 1;
	reply->bytes = (size_t)length;
	return memcmp(end + 1 + length, "\r\n", 2) == 0 ? (int64_t)line + length + 2 : -1;
}
