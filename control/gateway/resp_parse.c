/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/resp_parse.h"

#include <string.h>

#include "dataplane/base/invariant.h"

static enum resp_result
parse_error(struct resp_request *request, const char *text)
{
	request->error = text;
	return RESP_ERROR;
}

bool
resp_i64(struct resp_arg arg, int64_t *value)
{
	const bool is_negative = arg.bytes > 0 && arg.data[0] == '-';
	const uint64_t limit = is_negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	uint32_t at = is_negative ? 1 : 0;
	uint64_t sum = 0;

	if (at == arg.bytes || arg.bytes > 20)
		return false;
	if (arg.data[at] == '0' && arg.bytes != 1)
		return false;
	for (; at < arg.bytes; at++) {
		const uint8_t digit = (uint8_t)(arg.data[at] - '0');
		if (digit > 9 || sum > (limit - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = is_negative ? (int64_t)(0 - sum) : (int64_t)sum;
	return true;
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool
resp_is(struct resp_arg arg, const char *text)
{
	for (uint32_t i = 0; i < arg.bytes; i++) {
		if (text[i] == 0 || lower(arg.data[i]) != lower((uint8_t)text[i]))
			return false;
	}
	return text[arg.bytes] == 0;
}

/* The number in a header line "<mark><number>\r\n" at @data. RESP_MORE: the line is not whole. */
static enum resp_result
parse_header(const uint8_t *data, size_t bytes, int64_t *number, size_t *line_bytes)
{
	const size_t seen = bytes < RESP_HEADER_BYTES_MAX ? bytes : RESP_HEADER_BYTES_MAX;
	const uint8_t *end = memchr(data, '\r', seen);

	if (end == NULL)
		return seen == RESP_HEADER_BYTES_MAX ? RESP_ERROR : RESP_MORE;
	if ((size_t)(end - data) + 1 == bytes)
		return RESP_MORE;
	if (end[1] != '\n')
		return RESP_ERROR;
	*line_bytes = (size_t)(end - data) + 2;
	const struct resp_arg text = { data + 1, (uint32_t)(end - data) - 1 };
	return resp_i64(text, number) ? RESP_REQUEST : RESP_ERROR;
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r' || c == '\n' || c == 0;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a double-quoted word; returns how many bytes it took. */
static uint32_t
unescape(const uint8_t *line, uint32_t bytes, uint8_t *out)
{
	if (line[0] != '\\' || bytes < 2) {
		*out = line[0];
		return 1;
	}
	if (line[1] == 'x' && bytes >= 4 && hex_digit(line[2]) >= 0 && hex_digit(line[3]) >= 0) {
		*out = (uint8_t)(hex_digit(line[2]) * 16 + hex_digit(line[3]));
		return 4;
	}
	switch (line[1]) {
	case 'n':
		*out = '\n';
		break;
	case 'r':
		*out = '\r';
		break;
	case 't':
		*out = '\t';
		break;
	case 'b':
		*out = '\b';
		break;
	case 'a':
		*out = '\a';
		break;
	default:
		*out = line[1];
		break;
	}
	return 2;
}

/* One word of an inline line from @at into @out; false: its quotes do not close. */
static bool
inline_word(const uint8_t *line, uint32_t bytes, uint32_t *at, uint8_t *out, uint32_t *out_bytes)
{
	uint8_t quote = 0;
	uint32_t i = *at, n = 0;

	while (i < bytes && (quote != 0 || !is_space(line[i]))) {
		if (quote == 0 && (line[i] == '"' || line[i] == '\'')) {
			quote = line[i++];
		} else if (quote != 0 && line[i] == quote) {
			/* A closing quote ends the word: what follows must be a space. */
			if (i + 1 < bytes && !is_space(line[i + 1]))
				return false;
			quote = 0;
			i++;
			break;
		} else if (quote == '"') {
			i += unescape(line + i, bytes - i, out + n++);
		} else if (quote == '\'' && line[i] == '\\' && i + 1 < bytes &&
			   line[i + 1] == '\'') {
			out[n++] = '\'';
			i += 2;
		} else {
			out[n++] = line[i++];
		}
	}
	*at = i;
	*out_bytes = n;
	return quote == 0;
}

static enum resp_result
parse_inline(struct resp_parser *parser, const struct resp_limits *limits,
	     const struct resp_room *room, const uint8_t *data, size_t bytes,
	     struct resp_request *request)
{
	const size_t seen = bytes < RESP_INLINE_BYTES_MAX ? bytes : RESP_INLINE_BYTES_MAX;
	const uint8_t *end = memchr(data + parser->at, '\n', seen - parser->at);

	if (end == NULL) {
		parser->at = seen;
		if (seen == RESP_INLINE_BYTES_MAX)
			return parse_error(request, "ERR Protocol error: too big inline request");
		return RESP_MORE;
	}
	const uint32_t line_bytes = (uint32_t)(end - data);
	uint32_t count = 0, used = 0;
	for (uint32_t at = 0; at < line_bytes;) {
		if (is_space(data[at])) {
			at++;
			continue;
		}
		if (count == limits->args_max)
			return parse_error(request, "ERR Protocol error: too big inline request");
		uint32_t word = 0;
		if (!inline_word(data, line_bytes, &at, room->unquoted + used, &word))
			return parse_error(request,
					   "ERR Protocol error: unbalanced quotes in request");
		if (word > limits->bulk_bytes_max)
			return parse_error(request, "ERR Protocol error: too big inline request");
		room->args[count++] = (struct resp_arg){ room->unquoted + used, word };
		used += word;
	}
	INVARIANT(used <= line_bytes);
	request->args = room->args;
	request->args_count = count;
	request->bytes = (size_t)line_bytes + 1;
	return RESP_REQUEST;
}

/* The text says what was found where "$" must be, as far as it can be printed. */
static const char *
expected_bulk(uint8_t found)
{
	if (found == '*')
		return "ERR Protocol error: expected '$', got '*'";
	if (found == '+' || found == '-' || found == ':')
		return "ERR Protocol error: expected '$', got a reply";
	return "ERR Protocol error: expected '$'";
}

/* One argument, or as much of it as is there. */
static enum resp_result
parse_bulk(struct resp_parser *parser, const struct resp_limits *limits, const uint8_t *data,
	   size_t bytes, struct resp_request *request)
{
	if (!parser->is_bulk) {
		int64_t number = 0;
		size_t line = 0;
		if (parser->at == bytes)
			return RESP_MORE;
		if (data[parser->at] != '$')
			return parse_error(request, expected_bulk(data[parser->at]));
		const enum resp_result header =
		    parse_header(data + parser->at, bytes - parser->at, &number, &line);
		if (header == RESP_MORE)
			return RESP_MORE;
		if (header == RESP_ERROR || number < 0 || number > limits->bulk_bytes_max ||
		    parser->at + line + (uint64_t)number + 2 > limits->request_bytes_max)
			return parse_error(request, "ERR Protocol error: invalid bulk length");
		parser->at += line;
		parser->bulk_bytes = (uint32_t)number;
		parser->is_bulk = true;
	}
	INVARIANT(parser->at <= bytes);
	const size_t end = parser->at + parser->bulk_bytes;
	if ((end < bytes && data[end] != '\r') || (end + 1 < bytes && data[end + 1] != '\n'))
		return parse_error(request, "ERR Protocol error: bulk string without its end");
	if (end + 2 > bytes)
		return RESP_MORE;
	return RESP_REQUEST;
}

/* "*<count>\r\n". RESP_REQUEST: read, args_count is set. */
static enum resp_result
parse_count(struct resp_parser *parser, const struct resp_limits *limits, const uint8_t *data,
	    size_t bytes, struct resp_request *request)
{
	int64_t number = 0;
	size_t line = 0;
	const enum resp_result header = parse_header(data, bytes, &number, &line);

	if (header == RESP_MORE)
		return RESP_MORE;
	if (header == RESP_ERROR || number > limits->args_max)
		return parse_error(request, "ERR Protocol error: invalid multibulk length");
	parser->at = line;
	parser->args_count = number > 0 ? (uint32_t)number : 0;
	return RESP_REQUEST;
}

static enum resp_result
parse_array(struct resp_parser *parser, const struct resp_limits *limits,
	    const struct resp_room *room, const uint8_t *data, size_t bytes,
	    struct resp_request *request)
{
	/* The room is shared: what an earlier call put there is gone. */
	const bool is_resumed = parser->args_done != 0;
	enum resp_result result = RESP_REQUEST;

	if (parser->args_count == 0)
		result = parse_count(parser, limits, data, bytes, request);
	/* Bounded by args_max. */
	while (result == RESP_REQUEST && parser->args_done < parser->args_count) {
		result = parse_bulk(parser, limits, data, bytes, request);
		if (result == RESP_REQUEST) {
			room->args[parser->args_done++] =
			    (struct resp_arg){ data + parser->at, parser->bulk_bytes };
			parser->at += (size_t)parser->bulk_bytes + 2;
			parser->is_bulk = false;
		}
	}
	if (result == RESP_REQUEST && is_resumed) {
		/* Whole now: a second pass over the headers finds all of the arguments. */
		*parser = (struct resp_parser){ 0 };
		result = parse_count(parser, limits, data, bytes, request);
		INVARIANT(result == RESP_REQUEST);
		for (uint32_t i = 0; i < parser->args_count; i++) {
			result = parse_bulk(parser, limits, data, bytes, request);
			INVARIANT(result == RESP_REQUEST);
			room->args[i] = (struct resp_arg){ data + parser->at, parser->bulk_bytes };
			parser->at += (size_t)parser->bulk_bytes + 2;
			parser->is_bulk = false;
		}
	}
	request->args = room->args;
	request->args_count = parser->args_count;
	request->bytes = parser->at;
	return result;
}

enum resp_result
resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
	   const struct resp_room *room, const uint8_t *data, size_t bytes,
	   struct resp_request *request)
{
	enum resp_result result = RESP_MORE;

	INVARIANT(parser->at <= bytes);
	INVARIANT(parser->args_done <= parser->args_count);
	*request = (struct resp_request){ 0 };
	if (bytes == 0)
		return RESP_MORE;
	if (data[0] == '*')
		result = parse_array(parser, limits, room, data, bytes, request);
	else
		result = parse_inline(parser, limits, room, data, bytes, request);
	if (result == RESP_REQUEST) {
		INVARIANT(request->bytes > 0 && request->bytes <= bytes);
		*parser = (struct resp_parser){ 0 };
	}
	return result;
}
