/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the connection itself. */
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "control/gateway/info.h"

void
cmd_ping(struct command_call *call)
{
	if (call->args_count > 2)
		resp_error(call->out, "ERR wrong number of arguments for 'ping' command");
	else if (call->args_count == 2)
		resp_bulk(call->out, call->args[1].data, call->args[1].bytes);
	else
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

void
cmd_reset(struct command_call *call)
{
	call->conn->name[0] = 0;
	call->out->protocol = 2;
	resp_simple(call->out, "RESET");
}

/* Names may hold anything that is printed and is no space: they appear in listings. */
static bool
name_is_fit(struct resp_arg name)
{
	if (name.bytes >= CONNECTION_NAME_BYTES_MAX)
		return false;
	for (uint32_t i = 0; i < name.bytes; i++) {
		if (name.data[i] < '!' || name.data[i] > '~')
			return false;
	}
	return true;
}

static void
name_set(char *to, struct resp_arg name)
{
	memcpy(to, name.data, name.bytes);
	to[name.bytes] = 0;
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
		if (!name_is_fit(hello->name))
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
		name_set(call->conn->name, hello.name);
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

static void
client_setinfo(struct command_call *call)
{
	const bool is_name = resp_is(call->args[2], "lib-name");

	if (!is_name && !resp_is(call->args[2], "lib-ver")) {
		char option[65];
		gateway_printable(call->args[2], option, sizeof(option));
		gateway_error(call->out, "ERR Unrecognized option '%s'", option);
		return;
	}
	if (!name_is_fit(call->args[3])) {
		gateway_error(call->out,
			      "ERR %s cannot contain spaces, newlines or special characters.",
			      is_name ? "lib-name" : "lib-ver");
		return;
	}
	name_set(is_name ? call->conn->lib_name : call->conn->lib_version, call->args[3]);
	resp_simple(call->out, "OK");
}

static void
client_setname(struct command_call *call)
{
	if (!name_is_fit(call->args[2])) {
		resp_error(call->out, "ERR Client names cannot contain spaces, newlines or special "
				      "characters.");
		return;
	}
	name_set(call->conn->name, call->args[2]);
	resp_simple(call->out, "OK");
}

static void
client_getname(struct command_call *call)
{
	if (call->conn->name[0] == 0)
		resp_null(call->out);
	else
		resp_text(call->out, call->conn->name);
}

static void
client_id(struct command_call *call)
{
	resp_integer(call->out, call->conn->client_id);
}

static const struct client_verb {
	const char *name;
	uint32_t args_count;
	void (*run)(struct command_call *call);
} verbs[] = {
	{ "id", 2, client_id },
	{ "setname", 3, client_setname },
	{ "getname", 2, client_getname },
	{ "setinfo", 4, client_setinfo },
};

void
cmd_client(struct command_call *call)
{
	char text[65];

	for (uint32_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!resp_is(call->args[1], verbs[i].name))
			continue;
		if (call->args_count != verbs[i].args_count)
			gateway_error(call->out,
				      "ERR wrong number of arguments for 'client|%s' command",
				      verbs[i].name);
		else
			verbs[i].run(call);
		return;
	}
	gateway_printable(call->args[1], text, sizeof(text));
	gateway_error(call->out, "ERR unknown subcommand '%s'. Try CLIENT HELP.", text);
}
