/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in a checkpoint, and the session table made again from it. */
#include "dataplane/base/invariant.h"
#include "dataplane/state/session_image.h"

void
session_image_encode(uint8_t *out, const struct session_image *image)
{
	le64 numbers[STATE_SESSION_NUMBERS];
	uint32_t count = 0;

	numbers[count++] = le64_make(image->client_id);
	numbers[count++] = le64_make(image->low);
	numbers[count++] = le64_make(image->last_used_ns);
	numbers[count++] = le64_make(image->last_index);
	numbers[count++] = le64_make(image->used_index);
	numbers[count++] = le64_make(image->used_slot);
	numbers[count++] = le64_make(image->replies_count);
	for (uint32_t i = 0; i < STATE_SESSION_WINDOW / 64; i++)
		numbers[count++] = le64_make(image->done[i]);
	for (uint32_t i = 0; i < STATE_SESSION_WINDOW / 64; i++)
		numbers[count++] = le64_make(image->refused[i]);
	for (uint32_t i = 0; i < STATE_REPLIES_KEPT; i++) {
		const struct session_reply *reply = &image->replies[i];
		numbers[count++] = le64_make(reply->seq);
		numbers[count++] = le64_make(reply->kind);
		numbers[count++] = le64_make(reply->is_max);
		numbers[count++] = le64_make((uint64_t)reply->value);
		numbers[count++] = le64_make((uint64_t)reply->delta);
		numbers[count++] = le64_make((uint64_t)reply->bound);
	}
	INVARIANT(count == STATE_SESSION_NUMBERS);
	memcpy(out, numbers, sizeof(numbers));
}

static uint64_t
number_take(const uint8_t **at)
{
	le64 number;

	memcpy(&number, *at, sizeof(number));
	*at += sizeof(number);
	return le64_get(number);
}

static bool
is_reply_sound(const struct session_reply *reply)
{
	if (reply->seq == 0)
		return reply->kind == 0;
	if (reply->kind < REPLY_OK || reply->kind > REPLY_EXPIRY || reply->kind == REPLY_ARRAY)
		return false;
	return reply->is_max <= (reply->kind == REPLY_BYTES ? STATE_REPLY_BYTES_KEPT : 1u);
}

enum tern_err
session_image_decode(const uint8_t *bytes, uint64_t log_index, struct session_image *image)
{
	uint8_t again[STATE_SESSION_BYTES];
	const uint8_t *at = bytes;

	memset(image, 0, sizeof(*image));
	image->client_id = number_take(&at);
	image->low = number_take(&at);
	image->last_used_ns = number_take(&at);
	image->last_index = number_take(&at);
	image->used_index = number_take(&at);
	image->used_slot = (uint32_t)number_take(&at);
	image->replies_count = number_take(&at);
	for (uint32_t i = 0; i < STATE_SESSION_WINDOW / 64; i++)
		image->done[i] = number_take(&at);
	for (uint32_t i = 0; i < STATE_SESSION_WINDOW / 64; i++)
		image->refused[i] = number_take(&at);
	for (uint32_t i = 0; i < STATE_REPLIES_KEPT; i++) {
		struct session_reply *reply = &image->replies[i];
		reply->seq = number_take(&at);
		reply->kind = number_take(&at);
		reply->is_max = number_take(&at);
		reply->value = (int64_t)number_take(&at);
		reply->delta = (int64_t)number_take(&at);
		reply->bound = (int64_t)number_take(&at);
		if (!is_reply_sound(reply))
			return TERN_ERR_CORRUPT;
	}
	if (image->client_id == 0 || image->low == 0 || image->last_index > log_index ||
	    image->used_index > log_index)
		return TERN_ERR_CORRUPT;
	session_image_encode(again, image);
	return memcmp(again, bytes, sizeof(again)) == 0 ? TERN_OK : TERN_ERR_CORRUPT;
}
