/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/wire/samples.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/checkpoint.h"
#include "dataplane/wire/command.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/membership.h"
#include "dataplane/wire/msg.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/part.h"
#include "dataplane/wire/pool_note.h"
#include "dataplane/wire/reply.h"
#include "dataplane/wire/superblock.h"
#include "dataplane/wire/witness_register.h"
#include "tests/support/check.h"
#include "tests/unit/wire/samples_parts.h"

struct sample *
sample_add(struct samples *samples, const char *name,
	   enum tern_err (*turn)(uint8_t *data, uint32_t bytes))
{
	assert_in_range(samples->count, 0, SAMPLES_MAX - 1);
	struct sample *sample = &samples->list[samples->count++];
	sample->name = name;
	sample->turn = turn;
	return sample;
}

static struct hash128
hash_of(uint64_t n)
{
	return (struct hash128){ 0x1111111111111111ULL * n, 0x2222222222222222ULL + n };
}

/* ---- commands ---- */

static enum tern_err
command_turn(uint8_t *data, uint32_t bytes)
{
	uint8_t again[SAMPLE_BYTES_MAX];
	struct command_writer writer;
	struct command_arg arg;
	struct command command;
	uint32_t length = 0;

	const enum tern_err err = command_decode(data, bytes, &command);
	if (err != TERN_OK)
		return err;
	command_begin(&writer, again, sizeof(again));
	const uint8_t *cursor = command.args;
	while (command_arg_next(&command, &cursor, &arg)) {
		assert_true(arg.data >= data && arg.data + arg.bytes <= data + bytes);
		command_add_arg(&writer, arg.data, arg.bytes);
	}
	assert_int_equal(writer.args_count, command.args_count);
	assert_int_equal(command_end(&writer, command.op, command.flags, command.client_id,
				     command.seq, command.open_window, &length),
			 TERN_OK);
	assert_int_equal(length, bytes);
	again[5] = (uint8_t)command.class_; /* the writer knows only one class */
	memcpy(data, again, bytes);
	return TERN_OK;
}

struct command_sample {
	const char *name;
	enum command_op op;
	uint8_t flags;
	uint64_t client_id, seq;
	uint16_t open_window;
	const char *texts[4];
	int64_t integers[3];
	uint32_t text_count, integer_count;
};

static const struct command_sample command_samples[] = {
	{ "command_set", COMMAND_SET, 0, 7, 300, 12, { "user:1", "hello" }, { 0 }, 2, 0 },
	{ "command_mset", COMMAND_MSET, 0, 0, 0, 0, { "a", "1", "bb", "" }, { 0 }, 4, 0 },
	{ "command_delete", COMMAND_DELETE, 0, 9, 1, 0, { "a", "bb", "ccc" }, { 0 }, 3, 0 },
	{ "command_add",
	  COMMAND_ADD,
	  COMMAND_HAS_MIN | COMMAND_HAS_MAX,
	  UINT64_MAX,
	  UINT64_MAX - 1,
	  255,
	  { "balance" },
	  { -50, 0, INT64_MAX },
	  1,
	  3 },
	{ "command_append", COMMAND_APPEND, 0, 0, 0, 0, { "log", "more" }, { 0 }, 2, 0 },
	{ "command_getset",
	  COMMAND_SET,
	  COMMAND_IF_PRESENT | COMMAND_GET_OLD,
	  7,
	  301,
	  0,
	  { "user:1", "bye" },
	  { 0 },
	  2,
	  0 },
	{ "command_get", COMMAND_GET, 0, 0, 0, 0, { "user:1" }, { 0 }, 1, 0 },
	{ "command_exists", COMMAND_EXISTS, 0, 0, 0, 0, { "user:1", "user:2" }, { 0 }, 2, 0 },
	{ "command_length", COMMAND_LENGTH, 0, 0, 0, 0, { "user:1" }, { 0 }, 1, 0 },
	{ "command_set_expiry",
	  COMMAND_SET,
	  COMMAND_EXPIRE_IN | COMMAND_IF_ABSENT,
	  0,
	  0,
	  0,
	  { "user:1", "hello" },
	  { 5000000000 },
	  2,
	  1 },
	{ "command_expire",
	  COMMAND_EXPIRE,
	  COMMAND_EXPIRE_AT | COMMAND_IF_LATER,
	  9,
	  3,
	  1,
	  { "user:1" },
	  { 1800000000000000000 },
	  1,
	  1 },
	{ "command_persist", COMMAND_PERSIST, COMMAND_GET_OLD, 0, 0, 0, { "user:1" }, { 0 }, 1, 0 },
	{ "command_expiry", COMMAND_EXPIRY, 0, 0, 0, 0, { "user:1" }, { 0 }, 1, 0 },
	{ "command_tick", COMMAND_TICK, 0, 0, 0, 0, { NULL }, { 0 }, 0, 0 },
	{ "command_session_open", COMMAND_SESSION_OPEN, 0, 0, 0, 0, { NULL }, { 0 }, 0, 0 },
	{ "command_session_close", COMMAND_SESSION_CLOSE, 0, 77, 0, 0, { NULL }, { 0 }, 0, 0 },
};

/* Two conditions and two parts in a session. */
static const struct command_sample multi_parts[] = {
	{ NULL, COMMAND_CHECK, 0, 0, 0, 0, { "user:1" }, { 0x1122334455, 7 }, 1, 2 },
	{ NULL, COMMAND_CHECK, 0, 0, 0, 0, { "user:2" }, { 0 }, 1, 0 },
	{ NULL, COMMAND_GET, 0, 0, 0, 0, { "user:1" }, { 0 }, 1, 0 },
	{ NULL, COMMAND_SET, COMMAND_GET_OLD, 0, 0, 0, { "user:2", "bye" }, { 0 }, 2, 0 },
};

static uint32_t
command_sample_write(const struct command_sample *c, uint8_t *out, uint32_t capacity)
{
	struct command_writer writer;
	uint32_t bytes = 0;

	command_begin(&writer, out, capacity);
	for (uint32_t t = 0; t < c->text_count; t++)
		command_add_arg(&writer, c->texts[t], (uint32_t)strlen(c->texts[t]));
	for (uint32_t n = 0; n < c->integer_count; n++)
		command_add_i64(&writer, c->integers[n]);
	assert_int_equal(
	    command_end(&writer, c->op, c->flags, c->client_id, c->seq, c->open_window, &bytes),
	    TERN_OK);
	return bytes;
}

static void
multi_sample_make(struct samples *samples)
{
	struct sample *sample = sample_add(samples, "command_multi", command_turn);
	uint8_t part[256];
	struct command_writer writer;

	command_begin(&writer, sample->data, sizeof(sample->data));
	for (size_t i = 0; i < sizeof(multi_parts) / sizeof(multi_parts[0]); i++)
		command_add_arg(&writer, part,
				command_sample_write(&multi_parts[i], part, sizeof(part)));
	assert_int_equal(command_end(&writer, COMMAND_MULTI, 0, 9, 2, 1, &sample->bytes), TERN_OK);
}

static enum tern_err
reply_list_turn(uint8_t *data, uint32_t bytes)
{
	uint8_t again[SAMPLE_BYTES_MAX];
	struct reply_cursor cursor = { data, data + bytes };
	struct reply_writer writer = { .out = again, .capacity = sizeof(again) };
	struct reply reply;

	while (reply_list_next(&cursor, &reply))
		assert_true(reply_list_add(&writer, &reply));
	if (cursor.at != cursor.end)
		return TERN_ERR_MALFORMED;
	memcpy(data, again, bytes);
	return TERN_OK;
}

static void
reply_list_sample_make(struct samples *samples)
{
	struct sample *sample = sample_add(samples, "reply_list", reply_list_turn);
	struct reply_writer writer = { .out = sample->data, .capacity = sizeof(sample->data) };

	assert_true(reply_list_add(&writer, &(struct reply){ .kind = REPLY_INTEGER, .value = -2 }));
	assert_true(reply_list_add(
	    &writer,
	    &(struct reply){ .kind = REPLY_BYTES, .bytes = 5, .data = (const uint8_t *)"hello" }));
	assert_true(reply_list_add(
	    &writer,
	    &(struct reply){
		.kind = REPLY_BOUND, .is_max = true, .value = 90, .delta = 20, .bound = 100 }));
	sample->bytes = writer.used;
}

static void
command_samples_make(struct samples *samples)
{
	for (size_t i = 0; i < sizeof(command_samples) / sizeof(command_samples[0]); i++) {
		const struct command_sample *c = &command_samples[i];
		struct sample *sample = sample_add(samples, c->name, command_turn);
		sample->bytes = command_sample_write(c, sample->data, sizeof(sample->data));
	}
	multi_sample_make(samples);
	reply_list_sample_make(samples);
}

/* ---- frames ---- */

static enum tern_err
message_turn(uint8_t *body, uint32_t bytes)
{
	struct msg msg = { .kind = 0 };
	const enum tern_err err = msg_decode(body, bytes, &msg);

	if (err == TERN_OK)
		assert_int_equal(msg_encode(body, &msg), bytes);
	return err;
}

static enum tern_err
fragment_turn(uint8_t *body, uint32_t bytes)
{
	struct fragment_hdr fragment;
	const enum tern_err err = fragment_decode(body, bytes, &fragment);

	if (err == TERN_OK)
		fragment_encode(body, &fragment);
	return err;
}

static enum tern_err
fetch_turn(uint8_t *body, uint32_t bytes)
{
	struct fetch fetch;
	const enum tern_err err = fetch_decode(body, bytes, &fetch);

	if (err == TERN_OK)
		assert_int_equal(fetch_encode(body, &fetch), bytes);
	return err;
}

static enum tern_err
notice_turn(uint8_t *body, uint32_t bytes)
{
	struct generation_notice notice;
	const enum tern_err err = generation_notice_decode(body, bytes, &notice);

	if (err == TERN_OK)
		generation_notice_encode(body, &notice);
	return err;
}

static enum tern_err
part_ask_turn(uint8_t *body, uint32_t bytes)
{
	struct part_ask ask;
	const enum tern_err err = part_ask_decode(body, bytes, &ask);

	if (err == TERN_OK)
		part_ask_encode(body, &ask);
	return err;
}

static enum tern_err
part_turn(uint8_t *body, uint32_t bytes)
{
	struct part_hdr part;
	const enum tern_err err = part_hdr_decode(body, bytes, &part);

	if (err == TERN_OK)
		part_hdr_encode(body, &part);
	return err;
}

static enum tern_err
frame_turn(uint8_t *frame, uint32_t bytes)
{
	uint8_t *body = frame + FRAME_HDR_BYTES;
	struct frame_hdr hdr;
	enum tern_err err = frame_open(frame, bytes, &hdr);

	if (err != TERN_OK)
		return err;
	assert_true(hdr.body_bytes <= bytes - FRAME_HDR_BYTES);
	uint32_t covered = hdr.body_bytes;
	switch (hdr.kind) {
	case FRAME_MESSAGE:
		err = message_turn(body, hdr.body_bytes);
		break;
	case FRAME_BLOCK:
		err = fragment_turn(body, hdr.body_bytes);
		covered = FRAGMENT_HDR_BYTES;
		break;
	case FRAME_FETCH:
		err = fetch_turn(body, hdr.body_bytes);
		break;
	case FRAME_PART_ASK:
		err = part_ask_turn(body, hdr.body_bytes);
		break;
	case FRAME_PART:
		err = part_turn(body, hdr.body_bytes);
		break;
	case FRAME_GENERATION:
		err = notice_turn(body, hdr.body_bytes);
		break;
	}
	if (err == TERN_OK)
		frame_seal(frame, &hdr, covered);
	return err;
}

static void
frame_finish(struct sample *sample, enum frame_kind kind, uint32_t body_bytes, uint32_t covered)
{
	const struct frame_hdr hdr = {
		.kind = kind,
		.body_bytes = body_bytes,
		.cluster_id = 0x0102030405060708ULL,
		.generation = { 0x0e0f, 0x090a0b0c },
		.boot_no = 0x0d0e0f10,
		.sender = 1,
		.receiver = 63,
		.shard = 0x1112,
		.term = 0x131415161718191aULL,
		.sequence = 0x1b1c1d1e1f202122ULL,
	};

	sample->bytes = FRAME_HDR_BYTES + body_bytes;
	sample->covered_first = 4;
	sample->covered_end = FRAME_HDR_BYTES + covered;
	frame_seal(sample->data, &hdr, covered);
}

static const struct msg messages[] = {
	{ .kind = MSG_HEARTBEAT,
	  .heartbeat = { 3,
			 MSG_HEALTH_DISK_STALLED,
			 101,
			 { 0x55, 0x66 },
			 102,
			 151,
			 152,
			 153,
			 155,
			 1 } },
	{ .kind = MSG_HEARTBEAT_ACK,
	  .heartbeat_ack = { 4, MSG_HEALTH_DATA_PORT_DOWN, 103, 104, 105, 106, 154, 156 } },
	{ .kind = MSG_APPEND, .append = { 107, { 1, 2 }, true, { 3, 4 }, 108, 109, 110 } },
	{ .kind = MSG_APPEND_ACK,
	  .append_ack = { MSG_APPEND_CONFLICT,
			  5,
			  111,
			  112,
			  113,
			  114,
			  115,
			  116,
			  117,
			  { 118, 119 },
			  120 } },
	{ .kind = MSG_PREVOTE, .vote = { 121, 122, 123, 124, 0x8000000000000001ULL, 125, false } },
	{ .kind = MSG_PREVOTE_ACK,
	  .vote_ack = { 126, MSG_VOTE_REFUSED_LOG, 127, { 128, 129 }, 204, { 205, 206 } } },
	{ .kind = MSG_VOTE, .vote = { 130, 131, 132, 133, 6, 134, true } },
	{ .kind = MSG_VOTE_ACK,
	  .vote_ack = { 135, MSG_VOTE_REFUSED_WITNESS, 136, { 137, 138 }, 201, { 202, 203 } } },
	{ .kind = MSG_REGISTER,
	  .register_ = { MSG_REGISTER_RETIRE,
			 139,
			 140,
			 141,
			 142,
			 { 143, 144 },
			 207,
			 { 208, 209 },
			 214 } },
	{ .kind = MSG_REGISTER_ACK,
	  .register_ack = { MSG_REGISTER_ENTER, 145, true, 146, 147, 210, 211 } },
	{ .kind = MSG_TRANSFER_NOW, .transfer = { 148 } },
	{ .kind = MSG_FAREWELL },
	{ .kind = MSG_RECOGNIZED, .recognized = { 149, 150 } },
	{ .kind = MSG_CHECKPOINT, .checkpoint = { 155, 156, 157, 158, { 159, 160 }, 161, 237 } },
	{ .kind = MSG_REJOIN, .rejoin = { 162 } },
	{ .kind = MSG_REJOIN_ACK, .rejoin_ack = { 163, 164, 165, 166, 167, 168, 169, 170 } },
	{ .kind = MSG_SEEK, .seek = { 215, { 216, 217 }, 218 } },
	{ .kind = MSG_SOUGHT,
	  .sought = { true,
		      219,
		      { 220, 221 },
		      MSG_NEXT_MAX,
		      { { 222, 223 }, { 224, 225 }, { 226, 227 }, { 228, 229 } },
		      230,
		      231,
		      232,
		      233,
		      234,
		      { 235, 236 } } },
};

static const char *const message_names[] = {
	"frame_heartbeat",  "frame_heartbeat_ack", "frame_append",       "frame_append_ack",
	"frame_prevote",    "frame_prevote_ack",   "frame_vote",         "frame_vote_ack",
	"frame_register",   "frame_register_ack",  "frame_transfer_now", "frame_farewell",
	"frame_recognized", "frame_checkpoint",    "frame_rejoin",       "frame_rejoin_ack",
	"frame_seek",       "frame_sought",
};

static void
frame_samples_make(struct samples *samples)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct sample *sample = sample_add(samples, message_names[i], frame_turn);
		const uint32_t bytes = msg_encode(sample->data + FRAME_HDR_BYTES, &messages[i]);
		assert_in_range(bytes, 1, MSG_BYTES_MAX);
		frame_finish(sample, FRAME_MESSAGE, bytes, bytes);
	}

	struct sample *block = sample_add(samples, "frame_block", frame_turn);
	const struct fragment_hdr fragment = { .log_index = 201,
					       .page_lsn = 202,
					       .commit_index = 200,
					       .block_pages = 2,
					       .block_units = 5,
					       .unit_first = 4,
					       .unit_count = 1,
					       .last_unit_bytes = 40 };
	fragment_encode(block->data + FRAME_HDR_BYTES, &fragment);
	memset(block->data + FRAME_HDR_BYTES + FRAGMENT_HDR_BYTES, 0xab, 40);
	frame_finish(block, FRAME_BLOCK, FRAGMENT_HDR_BYTES + 40, FRAGMENT_HDR_BYTES);

	struct sample *fetch = sample_add(samples, "frame_fetch", frame_turn);
	const struct fetch ranges = { .range_count = 2,
				      .ranges = { { 203, 1, 2 }, { 204, 0, 0 } } };
	const uint32_t bytes = fetch_encode(fetch->data + FRAME_HDR_BYTES, &ranges);
	frame_finish(fetch, FRAME_FETCH, bytes, bytes);

	const struct part_id id = { 205, { 206, 207 }, 0 };
	struct sample *ask = sample_add(samples, "frame_part_ask", frame_turn);
	const struct part_ask what = { .id = id, .unit_first = 1, .unit_count = 3 };
	part_ask_encode(ask->data + FRAME_HDR_BYTES, &what);
	frame_finish(ask, FRAME_PART_ASK, PART_ASK_BYTES, PART_ASK_BYTES);

	/* A page has three units and 64 bytes. */
	struct sample *part = sample_add(samples, "frame_part", frame_turn);
	const struct part_hdr hdr = { .id = id, .pages = 1, .unit = 3, .bytes = 64 };
	part_hdr_encode(part->data + FRAME_HDR_BYTES, &hdr);
	memset(part->data + FRAME_HDR_BYTES + PART_HDR_BYTES, 0xcd, 64);
	frame_finish(part, FRAME_PART, PART_HDR_BYTES + 64, PART_HDR_BYTES + 64);

	struct sample *told = sample_add(samples, "frame_generation", frame_turn);
	const struct generation_notice notice = { .is_known = true,
						  .parent_id = 208,
						  .log_index = 209,
						  .commit_index = 207,
						  .chain = { 210, 211 } };
	generation_notice_encode(told->data + FRAME_HDR_BYTES, &notice);
	frame_finish(told, FRAME_GENERATION, GENERATION_NOTICE_BYTES, GENERATION_NOTICE_BYTES);
}

/* ---- pages ---- */

static enum tern_err
identity_turn(uint8_t *data, uint32_t bytes)
{
	struct page_identity identity;
	const enum tern_err err = page_identity_decode(data, &identity);

	assert_int_equal(bytes, PAGE_IDENTITY_BYTES);
	if (err == TERN_OK)
		page_identity_encode(data, &identity);
	return err;
}

static enum tern_err
block_hdr_turn(uint8_t *data, uint32_t bytes)
{
	struct block_hdr hdr;
	const enum tern_err err = block_hdr_decode(data, &hdr);

	assert_int_equal(bytes, BLOCK_HDR_BYTES);
	if (err == TERN_OK)
		block_hdr_encode(data, &hdr);
	return err;
}

/* The content part of a page as the sample: it starts where a fragment starts. */
static enum tern_err
content_turn(uint8_t *data, uint32_t bytes)
{
	uint8_t page[PAGE_BYTES] = { 0 };
	struct page_content content;

	assert_in_range(bytes, PAGE_CONTENT_HDR_BYTES, PAGE_BYTES - PAGE_IDENTITY_BYTES);
	memcpy(page + PAGE_IDENTITY_BYTES, data, bytes);
	const enum tern_err err = page_content_open(page, &content);
	if (err == TERN_OK)
		page_content_seal(page, &content);
	memcpy(data, page + PAGE_IDENTITY_BYTES, bytes);
	return err;
}

static const struct block_hdr block_sample = {
	.kind = BLOCK_COMMANDS,
	.class_ = COMMAND_DURABLE,
	.shard = 0x0102,
	.machine_version = 0x0304,
	.log_index = 301,
	.term = 302,
	.page_lsn = 303,
	.time_ns = 304,
	.commit_index = 300,
	.epoch = 305,
	.command_count = 306,
	.payload_bytes = PAGE_PAYLOAD_BYTES + 100,
	.pages = 2,
	.content_hash = { 307, 308 },
	.prev_chain = { 309, 310 },
};

static void
page_samples_make(struct samples *samples)
{
	struct sample *identity = sample_add(samples, "page_identity", identity_turn);
	const struct page_identity id = { .cluster_id = 0x0102030405060708ULL,
					  .group_seq = 401,
					  .first_cell = 402,
					  .own_cell = 403,
					  .acked_floor = 404,
					  .boot_no = 405,
					  .pool_gen = 406,
					  .group_pages = 407,
					  .branch_group = 408,
					  .node_id = 2,
					  .k = 4,
					  .m = 2,
					  .column = 5 };
	page_identity_encode(identity->data, &id);
	identity->bytes = PAGE_IDENTITY_BYTES;

	struct sample *block = sample_add(samples, "block_header", block_hdr_turn);
	block_hdr_encode(block->data, &block_sample);
	block->bytes = BLOCK_HDR_BYTES;

	struct sample *content = sample_add(samples, "page_content", content_turn);
	const struct page_content page = { .cluster_id = 0x0102030405060708ULL,
					   .term = 302,
					   .log_index = 301,
					   .epoch = 305,
					   .page_in_block = 1,
					   .used_bytes = 100,
					   .shard = 0x0102 };
	uint8_t bytes[PAGE_BYTES] = { 0 };
	for (uint8_t i = 0; i < 100; i++)
		bytes[PAGE_PAYLOAD_OFFSET + i] = i;
	page_content_seal(bytes, &page);
	content->bytes = PAGE_CONTENT_HDR_BYTES + 100;
	memcpy(content->data, bytes + PAGE_IDENTITY_BYTES, content->bytes);
	for (struct sample *s = identity; s <= content; s++) {
		s->covered_first = 4;
		s->covered_end = s->bytes;
	}
}

/* ---- checkpoint ---- */

#ifndef TERN_TINY_LIMITS /* a header tells the size of its chunks */
static enum tern_err
checkpoint_hdr_turn(uint8_t *data, uint32_t bytes)
{
	struct checkpoint_hdr hdr;
	const enum tern_err err = checkpoint_hdr_decode(data, &hdr);

	assert_int_equal(bytes, CHECKPOINT_HDR_BYTES);
	if (err == TERN_OK)
		checkpoint_hdr_encode(data, &hdr);
	return err;
}
#endif

static enum tern_err
checkpoint_chunk_turn(uint8_t *data, uint32_t bytes)
{
	struct checkpoint_chunk chunk;
	const enum tern_err err = checkpoint_chunk_open(data, bytes / PAGE_BYTES, &chunk);

	if (err == TERN_OK)
		assert_int_equal(checkpoint_chunk_seal(data, &chunk), bytes / PAGE_BYTES);
	return err;
}

static enum tern_err
checkpoint_record_turn(uint8_t *data, uint32_t bytes)
{
	struct checkpoint_record record;
	const enum tern_err err = checkpoint_record_decode(data, &record);

	assert_int_equal(bytes, CHECKPOINT_RECORD_BYTES);
	if (err == TERN_OK)
		checkpoint_record_encode(data, &record);
	return err;
}

#ifndef TERN_TINY_LIMITS
static void
checkpoint_hdr_sample(struct samples *samples)
{
	struct sample *sample = sample_add(samples, "checkpoint_header", checkpoint_hdr_turn);
	const struct checkpoint_hdr hdr = {
		.cluster_id = 0x0102030405060708ULL,
		.shard = 3,
		.machine_version = 1,
		.meta = { .log_index = 701,
			  .term = 702,
			  .epoch = 703,
			  .kind = BLOCK_COMMANDS,
			  .chain = hash_of(7) },
		.page_end = 704,
		.block_time_ns = 705,
		.voters = 6,
		.learners = 8,
		.config_index = 706,
		.witness_id = 3,
		.witness_gen = 707,
		.state = { .time_ns = 708,
			   .hash = 709,
			   .key_count = 710,
			   .session_count = 711,
			   .expiry_count = 12,
			   .logical_bytes = 713,
			   .client_id_next = 714,
			   .capacity_bytes = 7150,
			   .value_bytes_max = 716,
			   .sessions_max = 717 },
		.stream_bytes = 4000,
		.chunk_count = 1,
		.root = hash_of(9),
	};

	checkpoint_hdr_encode(sample->data, &hdr);
	sample->bytes = CHECKPOINT_HDR_BYTES;
	sample->crc_at = 8;
	sample->covered_first = 12;
	sample->covered_end = CHECKPOINT_HDR_BYTES;
}
#endif

static void
checkpoint_samples_make(struct samples *samples)
{
#ifndef TERN_TINY_LIMITS /* a header tells the size of its chunks */
	checkpoint_hdr_sample(samples);
#endif

	struct sample *sealed = sample_add(samples, "checkpoint_chunk", checkpoint_chunk_turn);
	struct checkpoint_chunk chunk = { .cluster_id = 0x0102030405060708ULL,
					  .log_index = 721,
					  .shard = 3,
					  .number = 722,
					  .payload_bytes = 300 };
	for (uint32_t i = 0; i < chunk.payload_bytes; i++)
		sealed->data[CHECKPOINT_CHUNK_HDR_BYTES + i] = (uint8_t)(i * 7);
	sealed->bytes = checkpoint_chunk_seal(sealed->data, &chunk) * PAGE_BYTES;
	sealed->covered_first = 4;
	sealed->covered_end = CHECKPOINT_CHUNK_HDR_BYTES;

	static const struct checkpoint_record record = { .kind = CHECKPOINT_BYTES,
							 .key_bytes = 731,
							 .data_bytes = 732,
							 .log_index = 733,
							 .slot = 734,
							 .expires_ns = 735 };
	struct sample *plain = sample_add(samples, "checkpoint_record", checkpoint_record_turn);
	checkpoint_record_encode(plain->data, &record);
	plain->bytes = CHECKPOINT_RECORD_BYTES;
}

/* ---- superblock, register ---- */

static enum tern_err
superblock_turn(uint8_t *data, uint32_t bytes)
{
	struct superblock superblock;
	const enum tern_err err = superblock_decode(data, &superblock);

	assert_int_equal(bytes, SUPERBLOCK_BYTES);
	if (err == TERN_OK)
		superblock_encode(data, &superblock);
	return err;
}

static enum tern_err
register_turn(uint8_t *data, uint32_t bytes)
{
	struct witness_register reg;
	const enum tern_err err = witness_register_decode(data, &reg);

	assert_int_equal(bytes, WITNESS_REGISTER_BYTES);
	if (err == TERN_OK)
		witness_register_encode(data, &reg);
	return err;
}

static enum tern_err
note_turn(uint8_t *data, uint32_t bytes)
{
	struct pool_note note;
	const enum tern_err err = pool_note_decode(data, bytes, &note);

	if (err == TERN_OK)
		pool_note_encode(data, &note);
	return err;
}

static enum tern_err
membership_turn(uint8_t *data, uint32_t bytes)
{
	struct membership next, before;
	const enum tern_err err = membership_decode(data, bytes, &next, &before);

	if (err == TERN_OK)
		membership_encode(data, &next, &before);
	return err;
}

static void
shard_fill(struct shard_record *shard, uint16_t n)
{
	*shard = (struct shard_record){
		.shard = n,
		.voted_for = (uint16_t)(n + 1),
		.term = 500u + n,
		.voters = 6,
		.learners = 8,
		.witness_id = 3,
		.witness_gen = 510u + n,
		.config_index = 520u + n,
		.base = { .log_index = 580u + n,
			  .term = 581,
			  .page_end = 582,
			  .time_ns = 583,
			  .next_cell = 584,
			  .epoch = 585,
			  .kind = BLOCK_BARRIER,
			  .chain = hash_of(11),
			  .boot_no = 586,
			  .group_seq = 587 },
		.floor = { .log_index = 588u + n, .group_seq = 589, .boot_no = 590 }
	};
	for (uint32_t i = 0; i < SUPERBLOCK_CHECKPOINTS; i++)
		shard->checkpoints[i] = (struct superblock_checkpoint){ .log_index = 530 + i,
									.term = 540 + i,
									.first_page = 550 + i,
									.pages = 560 + i,
									.epoch = 570 + i,
									.chain = hash_of(i + 1) };
}

static void
membership_samples_make(struct samples *samples)
{
	struct sample *config = sample_add(samples, "membership", membership_turn);
	const struct membership before = { .config_index = 722,
					   .voters = 0x06,
					   .learners = 0x60,
					   .witness_id = 4,
					   .witness_gen = 723 };
	membership_encode(
	    config->data,
	    &(struct membership){
		.voters = 0x26, .learners = 0x40, .witness_id = 3, .witness_gen = 721 },
	    &before);
	config->bytes = MEMBERSHIP_BYTES;

	struct sample *gen = sample_add(samples, "membership_gen", membership_turn);
	membership_encode(gen->data,
			  &(struct membership){ .voters = 0x04,
						.witness_id = 4,
						.witness_gen = 723,
						.begins = { 724, 725 },
						.parent_id = 726 },
			  &before);
	gen->bytes = MEMBERSHIP_BYTES;
}

static void
note_sample_make(struct samples *samples)
{
	struct sample *note = sample_add(samples, "pool_note", note_turn);
	const struct pool_note pool_note = { .cluster_id = 0x0102030405060708ULL,
					     .sequence = 721,
					     .boot_no = 722,
					     .pool_gen = 723,
					     .out = 0x0a,
					     .node_id = 5,
					     .k = 2,
					     .m = 3 };
	pool_note_encode(note->data, &pool_note);
	note->bytes = POOL_NOTE_BYTES;
	note->crc_at = 8;
	note->covered_first = 12;
	note->covered_end = POOL_NOTE_BYTES;
}

static void
storage_samples_make(struct samples *samples)
{
	struct sample *super = sample_add(samples, "superblock", superblock_turn);
	struct superblock superblock = { .sequence = 601,
					 .cluster_id = 0x0102030405060708ULL,
					 .generation = { 602, 611 },
					 .fork = { .notice = { .is_known = true,
							       .parent_id = 612,
							       .log_index = 614,
							       .commit_index = 613,
							       .chain = { 615, 616 } },
						   .before = { .config_index = 617,
							       .voters = 0x06,
							       .learners = 0x10,
							       .witness_id = 3,
							       .witness_gen = 618 },
						   .superseded_by = { 619, 620 } },
					 .node_id = 2,
					 .boot_no = 603,
					 .pool_gen = 604,
					 .k = 4,
					 .m = 2,
					 .device = 5,
					 .failed_devices = 0x21,
					 .log_first_page = 16,
					 .log_pages = 606,
					 .checkpoint_first_page = 607,
					 .checkpoint_pages = 608,
					 .tail_cell = 609,
					 .born_ns = 610,
					 .shard_count = 2 };
	shard_fill(&superblock.shards[0], 0);
	shard_fill(&superblock.shards[1], 7);
	superblock_encode(super->data, &superblock);
	super->bytes = SUPERBLOCK_BYTES;
	super->crc_at = 8;
	super->covered_first = 12;
	super->covered_end = SUPERBLOCK_BYTES;

	membership_samples_make(samples);

	struct sample *reg = sample_add(samples, "witness_register", register_turn);
	const struct witness_register witness = { .sequence = 701,
						  .cluster_id = 0x0102030405060708ULL,
						  .generation = { 702, 714 },
						  .witness_gen = 703,
						  .shard = 4,
						  .witness_id = 3,
						  .boot_no = 705,
						  .term = 706,
						  .voted_for = 2,
						  .last_term = 699,
						  .last_epoch = 707,
						  .rset = 0x0e,
						  .last_index = 708,
						  .chain = { 709, 710 },
						  .config_index = 711,
						  .config_chain = { 712, 713 },
						  .duty = WITNESS_RETIRED };
	witness_register_encode(reg->data, &witness);
	reg->bytes = WITNESS_REGISTER_BYTES;
	reg->crc_at = 8;
	reg->covered_first = 12;
	reg->covered_end = WITNESS_REGISTER_BYTES;
	note_sample_make(samples);
}

struct samples *
samples_make(void)
{
	struct samples *samples = calloc(1, sizeof(*samples));

	assert_non_null(samples);
	command_samples_make(samples);
	frame_samples_make(samples);
	page_samples_make(samples);
	storage_samples_make(samples);
	checkpoint_samples_make(samples);
	packet_samples_make(samples);
	native_samples_make(samples);
	return samples;
}
