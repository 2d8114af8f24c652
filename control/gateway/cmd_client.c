/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT: this connection's name and facts, the list of all, and ending them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control/gateway/arguments.h"
#include "control/gateway/gateway_internal.h"
#include "control/gateway/refusal.h"

#define ADDRESS_BYTES (INET6_ADDRSTRLEN + 16u)
#define LINE_BYTES    768u /* of CLIENT LIST: names, addresses and numbers all have limits */

/* ---- names ---- */

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
	if (!gateway_name_is_fit(call->args[3])) {
		gateway_error(call->out,
			      "ERR %s cannot contain spaces, newlines or special characters.",
			      is_name ? "lib-name" : "lib-ver");
		return;
	}
	gateway_name_set(is_name ? call->conn->lib_name : call->conn->lib_version, call->args[3]);
	resp_simple(call->out, "OK");
}

static void
client_setname(struct command_call *call)
{
	if (!gateway_name_is_fit(call->args[2])) {
		resp_error(call->out, "ERR Client names cannot contain spaces, newlines or special "
				      "characters.");
		return;
	}
	gateway_name_set(call->conn->name, call->args[2]);
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

/* ---- modes ---- */

static void
client_reply(struct command_call *call)
{
	if (resp_is(call->args[2], "on")) {
		call->conn->reply_mode = CONNECTION_REPLY_ON;
	} else if (resp_is(call->args[2], "off")) {
		call->conn->reply_mode = CONNECTION_REPLY_OFF;
	} else if (resp_is(call->args[2], "skip")) {
		/* While replies are off there is nothing to skip. */
		if (call->conn->reply_mode == CONNECTION_REPLY_ON)
			call->conn->reply_mode = CONNECTION_REPLY_SKIP;
	} else {
		resp_error(call->out, "ERR syntax error");
		return;
	}
	resp_simple(call->out, "OK");
}

/* Connections are never evicted, whatever is asked for; it is shown in the list. */
static void
client_no_evict(struct command_call *call)
{
	const bool is_on = resp_is(call->args[2], "on");

	if (!is_on && !resp_is(call->args[2], "off")) {
		resp_error(call->out, "ERR syntax error");
		return;
	}
	if (resp_is(call->args[1], "no-evict"))
		call->conn->is_no_evict = is_on;
	resp_simple(call->out, "OK");
}

/* ---- INFO, LIST ---- */

/* "address:port" of our or the other end; "" when the socket is gone already. */
static void
address_text(int fd, bool is_peer, char text[ADDRESS_BYTES])
{
	struct sockaddr_storage address = { 0 };
	socklen_t bytes = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&address;
	const int failed = is_peer ? getpeername(fd, (struct sockaddr *)&address, &bytes)
				   : getsockname(fd, (struct sockaddr *)&address, &bytes);

	text[0] = 0;
	if (failed != 0)
		return;
	if (address.ss_family == AF_INET &&
	    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)) != NULL)
		snprintf(text, ADDRESS_BYTES, "%s:%u", host, ntohs(v4->sin_port));
	else if (address.ss_family == AF_INET6 &&
		 inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)) != NULL)
		snprintf(text, ADDRESS_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
}

static size_t
client_line(const struct connection *conn, char line[LINE_BYTES])
{
	const uint64_t now_ns = conn->gateway->now_ns;
	const uint32_t unread = conn->in_used - (uint32_t)(conn->parse_at - conn->in_at);
	char peer[ADDRESS_BYTES], self[ADDRESS_BYTES];
	int used;

	address_text(conn->fd, true, peer);
	address_text(conn->fd, false, self);
	used =
	    snprintf(line, LINE_BYTES,
		     "id=%lld addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s%s%s db=0 "
		     "sub=%u psub=%u ssub=0 multi=%d qbuf=%u qbuf-free=%u argv-mem=0 "
		     "multi-mem=0 rbs=%zu rbp=%zu obl=%zu oll=0 omem=0 tot-mem=%zu events=%s "
		     "cmd=%s user=default redir=-1 resp=%u lib-name=%s lib-ver=%s\n",
		     (long long)conn->client_id, peer, self, conn->fd, conn->name,
		     (unsigned long long)((now_ns - conn->opened_ns) / 1000000000),
		     (unsigned long long)((now_ns - conn->request_ns) / 1000000000),
		     conn->subs.count > 0  ? "P"
		     : conn->multi.is_open ? ""
					   : "N",
		     conn->multi.is_open ? "x" : "", conn->is_no_evict ? "e" : "",
		     conn->subs.count - conn->subs.patterns_count, conn->subs.patterns_count,
		     conn->multi.is_open ? (int)conn->multi.entries_count : -1, unread,
		     conn->in_capacity - conn->in_used, conn->out.capacity, conn->out.capacity,
		     conn->out.used - conn->out_sent,
		     sizeof(*conn) + conn->in_capacity + conn->out.capacity +
			 conn->slots_capacity * sizeof(struct slot),
		     conn->out.used > conn->out_sent ? "rw" : "r",
		     conn->last_command != NULL ? conn->last_command->name : "NULL",
		     conn->out.protocol, conn->lib_name, conn->lib_version);
	return used > 0 && (size_t)used < LINE_BYTES ? (size_t)used : 0;
}

static void
client_info(struct command_call *call)
{
	char line[LINE_BYTES];

	resp_verbatim(call->out, line, client_line(call->conn, line));
}

/* 'n'ormal, 'p'ubsub; 'x': a kind that no connection here is of; 0: no such word. */
static char
type_of(struct resp_arg word)
{
	if (resp_is(word, "normal"))
		return 'n';
	if (resp_is(word, "pubsub"))
		return 'p';
	if (resp_is(word, "master") || resp_is(word, "replica") || resp_is(word, "slave"))
		return 'x';
	return 0;
}

static bool
has_type(const struct connection *conn, char type)
{
	return type == (conn->subs.count > 0 ? 'p' : 'n');
}

struct filter {
	char type;
	uint32_t ids_from; /* args[ids_from..] are ids; 0: all */
};

static bool
list_wants(const struct command_call *call, const struct filter *filter,
	   const struct connection *conn)
{
	int64_t id = 0;

	if (conn == NULL || conn->end != CONNECTION_OPEN ||
	    (filter->type != 0 && !has_type(conn, filter->type)))
		return false;
	if (filter->ids_from == 0)
		return true;
	for (uint32_t i = filter->ids_from; i < call->args_count; i++) {
		if (resp_i64(call->args[i], &id) && id == conn->client_id)
			return true;
	}
	return false;
}

static void
client_list(struct command_call *call)
{
	struct gateway *gateway = call->gateway;
	struct filter filter = { 0 };
	size_t used = 0;

	if (call->args_count == 4 && resp_is(call->args[2], "type")) {
		filter.type = type_of(call->args[3]);
	} else if (call->args_count >= 4 && resp_is(call->args[2], "id")) {
		filter.ids_from = 3;
	}
	if (call->args_count > 2 && filter.type == 0 && filter.ids_from == 0) {
		resp_error(call->out, "ERR syntax error");
		return;
	}
	const size_t room = (size_t)gateway->connections_count * LINE_BYTES;
	char *text = gateway_resize(gateway, NULL, 0, room);
	if (text == NULL) {
		resp_error(call->out, "ERR no memory for the list: ask for some by CLIENT LIST ID");
		return;
	}
	for (uint32_t i = 0; i < gateway->connections_max; i++) {
		const struct connection *conn = gateway->connections[i].conn;
		if (list_wants(call, &filter, conn) && used + LINE_BYTES <= room)
			used += client_line(conn, text + used);
	}
	resp_verbatim(call->out, text, used);
	gateway_resize(gateway, text, room, 0);
}

/* ---- KILL ---- */

struct kill {
	bool has_id, is_old_form, includes_self;
	int64_t id, age_s; /* age_s 0: any */
	char type;         /* 0: any */
	const struct resp_arg *peer, *self;
};

static bool
is_address(int fd, bool is_peer, const struct resp_arg *wanted)
{
	char text[ADDRESS_BYTES];

	if (wanted == NULL)
		return true;
	address_text(fd, is_peer, text);
	return text[0] != 0 && resp_is(*wanted, text);
}

static bool
kill_option(const struct command_call *call, uint32_t at, struct kill *kill)
{
	const struct resp_arg word = call->args[at], *value = &call->args[at + 1];

	if (resp_is(word, "id"))
		return kill->has_id = resp_i64(*value, &kill->id) && kill->id > 0;
	if (resp_is(word, "type"))
		return (kill->type = type_of(*value)) != 0;
	if (resp_is(word, "maxage"))
		return resp_i64(*value, &kill->age_s) && kill->age_s > 0;
	if (resp_is(word, "user"))
		return resp_is(*value, "default");
	if (resp_is(word, "skipme")) {
		kill->includes_self = resp_is(*value, "no");
		return kill->includes_self || resp_is(*value, "yes");
	}
	if (resp_is(word, "addr"))
		kill->peer = value;
	else if (resp_is(word, "laddr"))
		kill->self = value;
	else
		return false;
	return true;
}

static bool
kill_wants(const struct command_call *call, const struct kill *kill, const struct connection *conn)
{
	if (conn == NULL || conn->end != CONNECTION_OPEN ||
	    (conn == call->conn && !kill->includes_self))
		return false;
	if ((kill->has_id && kill->id != conn->client_id) ||
	    (kill->type != 0 && !has_type(conn, kill->type)))
		return false;
	if ((conn->gateway->now_ns - conn->opened_ns) / 1000000000 < (uint64_t)kill->age_s)
		return false;
	return is_address(conn->fd, true, kill->peer) && is_address(conn->fd, false, kill->self);
}

static void
client_kill(struct command_call *call)
{
	struct gateway *gateway = call->gateway;
	struct kill kill = { 0 };
	int64_t count = 0;
	bool is_good = call->args_count % 2 == 0;

	if (call->args_count == 3) {
		kill = (struct kill){ .is_old_form = true,
				      .includes_self = true,
				      .peer = &call->args[2] };
		is_good = true;
	}
	for (uint32_t i = 2; !kill.is_old_form && is_good && i + 1 < call->args_count; i += 2)
		is_good = kill_option(call, i, &kill);
	if (!is_good) {
		resp_error(call->out, "ERR syntax error");
		return;
	}
	for (uint32_t i = 0; i < gateway->connections_max; i++) {
		struct connection *conn = gateway->connections[i].conn;
		if (!kill_wants(call, &kill, conn))
			continue;
		count++;
		if (conn == call->conn)
			conn->end = CONNECTION_DRAINING; /* it gets this reply */
		else
			gateway_close(gateway, conn);
	}
	if (!kill.is_old_form)
		resp_integer(call->out, count);
	else if (count > 0)
		resp_simple(call->out, "OK");
	else
		resp_error(call->out, "ERR No such client");
}

static const struct client_verb {
	const char *name;
	uint32_t args_min, args_max;
	void (*run)(struct command_call *call);
} verbs[] = {
	{ "id", 2, 2, client_id },
	{ "setname", 3, 3, client_setname },
	{ "getname", 2, 2, client_getname },
	{ "setinfo", 4, 4, client_setinfo },
	{ "info", 2, 2, client_info },
	{ "list", 2, UINT32_MAX, client_list },
	{ "kill", 3, UINT32_MAX, client_kill },
	{ "reply", 3, 3, client_reply },
	{ "no-evict", 3, 3, client_no_evict },
	{ "no-touch", 3, 3, client_no_evict },
};

void
cmd_client(struct command_call *call)
{
	char text[65];

	for (uint32_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!resp_is(call->args[1], verbs[i].name))
			continue;
		if (call->args_count < verbs[i].args_min || call->args_count > verbs[i].args_max)
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
