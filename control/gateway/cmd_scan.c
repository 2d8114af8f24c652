/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEYS and SCAN.
 *
 * A cursor of SCAN is a bucket of the hash index and 16 bits that say whose: nothing is kept
 * between calls. A key stays in its bucket, so one that is there all the time is returned, and
 * once. Another node has other buckets: a cursor of the node that was master before is refused.
 */
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "control/gateway/glob.h"
#include "control/gateway/refusal.h"
#include "dataplane/base/bits.h"

#define SCAN_COUNT_DEFAULT 10u
#define SCAN_COUNT_MAX     10000u
/* Buckets of one call, most of which are empty while there are few keys. */
#define SCAN_BUCKETS_MAX  65536u
#define SCAN_BUCKET_BITS  40
#define KEYS_EXAMINED_MAX 20000u
/* Steps of matching in one pass over keys, of two: so no pattern keeps the other clients waiting,
 * or the view open, for more than some ten milliseconds. */
#define MATCH_STEPS_MAX (1u << 24)

struct scan {
	uint64_t bucket;
	uint32_t count;
	struct resp_arg pattern; /* data NULL: all */
	bool is_none;            /* TYPE of something that does not exist here */
};

static bool
is_match(struct resp_arg pattern, const uint8_t *key, uint32_t key_bytes, uint64_t *steps)
{
	return pattern.data == NULL ||
	       glob_match(pattern.data, pattern.bytes, key, key_bytes, steps);
}

static const char *
scan_cursor(const struct command_call *call, struct scan *scan)
{
	const struct state *state = call->gateway->state;
	int64_t cursor = 0;

	if (!resp_i64(call->args[1], &cursor) || cursor < 0)
		return "ERR invalid cursor";
	scan->bucket = (uint64_t)cursor & ((1ull << SCAN_BUCKET_BITS) - 1);
	if (cursor != 0 && ((uint64_t)cursor >> SCAN_BUCKET_BITS != state_scan_tag(state) ||
			    scan->bucket >= state_scan_buckets(state)))
		return "ERR invalid cursor: it is not of this node, begin again with 0";
	return NULL;
}

/* SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
static const char *
scan_read(const struct command_call *call, struct scan *scan)
{
	const char *wrong = scan_cursor(call, scan);

	scan->count = SCAN_COUNT_DEFAULT;
	for (uint32_t i = 2; wrong == NULL && i < call->args_count; i += 2) {
		int64_t count = 0;
		if (i + 1 == call->args_count)
			return "ERR syntax error";
		if (resp_is(call->args[i], "match")) {
			scan->pattern = call->args[i + 1];
			if (scan->pattern.bytes > GLOB_PATTERN_BYTES_MAX)
				return "ERR a pattern has at most 1024 bytes";
		} else if (resp_is(call->args[i], "count")) {
			if (!resp_i64(call->args[i + 1], &count))
				return "ERR value is not an integer or out of range";
			if (count < 1)
				return "ERR syntax error";
			scan->count = (uint32_t)min_u64((uint64_t)count, SCAN_COUNT_MAX);
		} else if (resp_is(call->args[i], "type")) {
			scan->is_none = !resp_is(call->args[i + 1], "string");
		} else {
			return "ERR syntax error";
		}
	}
	return wrong;
}

const char *
cmd_scan_check(const struct command_call *call)
{
	struct scan scan = { 0 };

	return scan_read(call, &scan);
}

/* Goes through the keys of @bucket: how many there are, how many match, and what that cost. */
static uint32_t
bucket_count(struct command_call *call, const struct scan *scan, uint64_t bucket, uint32_t *seen,
	     uint64_t *steps)
{
	const void *position = NULL;
	const uint8_t *key;
	uint32_t key_bytes, matches = 0;

	while ((position = state_read_bucket(call->reader, bucket, position, &key, &key_bytes)) !=
	       NULL) {
		*seen += 1;
		if (!scan->is_none && is_match(scan->pattern, key, key_bytes, steps))
			matches++;
	}
	return matches;
}

static void
bucket_write(struct command_call *call, const struct scan *scan, uint64_t bucket)
{
	const void *position = NULL;
	const uint8_t *key;
	uint32_t key_bytes;
	uint64_t steps = 0; /* as many as when they were counted */

	while ((position = state_read_bucket(call->reader, bucket, position, &key, &key_bytes)) !=
	       NULL) {
		if (!scan->is_none && is_match(scan->pattern, key, key_bytes, &steps))
			resp_bulk(call->out, key, key_bytes);
	}
}

/* Whole buckets, at least one, until count keys were looked at, or the view has to end. The reply
 * says first how many match, so they are gone through twice, in one view. */
void
cmd_scan(struct command_call *call)
{
	const struct state *state = call->gateway->state;
	struct scan scan = { 0 };
	uint32_t seen = 0, matches = 0;
	uint64_t steps = 0;

	if (scan_read(call, &scan) != NULL) {
		resp_error(call->out, "ERR invalid cursor");
		return;
	}
	const uint64_t buckets = state_scan_buckets(state);
	const uint64_t limit = min_u64(buckets, scan.bucket + SCAN_BUCKETS_MAX);
	uint64_t end = scan.bucket;
	do
		matches += bucket_count(call, &scan, end++, &seen, &steps);
	while (end < limit && seen < scan.count && steps < MATCH_STEPS_MAX &&
	       !state_read_is_ended(call->reader));
	const uint64_t tag = (uint64_t)state_scan_tag(state) << SCAN_BUCKET_BITS;
	resp_array(call->out, 2);
	resp_bulk_i64(call->out, end == buckets ? 0 : (int64_t)(tag | end));
	resp_array(call->out, matches);
	for (uint64_t bucket = scan.bucket; bucket < end && matches > 0; bucket++)
		bucket_write(call, &scan, bucket);
}

const char *
cmd_pattern_check(const struct command_call *call)
{
	if (call->args[1].bytes > GLOB_PATTERN_BYTES_MAX)
		return "ERR a pattern has at most 1024 bytes";
	return NULL;
}

/* One pass over the keys that begin as the pattern does, in byte order. False: too many to look
 * at, or the view was ended because it held too much memory. */
static bool
keys_pass(struct command_call *call, bool is_writing, uint32_t *matches)
{
	const struct resp_arg pattern = call->args[1];
	const uint32_t prefix = glob_prefix(pattern.data, pattern.bytes);
	const uint8_t *key = pattern.data;
	uint32_t key_bytes = prefix;
	struct state_value value;
	uint64_t steps = 0;
	bool is_after = false;

	for (uint32_t examined = 0;
	     state_read_next(call->reader, key, key_bytes, is_after, &key, &key_bytes, &value);
	     examined++, is_after = true) {
		if (key_bytes < prefix || memcmp(key, pattern.data, prefix) != 0)
			return true;
		if (examined == KEYS_EXAMINED_MAX || steps >= MATCH_STEPS_MAX)
			return false;
		if (!is_match(pattern, key, key_bytes, &steps))
			continue;
		*matches += 1;
		if (is_writing)
			resp_bulk(call->out, key, key_bytes);
	}
	return !state_read_is_ended(call->reader);
}

void
cmd_keys(struct command_call *call)
{
	const size_t mark = call->out->used;
	uint32_t matches = 0, written = 0;

	if (keys_pass(call, false, &matches)) {
		resp_array(call->out, matches);
		if (keys_pass(call, true, &written) && written == matches)
			return;
		call->out->used = mark;
	}
	gateway_error(call->out, "ERR KEYS looks at no more than %u keys, use SCAN",
		      KEYS_EXAMINED_MAX);
}
