/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that ask nobody: answered from what this node has, whoever is master. */
#include <string.h>

#include "control/endpoint/endpoint_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"

#define HOLD_NS   60000000000ull
#define NS_PER_MS 1000000u

static void
refuse(struct endpoint *endpoint, const struct read_waiter *waiter, enum native_outcome outcome,
       uint64_t log_index, uint64_t age_ns)
{
	const struct native_reply reply = {
		.what = NATIVE_WHAT_READ,
		.outcome = outcome,
		.id = waiter->id,
		.log_index = log_index,
		.age_ns = age_ns,
	};

	if (outcome == NATIVE_BUSY)
		endpoint_count(&endpoint->counters.busy);
	endpoint_reply(endpoint, &waiter->peer, &reply);
}

/* What is known of the age of this node's state: of the status that was read before any view of
 * this turn began. */
static uint64_t
age_of(const struct endpoint *endpoint)
{
	return status_stale_ns(&endpoint->status, platform_monotonic_ns());
}

/* ---- snapshots ---- */

static void
hold_end(struct endpoint *endpoint, struct endpoint_hold *hold)
{
	INVARIANT(hold->is_used);
	state_hold_end(endpoint->state, &hold->hold);
	hold->is_used = false;
}

static struct endpoint_hold *
hold_at(struct endpoint *endpoint, uint64_t position)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		struct endpoint_hold *hold = &endpoint->holds[i];
		if (hold->is_used && state_hold_index(&hold->hold) == position)
			return hold;
	}
	return NULL;
}

/* One at the newest position: that this very read has begun, or another one. */
static struct endpoint_hold *
hold_newest(struct endpoint *endpoint, const struct read_waiter *waiter)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		struct endpoint_hold *hold = &endpoint->holds[i];
		if (hold->is_used && hold->id == waiter->id &&
		    peer_name_equal(&hold->peer, &waiter->peer))
			return hold;
	}
	return hold_at(endpoint, state_committed_index(endpoint->state));
}

static enum tern_err
hold_new(struct endpoint *endpoint, const struct read_waiter *waiter, struct endpoint_hold **out)
{
	struct endpoint_hold *hold = NULL;

	for (uint32_t i = 0; i < STATE_HOLDS_MAX && hold == NULL; i++)
		hold = endpoint->holds[i].is_used ? NULL : &endpoint->holds[i];
	if (hold == NULL)
		return TERN_ERR_QUEUE_FULL;
	const enum tern_err err = state_hold_begin(endpoint->state, waiter->position, &hold->hold);
	if (err != TERN_OK)
		return err;
	struct endpoint_hold *same = hold_at(endpoint, state_hold_index(&hold->hold));
	if (same != NULL) {
		state_hold_end(endpoint->state, &hold->hold);
		*out = same;
		return TERN_OK;
	}
	hold->is_used = true;
	hold->end_ns = platform_monotonic_ns() + HOLD_NS;
	hold->id = waiter->position == 0 ? waiter->id : 0;
	hold->peer = waiter->peer;
	*out = hold;
	return TERN_OK;
}

/* False: the position is not committed here yet. */
static bool
answer_snapshot(struct endpoint *endpoint, const struct read_waiter *waiter)
{
	struct endpoint_hold *hold = waiter->position == 0 ? hold_newest(endpoint, waiter)
							   : hold_at(endpoint, waiter->position);
	const enum tern_err err = hold == NULL ? hold_new(endpoint, waiter, &hold) : TERN_OK;

	if (err == TERN_ERR_BUSY)
		return false;
	if (err != TERN_OK) {
		refuse(endpoint, waiter, err == TERN_ERR_QUEUE_FULL ? NATIVE_BUSY : NATIVE_GONE, 0,
		       0);
		return true;
	}
	if (!state_read_begin_held(endpoint->reader, &hold->hold)) {
		hold_end(endpoint, hold);
		refuse(endpoint, waiter, NATIVE_GONE, 0, 0);
		return true;
	}
	struct native_reply reply =
	    endpoint_read_reply(endpoint, waiter, state_hold_index(&hold->hold));
	reply.age_ns = UINT64_MAX;
	endpoint_reply(endpoint, &waiter->peer, &reply);
	state_read_end(endpoint->reader);
	hold->idle_ns = platform_monotonic_ns() + endpoint->snapshot_idle_ns;
	return true;
}

/* ---- the others ---- */

/* Out of a view of what is committed. False: it is not at @need. */
static bool
answer_committed(struct endpoint *endpoint, const struct read_waiter *waiter, uint64_t need)
{
	const uint64_t age = age_of(endpoint);
	const uint64_t index = state_read_begin(endpoint->reader);
	const bool is_there = index >= need;

	if (is_there) {
		struct native_reply reply = endpoint_read_reply(endpoint, waiter, index);
		reply.age_ns = age;
		endpoint_reply(endpoint, &waiter->peer, &reply);
	}
	state_read_end(endpoint->reader);
	return is_there;
}

static void
answer_stale(struct endpoint *endpoint, struct read_waiter *waiter)
{
	const uint64_t age = age_of(endpoint);

	/* No read point stands before it: what is durable. */
	waiter->is_memory = false;
	if (age > waiter->stale_ns_max) {
		refuse(endpoint, waiter, NATIVE_STALE, 0, age);
		return;
	}
	const bool is_there = answer_committed(endpoint, waiter, 0);
	INVARIANT(is_there);
}

/* False: the state is not as far, or has gone back under the read. */
static bool
answer_local(struct endpoint *endpoint, struct read_waiter *waiter)
{
	/* What it committed may be of a branch that was given up, whatever its positions say: the
	 * client asks another node. */
	if (endpoint_is_left_out(endpoint)) {
		refuse(endpoint, waiter, NATIVE_NOT_MASTER, 0, 0);
		return true;
	}
	switch (waiter->reads) {
	case NATIVE_READS_SESSION:
		return waiter->is_memory ? endpoint_answer_provisional(
					       endpoint, waiter, waiter->position, age_of(endpoint))
					 : answer_committed(endpoint, waiter, waiter->position);
	case NATIVE_READS_SNAPSHOT:
		return answer_snapshot(endpoint, waiter);
	case NATIVE_READS_DIRTY:
		waiter->is_memory = true;
		return endpoint_answer_provisional(endpoint, waiter, 0, age_of(endpoint));
	case NATIVE_READS_STALE:
	case NATIVE_READS_LINEARIZABLE: /* takes another way */
		break;
	}
	answer_stale(endpoint, waiter);
	return true;
}

/* False: it may wait on. */
static bool
is_given_up(struct endpoint *endpoint, const struct read_waiter *waiter)
{
	if (platform_monotonic_ns() < waiter->until_ns)
		return false;
	if (waiter->reads == NATIVE_READS_DIRTY)
		refuse(endpoint, waiter, NATIVE_BUSY, 0, 0);
	else
		refuse(endpoint, waiter, NATIVE_POSITION, state_committed_index(endpoint->state),
		       0);
	return true;
}

void
endpoint_read_local(struct endpoint *endpoint, const struct read_waiter *asked)
{
	struct read_waiter waiter = *asked;

	if (answer_local(endpoint, &waiter) || is_given_up(endpoint, &waiter))
		return;
	/* It was asked for again: once is enough. */
	for (uint32_t i = 0; i < endpoint->waiting_count; i++) {
		struct read_waiter *other = &endpoint->waiting[i];
		if (other->id == waiter.id && peer_name_equal(&other->peer, &waiter.peer)) {
			*other = waiter;
			endpoint_count(&endpoint->counters.duplicates);
			return;
		}
	}
	if (endpoint->waiting_count == ENDPOINT_WAITING_MAX)
		refuse(endpoint, &waiter, NATIVE_BUSY, 0, 0);
	else
		endpoint->waiting[endpoint->waiting_count++] = waiter;
	endpoint->needs_retry = true;
}

void
endpoint_local_turn(struct endpoint *endpoint)
{
	for (uint32_t i = endpoint->waiting_count; i-- > 0;) {
		struct read_waiter *waiter = &endpoint->waiting[i];
		if (answer_local(endpoint, waiter) || is_given_up(endpoint, waiter))
			*waiter = endpoint->waiting[--endpoint->waiting_count];
	}
	if (endpoint->waiting_count != 0)
		endpoint->needs_retry = true;
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		struct endpoint_hold *hold = &endpoint->holds[i];
		if (hold->is_used &&
		    platform_monotonic_ns() >= min_u64(hold->idle_ns, hold->end_ns))
			hold_end(endpoint, hold);
	}
}

int
endpoint_local_wait_ms(const struct endpoint *endpoint)
{
	uint64_t until_ns = UINT64_MAX;

	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++) {
		const struct endpoint_hold *hold = &endpoint->holds[i];
		if (hold->is_used)
			until_ns = min_u64(until_ns, min_u64(hold->idle_ns, hold->end_ns));
	}
	if (until_ns == UINT64_MAX)
		return -1;
	const uint64_t now_ns = platform_monotonic_ns();
	return until_ns <= now_ns ? 0 : (int)div_up_u64(until_ns - now_ns, NS_PER_MS);
}

void
endpoint_local_end(struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++)
		if (endpoint->holds[i].is_used)
			hold_end(endpoint, &endpoint->holds[i]);
}
