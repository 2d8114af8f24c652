/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of a reply of kind ARRAY: the replies of a MULTI's parts, one behind the other.
 *
 *	item = header 32 | the bytes of a BYTES reply, padded with zeros to 8
 */
#ifndef TERN_WIRE_REPLY_H
#define TERN_WIRE_REPLY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/le.h"
#include "dataplane/wire/command.h"

#define REPLY_ITEM_BYTES 32u

struct reply_item_le {
	uint8_t kind, is_max;
	le16 reserved;
	le32 bytes; /* BYTES */
	le64 value, delta, bound;
};
static_assert(sizeof(struct reply_item_le) == REPLY_ITEM_BYTES, "frozen by format 1");

struct reply_writer {
	uint8_t *out;
	uint32_t used, capacity;
};
/* @reply is no ARRAY. False: no room, nothing added. */
bool reply_list_add(struct reply_writer *writer, const struct reply *reply);

struct reply_cursor {
	const uint8_t *at, *end;
};
/* The next one, its data borrowed from the list; false at the end, or at what is no reply. */
bool reply_list_next(struct reply_cursor *cursor, struct reply *reply);

#endif
