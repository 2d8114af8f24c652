/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer that runs ahead of the commit and takes blocks back, two readers of provisional views,
 * one of committed ones, and a thread for grace periods, all at once. Accounts are moved in pairs,
 * each pair one command: in every view that did not fail the sum is the same and the scan agrees
 * with the published hash; a committed view never fails and never goes back.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/base/prng.h"
#include "tests/unit/state/machine.h"

#define ACCOUNTS   32u
#define TOTAL      32000
#define BLOCKS     3000u
#define VIEWS_MIN  50u
#define FAILED_MIN 20u
#define AHEAD_MAX  (STATE_PUBLISHED_KEPT < 32u ? STATE_PUBLISHED_KEPT - 1 : 32u)

struct shared {
	struct machine machine;
	_Atomic bool is_over;
	_Atomic uint32_t committed_views, good_views, failed_views, failures;
	/* Writer: the balances as each block left them, and the next sequence number. */
	int64_t balances[STATE_PUBLISHED_KEPT][ACCOUNTS];
	uint64_t seq[STATE_PUBLISHED_KEPT];
};

static void
account_name(uint32_t i, char *name)
{
	(void)snprintf(name, 32, "account-%02u", i);
}

/* Assertions of cmocka belong to the main thread. */
static int64_t
sum_accounts(struct state_reader *reader)
{
	const uint8_t *key = (const uint8_t *)"account-";
	uint32_t bytes = 8;
	struct state_value value;
	int64_t sum = 0;

	while (state_read_next(reader, key, bytes, true, &key, &bytes, &value)) {
		char text[32] = { 0 };
		if (bytes < 8 || memcmp(key, "account-", 8) != 0)
			break;
		if (value.type != STATE_BYTES || value.bytes >= sizeof(text))
			return -1;
		memcpy(text, value.data, value.bytes);
		sum += strtoll(text, NULL, 10);
	}
	return sum;
}

static bool
is_view_right(struct state_reader *reader, uint64_t view)
{
	uint64_t index = 0;
	const uint64_t hash = state_read_hash(reader, &index);
	const int64_t sum = sum_accounts(reader);
	const uint64_t scan = state_hash_scan(reader);

	return state_read_is_ended(reader) ||
	       (index == view && scan == hash && (view == 0 || sum == TOTAL));
}

static void *
committed_main(void *arg)
{
	struct shared *shared = arg;
	struct state_reader *reader = state_reader_open(shared->machine.state);
	uint64_t last = 0;

	while (!atomic_load(&shared->is_over)) {
		/* Any thread may ask: the thread sanitizer looks at how. */
		const uint64_t committed = state_committed_index(shared->machine.state);
		const uint64_t view = state_read_begin(reader);
		const bool is_good = view >= last && committed >= last && view >= committed &&
				     is_view_right(reader, view) && !state_read_is_failed(reader);
		state_read_end(reader);
		last = view;
		atomic_fetch_add(&shared->committed_views, 1);
		if (!is_good)
			atomic_fetch_add(&shared->failures, 1);
	}
	state_reader_close(reader);
	return NULL;
}

static void *
provisional_main(void *arg)
{
	struct shared *shared = arg;
	struct state_reader *reader = state_reader_open(shared->machine.state);

	while (!atomic_load(&shared->is_over)) {
		const uint64_t view = state_read_begin_provisional(reader);
		const bool is_right = is_view_right(reader, view);
		if (!state_read_end_provisional(reader)) {
			atomic_fetch_add(&shared->failed_views, 1);
			continue;
		}
		atomic_fetch_add(&shared->good_views, 1);
		if (!is_right)
			atomic_fetch_add(&shared->failures, 1);
	}
	state_reader_close(reader);
	return NULL;
}

static void *
grace_main(void *arg)
{
	struct shared *shared = arg;
	const struct timespec pause = { .tv_nsec = 100000 };

	while (!atomic_load(&shared->is_over)) {
		if (!state_grace_period(shared->machine.state))
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static void
transfer(struct machine *m, struct prng *prng, int64_t *balances, uint64_t session, uint64_t seq)
{
	const uint32_t from = (uint32_t)prng_below(prng, ACCOUNTS);
	const uint32_t to = (from + 1 + (uint32_t)prng_below(prng, ACCOUNTS - 1)) % ACCOUNTS;
	const int64_t amount = (int64_t)prng_below(prng, 100);
	char names[2][32], texts[2][32], other[32];

	balances[from] -= amount;
	balances[to] += amount;
	account_name(from, names[0]);
	account_name(to, names[1]);
	(void)snprintf(texts[0], 32, "%lld", (long long)balances[from]);
	(void)snprintf(texts[1], 32, "%lld", (long long)balances[to]);
	const struct command_arg args[] = { machine_text(names[0]), machine_text(texts[0]),
					    machine_text(names[1]), machine_text(texts[1]) };
	const struct reply reply = machine_apply(m, COMMAND_MSET, 0, session, seq, 0, args, 4);
	assert_false(reply.is_repeat);
	assert_int_equal(reply.kind, REPLY_OK);
	/* Keys that come and go around the accounts, and one that changes in place. */
	(void)snprintf(other, sizeof(other), "a%u", (uint32_t)prng_below(prng, 100));
	if (prng_below(prng, 2) == 0)
		(void)machine_set(m, other, "something");
	else
		(void)machine_delete(m, other);
	(void)machine_set(m, "account", prng_below(prng, 2) == 0 ? "x" : "longer");
}

/* One block on top of the last one. */
static void
write_block(struct shared *shared, struct prng *prng, uint64_t session)
{
	struct machine *m = &shared->machine;
	const uint64_t now = m->at.log_index % STATE_PUBLISHED_KEPT;
	const uint64_t before = (m->at.log_index - 1) % STATE_PUBLISHED_KEPT;

	memcpy(shared->balances[now], shared->balances[before], sizeof(shared->balances[now]));
	shared->seq[now] = shared->seq[before];
	for (uint32_t i = 0; i < 6; i++)
		transfer(m, prng, shared->balances[now], session, ++shared->seq[now]);
	machine_publish(m);
}

static void
turn(struct shared *shared, struct prng *prng, uint64_t session)
{
	struct machine *m = &shared->machine;
	const uint64_t published = state_applied_index(m->state);
	const uint64_t committed = state_committed_index(m->state);
	const uint64_t ahead = published - committed;
	const struct timespec pause = { .tv_nsec = 50000 };

	state_reclaim_turn(m->state, true);
	if (prng_below(prng, 16) == 0)
		machine_rollback(m, committed + prng_below(prng, ahead + 1));
	else if (ahead == AHEAD_MAX || prng_below(prng, 8) == 0)
		state_commit(m->state, committed + prng_below(prng, ahead + 1));
	else if (!state_has_room(m->state, 4096))
		nanosleep(&pause, NULL);
	else
		write_block(shared, prng, session);
}

static uint64_t
first_block(struct shared *shared)
{
	struct machine *m = &shared->machine;
	const uint64_t session =
	    (uint64_t)machine_apply(m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0).value;

	for (uint32_t i = 0; i < ACCOUNTS; i++) {
		char name[32];
		account_name(i, name);
		shared->balances[1][i] = TOTAL / ACCOUNTS;
		machine_set(m, name, "1000");
	}
	machine_block(m);
	return session;
}

static void
test_rollback_under_readers(void **context)
{
	struct shared *shared = calloc(1, sizeof(*shared));
	void *(*const mains[])(void *) = { provisional_main, provisional_main, committed_main,
					   grace_main };
	pthread_t threads[4];
	struct prng prng;
	(void)context;

	assert_non_null(shared);
	struct machine *m = &shared->machine;
	machine_start(m, &(struct machine_options){ 16u << 20, 1u << 20, 3, 4, 0 });
	m->has_readers = true;
	prng_seed(&prng, 99);
	const uint64_t session = first_block(shared);
	for (uint32_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, mains[i], shared);
	for (uint32_t turns = 0; turns < 4 * BLOCKS || state_applied_index(m->state) < BLOCKS ||
				 atomic_load(&shared->committed_views) < VIEWS_MIN ||
				 atomic_load(&shared->good_views) < VIEWS_MIN ||
				 atomic_load(&shared->failed_views) < FAILED_MIN;
	     turns++)
		turn(shared, &prng, session);
	atomic_store(&shared->is_over, true);
	for (uint32_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&shared->failures), 0);
	state_commit(m->state, state_applied_index(m->state));
	machine_check_hash(m);
	/* What was dropped, and what the readers held back, is all given back in the end. */
	struct state_stats stats = state_stats(m->state);
	for (uint32_t i = 0; i < 20000 && stats.versions_live != stats.keys + stats.sessions; i++) {
		(void)state_grace_period(m->state);
		machine_block(m);
		stats = state_stats(m->state);
	}
	assert_int_equal(stats.versions_live, stats.keys + stats.sessions);
	machine_stop(m);
	free(shared);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rollback_under_readers) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
