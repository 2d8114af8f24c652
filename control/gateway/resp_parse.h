/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as Redis clients send them: arrays of bulk strings, and inline lines. Pure and
 * incremental: the parser remembers how far it came, so a request that arrives byte by byte costs
 * one pass, plus one over its headers when it is whole.
 *
 * Bounded: a bulk string, a whole request, the number of arguments and an inline line each have a
 * limit, and a length over it is an error before any of its bytes are waited for.
 */
#ifndef TERN_GATEWAY_RESP_PARSE_H
#define TERN_GATEWAY_RESP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_INLINE_BYTES_MAX 65536u
#define RESP_HEADER_BYTES_MAX 32u /* of one "*3\r\n" or "$10\r\n" */

struct resp_limits {
	uint32_t bulk_bytes_max;    /* one argument */
	uint32_t request_bytes_max; /* one request as it was sent */
	uint32_t args_max;
};

struct resp_arg {
	const uint8_t *data;
	uint32_t bytes;
};

/* Room for the arguments of one request, lent by the caller; may be shared by many parsers. */
struct resp_room {
	struct resp_arg *args; /* args_max of them */
	uint8_t *unquoted;     /* RESP_INLINE_BYTES_MAX: inline arguments without their quotes */
};

/* Zero before the first request. */
struct resp_parser {
	size_t at;           /* bytes of the request that are understood */
	uint32_t args_count; /* announced; 0: the header has not been read */
	uint32_t args_done;  /* of them whole */
	uint32_t bulk_bytes; /* of the argument under way */
	bool is_bulk;        /* its header has been read */
};

enum resp_result {
	RESP_MORE = 1, /* not whole yet: call again with the same start and more bytes */
	RESP_REQUEST,  /* whole; the parser is ready for the next one */
	RESP_ERROR,    /* not RESP, or over a limit: nothing after it can be understood */
};

struct resp_request {
	const struct resp_arg *args; /* lent until the bytes or the room are used again */
	uint32_t args_count;         /* 0: an empty line or array, to be ignored */
	size_t bytes;                /* the request's length */
	const char *error;           /* RESP_ERROR: the text of the reply, without "-" */
};

/* Looks at @data[0..bytes), which begins with the first byte of the request under way.
 * Borrows @data and @room until the request has been used. */
enum resp_result resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
			    const struct resp_room *room, const uint8_t *data, size_t bytes,
			    struct resp_request *request);

/* A decimal as clients write it: "-"? digits, no leading zeros, no spaces, within 64 bits. */
bool resp_i64(struct resp_arg arg, int64_t *value);

/* Equal to @text when letters are compared without case. */
bool resp_is(struct resp_arg arg, const char *text);

#endif
