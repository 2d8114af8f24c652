/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer, two readers, one that holds positions, and a thread for grace periods, all at once.
 * Accounts are moved in pairs, each pair one command, and come and go; in every view the sum is the
 * same and the scan agrees with the published hash.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/base/prng.h"
#include "dataplane/state/hold.h"
#include "tests/unit/state/machine.h"

#define ACCOUNTS  64u
#define TOTAL     64000
#define BLOCKS    4000u
#define VIEWS_MIN 50u
#define WRONG     (-1) /* no sum: a scan and a look-up differ */

struct shared {
	struct machine machine;
	_Atomic bool is_over;
	_Atomic uint32_t views, held_views, failures;
};

static void
account_name(uint32_t i, char *name)
{
	(void)snprintf(name, 32, "account-%02u", i);
}

/* Sum over the order, as any client would do it; assertions of cmocka belong to the main thread. */
static int64_t
sum_accounts(struct state_reader *reader)
{
	const uint8_t *key = (const uint8_t *)"account-";
	uint32_t bytes = 8;
	struct state_value value;
	int64_t sum = 0;
	char text[32];

	while (state_read_next(reader, key, bytes, true, &key, &bytes, &value) &&
	       memcmp(key, "account-", 8) == 0) {
		const struct state_value point = state_read_get(reader, key, bytes);
		if (point.data != value.data || point.bytes != value.bytes || value.bytes > 31)
			return WRONG;
		memcpy(text, value.data, value.bytes);
		text[value.bytes] = '\0';
		sum += strtoll(text, NULL, 10);
	}
	return sum;
}

static void *
reader_main(void *arg)
{
	struct shared *shared = arg;
	struct state_reader *reader = state_reader_open(shared->machine.state);
	uint64_t last = 0, index = 0;

	while (reader != NULL && !atomic_load(&shared->is_over)) {
		const uint64_t view = state_read_begin(reader);
		const uint64_t hash = state_read_hash(reader, &index);
		bool is_good = view >= last && index == view;
		const int64_t sum = view == 0 ? TOTAL : sum_accounts(reader);
		const uint64_t scanned = state_hash_scan(reader);
		/* Who holds a view for long is told to end it, and scans end early. */
		const bool is_whole = !state_read_is_ended(reader);
		is_good =
		    is_good && sum != WRONG && (!is_whole || (sum == TOTAL && scanned == hash));
		state_read_end(reader);
		last = view;
		if (is_whole)
			atomic_fetch_add(&shared->views, 1);
		if (!is_good)
			atomic_fetch_add(&shared->failures, 1);
	}
	if (reader == NULL)
		atomic_fetch_add(&shared->failures, 1);
	else
		state_reader_close(reader);
	return NULL;
}

/* The same of positions that are held over many blocks. */
static void *
holder_main(void *arg)
{
	struct shared *shared = arg;
	struct state *state = shared->machine.state;
	struct state_reader *reader = state_reader_open(state);
	const struct timespec pause = { .tv_nsec = 300000 };
	struct state_hold hold;

	while (reader != NULL && !atomic_load(&shared->is_over)) {
		bool is_good = state_hold_begin(state, 0, &hold) == TERN_OK;
		for (uint32_t i = 0; is_good && i < 3; i++) {
			uint64_t index = 0;
			nanosleep(&pause, NULL);
			if (!state_read_begin_held(reader, &hold))
				break;
			const uint64_t hash = state_read_hash(reader, &index);
			const int64_t sum = index == 0 ? TOTAL : sum_accounts(reader);
			const uint64_t scanned = state_hash_scan(reader);
			is_good =
			    index == state_hold_index(&hold) && sum != WRONG &&
			    ((sum == TOTAL && scanned == hash) || state_read_is_ended(reader));
			state_read_end(reader);
			atomic_fetch_add(&shared->held_views, 1);
		}
		state_hold_end(state, &hold);
		if (!is_good)
			atomic_fetch_add(&shared->failures, 1);
	}
	if (reader == NULL)
		atomic_fetch_add(&shared->failures, 1);
	else
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
	(void)machine_apply(m, COMMAND_MSET, 0, session, seq, 0, args, 4);
	/* Keys that come and go around the accounts, and a counter that is hot. */
	(void)snprintf(other, sizeof(other), "a%u", (uint32_t)prng_below(prng, 200));
	if (prng_below(prng, 2) == 0)
		(void)machine_set(m, other, "something");
	else
		(void)machine_delete(m, other);
	(void)machine_add(m, "zzz", 1);
}

static void
test_views_while_writing(void **context)
{
	struct shared *shared = calloc(1, sizeof(*shared));
	int64_t balances[ACCOUNTS];
	pthread_t threads[4];
	struct prng prng;
	uint64_t seq = 0;
	(void)context;

	assert_non_null(shared);
	struct machine *m = &shared->machine;
	machine_start(m, &(struct machine_options){ 16u << 20, 1u << 20, 3, 4, 0 });
	m->has_readers = true;
	prng_seed(&prng, 99);
	const uint64_t session =
	    (uint64_t)machine_apply(m, COMMAND_SESSION_OPEN, 0, 0, 0, 0, NULL, 0).value;
	for (uint32_t i = 0; i < ACCOUNTS; i++) {
		char name[32];
		account_name(i, name);
		balances[i] = TOTAL / ACCOUNTS;
		machine_set(m, name, "1000");
	}
	pthread_create(&threads[0], NULL, reader_main, shared);
	pthread_create(&threads[1], NULL, reader_main, shared);
	pthread_create(&threads[2], NULL, grace_main, shared);
	pthread_create(&threads[3], NULL, holder_main, shared);
	uint32_t blocks = 0;
	const struct timespec pause = { .tv_nsec = 50000 };
	while (blocks < BLOCKS || atomic_load(&shared->views) < VIEWS_MIN ||
	       atomic_load(&shared->held_views) < VIEWS_MIN) {
		state_reclaim_turn(m->state, true);
		if (!state_has_room(m->state, 4096)) {
			nanosleep(&pause, NULL);
			continue;
		}
		for (uint32_t i = 0; i < 10; i++)
			transfer(m, &prng, balances, session, ++seq);
		machine_block(m);
		blocks++;
	}
	atomic_store(&shared->is_over, true);
	for (uint32_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&shared->failures), 0);
	assert_in_range(atomic_load(&shared->views), VIEWS_MIN, UINT32_MAX);
	machine_check_hash(m);
	/* Turns are bounded: however many versions the readers held back, some turns and grace
	 * periods later nothing is kept but what is live. */
	struct state_stats stats = state_stats(m->state);
	for (uint32_t i = 0; i < 20000 && stats.versions_live != stats.keys + stats.sessions; i++) {
		(void)state_grace_period(m->state);
		machine_block(m);
		stats = state_stats(m->state);
	}
	assert_int_equal(stats.versions_live, stats.keys + stats.sessions);
	assert_in_range(stats.versions_reclaimed, 10000, UINT64_MAX);
	machine_stop(m);
	free(shared);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_views_while_writing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
