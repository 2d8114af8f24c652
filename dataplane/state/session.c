/* SPDX-License-Identifier: Apache-2.0 */
/* The session table: exactly once, decided where commands are applied. A session is a versioned
 * entry like a key, so that scans and views see it at their position. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"
#include "dataplane/state/session.h"
#include "dataplane/wire/generation.h"

static struct session_links *
links_of(struct entry *entry)
{
	INVARIANT(entry->space == STATE_SESSIONS);
	return (struct session_links *)(void *)(entry_key(entry) + entry->key_bytes);
}

/* Big-endian, so that byte order is the order of opening. */
static le64
session_key(uint64_t client_id)
{
	return le64_make(__builtin_bswap64(client_id));
}

static struct session_image *
newest_image(struct entry *entry)
{
	struct version *version = rcu_own(entry->newest);

	INVARIANT(version->bytes_type == (sizeof(struct session_image) << 4 | STATE_TYPE_SESSION));
	return session_image(version);
}

static void
lru_remove(struct state *state, struct entry *entry)
{
	struct session_links *links = links_of(entry);

	if (links->lru_prev != NULL)
		links_of(links->lru_prev)->lru_next = links->lru_next;
	else
		state->lru_oldest = links->lru_next;
	if (links->lru_next != NULL)
		links_of(links->lru_next)->lru_prev = links->lru_prev;
	else
		state->lru_newest = links->lru_prev;
}

static void
lru_append(struct state *state, struct entry *entry)
{
	struct session_links *links = links_of(entry);

	links->lru_prev = state->lru_newest;
	links->lru_next = NULL;
	if (state->lru_newest != NULL)
		links_of(state->lru_newest)->lru_next = entry;
	else
		state->lru_oldest = entry;
	state->lru_newest = entry;
}

static void
lru_insert_after(struct state *state, struct entry *entry, struct entry *before)
{
	struct session_links *links = links_of(entry);

	links->lru_prev = before;
	links->lru_next = before == NULL ? state->lru_oldest : links_of(before)->lru_next;
	if (before != NULL)
		links_of(before)->lru_next = entry;
	else
		state->lru_oldest = entry;
	if (links->lru_next != NULL)
		links_of(links->lru_next)->lru_prev = entry;
	else
		state->lru_newest = entry;
}

static void
dirty_push(struct state *state, struct entry *entry)
{
	struct session_links *links = links_of(entry);

	if (links->is_dirty)
		return;
	links->is_dirty = true;
	links->dirty_next = state->dirty;
	state->dirty = entry;
}

void
session_hash_dirty(struct state *state)
{
	while (state->dirty != NULL) {
		struct entry *entry = state->dirty;
		struct session_links *links = links_of(entry);
		struct version *version = rcu_own(entry->newest);
		state->dirty = links->dirty_next;
		links->is_dirty = false;
		if (version_type(version) == STATE_NONE)
			continue;
		version->hash = state_session_hash(session_image(version));
		state->hash_sum += version->hash;
	}
}

void
session_forget_dirty(struct state *state)
{
	while (state->dirty != NULL) {
		struct session_links *links = links_of(state->dirty);
		state->dirty = links->dirty_next;
		links->is_dirty = false;
	}
}

/* Rollback undoes the versions of all sessions in the reverse of the order in which they were made,
 * so the list is as it was right after each step: the neighbour that was there then is there now. A
 * closed session still says what it stood behind, for nothing touches its links any more. */
void
session_undo_use(struct state *state, struct entry *entry, struct version *version)
{
	if (version_type(version) == STATE_NONE) {
		lru_insert_after(state, entry, links_of(entry)->lru_prev);
		return;
	}
	const struct session_image *image = session_image(version);
	if (version->older == NULL) {
		lru_remove(state, entry);
	} else if (image->has_moved) {
		lru_remove(state, entry);
		lru_insert_after(state, entry, image->moved_from);
	}
}

/* Commands of one session often follow one another. */
struct entry *
session_find(struct state *state, uint64_t client_id)
{
	const le64 key = session_key(client_id);
	struct entry *entry = state->session_last;

	if (entry == NULL || memcmp(entry_key(entry), &key, sizeof(key)) != 0) {
		const uint64_t hash = state_index_hash(state, STATE_SESSIONS, &key, sizeof(key));
		entry = index_find(state, hash, STATE_SESSIONS, &key, sizeof(key));
	}
	if (entry == NULL || version_type(rcu_own(entry->newest)) == STATE_NONE)
		return NULL;
	state->session_last = entry;
	return entry;
}

void
session_close(struct state *state, struct entry *entry, struct state_position at)
{
	INVARIANT(state->session_count > 0);
	lru_remove(state, entry);
	mvcc_end(state, entry, at);
	state->session_count--;
	state->logical_bytes -= STATE_SESSION_CHARGE;
}

static bool
has_session_room(const struct state *state)
{
	return state->session_count < state->config.sessions_max &&
	       state->logical_bytes + STATE_SESSION_CHARGE <= state->config.capacity_bytes;
}

void
state_begin_generation(struct state *state, uint32_t number)
{
	INVARIANT(number != 0 && number <= GENERATION_NUMBER_MAX);
	state->client_id_next =
	    max_u64(state->client_id_next, (uint64_t)number << STATE_SESSION_ID_BITS);
}

void
session_open(struct state *state, struct state_position at, uint64_t time_ns, struct reply *reply)
{
	struct session_image image = { .low = 1,
				       .last_used_ns = time_ns,
				       .last_index = at.log_index,
				       .used_index = at.log_index,
				       .used_slot = at.slot };

	if (!has_session_room(state) && state->lru_oldest != NULL) {
		struct entry *oldest = state->lru_oldest;
		const uint64_t used_ns = newest_image(oldest)->last_used_ns;
		if (time_ns > used_ns && time_ns - used_ns > STATE_SESSION_IDLE_NS)
			session_close(state, oldest, at);
	}
	if (!has_session_room(state)) {
		reply->kind = REPLY_OUT_OF_MEMORY;
		state->out_of_memory++;
		return;
	}
	image.client_id = state->client_id_next++;
	const le64 key = session_key(image.client_id);
	const uint64_t hash = state_index_hash(state, STATE_SESSIONS, &key, sizeof(key));
	struct entry *entry = mvcc_put(
	    state, NULL, STATE_SESSIONS, &key, sizeof(key), hash, at,
	    &(struct value){ .type = STATE_TYPE_SESSION, .bytes = sizeof(image), .data = &image });
	lru_append(state, entry);
	dirty_push(state, entry);
	state->session_count++;
	state->logical_bytes += STATE_SESSION_CHARGE;
	reply->kind = REPLY_SESSION;
	reply->value = (int64_t)image.client_id;
}

/* The image that commands of this block change: a copy of the last one, made once a block. */
static struct session_image *
writable_image(struct state *state, struct entry *entry, struct state_position at)
{
	struct version *version = rcu_own(entry->newest);

	if (version->stamp != stamp_make(state->branch, at.log_index)) {
		(void)mvcc_put(state, entry, STATE_SESSIONS, NULL, 0, 0, at,
			       &(struct value){ .type = STATE_TYPE_SESSION,
						.bytes = sizeof(struct session_image),
						.data = session_image(version) });
		session_image(rcu_own(entry->newest))->has_moved = false;
		dirty_push(state, entry);
	}
	INVARIANT(links_of(entry)->is_dirty);
	version = rcu_own(entry->newest);
	version->slot = at.slot;
	return session_image(version);
}

static void
window_advance(struct session_image *image, uint64_t low)
{
	INVARIANT(low >= image->low);
	if (low - image->low >= STATE_SESSION_WINDOW) {
		memset(image->done, 0, sizeof(image->done));
		memset(image->refused, 0, sizeof(image->refused));
		image->low = low;
	}
	for (; image->low < low; image->low++) {
		const uint64_t bit = image->low % STATE_SESSION_WINDOW;
		image->done[bit / 64] &= ~(1ULL << (bit % 64));
		image->refused[bit / 64] &= ~(1ULL << (bit % 64));
	}
}

static void
repeat_answer(const struct session_image *image, uint64_t seq, struct reply *reply)
{
	reply->is_repeat = true;
	for (uint32_t i = 0; i < STATE_REPLIES_KEPT; i++) {
		const struct session_reply *kept = &image->replies[i];
		if (kept->seq != seq)
			continue;
		reply->kind = (enum reply_kind)kept->kind;
		reply->is_max = kept->is_max != 0;
		reply->value = kept->value;
		reply->delta = kept->delta;
		reply->bound = kept->bound;
		if (reply->kind == REPLY_BYTES) {
			*reply = (struct reply){ .kind = REPLY_BYTES,
						 .is_repeat = true,
						 .bytes = (uint32_t)kept->is_max,
						 .data = kept->data };
		}
		return;
	}
	const uint64_t bit = seq % STATE_SESSION_WINDOW;
	const bool is_refused = (image->refused[bit / 64] >> (bit % 64) & 1) != 0;
	/* The position of each is not kept: this one is at or after it. */
	reply->kind = is_refused ? REPLY_REFUSED : REPLY_DONE;
	reply->value = (int64_t)image->last_index;
}

void
session_restore(struct state *state, const struct session_image *image, struct state_position at)
{
	const le64 key = session_key(image->client_id);
	struct entry *entry = mvcc_restore(
	    state, STATE_SESSIONS, &key, sizeof(key), at,
	    &(struct value){ .type = STATE_TYPE_SESSION, .bytes = sizeof(*image), .data = image });
	struct version *version = rcu_own(entry->newest);

	version->hash = state_session_hash(session_image(version));
	state->hash_sum += version->hash;
	lru_append(state, entry);
	state->session_count++;
	state->logical_bytes += STATE_SESSION_CHARGE;
}

static bool
is_used_before(struct entry *a, struct entry *b)
{
	const struct session_image *x = newest_image(a), *y = newest_image(b);

	if (x->used_index != y->used_index)
		return x->used_index < y->used_index;
	return x->used_slot < y->used_slot;
}

/* Takes the first @count sessions, or all, off the list at @head. */
static struct entry *
run_take(struct entry **head, uint64_t count)
{
	struct entry *first = *head, *last = first;

	for (uint64_t i = 1; i < count && last != NULL; i++)
		last = links_of(last)->lru_next;
	if (last == NULL) {
		*head = NULL;
		return first;
	}
	*head = links_of(last)->lru_next;
	links_of(last)->lru_next = NULL;
	return first;
}

/* Sorts by merging runs of 1, 2, 4, ... sessions. */
void
session_restore_order(struct state *state)
{
	for (uint64_t run = 1; run < state->session_count; run *= 2) {
		struct entry *left = state->lru_oldest;
		state->lru_oldest = state->lru_newest = NULL;
		while (left != NULL) {
			struct entry *a = run_take(&left, run), *b = run_take(&left, run);
			while (a != NULL || b != NULL) {
				struct entry **from =
				    b == NULL || (a != NULL && is_used_before(a, b)) ? &a : &b;
				lru_append(state, run_take(from, 1));
			}
		}
	}
}

/* What the client says is its lowest open sequence number, and no more than the window away. */
static uint64_t
lowest_open(const struct command *command)
{
	const uint64_t back = min_u64(command->open_window, STATE_SESSION_WINDOW - 1);

	return command->seq > back ? command->seq - back : 1;
}

bool
session_admit(struct state *state, struct entry *entry, struct state_position at, uint64_t time_ns,
	      const struct command *command, struct reply *reply)
{
	const uint64_t seq = command->seq;

	if (seq < newest_image(entry)->low) {
		reply->kind = REPLY_TOO_OLD;
		return false;
	}
	struct session_image *image = writable_image(state, entry, at);
	window_advance(image, max_u64(image->low, lowest_open(command)));
	INVARIANT(seq >= image->low && seq - image->low < STATE_SESSION_WINDOW);
	if (image->last_used_ns != time_ns) {
		image->last_used_ns = time_ns;
		image->used_index = at.log_index;
		image->used_slot = at.slot;
		if (!image->has_moved) {
			image->has_moved = true;
			image->moved_from = links_of(entry)->lru_prev;
		}
		lru_remove(state, entry);
		lru_append(state, entry);
	}
	const uint64_t bit = seq % STATE_SESSION_WINDOW;
	if ((image->done[bit / 64] >> (bit % 64) & 1) != 0) {
		repeat_answer(image, seq, reply);
		return false;
	}
	return true;
}

/* Whether a command that was answered like this changed nothing. */
static bool
is_refusal(enum reply_kind kind)
{
	switch (kind) {
	case REPLY_OK:
	case REPLY_INTEGER:
	case REPLY_SESSION:
	case REPLY_DONE:
	case REPLY_NULL:
	case REPLY_BYTES:
	case REPLY_DECIMAL:
	case REPLY_ARRAY:
	case REPLY_EXPIRY:
		return false;
	case REPLY_BOUND:
	case REPLY_NOT_INTEGER:
	case REPLY_OVERFLOW:
	case REPLY_OUT_OF_MEMORY:
	case REPLY_SESSION_UNKNOWN:
	case REPLY_TOO_OLD:
	case REPLY_REFUSED:
	case REPLY_CONFLICT:
	case REPLY_TOO_LARGE:
		break;
	}
	return true;
}

static void
reply_keep(struct session_reply *kept, struct state_position at, uint64_t seq,
	   const struct reply *reply)
{
	*kept = (struct session_reply){
		.seq = seq,
		.kind = reply->kind,
		.is_max = reply->is_max,
		.value = reply->value,
		.delta = reply->delta,
		.bound = reply->bound,
	};
	if (!reply_has_data(reply))
		return;
	if (reply->kind == REPLY_ARRAY || reply->bytes > STATE_REPLY_BYTES_KEPT) {
		kept->kind = REPLY_DONE;
		kept->value = (int64_t)at.log_index;
		return;
	}
	kept->is_max = reply->bytes;
	memcpy(kept->data, reply->data, reply->bytes);
}

void
session_record(struct state *state, struct entry *entry, struct state_position at, uint64_t seq,
	       const struct reply *reply)
{
	struct session_image *image = writable_image(state, entry, at);
	const uint64_t bit = seq % STATE_SESSION_WINDOW;

	INVARIANT(seq >= image->low && seq - image->low < STATE_SESSION_WINDOW);
	image->done[bit / 64] |= 1ULL << (bit % 64);
	if (is_refusal(reply->kind))
		image->refused[bit / 64] |= 1ULL << (bit % 64);
	image->last_index = at.log_index;
	reply_keep(&image->replies[image->replies_count++ % STATE_REPLIES_KEPT], at, seq, reply);
}
