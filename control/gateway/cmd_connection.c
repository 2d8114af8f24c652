/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the connection itself. */
#include "control/gateway/arguments.h"
#include "control/gateway/gateway_internal.h"
#include "control/gateway/info.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

#define STALE_MS_MAX 3600000

void
cmd_ping(struct command_call *call)
{
	const bool is_subscribed = call->conn->subs.count > 0 && call->out->protocol < 3;

	if (call->args_count > 2) {
		resp_error(call->out, "ERR wrong number of arguments for 'ping' command");
		return;
	}
	/* Among messages every reply has the form of one. */
	if (is_subscribed) {
		resp_array(call->out, 2);
		resp_text(call->out, "pong");
		if (call->args_count == 1)
			resp_text(call->out, "");
	}
	if (call->args_count == 2)
		resp_bulk(call->out, call->args[1].data, call->args[1].bytes);
	else if (!is_subscribed)
		resp_simple(call->out, "PONG");
}

void
cmd_echo(struct command_call *call)
{
	resp_bulk(call->out, call->args[1].data, call->args[1].bytes);
}

void
cmd_quit(struct command_call *call)
{
	resp_simple(call->out, "OK");
	call->conn->end = CONNECTION_DRAINING;
}

void
cmd_select(struct command_call *call)
{
	int64_t index = 0;

	if (!resp_i64(call->args[1], &index))
		resp_error(call->out, "ERR invalid DB index");
	else if (index != 0)
		resp_error(call->out, "ERR DB index is out of range");
	else
		resp_simple(call->out, "OK");
}

/* READONLY [milliseconds] */
void
cmd_readonly(struct command_call *call)
{
	int64_t stale_ms = 0;

	if (call->args_count > 2 ||
	    (call->args_count == 2 &&
	     (!resp_i64(call->args[1], &stale_ms) || stale_ms < 1 || stale_ms > STALE_MS_MAX))) {
		resp_error(call->out, "ERR READONLY takes 1 to 3600000 milliseconds, or nothing");
		return;
	}
	gateway_reads_reset(call->conn);
	call->conn->is_readonly = true;
	call->conn->stale_ns_max = (uint64_t)stale_ms * 1000000;
	resp_simple(call->out, "OK");
}

/* TERN.STALE: how old, in milliseconds, a read of this node's own state can be now (-1: not known),
 * and the position it shows. */
void
cmd_tern_stale(struct command_call *call)
{
	struct node_status status;

	status_read(call->gateway->status, &status);
	const uint64_t stale_ns = status_stale_ns(&status, platform_monotonic_ns());
	resp_array(call->out, 2);
	resp_integer(call->out, info_stale_ms(stale_ns));
	resp_integer(call->out, (int64_t)min_u64(status.applied_index, status.commit_index));
}

void
cmd_readwrite(struct command_call *call)
{
	gateway_reads_reset(call->conn);
	resp_simple(call->out, "OK");
}

/* TERN.CLASS [durable | memory | async] */
void
cmd_tern_class(struct command_call *call)
{
	struct connection *conn = call->conn;
	static const char *const names[] = { [COMMAND_DURABLE] = "durable",
					     [COMMAND_MEMORY] = "memory",
					     [COMMAND_ASYNC] = "async" };

	if (call->args_count == 1) {
		resp_text(call->out, names[conn->class_]);
		return;
	}
	for (uint8_t i = COMMAND_DURABLE; i <= COMMAND_ASYNC && call->args_count == 2; i++) {
		if (!resp_is(call->args[1], names[i]))
			continue;
		conn->class_ = i;
		resp_simple(call->out, "OK");
		return;
	}
	resp_error(call->out, "ERR syntax: TERN.CLASS [durable | memory | async]");
}

void
cmd_reset(struct command_call *call)
{
	struct connection *conn = call->conn;

	conn->name[0] = 0;
	conn->reply_mode = CONNECTION_REPLY_ON;
	connection_unsubscribe(conn);
	multi_drop(conn);
	gateway_reads_reset(conn);
	conn->class_ = COMMAND_DURABLE;
	call->out->protocol = 2;
	resp_simple(call->out, "RESET");
}

struct hello {
	uint8_t protocol;
	bool has_name;
	struct resp_arg name;
};

/* Reads "HELLO [version [AUTH user password] [SETNAME name]]"; the error text, or NULL. */
static const char *
hello_read(const struct command_call *call, struct hello *hello)
{
	int64_t version = 0;

	hello->protocol = call->out->protocol;
	if (call->args_count == 1)
		return NULL;
	if (!resp_i64(call->args[1], &version))
		return "ERR Protocol version is not an integer or out of range";
	if (version != 2 && version != 3)
		return "NOPROTO unsupported protocol version";
	hello->protocol = (uint8_t)version;
	for (uint32_t i = 2; i < call->args_count;) {
		if (resp_is(call->args[i], "auth") && i + 2 < call->args_count)
			return "ERR AUTH <password> called without any password configured for the "
			       "default user. Are you sure your configuration is correct?";
		if (!resp_is(call->args[i], "setname") || i + 1 >= call->args_count)
			return "ERR Syntax error in HELLO option";
		hello->name = call->args[i + 1];
		hello->has_name = true;
		if (!gateway_name_is_fit(hello->name))
			return "ERR Client names cannot contain spaces, newlines or special "
			       "characters.";
		i += 2;
	}
	return NULL;
}

void
cmd_hello(struct command_call *call)
{
	struct resp_writer *out = call->out;
	struct hello hello = { 0 };
	const char *wrong = hello_read(call, &hello);

	if (wrong != NULL) {
		resp_error(out, wrong);
		return;
	}
	if (hello.has_name)
		gateway_name_set(call->conn->name, hello.name);
	out->protocol = hello.protocol;
	/* Client libraries look for all seven, and parse the version as that of a Redis. */
	resp_map(out, 7);
	resp_text(out, "server");
	resp_text(out, "redis");
	resp_text(out, "version");
	resp_text(out, INFO_REDIS_VERSION);
	resp_text(out, "proto");
	resp_integer(out, hello.protocol);
	resp_text(out, "id");
	resp_integer(out, call->conn->client_id);
	resp_text(out, "mode");
	resp_text(out, "standalone");
	resp_text(out, "role");
	resp_text(out, info_is_master(call->gateway) ? "master" : "replica");
	resp_text(out, "modules");
	resp_array(out, 0);
}
