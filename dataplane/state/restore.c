/* SPDX-License-Identifier: Apache-2.0 */
/* A machine made from the stream of a checkpoint. A value's bytes are filled into its version as
 * they come, so nothing is gathered but a record's header, a key, and a session. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/checkpoint.h"
#include "dataplane/state/session.h"
#include "dataplane/state/target.h"

bool
state_restore_fits(const struct state *state, const struct checkpoint_state *image)
{
	return image->logical_bytes <= state->config.capacity_bytes &&
	       image->session_count <= state->config.sessions_max;
}

enum tern_err
state_restore_begin(struct state *state, uint64_t log_index, const struct checkpoint_state *image)
{
	INVARIANT(state->published_stamp == stamp_make(state->branch, 0));
	INVARIANT(state->last.log_index == 0 && state->restore.phase == RESTORE_NONE);
	if (!state_restore_fits(state, image))
		return TERN_ERR_CONFIG;
	if (log_index == 0 || log_index >= UINT64_C(1) << STATE_INDEX_BITS ||
	    image->client_id_next == 0)
		return TERN_ERR_CORRUPT;
	state->restore = (struct restore_cursor){ .phase = RESTORE_RECORD,
						  .log_index = log_index,
						  .image = *image };
	return TERN_OK;
}

/* Takes from *bytes up to @want, less what is there already; true: the part is whole. */
static bool
part_take(struct restore_cursor *restore, uint8_t *out, uint32_t want, const uint8_t **bytes,
	  uint32_t *count)
{
	const uint32_t take = min_u32(want - restore->have, *count);

	if (take != 0)
		memcpy(out + restore->have, *bytes, take);
	restore->have += take;
	*bytes += take;
	*count -= take;
	if (restore->have != want)
		return false;
	restore->have = 0;
	return true;
}

static struct value
value_of_record(const struct checkpoint_record *record)
{
	if (record->kind == CHECKPOINT_INTEGER)
		return (struct value){ .type = STATE_INTEGER,
				       .bytes = sizeof(int64_t),
				       .expires_ns = record->expires_ns };
	return (struct value){ .type = STATE_BYTES,
			       .bytes = record->data_bytes,
			       .expires_ns = record->expires_ns };
}

static bool
is_key_next(const struct restore_cursor *restore, const uint8_t *key)
{
	const uint32_t a = restore->key_bytes, b = restore->record.key_bytes;
	const int order = a == 0 ? -1 : memcmp(restore->key, key, min_u32(a, b));

	return order < 0 || (order == 0 && a < b);
}

/* The key is whole: makes the entry, whose bytes follow. */
static enum tern_err
key_begin(struct state *state, const uint8_t *key)
{
	struct restore_cursor *restore = &state->restore;
	const struct checkpoint_record *record = &restore->record;
	const struct target target = { .key = { key, record->key_bytes } };
	const struct value value = value_of_record(record);
	const uint64_t growth = target_growth(&target, &value);

	if (!is_key_next(restore, key) || record->log_index > restore->log_index ||
	    record->data_bytes >= STATE_VALUE_BYTES_LIMIT ||
	    growth > state->config.capacity_bytes - state->logical_bytes)
		return TERN_ERR_CORRUPT;
	memcpy(restore->key, key, record->key_bytes);
	restore->key_bytes = record->key_bytes;
	restore->entry =
	    mvcc_restore(state, STATE_KEYS, key, record->key_bytes,
			 (struct state_position){ record->log_index, record->slot }, &value);
	restore->version = rcu_own(restore->entry->newest);
	state->logical_bytes += growth;
	state->key_count++;
	return TERN_OK;
}

static void
key_finish(struct state *state)
{
	struct restore_cursor *restore = &state->restore;
	struct version *version = restore->version;

	version->hash = state_version_hash(restore->entry, version);
	state->hash_sum += version->hash;
}

static enum tern_err
session_finish(struct state *state, const uint8_t *bytes)
{
	struct restore_cursor *restore = &state->restore;
	const struct checkpoint_record *record = &restore->record;
	struct session_image image;

	if (session_image_decode(bytes, restore->log_index, &image) != TERN_OK ||
	    image.client_id <= restore->client_id ||
	    image.client_id >= restore->image.client_id_next ||
	    record->log_index > restore->log_index ||
	    state->session_count >= state->config.sessions_max ||
	    STATE_SESSION_CHARGE > state->config.capacity_bytes - state->logical_bytes)
		return TERN_ERR_CORRUPT;
	restore->client_id = image.client_id;
	session_restore(state, &image, (struct state_position){ record->log_index, record->slot });
	return TERN_OK;
}

static enum tern_err
record_begin(struct state *state)
{
	struct restore_cursor *restore = &state->restore;
	const struct checkpoint_record *record = &restore->record;

	if (checkpoint_record_decode(restore->head, &restore->record) != TERN_OK)
		return TERN_ERR_CORRUPT;
	switch (record->kind) {
	case CHECKPOINT_BYTES:
	case CHECKPOINT_INTEGER:
		restore->phase = RESTORE_KEY;
		return restore->client_id == 0 ? TERN_OK : TERN_ERR_CORRUPT;
	case CHECKPOINT_SESSION:
		restore->phase = RESTORE_DATA;
		return record->data_bytes == STATE_SESSION_BYTES ? TERN_OK : TERN_ERR_CORRUPT;
	case CHECKPOINT_END:
		restore->phase = RESTORE_END;
		return TERN_OK;
	}
	return TERN_ERR_CORRUPT;
}

/* The key's own buffer holds the last key until the next one is whole; `gathered` the next. */
static enum tern_err
key_take(struct state *state, const uint8_t **bytes, uint32_t *count)
{
	struct restore_cursor *restore = &state->restore;

	if (!part_take(restore, restore->gathered, restore->record.key_bytes, bytes, count))
		return TERN_OK;
	restore->phase = RESTORE_DATA;
	return key_begin(state, restore->gathered);
}

static enum tern_err
data_take(struct state *state, const uint8_t **bytes, uint32_t *count)
{
	struct restore_cursor *restore = &state->restore;
	const bool is_session = restore->record.kind == CHECKPOINT_SESSION;
	uint8_t *out = is_session ? restore->gathered : version_payload(restore->version);

	if (!part_take(restore, out, restore->record.data_bytes, bytes, count))
		return TERN_OK;
	restore->phase = RESTORE_RECORD;
	if (is_session)
		return session_finish(state, restore->gathered);
	if (restore->record.kind == CHECKPOINT_INTEGER) {
		le64 number;
		memcpy(&number, out, sizeof(number));
		const uint64_t integer = le64_get(number);
		memcpy(out, &integer, sizeof(integer));
	}
	key_finish(state);
	return TERN_OK;
}

enum tern_err
state_restore_bytes(struct state *state, const uint8_t *bytes, uint32_t count)
{
	struct restore_cursor *restore = &state->restore;
	enum tern_err err = TERN_OK;

	INVARIANT(restore->phase != RESTORE_NONE);
	/* A value may be empty: it is whole without another byte. */
	while (err == TERN_OK && (count != 0 || (restore->phase == RESTORE_DATA &&
						 restore->record.data_bytes == 0))) {
		switch (restore->phase) {
		case RESTORE_RECORD:
			if (part_take(restore, restore->head, CHECKPOINT_RECORD_BYTES, &bytes,
				      &count))
				err = record_begin(state);
			break;
		case RESTORE_KEY:
			err = key_take(state, &bytes, &count);
			break;
		case RESTORE_DATA:
			err = data_take(state, &bytes, &count);
			break;
		case RESTORE_NONE:
		case RESTORE_END:
			err = TERN_ERR_CORRUPT;
			break;
		}
	}
	return err;
}

enum tern_err
state_restore_finish(struct state *state)
{
	struct restore_cursor *restore = &state->restore;
	const struct checkpoint_state *image = &restore->image;

	if (restore->phase != RESTORE_END || state->key_count != image->key_count ||
	    state->session_count != image->session_count ||
	    state->expiry_count != image->expiry_count ||
	    state->logical_bytes != image->logical_bytes || state->hash_sum != image->hash)
		return TERN_ERR_CORRUPT;
	session_restore_order(state);
	state->client_id_next = image->client_id_next;
	state->time_ns = image->time_ns;
	state->last = (struct state_position){ restore->log_index, UINT32_MAX };
	publication_fill(state, restore->log_index);
	state->published_hash = state->hash_sum;
	atomic_store_explicit(&state->expiry_next_ns, expiry_next_ns(state), memory_order_relaxed);
	state->committed_stamp = state->published_stamp;
	atomic_store(&state->reclaimed, state->committed_stamp);
	atomic_store(&state->committed, state->committed_stamp);
	restore->phase = RESTORE_NONE;
	return TERN_OK;
}
