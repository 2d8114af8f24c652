/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_shrink.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED_SECONDS_MAX 120u /* of processor time, however loaded the machine is: hung */
#define RUNS_MAX         600u
#define SALTS            2u /* orders of the rest that each smaller case is tried with */
#define STRENGTH_MIN     5u
#define LATE_US          100000u /* how much later than twice its time a case may fail */

pid_t
sim_child_start(struct sim_report *report, const struct sim_options *options, uint64_t seed)
{
	memset(report, 0, sizeof(*report));
	fflush(NULL);
	const pid_t pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (pid != 0)
		return pid;
	const struct rlimit limit = { SEED_SECONDS_MAX, RLIM_INFINITY };
	(void)setrlimit(RLIMIT_CPU, &limit);
	struct sim *sim = sim_take(sizeof(*sim));
	sim_run(sim, seed, options, report);
	_exit(0);
}

void
sim_child_judge(struct sim_report *report, int status)
{
	if (WIFSIGNALED(status))
		snprintf(report->failure, sizeof(report->failure), "killed by signal %d (%s)",
			 WTERMSIG(status), WTERMSIG(status) == SIGXCPU ? "hung" : "crashed");
	else if (WEXITSTATUS(status) != 0 && report->failure[0] == '\0')
		snprintf(report->failure, sizeof(report->failure), "exit code %d",
			 WEXITSTATUS(status));
}

bool
sim_failure_is_of(const char *failure, const char *list)
{
	const char *end = strstr(failure, " at ");

	while (end != NULL && list != NULL) {
		const size_t bytes = strcspn(list, ",");
		if (bytes == (size_t)(end - failure) && strncmp(failure, list, bytes) == 0)
			return true;
		list = list[bytes] == ',' ? list + bytes + 1 : NULL;
	}
	return false;
}

/* ---- shrinking ---- */

struct shrink {
	uint64_t seed;
	struct sim_options best;
	struct sim_report found; /* of the best */
	char checker[64];
	uint32_t runs;
	struct sim_report *shared;
};

static void
run_once(struct shrink *shrink, const struct sim_options *options)
{
	int status = 0;
	const pid_t pid = sim_child_start(shrink->shared, options, shrink->seed);

	if (waitpid(pid, &status, 0) != pid)
		exit(1);
	sim_child_judge(shrink->shared, status);
	shrink->runs++;
}

/* What does not fail soon after the best case failed is not worth its time. */
static void
take(struct shrink *shrink, const struct sim_options *options)
{
	shrink->best = *options;
	shrink->found = *shrink->shared;
	const uint64_t until_us = 2 * shrink->found.counts.virtual_ns / SIM_US + LATE_US;
	if (shrink->best.limits.until_us > until_us)
		shrink->best.limits.until_us = until_us;
}

/* Whether @candidate fails as the seed did; then it is the best so far. */
static bool
is_taken(struct shrink *shrink, struct sim_options *candidate)
{
	const uint64_t salt_first = candidate->limits.salt;

	for (uint64_t i = 0; i < SALTS && shrink->runs < RUNS_MAX; i++) {
		candidate->limits.salt = (salt_first + i) % SALTS;
		run_once(shrink, candidate);
		if (!sim_failure_is_of(shrink->shared->failure, shrink->checker))
			continue;
		take(shrink, candidate);
		return true;
	}
	return false;
}

/* Switches off classes of [from, to): all at once, or else each half by itself. */
static bool
shrink_classes(struct shrink *shrink, uint32_t from, uint32_t to)
{
	struct sim_options candidate = shrink->best;

	for (uint32_t i = from; i < to; i++)
		candidate.limits.without |= UINT64_C(1) << i;
	if (candidate.limits.without == shrink->best.limits.without)
		return false;
	if (is_taken(shrink, &candidate))
		return true;
	if (to - from == 1)
		return false;
	const bool has_first = shrink_classes(shrink, from, (from + to) / 2);
	return shrink_classes(shrink, (from + to) / 2, to) || has_first;
}

static bool
shrink_episodes(struct shrink *shrink, uint32_t from, uint32_t to)
{
	struct sim_options candidate = shrink->best;
	bool is_new = false;

	for (uint32_t i = from; i < to; i++) {
		is_new = is_new || !sim_limits_skips(&candidate.limits, i);
		candidate.limits.skipped[i / 64] |= UINT64_C(1) << i % 64;
	}
	if (!is_new)
		return false;
	if (is_taken(shrink, &candidate))
		return true;
	if (to - from == 1)
		return false;
	const bool has_first = shrink_episodes(shrink, from, (from + to) / 2);
	return shrink_episodes(shrink, (from + to) / 2, to) || has_first;
}

static bool
shrink_nodes(struct shrink *shrink)
{
	bool has_some = false;

	for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
		struct sim_options candidate = shrink->best;
		if ((candidate.limits.spared >> i & 1) != 0)
			continue;
		candidate.limits.spared |= UINT64_C(1) << i;
		has_some = is_taken(shrink, &candidate) || has_some;
	}
	return has_some;
}

static bool
shrink_strength(struct shrink *shrink)
{
	bool has_some = false;

	while (shrink->best.limits.strength / 2 >= STRENGTH_MIN) {
		struct sim_options candidate = shrink->best;
		candidate.limits.strength /= 2;
		if (!is_taken(shrink, &candidate))
			break;
		has_some = true;
	}
	return has_some;
}

/* A bound that is halved while the seed still fails. @used: what the best run took of it. */
static bool
shrink_bound(struct shrink *shrink, uint64_t *bound, uint64_t used)
{
	/* @bound lies in shrink->best: candidates differ from it in nothing else. */
	bool has_some = false;

	for (uint64_t wanted = used / 2; wanted != 0; wanted /= 2) {
		const uint64_t before = *bound;
		if (wanted >= before)
			continue;
		*bound = wanted;
		struct sim_options candidate = shrink->best;
		*bound = before;
		if (!is_taken(shrink, &candidate))
			break;
		has_some = true;
	}
	return has_some;
}

static bool
shrink_round(struct shrink *shrink)
{
	struct sim_limits *limits = &shrink->best.limits;
	bool has_some = false;

	has_some |= shrink_classes(shrink, 0, SIM_CLASSES);
	has_some |=
	    shrink_bound(shrink, &limits->faults_us_max, shrink->found.counts.virtual_ns / SIM_US);
	has_some |= shrink_episodes(shrink, SIM_EPISODES_MAX, SIM_SKIP_WORDS * 64);
	const uint64_t episodes = shrink->found.counts.of[SIM_COUNT_episodes];
	if (episodes != 0)
		has_some |= shrink_episodes(
		    shrink, 0,
		    (uint32_t)(episodes < SIM_EPISODES_MAX ? episodes : SIM_EPISODES_MAX));
	has_some |= shrink_nodes(shrink);
	has_some |= shrink_strength(shrink);
	/* Without operations there is no progress: that would be another failure of the same name.
	 */
	if (strcmp(shrink->checker, "liveness") != 0)
		has_some |= shrink_bound(shrink, &limits->operations_max,
					 shrink->found.counts.of[SIM_COUNT_operations]);
	return has_some;
}

static void
say_size(const struct shrink *shrink, const char *what)
{
	const struct sim_counts *counts = &shrink->found.counts;

	printf("%s: %llu episodes struck, %llu operations, %llu us, %llu events: %s\n", what,
	       (unsigned long long)counts->of[SIM_COUNT_episodes_struck],
	       (unsigned long long)counts->of[SIM_COUNT_operations],
	       (unsigned long long)counts->virtual_ns / SIM_US,
	       (unsigned long long)counts->of[SIM_COUNT_events], shrink->found.failure);
}

int
sim_shrink(const struct sim_options *options, uint64_t seed)
{
	struct shrink shrink = { .seed = seed, .best = *options };

	shrink.shared = mmap(NULL, sizeof(*shrink.shared), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shrink.shared == MAP_FAILED)
		return 1;
	run_once(&shrink, options);
	const char *end = strstr(shrink.shared->failure, " at ");
	if (end == NULL || (size_t)(end - shrink.shared->failure) >= sizeof(shrink.checker)) {
		printf("seed %llu: nothing to shrink: %s\n", (unsigned long long)seed,
		       shrink.shared->failure[0] == '\0' ? "it passes" : shrink.shared->failure);
		return 1;
	}
	snprintf(shrink.checker, sizeof(shrink.checker), "%.*s",
		 (int)(end - shrink.shared->failure), shrink.shared->failure);
	take(&shrink, options);
	say_size(&shrink, "drawn");
	while (shrink.runs < RUNS_MAX && shrink_round(&shrink))
		say_size(&shrink, "still fails");
	run_once(&shrink, &shrink.best);
	if (strcmp(shrink.shared->failure, shrink.found.failure) != 0) {
		printf("it failed once, and then not alike: %s\n", shrink.shared->failure);
		return 1;
	}
	say_size(&shrink, "shrunk");
	printf("%u runs; replay: tern-sim ", shrink.runs);
	sim_options_print(&shrink.best, seed, stdout);
	return 0;
}
