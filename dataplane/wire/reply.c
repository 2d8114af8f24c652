/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/reply.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

#define REPLY_KIND_LAST REPLY_EXPIRY

bool
reply_list_add(struct reply_writer *writer, const struct reply *reply)
{
	const uint32_t bytes = reply->kind == REPLY_BYTES ? reply->bytes : 0;
	const uint64_t need = align_up_u64((uint64_t)REPLY_ITEM_BYTES + bytes, 8);

	INVARIANT(reply->kind != REPLY_ARRAY);
	INVARIANT(writer->used <= writer->capacity);
	if (need > writer->capacity - writer->used)
		return false;
	const struct reply_item_le item = {
		.kind = (uint8_t)reply->kind,
		.is_max = reply->is_max,
		.bytes = le32_make(bytes),
		.value = le64_make((uint64_t)reply->value),
		.delta = le64_make((uint64_t)reply->delta),
		.bound = le64_make((uint64_t)reply->bound),
	};
	uint8_t *at = writer->out + writer->used;
	memcpy(at, &item, sizeof(item));
	if (bytes != 0)
		memcpy(at + sizeof(item), reply->data, bytes);
	memset(at + sizeof(item) + bytes, 0, need - sizeof(item) - bytes);
	writer->used += (uint32_t)need;
	return true;
}

bool
reply_list_next(struct reply_cursor *cursor, struct reply *reply)
{
	struct reply_item_le item;

	if (cursor->end - cursor->at < (ptrdiff_t)sizeof(item))
		return false;
	memcpy(&item, cursor->at, sizeof(item));
	const uint32_t bytes = le32_get(item.bytes);
	const uint64_t whole = align_up_u64((uint64_t)REPLY_ITEM_BYTES + bytes, 8);
	const uint8_t *data = cursor->at + sizeof(item);
	if (item.kind < REPLY_OK || item.kind > REPLY_KIND_LAST || item.kind == REPLY_ARRAY ||
	    item.is_max > 1 || le16_get(item.reserved) != 0 ||
	    (bytes != 0 && item.kind != REPLY_BYTES) ||
	    whole > (uint64_t)(cursor->end - cursor->at) ||
	    !bytes_are_zero(data + bytes, whole - sizeof(item) - bytes))
		return false;
	*reply = (struct reply){
		.kind = (enum reply_kind)item.kind,
		.is_max = item.is_max != 0,
		.value = (int64_t)le64_get(item.value),
		.delta = (int64_t)le64_get(item.delta),
		.bound = (int64_t)le64_get(item.bound),
		.bytes = bytes,
		.data = item.kind == REPLY_BYTES ? data : NULL,
	};
	cursor->at += whole;
	return true;
}
