/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/membership.h"

#include <assert.h>
#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"
#include "dataplane/wire/command.h"
#include "dataplane/wire/page.h"

#define MEMBERSHIP_FORMAT     1u
#define MEMBERSHIP_FORMAT_GEN 2u

struct set_le {
	le64 voters, learners;
	le32 witness_gen;
	le16 witness_id, reserved;
};

struct membership_le {
	le32 bytes;
	uint8_t op, class_, flags, reserved0; /* op 0: no command */
	le16 format, reserved1;
	le32 reserved2;
	struct set_le next, before;
	le64 before_index;
	le32 cluster_gen, gen_id, parent_id; /* format 2 */
	uint8_t reserved[12];
};
static_assert(sizeof(struct membership_le) == MEMBERSHIP_BYTES, "frozen by format 1");
static_assert(offsetof(struct membership_le, next) == 16, "frozen by format 1");
static_assert(offsetof(struct membership_le, class_) == offsetof(struct command_hdr_le, class_),
	      "walks like a command");
static_assert(MEMBERSHIP_BYTES % 8 == 0 && MEMBERSHIP_BYTES >= COMMAND_HDR_BYTES,
	      "walks like a command");
static_assert(BLOCK_HDR_BYTES + MEMBERSHIP_BYTES <= PAGE_PAYLOAD_BYTES, "one page");

bool
membership_equal(const struct membership *a, const struct membership *b)
{
	return a->voters == b->voters && a->learners == b->learners &&
	       a->witness_id == b->witness_id && a->witness_gen == b->witness_gen;
}

bool
membership_is_sound(const struct membership *membership)
{
	const uint64_t voters = membership->voters, learners = membership->learners;
	const uint64_t witness =
	    membership->witness_id == 0 ? 0 : UINT64_C(1) << (membership->witness_id & 63u);
	bool is_odd = false;

	for (uint64_t mask = voters; mask != 0; mask &= mask - 1)
		is_odd = !is_odd;
	return voters != 0 && ((voters | learners) & 1) == 0 && (voters & learners) == 0 &&
	       membership->witness_id <= 63 && ((voters | learners) & witness) == 0 &&
	       (is_odd || witness != 0);
}

bool
membership_has_witness(const struct membership *membership)
{
	return __builtin_popcountll(membership->voters) % 2 == 0 && membership->witness_id != 0 &&
	       (membership->witness_gen & MEMBERSHIP_WITNESS_OUT) == 0;
}

static bool
is_other_gen(const struct membership *next, const struct membership *before, uint32_t gen)
{
	struct membership wanted = *before;

	wanted.witness_gen = gen;
	return before->witness_id != 0 && membership_equal(next, &wanted);
}

bool
membership_is_witness_out(const struct membership *next, const struct membership *before)
{
	const uint32_t gen = (before->witness_gen & ~MEMBERSHIP_WITNESS_OUT) + 1;

	return gen < MEMBERSHIP_WITNESS_OUT &&
	       is_other_gen(next, before, gen | MEMBERSHIP_WITNESS_OUT);
}

bool
membership_is_witness_in(const struct membership *next, const struct membership *before)
{
	return (before->witness_gen & MEMBERSHIP_WITNESS_OUT) != 0 &&
	       is_other_gen(next, before, before->witness_gen & ~MEMBERSHIP_WITNESS_OUT);
}

bool
membership_is_forced(const struct membership *next, const struct membership *before)
{
	const uint64_t voter = next->voters;

	return next->begins.number > 1 && generation_is_sound(&next->begins) && voter != 0 &&
	       (voter & (voter - 1)) == 0 && (voter & ~before->voters) == 0 &&
	       next->learners == 0 && next->witness_id == before->witness_id &&
	       next->witness_gen == (before->witness_gen & ~MEMBERSHIP_WITNESS_OUT);
}

static struct set_le
set_encode(const struct membership *membership)
{
	return (struct set_le){
		.voters = le64_make(membership->voters),
		.learners = le64_make(membership->learners),
		.witness_gen = le32_make(membership->witness_gen),
		.witness_id = le16_make(membership->witness_id),
	};
}

static struct membership
set_decode(const struct set_le *le)
{
	return (struct membership){
		.voters = le64_get(le->voters),
		.learners = le64_get(le->learners),
		.witness_gen = le32_get(le->witness_gen),
		.witness_id = le16_get(le->witness_id),
	};
}

void
membership_encode(uint8_t *out, const struct membership *next, const struct membership *before)
{
	const struct membership_le le = {
		.bytes = le32_make(MEMBERSHIP_BYTES),
		.class_ = COMMAND_DURABLE,
		.format =
		    le16_make(next->begins.number == 0 ? MEMBERSHIP_FORMAT : MEMBERSHIP_FORMAT_GEN),
		.next = set_encode(next),
		.before = set_encode(before),
		.before_index = le64_make(before->config_index),
		.cluster_gen = le32_make(next->begins.number),
		.gen_id = le32_make(next->begins.id),
		.parent_id = le32_make(next->parent_id),
	};

	INVARIANT(membership_is_sound(next) && membership_is_sound(before));
	INVARIANT(next->begins.number == 0 || membership_is_forced(next, before));
	memcpy(out, &le, sizeof(le));
}

enum tern_err
membership_decode(const uint8_t *record, uint32_t bytes, struct membership *next,
		  struct membership *before)
{
	uint8_t again[MEMBERSHIP_BYTES];
	struct membership_le le;

	if (bytes < offsetof(struct membership_le, next))
		return TERN_ERR_MALFORMED;
	memcpy(&le, record, offsetof(struct membership_le, next));
	if (le.op != 0 || le32_get(le.bytes) != bytes)
		return TERN_ERR_MALFORMED;
	const bool is_gen = le16_get(le.format) == MEMBERSHIP_FORMAT_GEN;
	if (!is_gen && le16_get(le.format) != MEMBERSHIP_FORMAT)
		return TERN_ERR_VERSION;
	if (bytes != MEMBERSHIP_BYTES)
		return TERN_ERR_MALFORMED;
	memcpy(&le, record, sizeof(le));
	*next = set_decode(&le.next);
	*before = set_decode(&le.before);
	before->config_index = le64_get(le.before_index);
	if (is_gen) {
		next->begins.number = le32_get(le.cluster_gen);
		next->begins.id = le32_get(le.gen_id);
		next->parent_id = le32_get(le.parent_id);
	}
	if (!membership_is_sound(next) || !membership_is_sound(before) ||
	    (is_gen && !membership_is_forced(next, before)))
		return TERN_ERR_MALFORMED;
	/* What the encoder writes no field to must be zero. */
	membership_encode(again, next, before);
	return memcmp(again, record, sizeof(again)) == 0 ? TERN_OK : TERN_ERR_MALFORMED;
}

enum tern_err
membership_of_block(const uint8_t *block, struct membership *next, struct membership *before)
{
	const uint8_t *payload = block + PAGE_PAYLOAD_OFFSET;
	struct block_hdr hdr;
	enum tern_err err = block_hdr_decode(payload, &hdr);

	if (err != TERN_OK)
		return err;
	if (hdr.kind != BLOCK_CONFIG || hdr.command_count != 1 ||
	    hdr.payload_bytes < BLOCK_HDR_BYTES + COMMAND_HDR_BYTES ||
	    hdr.payload_bytes > PAGE_PAYLOAD_BYTES)
		return TERN_ERR_MALFORMED;
	err = membership_decode(payload + BLOCK_HDR_BYTES, hdr.payload_bytes - BLOCK_HDR_BYTES,
				next, before);
	if (err != TERN_OK)
		return err;
	if (before->config_index >= hdr.log_index)
		return TERN_ERR_MALFORMED;
	next->config_index = hdr.log_index;
	return TERN_OK;
}
