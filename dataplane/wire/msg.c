/* SPDX-License-Identifier: Apache-2.0 */
/* One table of fields serves encoder and decoder: both walk the same list in the same order, so
 * they cannot disagree about a layout. Every message is kind (1), zero (3), then its fields. */
#include "dataplane/wire/msg.h"

#include <stddef.h>
#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"

#define MSG_HDR_BYTES 4u

enum field_type { FIELD_U16 = 1, FIELD_U32, FIELD_U64, FIELD_BOOL, FIELD_HASH, FIELD_ENUM };

struct field {
	enum field_type type;
	uint16_t offset; /* in struct msg */
	uint32_t max;    /* ENUM: highest value; 0 for the others: any */
};

/* Of a uint32_t, of which the wire carries the lower half. */
#define U16(member)                                        \
	{                                                  \
		FIELD_U16, offsetof(struct msg, member), 0 \
	}
#define U32(member)                                        \
	{                                                  \
		FIELD_U32, offsetof(struct msg, member), 0 \
	}
#define U64(member)                                        \
	{                                                  \
		FIELD_U64, offsetof(struct msg, member), 0 \
	}
#define BOOL(member)                                        \
	{                                                   \
		FIELD_BOOL, offsetof(struct msg, member), 0 \
	}
#define HASH(member)                                        \
	{                                                   \
		FIELD_HASH, offsetof(struct msg, member), 0 \
	}
#define ENUM(member, high)                                     \
	{                                                      \
		FIELD_ENUM, offsetof(struct msg, member), high \
	}

static const struct field heartbeat_fields[] = {
	U32(heartbeat.epoch),        U16(heartbeat.health),        U16(heartbeat.asks_promise),
	U64(heartbeat.commit_index), HASH(heartbeat.commit_chain), U64(heartbeat.round),
	U64(heartbeat.echo_ns),      U32(heartbeat.echo_boot_no),  U64(heartbeat.confirmed_age_ns),
	U32(heartbeat.witness_gen),
};
static const struct field heartbeat_ack_fields[] = {
	U32(heartbeat_ack.epoch),          U16(heartbeat_ack.health),
	U16(heartbeat_ack.promise_units),  U64(heartbeat_ack.round),
	U64(heartbeat_ack.received_index), U64(heartbeat_ack.durable_index),
	U64(heartbeat_ack.applied_index),  U64(heartbeat_ack.sent_ns),
};
static const struct field append_fields[] = {
	U64(append.prev_index),  HASH(append.prev_chain), BOOL(append.has_next),
	HASH(append.next_chain), U64(append.last_index),  U64(append.commit_index),
	U32(append.epoch),
};
static const struct field append_ack_fields[] = {
	ENUM(append_ack.status, MSG_APPEND_CONFLICT),
	U32(append_ack.epoch),
	U64(append_ack.probe_index),
	U64(append_ack.received_index),
	U64(append_ack.durable_index),
	U64(append_ack.applied_index),
	U64(append_ack.last_index),
	U64(append_ack.conflict_index),
	U64(append_ack.conflict_term),
	HASH(append_ack.conflict_chain),
	U64(append_ack.credit_end_page),
};
static const struct field vote_fields[] = {
	U64(vote.for_term),      U64(vote.last_term),     U32(vote.last_epoch),
	U64(vote.last_index),    U64(vote.votes_granted), U32(vote.witness_gen),
	BOOL(vote.is_hand_over),
};
static const struct field vote_ack_fields[] = {
	U64(vote_ack.for_term),     ENUM(vote_ack.refusal, MSG_VOTE_REFUSED_WITNESS),
	U64(vote_ack.commit_index), HASH(vote_ack.commit_chain),
	U64(vote_ack.config_index), HASH(vote_ack.config_chain),
};
static const struct field register_fields[] = {
	ENUM(register_.what, MSG_REGISTER_RETIRE),
	U32(register_.witness_gen),
	U32(register_.epoch),
	U64(register_.rset),
	U64(register_.last_index),
	HASH(register_.chain),
	U64(register_.config_index),
	HASH(register_.config_chain),
	U32(register_.peer_boot_no),
};
static const struct field register_ack_fields[] = {
	ENUM(register_ack.what, MSG_REGISTER_RETIRE),
	U32(register_ack.epoch),
	BOOL(register_ack.is_accepted),
	U64(register_ack.held_term),
	U32(register_ack.held_epoch),
	U64(register_ack.rset),
	U64(register_ack.config_index),
};
static const struct field transfer_fields[] = { U64(transfer.last_index) };

static const struct field recognized_fields[] = {
	U32(recognized.peer_boot_no),
	U64(recognized.commit_index),
};

static const struct field checkpoint_fields[] = {
	U64(checkpoint.log_index),  U64(checkpoint.term),   U32(checkpoint.epoch),
	U32(checkpoint.kind),       HASH(checkpoint.chain), U64(checkpoint.commit_index),
	U64(checkpoint.base_index),
};
static const struct field rejoin_fields[] = { U64(rejoin.nonce) };
static const struct field rejoin_ack_fields[] = {
	U64(rejoin_ack.nonce),       U32(rejoin_ack.peer_boot_no), U64(rejoin_ack.config_index),
	U64(rejoin_ack.voters),      U64(rejoin_ack.learners),     U32(rejoin_ack.witness_id),
	U32(rejoin_ack.witness_gen), U64(rejoin_ack.next_voters),
};
static const struct field seek_fields[] = {
	U64(seek.low_index),
	HASH(seek.low_chain),
	U64(seek.index),
};
static const struct field sought_fields[] = {
	BOOL(sought.is_known),       U64(sought.index),
	HASH(sought.chain),          ENUM(sought.next_count, MSG_NEXT_MAX),
	HASH(sought.next[0]),        HASH(sought.next[1]),
	HASH(sought.next[2]),        HASH(sought.next[3]),
	U64(sought.commit_index),    U64(sought.checkpoint_index),
	U64(sought.checkpoint_term), U32(sought.checkpoint_epoch),
	U32(sought.checkpoint_kind), HASH(sought.checkpoint_chain),
};

struct layout {
	const struct field *fields;
	uint32_t count;
	const char *text;
};
#define LAYOUT(list, text)                                 \
	{                                                  \
		list, sizeof(list) / sizeof(list[0]), text \
	}

static const struct layout layouts[] = {
	[MSG_HEARTBEAT] = LAYOUT(heartbeat_fields, "heartbeat"),
	[MSG_HEARTBEAT_ACK] = LAYOUT(heartbeat_ack_fields, "heartbeat_ack"),
	[MSG_APPEND] = LAYOUT(append_fields, "append"),
	[MSG_APPEND_ACK] = LAYOUT(append_ack_fields, "append_ack"),
	[MSG_PREVOTE] = LAYOUT(vote_fields, "prevote"),
	[MSG_PREVOTE_ACK] = LAYOUT(vote_ack_fields, "prevote_ack"),
	[MSG_VOTE] = LAYOUT(vote_fields, "vote"),
	[MSG_VOTE_ACK] = LAYOUT(vote_ack_fields, "vote_ack"),
	[MSG_REGISTER] = LAYOUT(register_fields, "register"),
	[MSG_REGISTER_ACK] = LAYOUT(register_ack_fields, "register_ack"),
	[MSG_TRANSFER_NOW] = LAYOUT(transfer_fields, "transfer_now"),
	[MSG_FAREWELL] = { NULL, 0, "farewell" },
	[MSG_RECOGNIZED] = LAYOUT(recognized_fields, "recognized"),
	[MSG_CHECKPOINT] = LAYOUT(checkpoint_fields, "checkpoint"),
	[MSG_REJOIN] = LAYOUT(rejoin_fields, "rejoin"),
	[MSG_REJOIN_ACK] = LAYOUT(rejoin_ack_fields, "rejoin_ack"),
	[MSG_SEEK] = LAYOUT(seek_fields, "seek"),
	[MSG_SOUGHT] = LAYOUT(sought_fields, "sought"),
};

static uint32_t
field_bytes(enum field_type type)
{
	switch (type) {
	case FIELD_U16:
		return 2;
	case FIELD_U32:
	case FIELD_BOOL:
	case FIELD_ENUM:
		return 4;
	case FIELD_U64:
		return 8;
	case FIELD_HASH:
		return 16;
	}
	return 0;
}

static void
field_put(uint8_t *out, const struct field *field, const struct msg *msg)
{
	const uint8_t *at = (const uint8_t *)msg + field->offset;
	uint32_t u32;
	uint64_t u64;
	le16 half;
	le32 small;
	le64 large;

	switch (field->type) {
	case FIELD_U16:
		memcpy(&u32, at, sizeof(u32));
		INVARIANT(u32 <= UINT16_MAX);
		half = le16_make((uint16_t)u32);
		memcpy(out, &half, sizeof(half));
		break;
	case FIELD_U32:
	case FIELD_ENUM:
		memcpy(&u32, at, sizeof(u32));
		small = le32_make(u32);
		memcpy(out, &small, sizeof(small));
		break;
	case FIELD_BOOL:
		small = le32_make(*(const bool *)(const void *)at ? 1 : 0);
		memcpy(out, &small, sizeof(small));
		break;
	case FIELD_U64:
		memcpy(&u64, at, sizeof(u64));
		large = le64_make(u64);
		memcpy(out, &large, sizeof(large));
		break;
	case FIELD_HASH:
		for (int i = 0; i < 2; i++) {
			memcpy(&u64, at + i * 8, sizeof(u64));
			large = le64_make(u64);
			memcpy(out + i * 8, &large, sizeof(large));
		}
		break;
	}
}

static bool
field_get(const uint8_t *in, const struct field *field, struct msg *msg)
{
	uint8_t *at = (uint8_t *)msg + field->offset;
	uint32_t u32;
	uint64_t u64;
	le16 half;
	le32 small = le32_make(0);
	le64 large;

	if (field->type != FIELD_U16)
		memcpy(&small, in, sizeof(small));
	u32 = le32_get(small);
	switch (field->type) {
	case FIELD_ENUM:
		if (u32 > field->max)
			return false;
		memcpy(at, &u32, sizeof(u32));
		break;
	case FIELD_U16:
		memcpy(&half, in, sizeof(half));
		u32 = le16_get(half);
		memcpy(at, &u32, sizeof(u32));
		break;
	case FIELD_U32:
		memcpy(at, &u32, sizeof(u32));
		break;
	case FIELD_BOOL:
		if (u32 > 1)
			return false;
		*(bool *)(void *)at = u32 == 1;
		break;
	case FIELD_U64:
		memcpy(&large, in, sizeof(large));
		u64 = le64_get(large);
		memcpy(at, &u64, sizeof(u64));
		break;
	case FIELD_HASH:
		for (int i = 0; i < 2; i++) {
			memcpy(&large, in + i * 8, sizeof(large));
			u64 = le64_get(large);
			memcpy(at + i * 8, &u64, sizeof(u64));
		}
		break;
	}
	return true;
}

static uint32_t
layout_bytes(const struct layout *layout)
{
	uint32_t bytes = MSG_HDR_BYTES;

	for (uint32_t i = 0; i < layout->count; i++)
		bytes += field_bytes(layout->fields[i].type);
	return bytes;
}

uint32_t
msg_encode(uint8_t *body, const struct msg *msg)
{
	const struct layout *layout = &layouts[msg->kind];
	uint32_t at = MSG_HDR_BYTES;

	INVARIANT(msg->kind >= MSG_HEARTBEAT && msg->kind <= MSG_KIND_LAST);
	INVARIANT(layout_bytes(layout) <= MSG_BYTES_MAX);
	memset(body, 0, MSG_HDR_BYTES);
	body[0] = (uint8_t)msg->kind;
	for (uint32_t i = 0; i < layout->count; i++) {
		field_put(body + at, &layout->fields[i], msg);
		at += field_bytes(layout->fields[i].type);
	}
	return at;
}

enum tern_err
msg_decode(const uint8_t *body, uint32_t body_bytes, struct msg *msg)
{
	uint32_t at = MSG_HDR_BYTES;

	if (body_bytes < MSG_HDR_BYTES || body[0] < MSG_HEARTBEAT || body[0] > MSG_KIND_LAST ||
	    body[1] != 0 || body[2] != 0 || body[3] != 0)
		return TERN_ERR_MALFORMED;
	const struct layout *layout = &layouts[body[0]];
	if (body_bytes != layout_bytes(layout))
		return TERN_ERR_MALFORMED;
	msg->kind = (enum msg_kind)body[0];
	for (uint32_t i = 0; i < layout->count; i++) {
		if (!field_get(body + at, &layout->fields[i], msg))
			return TERN_ERR_MALFORMED;
		at += field_bytes(layout->fields[i].type);
	}
	return TERN_OK;
}

const char *
msg_kind_text(enum msg_kind kind)
{
	return kind >= MSG_HEARTBEAT && kind <= MSG_KIND_LAST ? layouts[kind].text : "unknown";
}
