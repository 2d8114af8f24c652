/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the server, other than INFO. */
#define _GNU_SOURCE /* FNM_CASEFOLD */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "control/gateway/info.h"
#include "control/gateway/refusal.h"
#include "hw/platform/platform.h"

/* ---- COMMAND: everything comes from the table ---- */

static uint32_t
commands_count(const struct gateway *gateway)
{
	uint32_t count = 0;

	while (gateway_command_at(gateway, count) != NULL)
		count++;
	return count;
}

static uint32_t
subcommands_count(const struct gateway_command *command)
{
	uint32_t count = 0;

	for (const char *name = command->subcommands; name != NULL && *name != 0;
	     name += strlen(name) + 1)
		count++;
	return count;
}

/* As Redis names its categories of access control. */
static void
command_categories(struct resp_writer *out, const struct gateway_command *command)
{
	const bool has_keys = command->kind != GATEWAY_LOCAL;
	char name[32];

	resp_set(out, has_keys ? 3 : 2);
	if (has_keys)
		resp_simple(out, command->kind == GATEWAY_WRITE ? "@write" : "@read");
	snprintf(name, sizeof(name), "@%s",
		 strcmp(command->group, "generic") == 0  ? "keyspace"
		 : strcmp(command->group, "server") == 0 ? "admin"
							 : command->group);
	resp_simple(out, name);
	resp_simple(out, command->is_fast ? "@fast" : "@slow");
}

/* Where the keys are, once more, in the form of Redis 7. */
static void
command_keys(struct resp_writer *out, const struct gateway_command *command)
{
	resp_array(out, command->key_first > 0 ? 1 : 0);
	if (command->key_first <= 0)
		return;
	resp_map(out, 3);
	resp_text(out, "flags");
	resp_set(out, 1);
	resp_simple(out, command->kind == GATEWAY_WRITE ? "RW" : "RO");
	resp_text(out, "begin_search");
	resp_map(out, 2);
	resp_text(out, "type");
	resp_text(out, "index");
	resp_text(out, "spec");
	resp_map(out, 1);
	resp_text(out, "index");
	resp_integer(out, command->key_first);
	resp_text(out, "find_keys");
	resp_map(out, 2);
	resp_text(out, "type");
	resp_text(out, "range");
	resp_text(out, "spec");
	resp_map(out, 3);
	resp_text(out, "lastkey");
	resp_integer(out, command->key_last < 0 ? command->key_last
						: command->key_last - command->key_first);
	resp_text(out, "keystep");
	resp_integer(out, command->key_step);
	resp_text(out, "limit");
	resp_integer(out, 0);
}

/* One verb of a command of verbs: what can be said without a table of its own. */
static void
subcommand_entry(struct resp_writer *out, const struct gateway_command *command, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "%s|%s", command->name, name);
	resp_array(out, 10);
	resp_text(out, full);
	resp_integer(out, -2);
	resp_set(out, 0);
	for (uint32_t i = 0; i < 3; i++)
		resp_integer(out, 0);
	command_categories(out, command);
	for (uint32_t i = 0; i < 3; i++)
		resp_array(out, 0);
}

/* The ten elements that Redis 7 answers. */
static void
command_entry(struct resp_writer *out, const struct gateway_command *command)
{
	const char *access = command->kind == GATEWAY_WRITE  ? "write"
			     : command->kind == GATEWAY_READ ? "readonly"
							     : NULL;

	resp_array(out, 10);
	resp_text(out, command->name);
	resp_integer(out, command->arity);
	resp_set(out, (access != NULL ? 1u : 0u) + (command->is_fast ? 1u : 0u));
	if (access != NULL)
		resp_simple(out, access);
	if (command->is_fast)
		resp_simple(out, "fast");
	resp_integer(out, command->key_first);
	resp_integer(out, command->key_last);
	resp_integer(out, command->key_step);
	command_categories(out, command);
	resp_array(out, 0); /* tips */
	command_keys(out, command);
	resp_array(out, subcommands_count(command));
	for (const char *name = command->subcommands; name != NULL && *name != 0;
	     name += strlen(name) + 1)
		subcommand_entry(out, command, name);
}

static void
command_docs_entry(struct resp_writer *out, const struct gateway_command *command)
{
	const uint32_t verbs = subcommands_count(command);

	resp_text(out, command->name);
	resp_map(out, verbs > 0 ? 4 : 3);
	resp_text(out, "summary");
	resp_text(out, command->summary);
	resp_text(out, "since");
	resp_text(out, "1.0.0");
	resp_text(out, "group");
	resp_text(out, command->group);
	if (verbs == 0)
		return;
	resp_text(out, "subcommands");
	resp_map(out, verbs);
	for (const char *name = command->subcommands; *name != 0; name += strlen(name) + 1) {
		char full[64];
		snprintf(full, sizeof(full), "%s|%s", command->name, name);
		resp_text(out, full);
		resp_map(out, 1);
		resp_text(out, "group");
		resp_text(out, command->group);
	}
}

static void
command_all(struct command_call *call)
{
	const struct gateway_command *command;

	resp_array(call->out, commands_count(call->gateway));
	for (uint32_t i = 0; (command = gateway_command_at(call->gateway, i)) != NULL; i++)
		command_entry(call->out, command);
}

static void
command_info(struct command_call *call)
{
	if (call->args_count == 2) {
		command_all(call);
		return;
	}
	resp_array(call->out, call->args_count - 2);
	for (uint32_t i = 2; i < call->args_count; i++) {
		const struct gateway_command *command =
		    gateway_command_find(call->gateway, call->args[i]);
		if (command != NULL)
			command_entry(call->out, command);
		else
			resp_null(call->out);
	}
}

static void
command_docs(struct command_call *call)
{
	const struct gateway_command *command;
	uint32_t known = 0;

	if (call->args_count == 2) {
		resp_map(call->out, commands_count(call->gateway));
		for (uint32_t i = 0; (command = gateway_command_at(call->gateway, i)) != NULL; i++)
			command_docs_entry(call->out, command);
		return;
	}
	for (uint32_t i = 2; i < call->args_count; i++)
		known += gateway_command_find(call->gateway, call->args[i]) != NULL ? 1 : 0;
	resp_map(call->out, known);
	for (uint32_t i = 2; i < call->args_count; i++) {
		command = gateway_command_find(call->gateway, call->args[i]);
		if (command != NULL)
			command_docs_entry(call->out, command);
	}
}

/* What of the table a FILTERBY keeps; is_filter has looked at the arguments. */
static bool
filter_keeps(const struct command_call *call, const struct gateway_command *command)
{
	char pattern[128];

	if (call->args_count == 2)
		return true;
	if (resp_is(call->args[3], "module"))
		return false; /* there are none */
	gateway_printable(call->args[4], pattern, sizeof(pattern));
	if (resp_is(call->args[3], "pattern"))
		return fnmatch(pattern, command->name, FNM_CASEFOLD) == 0;
	if (strcmp(pattern, "fast") == 0 || strcmp(pattern, "slow") == 0)
		return command->is_fast == (pattern[0] == 'f');
	if (strcmp(pattern, "read") == 0 || strcmp(pattern, "write") == 0)
		return command->kind == (pattern[0] == 'r' ? GATEWAY_READ : GATEWAY_WRITE);
	return strcmp(pattern, strcmp(command->group, "generic") == 0  ? "keyspace"
			       : strcmp(command->group, "server") == 0 ? "admin"
								       : command->group) == 0;
}

/* "FILTERBY kind value". */
static bool
is_filter(const struct command_call *call)
{
	return call->args_count == 5 && resp_is(call->args[2], "filterby") &&
	       (resp_is(call->args[3], "module") || resp_is(call->args[3], "pattern") ||
		resp_is(call->args[3], "aclcat"));
}

static void
command_list(struct command_call *call)
{
	const struct gateway_command *command;
	uint32_t count = 0;

	if (call->args_count != 2 && !is_filter(call)) {
		resp_error(call->out, "ERR syntax error");
		return;
	}
	for (uint32_t i = 0; (command = gateway_command_at(call->gateway, i)) != NULL; i++)
		count += filter_keeps(call, command) ? 1 : 0;
	resp_array(call->out, count);
	for (uint32_t i = 0; (command = gateway_command_at(call->gateway, i)) != NULL; i++) {
		if (filter_keeps(call, command))
			resp_text(call->out, command->name);
	}
}

void
cmd_command(struct command_call *call)
{
	char text[65];

	if (call->args_count == 1) {
		command_all(call);
	} else if (resp_is(call->args[1], "count") && call->args_count == 2) {
		resp_integer(call->out, commands_count(call->gateway));
	} else if (resp_is(call->args[1], "list")) {
		command_list(call);
	} else if (resp_is(call->args[1], "info")) {
		command_info(call);
	} else if (resp_is(call->args[1], "docs")) {
		command_docs(call);
	} else {
		gateway_printable(call->args[1], text, sizeof(text));
		gateway_error(call->out, "ERR unknown subcommand '%s'. Try COMMAND HELP.", text);
	}
}

/* ---- CONFIG GET ---- */

/* What benchmarks and clients ask for, answered by what is true here: every write is in a log. */
static const struct setting {
	const char *name, *value;
} settings[] = {
	{ "save", "" },
	{ "appendonly", "yes" },
};

#define SETTINGS_COUNT ((uint32_t)(sizeof(settings) / sizeof(settings[0])))

static bool
is_asked(const struct command_call *call, const struct setting *setting)
{
	for (uint32_t i = 2; i < call->args_count; i++) {
		if (resp_is(call->args[i], setting->name) || resp_is(call->args[i], "*"))
			return true;
	}
	return false;
}

void
cmd_config(struct command_call *call)
{
	char text[65];
	uint32_t count = 0;

	if (!resp_is(call->args[1], "get")) {
		gateway_printable(call->args[1], text, sizeof(text));
		gateway_error(call->out, "ERR unknown subcommand '%s'. Try CONFIG HELP.", text);
		return;
	}
	if (call->args_count < 3) {
		resp_error(call->out, "ERR wrong number of arguments for 'config|get' command");
		return;
	}
	for (uint32_t i = 0; i < SETTINGS_COUNT; i++)
		count += is_asked(call, &settings[i]) ? 1 : 0;
	resp_map(call->out, count);
	for (uint32_t i = 0; i < SETTINGS_COUNT; i++) {
		if (is_asked(call, &settings[i])) {
			resp_text(call->out, settings[i].name);
			resp_text(call->out, settings[i].value);
		}
	}
}

/* ---- ROLE, TIME, WAIT ---- */

static void
role_master(struct command_call *call, const struct node_status *status)
{
	const uint32_t online = info_replicas(status);
	const struct peer *peer;
	uint32_t at = 0, count = 0;

	while (count < online && info_peer_next(call->gateway, &at) != NULL)
		count++;
	resp_array(call->out, 3);
	resp_text(call->out, "master");
	resp_integer(call->out, (int64_t)status->commit_index);
	resp_array(call->out, count);
	at = 0;
	for (uint32_t i = 0; i < count && (peer = info_peer_next(call->gateway, &at)) != NULL;
	     i++) {
		resp_array(call->out, 3);
		resp_text(call->out, peer->host);
		resp_bulk_i64(call->out, peer->port);
		resp_bulk_i64(call->out, (int64_t)status->commit_index);
	}
}

void
cmd_role(struct command_call *call)
{
	struct node_status status;

	status_read(call->gateway->status, &status);
	if (status.role == CORE_MASTER) {
		role_master(call, &status);
		return;
	}
	const struct peer *master = info_peer_find(call->gateway, status.master_id);
	const bool is_following =
	    status.mode == CORE_MODE_REPLICA || status.mode == CORE_MODE_LEARNER;
	const char *link = is_following                       ? "connected"
			   : status.mode == CORE_MODE_CATCHUP ? "sync"
							      : "connect";
	resp_array(call->out, 5);
	resp_text(call->out, "slave");
	resp_text(call->out, master != NULL ? master->host : "");
	resp_integer(call->out, master != NULL ? master->port : 0);
	resp_text(call->out, link);
	resp_integer(call->out, (int64_t)status.applied_index);
}

void
cmd_time(struct command_call *call)
{
	const uint64_t now_us = platform_wall_ns() / 1000;

	resp_array(call->out, 2);
	resp_bulk_i64(call->out, (int64_t)(now_us / 1000000));
	resp_bulk_i64(call->out, (int64_t)(now_us % 1000000));
}

/* An answered write is durable on its copies already, and WAIT runs when every write before it is
 * answered: there is nothing to wait for. */
void
cmd_wait(struct command_call *call)
{
	const struct connection *conn = call->conn;
	int64_t replicas = 0, timeout_ms = 0;
	struct node_status status;

	if (!resp_i64(call->args[1], &replicas) || !resp_i64(call->args[2], &timeout_ms)) {
		resp_error(call->out, "ERR value is not an integer or out of range");
		return;
	}
	if (timeout_ms < 0) {
		resp_error(call->out, "ERR timeout is negative");
		return;
	}
	if (connection_written(conn) != 0) {
		resp_integer(call->out,
			     conn->last_write_copies > 0 ? conn->last_write_copies - 1 : 0);
		return;
	}
	status_read(call->gateway->status, &status);
	if (status.role != CORE_MASTER)
		resp_error(call->out, "ERR WAIT cannot be used with replica instances. Please also "
				      "note that writes to replicas are refused.");
	else
		resp_integer(call->out, info_replicas(&status));
}
