/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern-sim: runs seeds, each in a process of its own, so that a crash, a hang or a failed invariant
 * of one seed is a finding about that seed and nothing else.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim_shrink.h"

#define JOBS_MAX     64u
#define MUST_SEEDS   100u  /* so many seeds, nodes with one device: every fault and path is seen */
#define TELL_SECONDS 600.0 /* how often a long run says how far it is */

static volatile sig_atomic_t is_stopped; /* by SIGINT or SIGTERM: those under way are the last */

static void
on_stop(int number)
{
	(void)number;
	is_stopped = 1;
}

struct args {
	struct sim_options options;
	uint64_t from, to, minutes, twice_every; /* 0: no seed runs twice */
	uint32_t jobs;
	const char *expected; /* names of checkers by commas, one of which has to fail; NULL */
	bool is_until_found, is_single, is_shrinking, is_of_points;
};

struct job { /* shared with the child */
	pid_t pid;
	uint64_t seed, first_trace;
	bool is_second;
	struct sim_report report;
};

struct totals {
	struct sim_counts counts;
	uint64_t seeds, failed, twice;
	uint64_t expected; /* of those that failed */
};

static const char *const usage_text =
    "usage: tern-sim --seed N | --seeds FROM..TO | --shrink N [--jobs N]\n"
    "  --shrink N        seek the smallest run in which seed N fails by the same checker\n"
    "  --twice[=N]       run each (N-th) seed twice; the traces must be equal\n"
    "  --bug NAME        drop a rule: P1 P2 P3 P5 P6 P10 P12 READ LOG BOOT\n"
    "                    ROLLBACK SOLO VOLATILE ARRIVAL EARLY P4 VOTE CUT P15 FLOOR\n"
    "                    FLUSH REPLY TWICE FRAGMENT SLOT BEHIND AHEAD\n"
    "                    LEARNER CONFIG ONE_STEP COMMIT_ONLY ELECTION_ONLY\n"
    "                    NO_ANSWER ANY_BLOCK NAMED_ONLY REGISTER_LATE EMPTY_VOTES\n"
    "                    ANY_WITNESS ANY_REGISTER FORCE_OLD_GEN\n"
    "                    FORCE_NOT_DURABLE FORCE_COMES_BACK FORCE_ANY_TIME\n"
    "                    SCRUB_SKIPS REBUILD_SKIPS REFILL_SKIPS REFILL_UNCHECKED\n"
    "                    SPARE_FORGOTTEN NOTE_LATE NOTE_OLD\n"
    "                    SEEK_AHEAD SEEK_ANY_CHAIN SEEK_NOTHING\n"
    "                    LEAK_FRAMES LEAK_VERSIONS UNPACED TURNS\n"
    "  --topology T      2+w (default), 3 or 1 data nodes, or 2+w+1: one that comes and goes,\n"
    "                    or joint: two voters or three, back and forth,\n"
    "                    or witness: 2+w, whose witness is lost and replaced,\n"
    "                    or exchange: 2+w, a lost voter gives way to another node\n"
    "                    or force: in the end a person promotes one node alone\n"
    "  --ec              nodes have several devices, of which some fail for good\n"
    "  --spares          and spares, and every geometry up to 6 + 3 in turn\n"
    "  --lying-disk      disks forget writes that they had completed\n"
    "  --beyond          devices forget or misplace what was acknowledged, unseen by checksums\n"
    "  --until-found     stop at the first seed that fails\n"
    "  --expect LIST     exit 0 if and only if some seed fails, and only by checkers of this list\n"
    "                    (I5,linearizable; implies --until-found)\n"
    "  --minutes N       go on with further seeds for so long\n"
    "limits, which --shrink finds (none of them adds a fault):\n"
    "  --without LIST    classes of faults, as named by --verbose: crash,cut-pair,loss...\n"
    "  --spare LIST      nodes that no episode strikes: 1,3\n"
    "  --skip LIST       episodes by number: 0-3,7\n"
    "  --strength N      percent of the rates of noise and of the lengths of episodes\n"
    "  --operations N    clients begin no more than so many\n"
    "  --faults-us N     all is healed after so long\n"
    "  --until-us N      the run ends after so long\n"
    "  --salt N          another order of what is no fault\n"
    "and instead of all drawn faults:\n"
    "  --crash-point NODE:N  the master, replica or witness crashes where it does something\n"
    "                    durable for the N-th time: handed over, durable, or handled\n"
    "  --crash-points NODE   run each seed for every such N, until there is none\n"
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

/* Takes an option that belongs to the run itself. False: it is none of them. */
static bool
parse_run(struct sim_options *options, int option, const char *text)
{
	struct sim_limits *limits = &options->limits;
	bool is_good = true;

	if (option == 'b')
		is_good = sim_options_bug(options, text);
	else if (option == 'o')
		is_good = sim_options_topology(options, text);
	else if (option == 'W')
		is_good = sim_options_without(options, text);
	else if (option == 'N')
		is_good = sim_options_spare(options, text);
	else if (option == 'K')
		is_good = sim_options_skip(options, text);
	else if (option == 'S')
		limits->strength = (uint32_t)number_of(text, NULL);
	else if (option == 'O')
		limits->operations_max = number_of(text, NULL);
	else if (option == 'F')
		limits->faults_us_max = number_of(text, NULL);
	else if (option == 'U')
		limits->until_us = number_of(text, NULL);
	else if (option == 'A')
		limits->salt = number_of(text, NULL);
	else if (option == 'l')
		options->is_lying_disk = true;
	else if (option == 'E')
		options->has_columns = true;
	else if (option == 'P')
		options->has_columns = options->has_spares = true;
	else if (option == 'B')
		options->is_beyond = true;
	else if (option == 'c')
		is_good = sim_options_point(options, text);
	else if (option == 'v')
		options->is_verbose = true;
	else
		return false;
	if (!is_good || limits->strength > SIM_STRENGTH_FULL)
		usage();
	return true;
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
		{ "beyond", no_argument, NULL, 'B' },
		{ "ec", no_argument, NULL, 'E' },
		{ "spares", no_argument, NULL, 'P' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "shrink", required_argument, NULL, 'k' },
		{ "without", required_argument, NULL, 'W' },
		{ "spare", required_argument, NULL, 'N' },
		{ "skip", required_argument, NULL, 'K' },
		{ "strength", required_argument, NULL, 'S' },
		{ "operations", required_argument, NULL, 'O' },
		{ "faults-us", required_argument, NULL, 'F' },
		{ "until-us", required_argument, NULL, 'U' },
		{ "salt", required_argument, NULL, 'A' },
		{ "crash-point", required_argument, NULL, 'c' },
		{ "crash-points", required_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	bool has_seeds = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		has_seeds = has_seeds || option == 's' || option == 'r' || option == 'k';
		if (parse_run(&args->options, option, optarg))
			continue;
		if (option == 's' || option == 'k') {
			args->from = args->to = number_of(optarg, NULL);
			args->is_single = true;
			args->is_shrinking = option == 'k';
		} else if (option == 'r') {
			parse_seeds(args, optarg);
		} else if (option == 'j') {
			args->jobs = (uint32_t)number_of(optarg, NULL);
		} else if (option == 'm') {
			args->minutes = number_of(optarg, NULL);
		} else if (option == 't') {
			args->twice_every = optarg == NULL ? 1 : number_of(optarg, NULL);
		} else if (option == 'u') {
			args->is_until_found = true;
		} else if (option == 'C') {
			args->is_of_points = true;
			if (!sim_options_points(&args->options, optarg))
				usage();
		} else if (option == 'e') {
			args->is_until_found = true;
			args->expected = optarg;
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
	job->pid = sim_child_start(&job->report, &args->options, seed);
}

/* Judges a child that has ended. True: the seed is done; false: it was started a second time. */
static bool
job_finish(struct job *job, const struct args *args, int status, struct totals *totals)
{
	struct sim_report *report = &job->report;

	sim_child_judge(report, status);
	if (args->twice_every != 0 && job->seed % args->twice_every == 0 && !job->is_second &&
	    report->failure[0] == '\0') {
		job->is_second = true;
		job->first_trace = report->trace;
		job_start(job, args, job->seed);
		return false;
	}
	if (job->is_second && report->failure[0] == '\0' && report->trace != job->first_trace)
		snprintf(report->failure, sizeof(report->failure),
			 "the traces differ: %016llx %016llx", (unsigned long long)job->first_trace,
			 (unsigned long long)report->trace);
	totals->twice += job->is_second;
	job->is_second = false;
	totals->seeds++;
	if (report->failure[0] != '\0') {
		totals->failed++;
		totals->expected += sim_failure_is_of(report->failure, args->expected);
		printf("seed %llu: FAILED %s\n\ttern-sim ", (unsigned long long)job->seed,
		       report->failure);
		sim_options_print(&args->options, job->seed, stdout);
	}
	for (uint32_t i = 0; i < SIM_COUNT_KINDS; i++)
		totals->counts.of[i] += report->counts.of[i];
	totals->counts.virtual_ns += report->counts.virtual_ns;
	if (args->is_single && report->failure[0] == '\0')
		printf("seed %llu: trace %016llx\n", (unsigned long long)job->seed,
		       (unsigned long long)report->trace);
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
	if (is_stopped || (args->is_until_found && totals->failed != 0))
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
	double told = started;
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
		if (seconds_now() - told >= TELL_SECONDS) {
			told = seconds_now();
			printf("before seed %llu: %llu seeds, %llu failed\n",
			       (unsigned long long)next, (unsigned long long)totals->seeds,
			       (unsigned long long)totals->failed);
		}
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

static int
run_points(const struct args *args)
{
	int code = 0;

	for (uint64_t seed = args->from; seed <= args->to && code == 0; seed++)
		code = sim_points_run(&args->options, seed, args->jobs);
	return code;
}

int
main(int argc, char **argv)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct args args = { .jobs = cpus < 1 ? 1 : cpus > 8 ? 8 : (uint32_t)cpus };
	struct totals totals = { 0 };

	sim_options_init(&args.options);
	parse(argc, argv, &args);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (args.is_shrinking)
		return sim_shrink(&args.options, args.from);
	if (args.is_of_points)
		return run_points(&args);
	const struct sigaction stop = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND };
	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGTERM, &stop, NULL);
	const double started = seconds_now();
	printf("seeds %llu..%llu, bugs %#x%s\n", (unsigned long long)args.from,
	       (unsigned long long)args.to, args.options.bugs,
	       args.options.is_lying_disk ? ", lying disk" : "");
	run_all(&args, &totals, started);
	const uint32_t missing =
	    print_totals(&totals, args.options.topology, seconds_now() - started);
	printf("%llu seeds, %llu run twice, %llu failed%s\n", (unsigned long long)totals.seeds,
	       (unsigned long long)totals.twice, (unsigned long long)totals.failed,
	       is_stopped ? "; stopped before the last" : "");
	if (args.expected != NULL) {
		printf("%llu failed by %s\n", (unsigned long long)totals.expected, args.expected);
		return totals.failed != 0 && totals.failed == totals.expected ? 0 : 1;
	}
	if (totals.seeds >= MUST_SEEDS && totals.failed == 0 && missing != 0 &&
	    args.options.bugs == 0 && args.options.member_bugs == 0 && args.options.own_bugs == 0 &&
	    !args.options.is_lying_disk && !args.options.is_beyond && !args.options.has_columns)
		return 1;
	return totals.failed != 0 || is_stopped ? 1 : 0;
}
