/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/resp_write.h"

#include <string.h>

#include "dataplane/base/decimal.h"
#include "dataplane/base/invariant.h"

static uint8_t *
reserve(struct resp_writer *writer, size_t bytes)
{
	INVARIANT(writer->used <= writer->capacity);
	if (writer->is_full)
		return NULL;
	if (bytes > writer->capacity - writer->used) {
		if (writer->grow == NULL || !writer->grow(writer, writer->used + bytes)) {
			writer->is_full = true;
			return NULL;
		}
		INVARIANT(bytes <= writer->capacity - writer->used);
	}
	uint8_t *out = writer->data + writer->used;
	writer->used += bytes;
	return out;
}

/* "<mark><value>\r\n" */
static void
line(struct resp_writer *writer, char mark, int64_t value)
{
	uint8_t text[DECIMAL_BYTES_MAX];
	const size_t bytes = decimal_write(value, text);
	uint8_t *out = reserve(writer, bytes + 3);

	if (out == NULL)
		return;
	out[0] = (uint8_t)mark;
	memcpy(out + 1, text, bytes);
	out[bytes + 1] = '\r';
	out[bytes + 2] = '\n';
}

static void
text_line(struct resp_writer *writer, char mark, const char *text)
{
	const size_t bytes = strlen(text);
	uint8_t *out = reserve(writer, bytes + 3);

	if (out == NULL)
		return;
	out[0] = (uint8_t)mark;
	for (size_t i = 0; i < bytes; i++)
		out[1 + i] = text[i] == '\r' || text[i] == '\n' ? ' ' : (uint8_t)text[i];
	out[bytes + 1] = '\r';
	out[bytes + 2] = '\n';
}

static void
raw(struct resp_writer *writer, const void *data, size_t bytes)
{
	uint8_t *out = reserve(writer, bytes);

	if (out != NULL && bytes != 0)
		memcpy(out, data, bytes);
}

void
resp_simple(struct resp_writer *writer, const char *text)
{
	text_line(writer, '+', text);
}

void
resp_error(struct resp_writer *writer, const char *text)
{
	text_line(writer, '-', text);
}

void
resp_integer(struct resp_writer *writer, int64_t value)
{
	line(writer, ':', value);
}

void
resp_bulk(struct resp_writer *writer, const void *data, size_t bytes)
{
	line(writer, '$', (int64_t)bytes);
	raw(writer, data, bytes);
	raw(writer, "\r\n", 2);
}

void
resp_text(struct resp_writer *writer, const char *text)
{
	resp_bulk(writer, text, strlen(text));
}

void
resp_bulk_i64(struct resp_writer *writer, int64_t value)
{
	uint8_t text[DECIMAL_BYTES_MAX];

	resp_bulk(writer, text, decimal_write(value, text));
}

void
resp_verbatim(struct resp_writer *writer, const char *text, size_t bytes)
{
	if (writer->protocol < 3) {
		resp_bulk(writer, text, bytes);
		return;
	}
	line(writer, '=', (int64_t)bytes + 4);
	raw(writer, "txt:", 4);
	raw(writer, text, bytes);
	raw(writer, "\r\n", 2);
}

void
resp_null(struct resp_writer *writer)
{
	if (writer->protocol < 3)
		raw(writer, "$-1\r\n", 5);
	else
		raw(writer, "_\r\n", 3);
}

void
resp_array(struct resp_writer *writer, size_t count)
{
	line(writer, '*', (int64_t)count);
}

void
resp_map(struct resp_writer *writer, size_t count)
{
	if (writer->protocol < 3)
		line(writer, '*', (int64_t)count * 2);
	else
		line(writer, '%', (int64_t)count);
}

void
resp_set(struct resp_writer *writer, size_t count)
{
	line(writer, writer->protocol < 3 ? '*' : '~', (int64_t)count);
}

void
resp_null_array(struct resp_writer *writer)
{
	if (writer->protocol < 3)
		raw(writer, "*-1\r\n", 5);
	else
		raw(writer, "_\r\n", 3);
}

void
resp_push(struct resp_writer *writer, size_t count)
{
	line(writer, writer->protocol < 3 ? '*' : '>', (int64_t)count);
}
