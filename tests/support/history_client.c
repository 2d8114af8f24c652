/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets, gets and adds through libtern, several clients with many requests under way, and writes
 *what became of each: a history (docs/reference/histories.md), with positions, for
 *check_history.py.
 *
 *	history_client --addresses H:P,H:P --history FILE --prefix P [--clients N] [--keys N]
 *	               [--rate N] [--seconds S] [--deadline-ms N] [--seed N]
 *
 * At most --rate new requests a second, until SIGTERM or the end of the time; then waits for what
 *is under way. Values and, on one key, steps of adds are unique.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/base/prng.h"
#include "dataplane/client/tern.h"
#include "tests/support/run.h"

#define CLIENTS_MAX 16u
#define WINDOW      32u
#define KEYS_MAX    1024u
#define STEP_PRIME  65521u /* a step repeats after so many adds of one key */

struct options {
	const char *addresses, *history, *prefix;
	uint32_t clients, keys, deadline_ms;
	double rate, seconds;
	uint64_t seed;
};

/* One request under way. */
struct op {
	struct actor *actor;
	enum tern_op kind;
	uint32_t key;
	uint64_t call_ns, number;
	int64_t step;
	bool is_used;
	char name[64], value[17];
};

struct actor {
	struct tern_client *client;
	struct work *work;
	uint32_t number;
	struct op ops[WINDOW];
};

struct work {
	const struct options *options;
	struct prng prng;
	FILE *out;
	uint64_t issued, done, refused, unknown;
	uint32_t adds[KEYS_MAX];
	struct actor actors[CLIENTS_MAX];
};

static void
write_result(FILE *out, const struct op *op, const struct tern_result *result)
{
	if (result->status != TERN_DONE) {
		fprintf(out, "\"%s\"", tern_reason_text(result->reason));
	} else if (op->kind == TERN_SET) {
		fputs("\"OK\"", out);
	} else if (op->kind == TERN_GET && !result->is_found) {
		fputs("null", out);
	} else if (result->has_integer) {
		fprintf(out, "%" PRId64, result->integer);
	} else if (op->kind == TERN_GET) {
		fprintf(out, "\"%.*s\"", (int)result->value_bytes, (const char *)result->value);
	} else {
		fputs("null", out); /* an add that was answered late */
	}
}

static void
note(void *context, const struct tern_result *result)
{
	static const char *const names[] = {
		[TERN_GET] = "get", [TERN_SET] = "set", [TERN_ADD] = "add"
	};
	struct op *op = context;
	struct work *work = op->actor->work;
	FILE *out = work->out;
	const uint64_t end_ns = run_now_ns();

	fprintf(out, "{\"client\":%u,\"op\":\"%s\",\"key\":\"%s\",\"arg\":", op->actor->number,
		names[op->kind], op->name);
	if (op->kind == TERN_SET)
		fprintf(out, "\"%s\"", op->value);
	else if (op->kind == TERN_ADD)
		fprintf(out, "%" PRId64, op->step);
	else
		fputs("null", out);
	fputs(",\"result\":", out);
	write_result(out, op, result);
	fprintf(out, ",\"call_ns\":%" PRIu64 ",\"return_ns\":%" PRIu64 ",\"outcome\":\"%s\"",
		op->call_ns, end_ns,
		result->status == TERN_DONE      ? "ok"
		: result->status == TERN_REFUSED ? "fail"
						 : "unknown");
	if (result->status == TERN_DONE)
		fprintf(out, ",\"index\":%" PRIu64, result->log_index);
	fputs("}\n", out);
	work->done += result->status == TERN_DONE;
	work->refused += result->status == TERN_REFUSED;
	work->unknown += result->status == TERN_UNKNOWN;
	op->is_used = false;
}

static struct op *
free_op(struct actor *actor)
{
	for (uint32_t i = 0; i < WINDOW; i++)
		if (!actor->ops[i].is_used)
			return &actor->ops[i];
	return NULL;
}

/* Hands the next request to one of the clients. False: that one has no room. */
static bool
issue(struct work *work)
{
	struct actor *actor = &work->actors[prng_below(&work->prng, work->options->clients)];
	struct op *op = free_op(actor);
	const uint64_t dice = prng_below(&work->prng, 10);

	if (op == NULL)
		return false;
	*op = (struct op){ .actor = actor,
			   .kind = dice < 3   ? TERN_SET
				   : dice < 6 ? TERN_ADD
					      : TERN_GET,
			   .key = (uint32_t)prng_below(&work->prng, work->options->keys),
			   .number = work->issued + 1,
			   .call_ns = run_now_ns() };
	/* Even keys are set, odd ones are counted. */
	if (op->kind != TERN_GET)
		op->key = (op->key & ~1u) | (op->kind == TERN_ADD);
	snprintf(op->name, sizeof(op->name), "%s%c%u", work->options->prefix,
		 (op->key & 1) != 0 ? 'n' : 's', op->key);
	snprintf(op->value, sizeof(op->value), "%016" PRIx64, op->number);
	if (op->kind == TERN_ADD)
		op->step = 1 + (int64_t)((uint64_t)work->adds[op->key]++ * 40503u % STEP_PRIME);
	const struct tern_request request = { .op = op->kind,
					      .key = op->name,
					      .key_bytes = (uint32_t)strlen(op->name),
					      .value = op->value,
					      .value_bytes =
						  op->kind == TERN_SET ? sizeof(op->value) - 1 : 0,
					      .delta = op->step,
					      .done = note,
					      .context = op };
	if (tern_submit(actor->client, &request) != 0)
		return false;
	op->is_used = true;
	work->issued++;
	return true;
}

static uint32_t
pending(const struct work *work)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < work->options->clients; i++)
		sum += tern_pending(work->actors[i].client);
	return sum;
}

static void
run(struct work *work)
{
	const struct options *options = work->options;
	const uint64_t begin_ns = run_now_ns();
	const struct timespec pause = { .tv_nsec = 500000 };
	bool is_over = false;

	while (!is_over || pending(work) != 0) {
		const double elapsed = (double)(run_now_ns() - begin_ns) / 1e9;
		/* Each due request is tried once a turn: a client without room is passed over. */
		const uint64_t due = (uint64_t)(elapsed * options->rate);
		is_over = is_over || run_is_over() || elapsed >= options->seconds;
		for (uint32_t i = 0; !is_over && i < options->clients && work->issued < due; i++)
			(void)issue(work);
		for (uint32_t i = 0; i < options->clients; i++)
			(void)tern_poll(work->actors[i].client, 0);
		nanosleep(&pause, NULL);
	}
}

static bool
read_options(int argc, char **argv, struct options *options)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (strcmp(name, "--addresses") == 0)
			options->addresses = value;
		else if (strcmp(name, "--history") == 0)
			options->history = value;
		else if (strcmp(name, "--prefix") == 0)
			options->prefix = value;
		else if (strcmp(name, "--clients") == 0)
			options->clients = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(name, "--keys") == 0)
			options->keys = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(name, "--deadline-ms") == 0)
			options->deadline_ms = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(name, "--seed") == 0)
			options->seed = strtoull(value, NULL, 10);
		else if (strcmp(name, "--rate") == 0)
			options->rate = strtod(value, NULL);
		else if (strcmp(name, "--seconds") == 0)
			options->seconds = strtod(value, NULL);
		else
			return false;
	}
	return argc % 2 == 1 && options->addresses != NULL && options->history != NULL &&
	       options->prefix != NULL && options->clients >= 1 &&
	       options->clients <= CLIENTS_MAX && options->keys >= 2 && options->keys <= KEYS_MAX &&
	       options->keys % 2 == 0;
}

int
main(int argc, char **argv)
{
	static struct work work;
	struct options options = { .clients = 4,
				   .keys = 32,
				   .deadline_ms = 2000,
				   .rate = 300,
				   .seconds = 600,
				   .seed = 1 };
	char why[128];

	if (!read_options(argc, argv, &options)) {
		fprintf(stderr, "usage: history_client --addresses H:P,... --history FILE "
				"--prefix P [options]\n");
		return 2;
	}
	run_until_signal();
	work.options = &options;
	work.out = fopen(options.history, "w");
	if (work.out == NULL) {
		perror(options.history);
		return 1;
	}
	prng_seed(&work.prng, options.seed);
	for (uint32_t i = 0; i < options.clients; i++) {
		const struct tern_options how = { .addresses = options.addresses,
						  .deadline_ms = options.deadline_ms };
		work.actors[i].work = &work;
		work.actors[i].number = i;
		if (tern_open(&how, &work.actors[i].client, why, sizeof(why)) != 0) {
			fprintf(stderr, "%s\n", why);
			return 1;
		}
	}
	run(&work);
	for (uint32_t i = 0; i < options.clients; i++)
		tern_close(work.actors[i].client);
	if (fclose(work.out) != 0)
		return 1;
	printf("{\"issued\": %" PRIu64 ", \"done\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"unknown\": %" PRIu64 "}\n",
	       work.issued, work.done, work.refused, work.unknown);
	return 0;
}
