/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/generation.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/bytes.h"

struct notice_le {
	le32 parent_id;
	uint8_t is_known, reserved0[3];
	le64 log_index, commit_index;
	le64 chain[2];
	uint8_t reserved[8];
};
static_assert(sizeof(struct notice_le) == GENERATION_NOTICE_BYTES, "frozen by version 6");
static_assert(offsetof(struct notice_le, chain) == 24, "frozen by version 6");

void
generation_notice_encode(uint8_t *out, const struct generation_notice *notice)
{
	struct notice_le le = {
		.parent_id = le32_make(notice->parent_id),
		.is_known = notice->is_known,
		.log_index = le64_make(notice->log_index),
		.commit_index = le64_make(notice->commit_index),
	};

	INVARIANT(notice->commit_index <= notice->log_index);
	hash128_put(le.chain, notice->chain);
	memcpy(out, &le, sizeof(le));
}

enum tern_err
generation_notice_decode(const uint8_t *bytes, uint32_t length, struct generation_notice *notice)
{
	uint8_t again[GENERATION_NOTICE_BYTES];
	struct notice_le le;

	if (length != GENERATION_NOTICE_BYTES)
		return TERN_ERR_MALFORMED;
	memcpy(&le, bytes, sizeof(le));
	*notice = (struct generation_notice){
		.is_known = le.is_known != 0,
		.parent_id = le32_get(le.parent_id),
		.log_index = le64_get(le.log_index),
		.commit_index = le64_get(le.commit_index),
		.chain = hash128_get(le.chain),
	};
	if (notice->commit_index > notice->log_index)
		return TERN_ERR_MALFORMED;
	/* What the encoder writes no field to must be zero. */
	generation_notice_encode(again, notice);
	return memcmp(again, bytes, sizeof(again)) == 0 ? TERN_OK : TERN_ERR_MALFORMED;
}

void
generation_print(const struct generation *generation, char out[GENERATION_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char number[6];
	uint32_t count = 0, at = 0;

	INVARIANT(generation->number <= GENERATION_NUMBER_MAX);
	for (uint32_t left = generation->number; left != 0 || count == 0; left /= 10)
		number[count++] = digits[left % 10];
	while (count != 0)
		out[at++] = number[--count];
	out[at++] = '-';
	for (uint32_t shift = 32; shift != 0; shift -= 4)
		out[at++] = digits[generation->id >> (shift - 4) & 15u];
	out[at] = '\0';
	INVARIANT(at < GENERATION_TEXT_BYTES);
}

bool
generation_parse(const char *text, struct generation *generation)
{
	char again[GENERATION_TEXT_BYTES];
	const char *at = text;

	*generation = (struct generation){ 0, 0 };
	for (; *at >= '0' && *at <= '9' && at - text < 5; at++)
		generation->number = generation->number * 10 + (uint32_t)(*at - '0');
	if (*at++ != '-' || generation->number > GENERATION_NUMBER_MAX)
		return false;
	for (uint32_t i = 0; i < 8 && *at != '\0'; i++, at++) {
		const bool is_letter = *at >= 'a' && *at <= 'f';
		if (!is_letter && (*at < '0' || *at > '9'))
			return false;
		generation->id =
		    generation->id << 4 | (uint32_t)(is_letter ? *at - 'a' + 10 : *at - '0');
	}
	if (*at != '\0' || !generation_is_sound(generation))
		return false;
	/* One way only to write each. */
	generation_print(generation, again);
	return memcmp(again, text, (size_t)(at - text) + 1) == 0;
}
