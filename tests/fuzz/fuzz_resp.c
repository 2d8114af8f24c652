/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request parser, fed the same bytes whole and in pieces: the results must be equal, every
 * argument must lie inside the input or the room for unquoted words, and nothing may be read past
 * the bytes that are there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/gateway/resp_parse.h"
#include "tests/fuzz/fuzz.h"

#define ARGS_MAX 64u

struct seen {
	enum resp_result result;
	uint64_t hash;
	size_t bytes;
};

static void
require(bool is_true)
{
	if (!is_true)
		abort();
}

static bool
lies_in(const uint8_t *at, size_t bytes, const uint8_t *data, size_t room)
{
	return at >= data && bytes <= room && (size_t)(at - data) <= room - bytes;
}

static uint64_t
hash_request(const struct resp_request *request, const uint8_t *data, size_t bytes,
	     const uint8_t *unquoted)
{
	uint64_t hash = 1469598103934665603u + request->args_count;

	for (uint32_t i = 0; i < request->args_count; i++) {
		const struct resp_arg arg = request->args[i];
		require(lies_in(arg.data, arg.bytes, data, bytes) ||
			lies_in(arg.data, arg.bytes, unquoted, RESP_INLINE_BYTES_MAX));
		hash = (hash ^ arg.bytes) * 1099511628211u;
		for (uint32_t j = 0; j < arg.bytes; j++)
			hash = (hash ^ arg.data[j]) * 1099511628211u;
	}
	return hash;
}

/* The first request of @data, which arrives in pieces of @piece bytes. */
static struct seen
parse(const uint8_t *data, size_t bytes, size_t piece)
{
	static const struct resp_limits limits = { 4096, 16384, ARGS_MAX };
	static uint8_t unquoted[RESP_INLINE_BYTES_MAX];
	struct resp_arg args[ARGS_MAX];
	const struct resp_room room = { args, unquoted };
	struct resp_parser parser = { 0 };
	struct resp_request request = { 0 };
	struct seen seen = { .result = RESP_MORE };

	for (size_t there = 0; seen.result == RESP_MORE && there < bytes;) {
		there = bytes - there < piece ? bytes : there + piece;
		/* A copy of the exact size: the sanitizer sees a step too far. */
		uint8_t *copy = malloc(there);
		require(copy != NULL);
		memcpy(copy, data, there);
		memset(args, 0xee, sizeof(args));
		seen.result = resp_parse(&parser, &limits, &room, copy, there, &request);
		if (seen.result == RESP_REQUEST) {
			require(request.bytes >= 1 && request.bytes <= there);
			require(request.args_count <= ARGS_MAX);
			seen.bytes = request.bytes;
			seen.hash = hash_request(&request, copy, there, unquoted);
		}
		if (seen.result == RESP_ERROR)
			require(request.error != NULL);
		free(copy);
	}
	return seen;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes > 20000)
		return 0;
	for (size_t at = 0; at < bytes;) {
		const struct seen whole = parse(data + at, bytes - at, bytes - at);
		const size_t left = bytes - at;
		const struct seen pieces = parse(data + at, left, left < 200 ? 1 : 97);
		require(whole.result == pieces.result);
		require(whole.bytes == pieces.bytes && whole.hash == pieces.hash);
		if (whole.result != RESP_REQUEST)
			break;
		at += whole.bytes;
	}
	return 0;
}
