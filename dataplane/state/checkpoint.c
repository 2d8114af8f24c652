/* SPDX-License-Identifier: Apache-2.0 */
/* The state at a registered position as a stream. Between two calls an entry is held only if it is
 * live at the position: such a one is not reclaimed. Else its key is, and is looked for again. */
#include "dataplane/state/checkpoint.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"

#define BATCH_ENTRIES   16u
#define FETCH_BYTES_MAX 512u

/* One record in its three parts. */
struct record_parts {
	uint8_t head[CHECKPOINT_RECORD_BYTES];
	uint8_t number[STATE_SESSION_BYTES]; /* an integer, or a session */
	const uint8_t *key, *data;
	uint32_t key_bytes, data_bytes;
};

void
state_checkpoint_begin(struct state *state, struct checkpoint_state *image)
{
	const uint64_t log_index = stamp_index(state->committed_stamp);
	const struct publication *p = publication_slot(state, log_index);

	INVARIANT(!state_checkpoint_is_begun(state));
	INVARIANT(atomic_load_explicit(&p->stamp, memory_order_relaxed) == state->committed_stamp);
	state->checkpoint = (struct checkpoint_cursor){ .pin = state->committed_stamp };
	*image = (struct checkpoint_state){
		.time_ns = atomic_load_explicit(&p->time_ns, memory_order_relaxed),
		.hash = atomic_load_explicit(&p->hash, memory_order_relaxed),
		.key_count = atomic_load_explicit(&p->key_count, memory_order_relaxed),
		.session_count = p->session_count,
		.expiry_count = atomic_load_explicit(&p->expiry_count, memory_order_relaxed),
		.logical_bytes = p->logical_bytes,
		.client_id_next = p->client_id_next,
		.capacity_bytes = state->config.capacity_bytes,
		.value_bytes_max = state->config.value_bytes_max,
		.sessions_max = state->config.sessions_max,
	};
}

bool
state_checkpoint_is_begun(const struct state *state)
{
	return state->checkpoint.pin != UINT64_MAX;
}

bool
state_checkpoint_is_ended(const struct state *state)
{
	return state->checkpoint.is_ended;
}

void
state_checkpoint_end(struct state *state)
{
	INVARIANT(state_checkpoint_is_begun(state));
	state->checkpoint.pin = UINT64_MAX;
	state->checkpoint.is_ended = false;
}

static void
parts_of_session(struct version *version, struct checkpoint_record *record,
		 struct record_parts *parts)
{
	record->kind = CHECKPOINT_SESSION;
	record->data_bytes = STATE_SESSION_BYTES;
	session_image_encode(parts->number, session_image(version));
	parts->data = parts->number;
}

static void
parts_of_key(struct entry *entry, struct version *version, struct checkpoint_record *record,
	     struct record_parts *parts)
{
	parts->key = entry_key(entry);
	record->key_bytes = entry->key_bytes;
	record->expires_ns = version_expires_ns(version);
	if (version_type(version) == STATE_INTEGER) {
		const le64 number = le64_make((uint64_t)version_integer(version));
		record->kind = CHECKPOINT_INTEGER;
		record->data_bytes = sizeof(number);
		memcpy(parts->number, &number, sizeof(number));
		parts->data = parts->number;
	} else {
		record->kind = CHECKPOINT_BYTES;
		record->data_bytes = version_bytes(version);
		parts->data = version_data(version);
	}
}

static void
parts_make(struct entry *entry, struct version *version, struct record_parts *parts)
{
	struct checkpoint_record record = { .kind = CHECKPOINT_END };

	parts->key = parts->data = NULL;
	if (version != NULL) {
		record.log_index = stamp_index(version->stamp);
		record.slot = version->slot;
		if (entry->space == STATE_SESSIONS)
			parts_of_session(version, &record, parts);
		else
			parts_of_key(entry, version, &record, parts);
	}
	parts->key_bytes = record.key_bytes;
	parts->data_bytes = record.data_bytes;
	checkpoint_record_encode(parts->head, &record);
}

/* Copies what of [*skip, ...) of a part fits to *out, and counts it. */
static void
part_copy(const uint8_t *part, uint32_t bytes, uint32_t *skip, uint8_t **out, uint32_t *room)
{
	if (*skip >= bytes) {
		*skip -= bytes;
		return;
	}
	const uint32_t count = min_u32(bytes - *skip, *room);
	if (count != 0)
		memcpy(*out, part + *skip, count);
	*out += count;
	*room -= count;
	*skip = 0;
}

/* Gives on with the record at `given`; true: all of it is out. */
static bool
record_give(struct checkpoint_cursor *cursor, const struct record_parts *parts, uint8_t **out,
	    uint32_t *room)
{
	const uint32_t all = CHECKPOINT_RECORD_BYTES + parts->key_bytes + parts->data_bytes;
	const uint32_t before = *room;
	uint32_t skip = cursor->given;

	part_copy(parts->head, CHECKPOINT_RECORD_BYTES, &skip, out, room);
	part_copy(parts->key, parts->key_bytes, &skip, out, room);
	part_copy(parts->data, parts->data_bytes, &skip, out, room);
	cursor->given += before - *room;
	INVARIANT(cursor->given <= all);
	if (cursor->given != all)
		return false;
	cursor->given = 0;
	return true;
}

/* The entry whose record is begun, or else the next one; NULL: no more in this space. */
static struct entry *
entry_seek(struct state *state)
{
	struct checkpoint_cursor *cursor = &state->checkpoint;
	struct order *order = &state->orders[cursor->space];

	if (cursor->live != NULL)
		return cursor->given != 0 ? cursor->live : order_next(cursor->live);
	INVARIANT(cursor->given == 0);
	if (cursor->key_bytes == 0)
		return order_first(order);
	return order_seek(order, cursor->key, cursor->key_bytes, true);
}

static void
entry_hold(struct checkpoint_cursor *cursor, struct entry *entry, bool is_live)
{
	cursor->live = is_live ? entry : NULL;
	if (is_live)
		return;
	cursor->key_bytes = entry->key_bytes;
	memcpy(cursor->key, entry_key(entry), entry->key_bytes);
}

static bool
version_is_live(const struct version *version)
{
	return version != NULL && version_type(version) != STATE_NONE;
}

/* Entries in order, each with its version at the position. */
struct batch {
	struct entry *entries[BATCH_ENTRIES];
	struct version *versions[BATCH_ENTRIES];
	uint32_t count;
	struct entry *next; /* behind them; NULL: none */
};

static void
fetch_lines(const uint8_t *bytes, uint32_t count)
{
	for (uint32_t at = 0; at < count && at < FETCH_BYTES_MAX; at += 64)
		__builtin_prefetch(bytes + at);
}

/* Looks at up to @max entries from @entry on: all of them, then all their versions, so that memory
 * is waited for once for many. */
static void
batch_look(struct batch *batch, struct entry *entry, uint64_t pin, uint32_t max)
{
	batch->count = 0;
	for (; entry != NULL && batch->count < max; entry = order_next(entry)) {
		batch->entries[batch->count++] = entry;
		fetch_lines((const uint8_t *)rcu_own(entry->newest), VERSION_HDR_BYTES + 64);
	}
	batch->next = entry;
	if (entry != NULL)
		__builtin_prefetch(entry);
	for (uint32_t i = 0; i < batch->count; i++) {
		struct version *version = mvcc_at(batch->entries[i], pin);
		batch->versions[i] = version;
		if (version_is_live(version) && version_type(version) == STATE_BYTES)
			fetch_lines(version_data(version), version_bytes(version));
	}
}

/* Gives what of the current space there is time and room for; true: it is at its end. */
static bool
space_give(struct state *state, uint8_t **out, uint32_t *room, uint32_t *entries_left)
{
	struct checkpoint_cursor *cursor = &state->checkpoint;
	struct batch batch = { .next = entry_seek(state) };
	struct record_parts parts;
	bool is_whole = true;

	while (batch.next != NULL && is_whole && *room != 0 && *entries_left != 0) {
		batch_look(&batch, batch.next, cursor->pin, min_u32(*entries_left, BATCH_ENTRIES));
		for (uint32_t i = 0; i < batch.count && is_whole && *room != 0; i++) {
			const bool is_live = version_is_live(batch.versions[i]);
			--*entries_left;
			entry_hold(cursor, batch.entries[i], is_live);
			if (!is_live)
				continue;
			parts_make(batch.entries[i], batch.versions[i], &parts);
			is_whole = record_give(cursor, &parts, out, room);
			if (*room == 0 && is_whole)
				batch.next = order_next(batch.entries[i]);
		}
	}
	return batch.next == NULL && is_whole;
}

uint32_t
state_checkpoint_next(struct state *state, uint8_t *out, uint32_t bytes_max, uint32_t entries_max,
		      bool *is_done)
{
	struct checkpoint_cursor *cursor = &state->checkpoint;
	struct record_parts parts;
	uint32_t room = bytes_max;

	INVARIANT(state_checkpoint_is_begun(state) && !cursor->is_ended);
	*is_done = false;
	while (cursor->space < STATE_SPACES && space_give(state, &out, &room, &entries_max)) {
		cursor->space++;
		cursor->live = NULL;
		cursor->key_bytes = 0;
	}
	if (cursor->space == STATE_SPACES && room != 0) {
		parts_make(NULL, NULL, &parts);
		*is_done = record_give(cursor, &parts, &out, &room);
	}
	return bytes_max - room;
}
