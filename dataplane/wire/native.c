/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/native.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

#define FLAG_IS_MAX    1u
#define FLAG_IS_REPEAT 2u
#define FLAG_IS_MEMORY 4u

struct node_le {
	le16 node_id, port;
	le32 ipv4; /* 0: 16 bytes of IPv6 follow */
};
static_assert(sizeof(struct node_le) == 8, "frozen by version 3");

struct read_le {
	le64 id, position;
	le32 limit_ms;
	le16 key_bytes;
	uint8_t class_, reads; /* enum command_class, durable or memory; enum native_reads */
};
static_assert(sizeof(struct read_le) == NATIVE_READ_BYTES, "frozen by version 3");

struct reply_le {
	le64 id;
	uint8_t what, outcome, kind, flags;  /* kind: enum reply_kind, READ: enum native_value */
	le32 extent;                         /* READ: bytes of the value; otherwise copies */
	le64 log_index, value, delta, bound; /* READ: delta is age_ns */
};
static_assert(sizeof(struct reply_le) == NATIVE_REPLY_BYTES, "frozen by version 3");

/* ---- writing ---- */

void
native_begin(struct native_writer *writer, uint8_t *frame, uint32_t capacity)
{
	INVARIANT(capacity >= NATIVE_HDR_BYTES);
	*writer = (struct native_writer){
		.frame = frame,
		.used = NATIVE_HDR_BYTES,
		.capacity = min_u32(capacity, NATIVE_FRAME_BYTES_MAX),
	};
}

/* Room for an item of @head and @tail, written, padded with zeros. */
static bool
add(struct native_writer *writer, const void *head, uint32_t head_bytes, const void *tail,
    uint32_t tail_bytes)
{
	const uint64_t need = align_up_u64((uint64_t)head_bytes + tail_bytes, 8);

	INVARIANT(writer->used <= writer->capacity && writer->used % 8 == 0);
	if (need > writer->capacity - writer->used || writer->item_count == UINT16_MAX)
		return false;
	uint8_t *at = writer->frame + writer->used;
	memcpy(at, head, head_bytes);
	if (tail_bytes != 0)
		memcpy(at + head_bytes, tail, tail_bytes);
	memset(at + head_bytes + tail_bytes, 0, need - head_bytes - tail_bytes);
	writer->used += (uint32_t)need;
	writer->item_count++;
	return true;
}

bool
native_add_node(struct native_writer *writer, const struct native_node *node)
{
	const bool is_v4 = inet_addr_is_v4(&node->ip);
	const struct node_le le = { le16_make(node->node_id), le16_make(node->port),
				    le32_make(is_v4 ? inet_addr_v4_of(&node->ip) : 0) };

	return add(writer, &le, sizeof(le), is_v4 ? NULL : node->ip.bytes,
		   is_v4 ? 0 : INET_ADDR_BYTES);
}

bool
native_add_open(struct native_writer *writer, uint64_t number)
{
	const le64 le = le64_make(number);

	return add(writer, &le, sizeof(le), NULL, 0);
}

bool
native_add_command(struct native_writer *writer, const uint8_t *command, uint32_t bytes)
{
	INVARIANT(bytes >= COMMAND_HDR_BYTES && bytes % 8 == 0);
	INVARIANT(command_bytes_peek(command) == bytes);
	return add(writer, command, bytes, NULL, 0);
}

bool
native_add_read(struct native_writer *writer, const struct native_read *read)
{
	const struct read_le le = { .id = le64_make(read->id),
				    .position = le64_make(read->position),
				    .limit_ms = le32_make(read->limit_ms),
				    .key_bytes = le16_make((uint16_t)read->key_bytes),
				    .class_ = read->is_memory ? COMMAND_MEMORY : COMMAND_DURABLE,
				    .reads = (uint8_t)read->reads };

	INVARIANT(read->key_bytes >= 1 && read->key_bytes <= COMMAND_KEY_BYTES_MAX);
	return add(writer, &le, sizeof(le), read->key, read->key_bytes);
}

static bool
has_value(const struct native_reply *reply)
{
	return reply->what == NATIVE_WHAT_READ && reply->outcome == NATIVE_DONE &&
	       reply->type == NATIVE_VALUE_BYTES;
}

static bool
has_age(enum native_outcome outcome)
{
	return outcome == NATIVE_DONE || outcome == NATIVE_STALE;
}

uint32_t
native_reply_bytes(const struct native_reply *reply)
{
	INVARIANT(!has_value(reply) || reply->value_bytes <= NATIVE_VALUE_BYTES_MAX);
	return (uint32_t)align_up_u64(
	    NATIVE_REPLY_BYTES + (has_value(reply) ? reply->value_bytes : 0), 8);
}

bool
native_add_reply(struct native_writer *writer, const struct native_reply *reply)
{
	struct reply_le le = {
		.id = le64_make(reply->id),
		.what = (uint8_t)reply->what,
		.outcome = (uint8_t)reply->outcome,
		.log_index = le64_make(reply->log_index),
	};

	if (reply->outcome == NATIVE_ACCEPTED) {
		le.value = le64_make(reply->term);
		le.delta = le64_make(reply->slot);
	}
	if (reply->what == NATIVE_WHAT_READ && has_age(reply->outcome))
		le.delta = le64_make(reply->age_ns);
	if (reply->outcome != NATIVE_DONE)
		return add(writer, &le, sizeof(le), NULL, 0);
	if (reply->what == NATIVE_WHAT_READ) {
		le.kind = (uint8_t)reply->type;
		le.flags = reply->is_memory ? FLAG_IS_MEMORY : 0;
		if (reply->type == NATIVE_VALUE_INTEGER)
			le.value = le64_make((uint64_t)reply->integer);
		if (has_value(reply))
			le.extent = le32_make(reply->value_bytes);
		return add(writer, &le, sizeof(le), reply->value,
			   has_value(reply) ? reply->value_bytes : 0);
	}
	le.kind = (uint8_t)reply->reply.kind;
	le.flags = (uint8_t)((reply->reply.is_max ? FLAG_IS_MAX : 0) |
			     (reply->reply.is_repeat ? FLAG_IS_REPEAT : 0) |
			     (reply->is_memory ? FLAG_IS_MEMORY : 0));
	le.extent = le32_make(reply->copies);
	le.value = le64_make((uint64_t)reply->reply.value);
	le.delta = le64_make((uint64_t)reply->reply.delta);
	le.bound = le64_make((uint64_t)reply->reply.bound);
	return add(writer, &le, sizeof(le), NULL, 0);
}

uint32_t
native_seal(struct native_writer *writer, const struct native_hdr *hdr)
{
	struct native_hdr_le le = {
		.version = NATIVE_VERSION,
		.kind = (uint8_t)hdr->kind,
		.item_count = le16_make(writer->item_count),
		.body_bytes = le32_make(writer->used - NATIVE_HDR_BYTES),
		.node = le16_make(hdr->node),
		.master = le16_make(hdr->master),
		.cluster_id = le64_make(hdr->cluster_id),
		.token = le64_make(hdr->token),
		.term = le64_make(hdr->term),
	};

	memcpy(writer->frame, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(writer->frame + 4, writer->used - 4));
	memcpy(writer->frame, &le.crc32c, sizeof(le.crc32c));
	return writer->used;
}

void
native_stamp(uint8_t *command, uint64_t client_id, uint64_t seq, uint16_t open_window)
{
	struct command_hdr_le hdr;

	INVARIANT(open_window < seq || seq == 0);
	memcpy(&hdr, command, sizeof(hdr));
	hdr.client_id = le64_make(client_id);
	hdr.seq = le64_make(seq);
	hdr.open_window = le16_make(open_window);
	memcpy(command, &hdr, sizeof(hdr));
}

/* ---- reading ---- */

struct native_cursor
native_items(const uint8_t *frame, const struct native_hdr *hdr)
{
	return (struct native_cursor){ frame + NATIVE_HDR_BYTES,
				       frame + NATIVE_HDR_BYTES + hdr->body_bytes };
}

/* @bytes of item, then @tail_bytes and padding: NULL when they are not there or the padding is not
 * zero. */
static const uint8_t *
take(struct native_cursor *cursor, uint32_t bytes, uint32_t tail_bytes)
{
	const uint64_t need = align_up_u64((uint64_t)bytes + tail_bytes, 8);
	const uint8_t *at = cursor->at;

	if (need > (size_t)(cursor->end - at) ||
	    !bytes_are_zero(at + bytes + tail_bytes, need - bytes - tail_bytes))
		return NULL;
	cursor->at += need;
	return at;
}

bool
native_next_node(struct native_cursor *cursor, struct native_node *node)
{
	const uint8_t *at = take(cursor, sizeof(struct node_le), 0);
	struct node_le le;

	if (at == NULL)
		return false;
	memcpy(&le, at, sizeof(le));
	*node = (struct native_node){ le16_get(le.node_id), le16_get(le.port),
				      inet_addr_v4(le32_get(le.ipv4)) };
	if (le32_get(le.ipv4) != 0)
		return true;
	at = take(cursor, INET_ADDR_BYTES, 0);
	if (at == NULL)
		return false;
	memcpy(node->ip.bytes, at, INET_ADDR_BYTES);
	/* One way to write each address. */
	return !inet_addr_is_v4(&node->ip);
}

bool
native_next_open(struct native_cursor *cursor, uint64_t *number)
{
	const uint8_t *at = take(cursor, sizeof(le64), 0);
	le64 le;

	if (at == NULL)
		return false;
	memcpy(&le, at, sizeof(le));
	*number = le64_get(le);
	return true;
}

bool
native_next_command(struct native_cursor *cursor, const uint8_t **command, uint32_t *bytes)
{
	if (cursor->end - cursor->at < (ptrdiff_t)COMMAND_HDR_BYTES)
		return false;
	*bytes = command_bytes_peek(cursor->at);
	if (*bytes == 0)
		return false;
	*command = take(cursor, *bytes, 0);
	return *command != NULL;
}

/* Whether a read says nothing beyond what its kind has to say. */
static bool
read_fits(const struct read_le *le)
{
	const uint32_t key_bytes = le16_get(le->key_bytes);
	const bool has_position = le64_get(le->position) != 0;
	const bool has_limit = le32_get(le->limit_ms) != 0,
		   is_durable = le->class_ == COMMAND_DURABLE;

	if (key_bytes < 1 || key_bytes > COMMAND_KEY_BYTES_MAX ||
	    (!is_durable && le->class_ != COMMAND_MEMORY))
		return false;
	switch (le->reads) {
	case NATIVE_READS_LINEARIZABLE:
		return !has_position && !has_limit;
	case NATIVE_READS_SESSION:
		return true;
	case NATIVE_READS_STALE:
		return !has_position && has_limit;
	case NATIVE_READS_SNAPSHOT:
		return is_durable;
	case NATIVE_READS_DIRTY:
		return !has_position && !has_limit && is_durable;
	default:
		return false;
	}
}

bool
native_next_read(struct native_cursor *cursor, struct native_read *read)
{
	struct read_le le;

	if (cursor->end - cursor->at < (ptrdiff_t)sizeof(le))
		return false;
	memcpy(&le, cursor->at, sizeof(le));
	const uint32_t key_bytes = le16_get(le.key_bytes);
	if (!read_fits(&le))
		return false;
	const uint8_t *at = take(cursor, sizeof(le), key_bytes);
	if (at == NULL)
		return false;
	*read = (struct native_read){ .id = le64_get(le.id),
				      .key = at + sizeof(le),
				      .key_bytes = key_bytes,
				      .is_memory = le.class_ == COMMAND_MEMORY,
				      .reads = (enum native_reads)le.reads,
				      .position = le64_get(le.position),
				      .limit_ms = le32_get(le.limit_ms) };
	return true;
}

static bool
accepted_fits(const struct reply_le *le)
{
	return le->what == NATIVE_WHAT_WRITE && le64_get(le->log_index) != 0 &&
	       le64_get(le->delta) <= UINT32_MAX && le64_get(le->bound) == 0;
}

/* Of a refusal: what it says beyond the outcome. */
static bool
refusal_fits(const struct reply_le *le)
{
	const bool has_numbers = !bytes_are_zero(&le->value, 3 * sizeof(le64));
	const bool is_read = le->what == NATIVE_WHAT_READ;

	if (le->kind != 0 || le->flags != 0 || le32_get(le->extent) != 0)
		return false;
	if (le->outcome == NATIVE_ACCEPTED)
		return accepted_fits(le);
	if (le->outcome == NATIVE_STALE)
		return is_read && le64_get(le->value) == 0 && le64_get(le->bound) == 0;
	return !has_numbers && (is_read || le->outcome < NATIVE_ACCEPTED);
}

/* Whether a reply says nothing beyond what its kind has to say. */
static bool
reply_fits(const struct reply_le *le)
{
	const bool is_read = le->what == NATIVE_WHAT_READ;

	if (le->what < NATIVE_WHAT_OPEN || le->what > NATIVE_WHAT_READ ||
	    le->outcome < NATIVE_DONE || le->outcome > NATIVE_STALE ||
	    (le->flags & ~(FLAG_IS_MAX | FLAG_IS_REPEAT | FLAG_IS_MEMORY)) != 0)
		return false;
	if (le->outcome != NATIVE_DONE)
		return refusal_fits(le);
	if (!is_read)
		return le->kind >= REPLY_OK && le32_get(le->extent) <= NATIVE_NODES_MAX;
	if (le->kind > NATIVE_VALUE_INTEGER || (le->flags & ~FLAG_IS_MEMORY) != 0 ||
	    (le->kind != NATIVE_VALUE_BYTES && le32_get(le->extent) != 0))
		return false;
	return le64_get(le->bound) == 0 &&
	       (le->kind == NATIVE_VALUE_INTEGER || le64_get(le->value) == 0);
}

bool
native_next_reply(struct native_cursor *cursor, struct native_reply *reply)
{
	struct reply_le le;

	if (cursor->end - cursor->at < (ptrdiff_t)sizeof(le))
		return false;
	memcpy(&le, cursor->at, sizeof(le));
	const uint32_t extent = le32_get(le.extent);
	const uint32_t value_bytes = le.what == NATIVE_WHAT_READ ? extent : 0;
	if (!reply_fits(&le) || value_bytes > NATIVE_VALUE_BYTES_MAX)
		return false;
	const uint8_t *at = take(cursor, sizeof(le), value_bytes);
	if (at == NULL)
		return false;
	*reply = (struct native_reply){
		.what = (enum native_what)le.what,
		.outcome = (enum native_outcome)le.outcome,
		.id = le64_get(le.id),
		.log_index = le64_get(le.log_index),
	};
	if (reply->outcome == NATIVE_ACCEPTED) {
		reply->term = le64_get(le.value);
		reply->slot = (uint32_t)le64_get(le.delta);
	}
	if (reply->what == NATIVE_WHAT_READ && has_age(reply->outcome))
		reply->age_ns = le64_get(le.delta);
	if (reply->outcome != NATIVE_DONE)
		return true;
	reply->is_memory = (le.flags & FLAG_IS_MEMORY) != 0;
	if (reply->what == NATIVE_WHAT_READ) {
		reply->type = (enum native_value)le.kind;
		reply->value = at + sizeof(le);
		reply->value_bytes = value_bytes;
		reply->integer = (int64_t)le64_get(le.value);
		return true;
	}
	reply->copies = (uint16_t)extent;
	reply->reply = (struct reply){
		.kind = (enum reply_kind)le.kind,
		.is_max = (le.flags & FLAG_IS_MAX) != 0,
		.is_repeat = (le.flags & FLAG_IS_REPEAT) != 0,
		.value = (int64_t)le64_get(le.value),
		.delta = (int64_t)le64_get(le.delta),
		.bound = (int64_t)le64_get(le.bound),
	};
	return true;
}

static bool
next_any(enum native_kind kind, struct native_cursor *cursor)
{
	struct native_reply reply;
	struct native_node node;
	struct native_read read;
	const uint8_t *command;
	uint64_t number;
	uint32_t bytes;

	switch (kind) {
	case NATIVE_WHO_IS_MASTER:
		return false;
	case NATIVE_MASTER:
		return native_next_node(cursor, &node);
	case NATIVE_OPEN:
		return native_next_open(cursor, &number);
	case NATIVE_SUBMIT:
		return native_next_command(cursor, &command, &bytes);
	case NATIVE_READ:
		return native_next_read(cursor, &read);
	case NATIVE_REPLY:
		return native_next_reply(cursor, &reply);
	}
	return false;
}

enum tern_err
native_open(const uint8_t *frame, uint32_t bytes, struct native_hdr *hdr)
{
	struct native_hdr_le le;

	if (bytes < NATIVE_HDR_BYTES || bytes > NATIVE_FRAME_BYTES_MAX)
		return TERN_ERR_MALFORMED;
	memcpy(&le, frame, sizeof(le));
	if (le32_get(le.body_bytes) != bytes - NATIVE_HDR_BYTES ||
	    le32_get(le.crc32c) != crc32c(frame + 4, bytes - 4))
		return TERN_ERR_MALFORMED;
	if (le.version != NATIVE_VERSION)
		return TERN_ERR_VERSION;
	if (le.kind < NATIVE_WHO_IS_MASTER || le.kind > NATIVE_REPLY)
		return TERN_ERR_MALFORMED;
	*hdr = (struct native_hdr){
		.kind = (enum native_kind)le.kind,
		.item_count = le16_get(le.item_count),
		.node = le16_get(le.node),
		.master = le16_get(le.master),
		.body_bytes = bytes - NATIVE_HDR_BYTES,
		.cluster_id = le64_get(le.cluster_id),
		.token = le64_get(le.token),
		.term = le64_get(le.term),
	};
	struct native_cursor cursor = native_items(frame, hdr);
	for (uint32_t i = 0; i < hdr->item_count; i++) {
		if (!next_any(hdr->kind, &cursor))
			return TERN_ERR_MALFORMED;
	}
	return cursor.at == cursor.end ? TERN_OK : TERN_ERR_MALFORMED;
}
