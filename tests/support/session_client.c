/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client writes and hands its position on; another one reads wherever it is answered, and never
 * sees less: for tests that kill the master meanwhile. Ends with 1 and a line about the first thing
 * that was not as promised.
 *
 *	session_client --addresses H:P,H:P [--seconds S] [--nodes N]
 *
 * Until SIGTERM or the end of the time. --nodes: data nodes have the ids 1..N; reads go to each by
 * name and to any.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/client/tern.h"
#include "tests/support/run.h"

#define JOURNAL     4096u
#define STALE_MS    1000u
#define NODES_MAX   8u
#define READ_MS     200u /* a node that is dead is not waited for any longer */
#define WITHOUT_NS  20000000ull
#define WRITE_EVERY 1000000ull

struct acknowledged {
	uint64_t at_ns;
	int64_t value;
};

struct work {
	struct tern_client *writer, *reader;
	uint32_t nodes, turn;
	bool is_writing;
	uint64_t write_ns; /* the write under way was begun */
	int64_t pair;
	struct acknowledged journal[JOURNAL];
	uint64_t journal_count;
	uint64_t shown; /* highest position that a read has shown */
	uint64_t writes, sessions, stales, snapshots, dirty, refused, without_master;
	uint64_t by_node[NODES_MAX + 1];
};

__attribute__((format(printf, 1, 2), noreturn)) static void
broken(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- writing ---- */

static void
note_write(void *context, const struct tern_result *result)
{
	struct work *work = context;

	work->is_writing = false;
	if (result->status != TERN_DONE)
		broken("a write: %s, %s", tern_status_text(result->status),
		       tern_reason_text(result->reason));
	work->writes++;
	if (!result->has_integer)
		return;
	work->journal[work->journal_count++ % JOURNAL] =
	    (struct acknowledged){ run_now_ns(), result->integer };
}

/* By turns one more of a counter, and two keys that are always equal. */
static void
write_on(struct work *work)
{
	char text[24];
	const int bytes = snprintf(text, sizeof(text), "v%" PRId64, work->pair);
	const struct tern_pair pairs[] = { { "x", text, 1, (uint32_t)bytes },
					   { "y", text, 1, (uint32_t)bytes } };
	struct tern_request request = { .op = TERN_ADD,
					.key = "n",
					.key_bytes = 1,
					.delta = 1,
					.deadline_ms = 60000,
					.done = note_write,
					.context = work };

	(void)tern_poll(work->writer, 0);
	if (work->is_writing || run_now_ns() - work->write_ns < WRITE_EVERY)
		return;
	if (work->writes % 2 == 1) {
		request.op = TERN_MSET;
		request.pairs = pairs;
		request.pair_count = 2;
		work->pair++;
	}
	work->is_writing = tern_submit(work->writer, &request) == 0;
	work->write_ns = run_now_ns();
	(void)tern_poll(work->writer, 0);
}

/* ---- reading ---- */

/* The highest value that was acknowledged before @at_ns. */
static int64_t
value_at(const struct work *work, uint64_t at_ns)
{
	for (uint64_t i = work->journal_count; i > 0 && work->journal_count - i < JOURNAL; i--)
		if (work->journal[(i - 1) % JOURNAL].at_ns <= at_ns)
			return work->journal[(i - 1) % JOURNAL].value;
	return 0;
}

/* False: refused. */
static bool
read_key(struct work *work, struct tern_request *request, const char *key, char *value,
	 struct tern_result *result)
{
	request->op = TERN_GET;
	request->key = key;
	request->key_bytes = 1;
	request->deadline_ms = READ_MS;
	memset(value, 0, 32);
	if (tern_read(work->reader, request, value, 31, result) != 0)
		broken("a read was not taken");
	if (result->status != TERN_DONE) {
		work->refused++;
		return false;
	}
	if (request->node != 0 && result->node != request->node)
		broken("node %u was asked, node %u has answered", request->node, result->node);
	if (result->node == 0 || result->node > work->nodes)
		broken("node %u has answered", result->node);
	work->by_node[result->node]++;
	work->without_master += work->is_writing && run_now_ns() - work->write_ns > WITHOUT_NS;
	return true;
}

static void
read_session(struct work *work, uint16_t node)
{
	const uint64_t token = tern_position(work->writer);
	const int64_t floor = value_at(work, UINT64_MAX);
	struct tern_request request = { .reads = TERN_READS_SESSION,
					.position = token,
					.node = node };
	struct tern_result result;
	char value[32];

	if (!read_key(work, &request, "n", value, &result))
		return;
	work->sessions++;
	if (result.log_index < token || result.log_index < work->shown)
		broken("a session at %" PRIu64 ", and %" PRIu64 " shown, was answered at %" PRIu64,
		       token, work->shown, result.log_index);
	work->shown = result.log_index;
	if (floor != 0 && (!result.has_integer || result.integer < floor))
		broken("%" PRId64 " was written, a session sees %" PRId64, floor, result.integer);
}

static void
read_stale(struct work *work, uint16_t node)
{
	struct tern_request request = { .reads = TERN_READS_STALE,
					.stale_ms_max = STALE_MS,
					.node = node };
	struct tern_result result;
	const uint64_t begin_ns = run_now_ns();
	char value[32];

	if (!read_key(work, &request, "n", value, &result))
		return;
	work->stales++;
	if (result.age_us_max > STALE_MS * 1000)
		broken("%" PRIu64 " us old, %u ms are allowed", result.age_us_max, STALE_MS);
	const int64_t floor = value_at(work, begin_ns - result.age_us_max * 1000);
	if (floor != 0 && result.integer < floor)
		broken("%" PRId64 " was written %" PRIu64 " us before, a read sees %" PRId64, floor,
		       result.age_us_max, result.integer);
}

static void
read_snapshot(struct work *work, uint16_t node)
{
	struct tern_request request = { .reads = TERN_READS_SNAPSHOT, .node = node };
	struct tern_result result;
	char x[32], y[32];

	if (!read_key(work, &request, "x", x, &result))
		return;
	request.node = result.node;
	request.position = result.log_index;
	for (int i = 0; i < 5; i++)
		write_on(work);
	if (!read_key(work, &request, "y", y, &result))
		return;
	work->snapshots++;
	if (result.log_index != request.position)
		broken("a snapshot at %" PRIu64 " was answered at %" PRIu64, request.position,
		       result.log_index);
	if (strcmp(x, y) != 0)
		broken("x %s, y %s in one snapshot", x, y);
}

static void
read_dirty(struct work *work, uint16_t node)
{
	struct tern_request request = { .reads = TERN_READS_DIRTY, .node = node };
	struct tern_result result;
	char value[32];

	work->dirty += read_key(work, &request, "n", value, &result);
}

static void
read_on(struct work *work)
{
	const uint16_t node = (uint16_t)(work->turn % (work->nodes + 1));
	const uint32_t kind = work->turn / (work->nodes + 1) % 16;

	work->turn++;
	if (kind == 13)
		read_dirty(work, node);
	else if (kind == 14)
		read_snapshot(work, node);
	else if (kind % 4 == 3)
		read_stale(work, node);
	else
		read_session(work, node);
}

int
main(int argc, char **argv)
{
	static struct work work = { .nodes = 2 };
	struct tern_options options = { 0 };
	uint64_t end_ns = run_now_ns() + 600000000000ull;
	char why[128];

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--addresses") == 0)
			options.addresses = argv[i + 1];
		else if (strcmp(argv[i], "--seconds") == 0)
			end_ns = run_now_ns() + strtoull(argv[i + 1], NULL, 10) * 1000000000ull;
		else if (strcmp(argv[i], "--nodes") == 0)
			work.nodes = (uint32_t)strtoul(argv[i + 1], NULL, 10);
	}
	if (options.addresses == NULL || work.nodes < 1 || work.nodes > NODES_MAX) {
		fprintf(stderr, "usage: session_client --addresses H:P,... [options]\n");
		return 2;
	}
	run_until_signal();
	if (tern_open(&options, &work.writer, why, sizeof(why)) != 0 ||
	    tern_open(&options, &work.reader, why, sizeof(why)) != 0)
		broken("%s", why);
	while (!run_is_over() && run_now_ns() < end_ns) {
		write_on(&work);
		read_on(&work);
	}
	while (tern_pending(work.writer) != 0)
		(void)tern_poll(work.writer, 100);
	printf("{\"writes\": %" PRIu64 ", \"sessions\": %" PRIu64 ", \"stales\": %" PRIu64
	       ", \"snapshots\": %" PRIu64 ", \"dirty\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"without_master\": %" PRIu64 ", \"by_node\": [",
	       work.writes, work.sessions, work.stales, work.snapshots, work.dirty, work.refused,
	       work.without_master);
	for (uint32_t i = 1; i <= work.nodes; i++)
		printf("%s%" PRIu64, i > 1 ? ", " : "", work.by_node[i]);
	printf("]}\n");
	tern_close(work.reader);
	tern_close(work.writer);
	return 0;
}
