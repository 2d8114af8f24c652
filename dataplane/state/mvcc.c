/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

struct version *
mvcc_at(struct entry *entry, uint64_t view)
{
	struct version *version = rcu_follow(entry->newest);

	while (version != NULL && version->stamp > view)
		version = version->older;
	return version;
}

static uint32_t
value_stored_bytes(const struct value *value)
{
	const uint32_t bytes = value->base != NULL ? (uint32_t)sizeof(value->base) : value->bytes;

	return bytes + (value->expires_ns != 0 ? 8u : 0u);
}

static void
bytes_fill(uint8_t *out, const struct value *value)
{
	const uint32_t head_bytes = value->bytes - value->tail_bytes;

	INVARIANT(value->tail_bytes <= value->bytes);
	/* What was there may be what comes, a little before or behind. */
	if (head_bytes != 0 && value->data != NULL && value->data != out)
		memmove(out, value->data, head_bytes);
	if (value->tail_bytes != 0)
		memcpy(out + head_bytes, value->tail, value->tail_bytes);
}

/* All but the stamp, which readers look at while a version is changed in place. */
static void
version_fill(struct version *version, struct state_position at, const struct value *value)
{
	version->slot = at.slot;
	version->bytes_type = value->bytes << 4 | (value->expires_ns != 0 ? VERSION_EXPIRES : 0u) |
			      (value->base != NULL ? VERSION_IS_SHARED : 0u) | value->type;
	if (value->base != NULL)
		memcpy(version_payload(version), &value->base, sizeof(value->base));
	else if (value->type == STATE_INTEGER)
		memcpy(version_payload(version), &value->integer, sizeof(value->integer));
	else
		bytes_fill(version_payload(version), value);
	if (value->expires_ns != 0)
		version->expires_ns = value->expires_ns;
}

/* Same block, so unpublished, and the memory fits: no reader looks past the stamp. A tombstone is
 * never changed in place, for the reclaim queue holds it for what it is. */
static bool
is_replaceable(const struct version *version, uint64_t stamp, const struct value *value)
{
	return version != NULL && !value->keeps_old && version->stamp == stamp &&
	       version_type(version) != STATE_NONE && version != value->base &&
	       arena_rounded(version_size(version_stored_bytes(version))) ==
		   arena_rounded(version_size(value_stored_bytes(value)));
}

static void
version_push(struct state *state, struct entry *entry, struct version *version,
	     struct version *older)
{
	version->older = older;
	version->queue_next = NULL;
	rcu_publish(entry->newest, version);
	state->versions_live++;
	undo_note(state, entry);
	if (older != NULL)
		reclaim_push(state, version);
}

struct entry *
mvcc_put(struct state *state, struct entry *entry, enum state_space space, const void *key,
	 uint32_t key_bytes, uint64_t hash, struct state_position at, const struct value *value)
{
	struct version *old = entry == NULL ? NULL : rcu_own(entry->newest);
	struct version *version = old;
	const uint64_t stamp = stamp_make(state->branch, at.log_index);
	const bool is_new = entry == NULL;

	INVARIANT(value->type != STATE_NONE && value->bytes < STATE_VALUE_BYTES_LIMIT);
	INVARIANT(at.log_index > stamp_index(state->published_stamp));
	if (is_new) {
		entry = entry_make(state, space, key, key_bytes, hash);
	} else {
		expiry_leave(state, entry, old);
		state->hash_sum -= old->hash;
	}
	if (is_replaceable(old, stamp, value)) {
		version_fill(version, at, value);
	} else {
		version = state_alloc(state, version_size(value_stored_bytes(value)));
		version->stamp = stamp;
		version_fill(version, at, value);
	}
	/* The hash of a session is made once a block, see session_hash_dirty. */
	version->hash = space == STATE_SESSIONS ? 0 : state_version_hash(entry, version);
	state->hash_sum += version->hash;
	expiry_enter(state, entry, version);
	if (version != old)
		version_push(state, entry, version, old);
	if (is_new) {
		index_insert(state, hash, entry);
		order_insert(&state->orders[space], entry);
	}
	return entry;
}

struct entry *
mvcc_restore(struct state *state, enum state_space space, const void *key, uint32_t key_bytes,
	     struct state_position at, const struct value *value)
{
	const uint64_t hash = state_index_hash(state, space, key, key_bytes);
	struct version *version = state_alloc(state, version_size(value_stored_bytes(value)));
	struct entry *entry = entry_make(state, space, key, key_bytes, hash);

	INVARIANT(value->type != STATE_NONE && value->base == NULL);
	version->stamp = stamp_make(state->branch, at.log_index);
	version->hash = 0;
	version_fill(version, at, value);
	expiry_enter(state, entry, version);
	version_push(state, entry, version, NULL);
	undo_forget(state, state->undo_count);
	index_insert(state, hash, entry);
	order_insert(&state->orders[space], entry);
	return entry;
}

void
mvcc_end(struct state *state, struct entry *entry, struct state_position at)
{
	struct version *old = rcu_own(entry->newest);
	struct version *version = state_alloc(state, version_size(0));

	INVARIANT(at.log_index > stamp_index(state->published_stamp));
	INVARIANT(version_type(old) != STATE_NONE);
	version->stamp = stamp_make(state->branch, at.log_index);
	version_fill(version, at, &(struct value){ .type = STATE_NONE });
	version->hash = 0;
	version->entry = entry;
	expiry_leave(state, entry, old);
	state->hash_sum -= old->hash;
	version_push(state, entry, version, old);
}
