/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a run: how they are chosen, encoded, counted and written to the history. */
#include <inttypes.h>
#include <string.h>

#include "control/bench/run_internal.h"

#define REQUEST_OVERHEAD 160u /* names, lengths, CR LF, prefix and number of a key */

const char *const bench_kind_names[BENCH_KIND_COUNT] = { "set", "get", "incr" };

size_t
run_request_bytes(const struct bench_run_config *config)
{
	return REQUEST_OVERHEAD + config->value_bytes;
}

static enum bench_kind
choose_kind(struct run *run)
{
	uint64_t at = prng_below(&run->prng, run->weight_sum);

	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++) {
		if (at < run->config->weights[kind])
			return (enum bench_kind)kind;
		at -= run->config->weights[kind];
	}
	return BENCH_SET;
}

/* Reads follow the writes: of the keys of SET and of INCR as often as these are written. */
static char
choose_key_kind(struct run *run, enum bench_kind kind)
{
	const uint64_t sets = run->config->weights[BENCH_SET];
	const uint64_t incrs = run->config->weights[BENCH_INCR];

	if (kind != BENCH_GET)
		return kind == BENCH_SET ? 's' : 'n';
	if (sets + incrs == 0)
		return 's';
	return prng_below(&run->prng, sets + incrs) < sets ? 's' : 'n';
}

static void
encode(struct run *run, struct connection *connection, const struct op *op)
{
	char key[BENCH_PREFIX_BYTES + 24], unique[BENCH_UNIQUE_BYTES + 1];
	char *out = connection->out + connection->out_used;
	const size_t room = run->out_bytes - connection->out_used;
	const int key_bytes =
	    snprintf(key, sizeof(key), "%s%c%" PRIu64, run->config->prefix, op->key_kind, op->key);
	const uint32_t value_bytes = run->config->value_bytes;
	const uint32_t unique_bytes =
	    value_bytes < BENCH_UNIQUE_BYTES ? value_bytes : BENCH_UNIQUE_BYTES;
	int bytes = 0;

	switch (op->kind) {
	case BENCH_SET:
		(void)snprintf(unique, sizeof(unique), "%016" PRIx64, op->number);
		memcpy(run->value, unique + BENCH_UNIQUE_BYTES - unique_bytes, unique_bytes);
		bytes = snprintf(out, room, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%u\r\n%s\r\n",
				 key_bytes, key, value_bytes, run->value);
		break;
	case BENCH_GET:
		bytes = snprintf(out, room, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_bytes, key);
		break;
	case BENCH_INCR:
		bytes = snprintf(out, room, "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", key_bytes, key);
		break;
	case BENCH_KIND_COUNT:
		break;
	}
	connection->out_used += (size_t)bytes;
}

void
run_op_issue(struct run *run, struct connection *connection, uint64_t intended_ns, uint64_t now_ns)
{
	const uint32_t at = (connection->op_first + connection->op_count) % run->config->pipeline;
	struct op *op = &connection->ops[at];

	op->intended_ns = intended_ns;
	op->call_ns = now_ns;
	op->kind = choose_kind(run);
	op->key_kind = choose_key_kind(run, op->kind);
	op->key = prng_below(&run->prng, run->config->keys);
	op->number = ++run->issued;
	encode(run, connection, op);
	connection->op_count++;
	run->outstanding++;
	run->result->sent++;
	if (!connection->is_dirty) {
		connection->is_dirty = true;
		run->dirty[run->dirty_count++] = connection;
	}
}

static struct op *
take_oldest(struct run *run, struct connection *connection)
{
	struct op *op = &connection->ops[connection->op_first];

	connection->op_first = (connection->op_first + 1) % run->config->pipeline;
	connection->op_count--;
	run->outstanding--;
	return op;
}

/* At most @max bytes as a JSON string; what would need an escape becomes '?'. */
static void
write_text(FILE *out, const char *text, size_t bytes, size_t max)
{
	(void)fputc('"', out);
	for (size_t i = 0; i < bytes && i < max; i++) {
		const char c = text[i];
		(void)fputc(c < ' ' || c > '~' || c == '"' || c == '\\' ? '?' : c, out);
	}
	(void)fputc('"', out);
}

static void
write_history(const struct run *run, const struct connection *connection, const struct op *op,
	      const struct bench_reply *reply, uint64_t now_ns)
{
	FILE *out = run->history;

	if (out == NULL)
		return;
	(void)fprintf(out, "{\"client\":%u,\"op\":\"%s\",\"key\":\"%s%c%" PRIu64 "\",\"arg\":",
		      connection->index, bench_kind_names[op->kind], run->config->prefix,
		      op->key_kind, op->key);
	if (op->kind == BENCH_SET)
		(void)fprintf(out, "\"%016" PRIx64 "\"", op->number);
	else
		(void)fputs("null", out);
	(void)fputs(",\"result\":", out);
	if (reply == NULL || reply->kind == '_')
		(void)fputs("null", out);
	else if (reply->kind == ':')
		(void)fprintf(out, "%" PRId64, reply->integer);
	else
		write_text(out, reply->text, reply->bytes,
			   reply->kind == '$' ? BENCH_UNIQUE_BYTES : 200);
	if (op->kind == BENCH_GET && run->config->reads != BENCH_READS_LINEARIZABLE)
		(void)fprintf(out, ",\"reads\":\"%s\"", bench_reads_names[run->config->reads]);
	(void)fprintf(out,
		      ",\"call_ns\":%" PRIu64 ",\"return_ns\":%" PRIu64 ",\"outcome\":\"%s\"}\n",
		      op->call_ns, now_ns,
		      reply == NULL        ? "unknown"
		      : reply->kind == '-' ? "fail"
					   : "ok");
}

void
run_count_error(struct bench_run_result *result, const struct bench_reply *reply)
{
	char code[sizeof(result->errors[0].code)] = "";
	const size_t word = strcspn(reply->text, " \r");

	(void)snprintf(code, sizeof(code), "%.*s", (int)(word < 23 ? word : 23), reply->text);
	for (uint32_t i = 0; i < BENCH_ERRORS_MAX; i++) {
		struct bench_error_count *error = &result->errors[i];
		if (error->count != 0 && strcmp(error->code, code) != 0)
			continue;
		memcpy(error->code, code, sizeof(code));
		error->count++;
		return;
	}
}

static void
count_latency(struct bench_run_result *result, const struct op *op, uint64_t now_ns)
{
	histogram_add(&result->all, now_ns - op->intended_ns);
	histogram_add(&result->kinds[op->kind], now_ns - op->intended_ns);
	histogram_add(&result->service, now_ns - op->call_ns);
}

void
run_op_answered(struct run *run, struct connection *connection, const struct bench_reply *reply,
		uint64_t now_ns)
{
	struct bench_run_result *result = run->result;
	const struct op *op = take_oldest(run, connection);

	write_history(run, connection, op, reply, now_ns);
	run->last_reply_ns = now_ns;
	if (reply->kind == '-') {
		result->fail++;
		run_count_error(result, reply);
		return;
	}
	const uint64_t gap_ns = now_ns - run->last_ok_ns;
	if (gap_ns > result->gap_max_ns)
		result->gap_max_ns = gap_ns;
	run->last_ok_ns = now_ns;
	result->ok++;
	count_latency(result, op, now_ns);
}

void
run_op_lost(struct run *run, struct connection *connection, uint64_t now_ns)
{
	const struct op *op = take_oldest(run, connection);

	write_history(run, connection, op, NULL, now_ns);
	run->result->unknown++;
	count_latency(run->result, op, now_ns);
}

void
run_op_unsent(struct run *run, uint64_t intended_ns, uint64_t count, uint64_t now_ns)
{
	const uint64_t waited_ns = now_ns - intended_ns;

	histogram_add_many(&run->result->all, waited_ns, count);
	histogram_add_many(&run->result->kinds[choose_kind(run)], waited_ns, count);
}
