/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern-sim: runs seeds, each in a process of its own, so that a crash, a hang or a failed invariant
 * of one seed is a finding about that seed and nothing else.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define JOBS_MAX         64u
#define SEED_SECONDS_MAX 120u /* real time after which a seed counts as hung */
#define MUST_SEEDS       100u /* a run of so many seeds must have seen every fault and path */

struct args {
	struct sim_options options;
	uint64_t from, to, minutes, twice_every; /* 0: no seed runs twice */
	uint32_t jobs;
	const char *expected; /* names of checkers by commas, one of which has to fail; NULL */
	bool is_until_found, is_single;
};

struct job { /* shared with the child */
	pid_t pid;
	uint64_t seed, trace;
	struct sim_counts counts;
	bool is_second;
	uint64_t first_trace;
	char failure[SIM_FAILURE_BYTES];
};

struct totals {
	struct sim_counts counts;
	uint64_t seeds, failed, twice;
	uint64_t expected; /* of those that failed */
};

static const struct {
	const char *name;
	uint32_t bug;
} bugs[] = {
	{ "P1", CORE_BUG_P1_STALE_VOTE },       { "P2", CORE_BUG_P2_EARLY_SOLO },
	{ "P3", CORE_BUG_P3_NO_SUBSET },        { "P5", CORE_BUG_P5_EARLY_ACK },
	{ "P6", CORE_BUG_P6_REGISTER_FIRST },   { "P10", CORE_BUG_P10_NO_QUIET },
	{ "P12", CORE_BUG_P12_OLD_EPOCH },      { "READ", CORE_BUG_NO_READ_ROUND },
	{ "LOG", CORE_BUG_VOTE_DURABLE_LOG },   { "BOOT", CORE_BUG_ACK_NO_BOOT },
	{ "ROLLBACK", CORE_BUG_NO_ROLLBACK },   { "SOLO", CORE_BUG_SOLO_EARLY_MEMORY },
	{ "VOLATILE", CORE_BUG_VOLATILE_VOTE }, { "ARRIVAL", CORE_BUG_STALE_ARRIVAL },
	{ "EARLY", CORE_BUG_STALE_EARLY },
};

static const char *const usage_text =
    "usage: tern-sim --seed N | --seeds FROM..TO [--jobs N]\n"
    "  --twice[=N]       run each (N-th) seed twice; the traces must be equal\n"
    "  --bug NAME        drop a rule: P1 P2 P3 P5 P6 P10 P12 READ LOG BOOT\n"
    "                    ROLLBACK SOLO VOLATILE ARRIVAL EARLY\n"
    "  --topology T      2+w (default), 3 or 1 data nodes\n"
    "  --lying-disk      disks forget writes that they had completed\n"
    "  --until-found     stop at the first seed that fails\n"
    "  --expect LIST     exit 0 if and only if some seed fails, and only by checkers of this list\n"
    "                    (I5,linearizable; implies --until-found)\n"
    "  --minutes N       go on with further seeds for so long\n"
    "  --verbose         say what happens (one seed)\n";

static _Noreturn void
usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static uint64_t
number_of(const char *text, char **end)
{
	char *own_end;

	errno = 0;
	const unsigned long long value = strtoull(text, &own_end, 10);
	if (errno != 0 || own_end == text || (end == NULL && *own_end != '\0'))
		usage();
	if (end != NULL)
		*end = own_end;
	return value;
}

static void
parse_seeds(struct args *args, const char *text)
{
	char *end;

	args->from = number_of(text, &end);
	if (strncmp(end, "..", 2) != 0)
		usage();
	args->to = number_of(end + 2, NULL);
	if (args->to < args->from)
		usage();
}

static void
parse_bug(struct args *args, const char *text)
{
	for (size_t i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++) {
		if (strcmp(bugs[i].name, text) == 0) {
			args->options.bugs |= bugs[i].bug;
			return;
		}
	}
	usage();
}

static void
parse_topology(struct args *args, const char *text)
{
	static const char *const names[] = {
		[SIM_TOPOLOGY_2W] = "2+w",
		[SIM_TOPOLOGY_3] = "3",
		[SIM_TOPOLOGY_1] = "1",
	};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			args->options.topology = (enum sim_topology)i;
			return;
		}
	}
	usage();
}

static void
parse(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'r' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "bug", required_argument, NULL, 'b' },
		{ "minutes", required_argument, NULL, 'm' },
		{ "topology", required_argument, NULL, 'o' },
		{ "twice", optional_argument, NULL, 't' },
		{ "until-found", no_argument, NULL, 'u' },
		{ "expect", required_argument, NULL, 'e' },
		{ "lying-disk", no_argument, NULL, 'l' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	bool has_seeds = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		has_seeds = has_seeds || option == 's' || option == 'r';
		if (option == 's') {
			args->from = args->to = number_of(optarg, NULL);
			args->is_single = true;
		} else if (option == 'r') {
			parse_seeds(args, optarg);
		} else if (option == 'j') {
			args->jobs = (uint32_t)number_of(optarg, NULL);
		} else if (option == 'b') {
			parse_bug(args, optarg);
		} else if (option == 'm') {
			args->minutes = number_of(optarg, NULL);
		} else if (option == 'o') {
			parse_topology(args, optarg);
		} else if (option == 't') {
			args->twice_every = optarg == NULL ? 1 : number_of(optarg, NULL);
		} else if (option == 'u') {
			args->is_until_found = true;
		} else if (option == 'e') {
			args->is_until_found = true;
			args->expected = optarg;
		} else if (option == 'l') {
			args->options.is_lying_disk = true;
		} else if (option == 'v') {
			args->options.is_verbose = true;
		} else {
			usage();
		}
	}
	if (!has_seeds || optind != argc || args->jobs > JOBS_MAX)
		usage();
}

/* ---- one seed in a child ---- */

static void
job_start(struct job *job, const struct args *args, uint64_t seed)
{
	job->seed = seed;
	job->failure[0] = '\0';
	job->trace = 0;
	memset(&job->counts, 0, sizeof(job->counts));
	fflush(NULL);
	const pid_t pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (pid != 0) { /* only the parent writes it: the memory is shared */
		job->pid = pid;
		return;
	}
	alarm(SEED_SECONDS_MAX);
	struct sim *sim = sim_take(sizeof(*sim));
	sim_run(sim, seed, &args->options, job->failure);
	job->counts = sim->counts;
	job->trace = sim->trace;
	_exit(0);
}

/* Whether @failure begins with the name of a checker of @list and " at ". A crash, a hang or an
 * exit of another kind has no such name. */
static bool
is_in_list(const char *failure, const char *list)
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

/* Judges a child that has ended. True: the seed is done; false: it was started a second time. */
static bool
job_finish(struct job *job, const struct args *args, int status, struct totals *totals)
{
	if (WIFSIGNALED(status))
		snprintf(job->failure, sizeof(job->failure), "killed by signal %d (%s)",
			 WTERMSIG(status), WTERMSIG(status) == SIGALRM ? "hung" : "crashed");
	else if (WEXITSTATUS(status) != 0 && job->failure[0] == '\0')
		snprintf(job->failure, sizeof(job->failure), "exit code %d", WEXITSTATUS(status));
	if (args->twice_every != 0 && job->seed % args->twice_every == 0 && !job->is_second &&
	    job->failure[0] == '\0') {
		job->is_second = true;
		job->first_trace = job->trace;
		job_start(job, args, job->seed);
		return false;
	}
	if (job->is_second && job->failure[0] == '\0' && job->trace != job->first_trace)
		snprintf(job->failure, sizeof(job->failure), "the traces differ: %016llx %016llx",
			 (unsigned long long)job->first_trace, (unsigned long long)job->trace);
	totals->twice += job->is_second;
	job->is_second = false;
	totals->seeds++;
	if (job->failure[0] != '\0') {
		totals->failed++;
		totals->expected += is_in_list(job->failure, args->expected);
		printf("seed %llu: FAILED %s\n", (unsigned long long)job->seed, job->failure);
	}
	for (uint32_t i = 0; i < SIM_COUNT_KINDS; i++)
		totals->counts.of[i] += job->counts.of[i];
	totals->counts.virtual_ns += job->counts.virtual_ns;
	if (args->is_single && job->failure[0] == '\0')
		printf("seed %llu: trace %016llx\n", (unsigned long long)job->seed,
		       (unsigned long long)job->trace);
	return true;
}

/* ---- many ---- */

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool
is_more(const struct args *args, const struct totals *totals, uint64_t next, double started)
{
	if (args->is_until_found && totals->failed != 0)
		return false;
	if (args->minutes != 0 && seconds_now() - started < 60.0 * (double)args->minutes)
		return true;
	return next <= args->to;
}

static void
run_all(const struct args *args, struct totals *totals, double started)
{
	struct job *jobs = mmap(NULL, sizeof(*jobs) * JOBS_MAX, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t next = args->from;
	uint32_t running = 0;

	if (jobs == MAP_FAILED)
		exit(1);
	for (;;) {
		for (uint32_t i = 0; i < args->jobs; i++) {
			if (jobs[i].pid != 0 || !is_more(args, totals, next, started))
				continue;
			job_start(&jobs[i], args, next++);
			running++;
		}
		if (running == 0)
			return;
		int status;
		const pid_t pid = waitpid(-1, &status, 0);
		for (uint32_t i = 0; i < args->jobs; i++) {
			if (pid <= 0 || jobs[i].pid != pid)
				continue;
			if (!job_finish(&jobs[i], args, status, totals))
				break;
			jobs[i].pid = 0;
			running--;
		}
	}
}

/* Prints the totals; returns how many of those that must have happened did not. */
static uint32_t
print_totals(const struct totals *totals, enum sim_topology topology, double seconds)
{
	static const struct {
		const char *name;
		uint32_t must;
	} kinds[] = {
#define X(name, must) { #name, must },
		SIM_COUNTS(X)
#undef X
	};
	uint32_t missing = 0;

	for (uint32_t i = 0; i < SIM_COUNT_KINDS; i++) {
		const bool is_missing =
		    (kinds[i].must >> topology & 1) != 0 && totals->counts.of[i] == 0;
		printf("%-24s %14llu%s\n", kinds[i].name, (unsigned long long)totals->counts.of[i],
		       is_missing ? "  never happened" : "");
		missing += is_missing;
	}
	const double simulated = (double)totals->counts.virtual_ns / 1e9;
	printf("%.1f simulated seconds in %.1f s: %.1f a second, %.1f seeds a second\n", simulated,
	       seconds, simulated / seconds, (double)totals->seeds / seconds);
	return missing;
}

int
main(int argc, char **argv)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct args args = { .jobs = cpus < 1 ? 1 : cpus > 8 ? 8 : (uint32_t)cpus };
	struct totals totals = { 0 };

	parse(argc, argv, &args);
	setvbuf(stdout, NULL, _IOLBF, 0);
	const double started = seconds_now();
	printf("seeds %llu..%llu, bugs %#x%s\n", (unsigned long long)args.from,
	       (unsigned long long)args.to, args.options.bugs,
	       args.options.is_lying_disk ? ", lying disk" : "");
	run_all(&args, &totals, started);
	const uint32_t missing =
	    print_totals(&totals, args.options.topology, seconds_now() - started);
	printf("%llu seeds, %llu run twice, %llu failed\n", (unsigned long long)totals.seeds,
	       (unsigned long long)totals.twice, (unsigned long long)totals.failed);
	if (args.expected != NULL) {
		printf("%llu failed by %s\n", (unsigned long long)totals.expected, args.expected);
		return totals.failed != 0 && totals.failed == totals.expected ? 0 : 1;
	}
	if (totals.seeds >= MUST_SEEDS && totals.failed == 0 && missing != 0 &&
	    args.options.bugs == 0 && !args.options.is_lying_disk)
		return 1;
	return totals.failed != 0 ? 1 : 0;
}
