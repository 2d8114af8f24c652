/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies, in RESP2 or RESP3 as the connection asked for. Pure: bytes go into a bounded buffer that
 * its owner may let grow. Sticky: once something found no room, is_full is set and nothing more is
 * written; the owner takes the unfinished reply back.
 */
#ifndef TERN_GATEWAY_RESP_WRITE_H
#define TERN_GATEWAY_RESP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resp_writer {
	uint8_t *data;
	size_t used, capacity;
	/* Makes capacity at least @capacity, or answers false. NULL: the buffer has a fixed size.
	 */
	bool (*grow)(struct resp_writer *writer, size_t capacity);
	uint8_t protocol; /* 2 or 3 */
	bool is_full;
};

void resp_simple(struct resp_writer *writer, const char *text);
/* @text without "-"; it begins with the code word. Line ends in it become spaces. */
void resp_error(struct resp_writer *writer, const char *text);
void resp_integer(struct resp_writer *writer, int64_t value);
void resp_bulk(struct resp_writer *writer, const void *data, size_t bytes);
void resp_text(struct resp_writer *writer, const char *text); /* a bulk string */
/* A decimal in a bulk string. */
void resp_bulk_i64(struct resp_writer *writer, int64_t value);
/* Text for people: a verbatim string in RESP3, a bulk string in RESP2. */
void resp_verbatim(struct resp_writer *writer, const char *text, size_t bytes);
void resp_null(struct resp_writer *writer);
/* The header; the caller writes @count elements, or for a map 2 * @count, after it. */
void resp_array(struct resp_writer *writer, size_t count);
void resp_map(struct resp_writer *writer, size_t count);
void resp_set(struct resp_writer *writer, size_t count);
/* An array that is not there. */
void resp_null_array(struct resp_writer *writer);
/* The header of a message that answers no request. */
void resp_push(struct resp_writer *writer, size_t count);

#endif
