/* SPDX-License-Identifier: Apache-2.0 */
/* What the witness answers: the Sentinel calls, and what client libraries send before them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/witness/front_internal.h"
#include "hw/platform/platform.h"

#define INFO_BYTES 2048u

struct request {
	const struct front_shared *shared;
	struct front_client *client;
	const struct resp_arg *args;
	uint32_t args_count;
	struct resp_writer *out;
};

void
front_client_open(struct front_shared *shared, struct front_client *client, int fd)
{
	client->fd = fd;
	client->id = ++shared->next_client_id;
	client->is_ending = false;
	client->asked_ns = 0;
	client->parser = (struct resp_parser){ 0 };
	client->out = (struct resp_writer){ .data = client->out_bytes,
					    .capacity = FRONT_OUTPUT_BYTES,
					    .protocol = 2 };
	client->sent = 0;
	client->subs = (struct subscriptions){ 0 };
	client->in_used = 0;
}

static void
run_ping(struct request *request)
{
	const bool is_message = request->client->subs.count > 0 && request->out->protocol < 3;

	if (is_message) {
		resp_array(request->out, 2);
		resp_text(request->out, "pong");
	}
	if (request->args_count > 1)
		resp_bulk(request->out, request->args[1].data, request->args[1].bytes);
	else if (is_message)
		resp_text(request->out, "");
	else
		resp_simple(request->out, "PONG");
}

static void
run_quit(struct request *request)
{
	resp_simple(request->out, "OK");
	request->client->is_ending = true;
}

static void
run_hello(struct request *request)
{
	struct resp_writer *out = request->out;
	int64_t version = out->protocol;

	if (request->args_count > 1 && !resp_i64(request->args[1], &version)) {
		resp_error(out, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (version != 2 && version != 3) {
		resp_error(out, "NOPROTO unsupported protocol version");
		return;
	}
	if (request->args_count > 2 && resp_is(request->args[2], "auth")) {
		resp_error(out,
			   "ERR AUTH <password> called without any password configured for the "
			   "default user. Are you sure your configuration is correct?");
		return;
	}
	out->protocol = (uint8_t)version;
	resp_map(out, 7);
	resp_text(out, "server");
	resp_text(out, "redis");
	resp_text(out, "version");
	resp_text(out, INFO_REDIS_VERSION);
	resp_text(out, "proto");
	resp_integer(out, version);
	resp_text(out, "id");
	resp_integer(out, request->client->id);
	resp_text(out, "mode");
	resp_text(out, "sentinel");
	resp_text(out, "role");
	resp_text(out, "sentinel");
	resp_text(out, "modules");
	resp_array(out, 0);
}

/* Names are taken and forgotten: nothing lists them. */
static void
run_client(struct request *request)
{
	if (request->args_count == 2 && resp_is(request->args[1], "id"))
		resp_integer(request->out, request->client->id);
	else if (request->args_count > 2 &&
		 (resp_is(request->args[1], "setname") || resp_is(request->args[1], "setinfo")))
		resp_simple(request->out, "OK");
	else
		resp_error(request->out, "ERR unknown subcommand: a witness knows CLIENT ID, "
					 "SETNAME and SETINFO");
}

static void
run_info(struct request *request)
{
	const struct front_shared *shared = request->shared;
	const uint64_t now_ns = platform_monotonic_ns();
	char text[INFO_BYTES];
	const int used =
	    snprintf(text, sizeof(text),
		     "# Server\r\nredis_version:%s\r\nserver_name:tern\r\ntern_version:%s\r\n"
		     "redis_mode:sentinel\r\nos:Linux\r\nprocess_id:%ld\r\ntcp_port:%u\r\n"
		     "uptime_in_seconds:%llu\r\nloading:0\r\n\r\n# Sentinel\r\n",
		     INFO_REDIS_VERSION, shared->tern_version, (long)getpid(), shared->port,
		     (unsigned long long)((now_ns - shared->started_ns) / 1000000000));
	const size_t start = used > 0 ? (size_t)used : 0;
	const size_t more =
	    sentinel_info(shared->sentinel, now_ns, text + start, sizeof(text) - start);

	resp_verbatim(request->out, text, start + more);
}

static void
run_role(struct request *request)
{
	resp_array(request->out, 2);
	resp_text(request->out, "sentinel");
	resp_array(request->out, 1);
	resp_text(request->out, request->shared->sentinel->master_name);
}

static void
run_reset(struct request *request)
{
	request->client->subs = (struct subscriptions){ 0 };
	request->out->protocol = 2;
	resp_simple(request->out, "RESET");
}

/* Interactive tools ask for it; a witness has too few commands to describe them. */
static void
run_command(struct request *request)
{
	if (request->args_count > 1 && resp_is(request->args[1], "docs"))
		resp_map(request->out, 0);
	else
		resp_array(request->out, 0);
}

static void
run_sentinel(struct request *request)
{
	sentinel_call(request->shared->sentinel, request->args, request->args_count,
		      platform_monotonic_ns(), request->out);
}

static void
run_subscribe(struct request *request)
{
	subscribe_call(&request->client->subs, request->args, request->args_count, request->out);
}

static const struct front_command {
	const char *name;
	uint32_t args_min;
	void (*run)(struct request *request);
} commands[] = {
	{ "sentinel", 2, run_sentinel },
	{ "ping", 1, run_ping },
	{ "info", 1, run_info },
	{ "hello", 1, run_hello },
	{ "client", 2, run_client },
	{ "role", 1, run_role },
	{ "quit", 1, run_quit },
	{ "reset", 1, run_reset },
	{ "command", 1, run_command },
	{ "subscribe", 2, run_subscribe },
	{ "psubscribe", 2, run_subscribe },
	{ "unsubscribe", 1, run_subscribe },
	{ "punsubscribe", 1, run_subscribe },
};

static bool
must_wait(const struct front_shared *shared, struct front_client *client,
	  const struct resp_arg *args, uint32_t args_count)
{
	const uint64_t now_ns = platform_monotonic_ns();

	if (!resp_is(args[0], "sentinel"))
		return false;
	if (client->asked_ns == 0)
		client->asked_ns = now_ns;
	if (sentinel_must_wait(shared->sentinel, args, args_count, client->asked_ns, now_ns))
		return true;
	client->asked_ns = 0;
	return false;
}

bool
front_request(const struct front_shared *shared, struct front_client *client,
	      const struct resp_arg *args, uint32_t args_count)
{
	struct request request = { shared, client, args, args_count, &client->out };

	if (subscribe_refuses(&client->subs, &client->out, args[0])) {
		resp_error(&client->out, "ERR only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / "
					 "RESET are allowed while subscribed in RESP2");
		return true;
	}
	if (must_wait(shared, client, args, args_count))
		return false;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!resp_is(args[0], commands[i].name))
			continue;
		if (args_count < commands[i].args_min)
			resp_error(&client->out, "ERR wrong number of arguments");
		else
			commands[i].run(&request);
		return true;
	}
	resp_error(&client->out, "ERR unknown command: this is a witness, which holds no data and "
				 "answers SENTINEL calls; ask them for the master");
	return true;
}
