/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* epoll_pwait2 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/bench/run_internal.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

#define RETRY_NS   1000000ull    /* between attempts to reach a master */
#define CONNECT_NS 200000000ull  /* a connection that does not open */
#define REPLY_NS   3000000000ull /* a reply that does not come */
#define DRAIN_NS   5000000000ull /* after the end, for what is outstanding or was due */
#define SWEEP_NS   1000000ull
#define EVENTS_MAX 256
#define IN_BYTES   65536u

#define UNSENT_STEPS (1u << 20)

/* ---- connections ---- */

static void
drop(struct run *run, struct connection *connection)
{
	const uint64_t now_ns = platform_monotonic_ns();

	while (connection->op_count != 0)
		run_op_lost(run, connection, now_ns);
	run_reads_lost(run, connection);
	if (connection->fd >= 0)
		(void)close(connection->fd);
	connection->fd = -1;
	connection->state = CONNECTION_CLOSED;
	connection->out_used = connection->out_sent = connection->in_used = 0;
	connection->wants_out = false;
	connection->address = (connection->address + 1) % run->address_count;
	connection->next_try_ns = now_ns + RETRY_NS;
}

static void
watch(struct run *run, struct connection *connection, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data = { .ptr = connection } };

	(void)epoll_ctl(run->epoll_fd, operation, connection->fd, &event);
}

static void
open_connection(struct run *run, struct connection *connection)
{
	const struct sockaddr_storage *address = &run->addresses[connection->address];
	const int one = 1;

	connection->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0) {
		connection->next_try_ns = platform_monotonic_ns() + RETRY_NS;
		return;
	}
	(void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->since_ns = platform_monotonic_ns();
	connection->state = CONNECTION_OPENING;
	run->result->connects++;
	if (connect(connection->fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
	    errno != EINPROGRESS) {
		drop(run, connection);
		return;
	}
	watch(run, connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	connection->wants_out = true;
}

static void
flush_out(struct run *run, struct connection *connection)
{
	connection->is_dirty = false;
	if (connection->fd < 0 || connection->out_sent == connection->out_used)
		return;
	const ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
				  connection->out_used - connection->out_sent, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		drop(run, connection);
		return;
	}
	if (sent > 0)
		connection->out_sent += (size_t)sent;
	const bool is_done = connection->out_sent == connection->out_used;
	if (is_done)
		connection->out_sent = connection->out_used = 0;
	if (is_done == connection->wants_out) {
		connection->wants_out = !is_done;
		watch(run, connection, EPOLL_CTL_MOD, is_done ? EPOLLIN : EPOLLIN | EPOLLOUT);
	}
}

/* The address that "-MOVED 0 HOST:PORT" names, added when it is new. */
static void
follow_moved(struct run *run, struct connection *connection, const struct bench_reply *reply)
{
	struct sockaddr_storage address;
	char text[64];

	if (reply->bytes < 6 || strncmp(reply->text, "MOVED ", 6) != 0)
		return;
	const char *last = memchr(reply->text + 6, ' ', reply->bytes - 6);
	if (last == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%.*s",
		       (int)(reply->bytes - (size_t)(last + 1 - reply->text)), last + 1);
	if (!bench_parse_address(text, &address))
		return;
	uint32_t at = 0;
	while (at < run->address_count &&
	       memcmp(&run->addresses[at], &address, sizeof(address)) != 0)
		at++;
	if (at == BENCH_ADDRESSES_MAX)
		return;
	if (at == run->address_count)
		run->addresses[run->address_count++] = address;
	/* drop() goes on to the next one. */
	connection->address = (at + run->address_count - 1) % run->address_count;
}

/* Errors that say "not this node, not now". Others are the request's own. */
static bool
is_redirect(const struct bench_reply *reply)
{
	static const char *const codes[] = { "READONLY",    "MOVED",      "LOADING", "TRYAGAIN",
					     "CLUSTERDOWN", "MASTERDOWN", "SNAPSHOT" };

	for (size_t i = 0; reply->kind == '-' && i < sizeof(codes) / sizeof(codes[0]); i++) {
		const size_t bytes = strlen(codes[i]);
		if (reply->bytes >= bytes && strncmp(reply->text, codes[i], bytes) == 0)
			return true;
	}
	return false;
}

/* Takes every whole reply. False: the connection was dropped. */
static bool
take_replies(struct run *run, struct connection *connection)
{
	const uint64_t now_ns = platform_monotonic_ns();
	size_t used = 0;

	while (used < connection->in_used) {
		struct bench_reply reply;
		const int64_t bytes =
		    bench_reply_parse(connection->in + used, connection->in_used - used, &reply);
		if (bytes == 0)
			break;
		const bool is_choice = bytes > 0 && connection->state == CONNECTION_CHOOSING;
		if (bytes < 0 || (!is_choice && connection->op_count == 0) ||
		    (is_choice && !run_reads_answered(run, connection, &reply))) {
			drop(run, connection);
			return false;
		}
		used += (size_t)bytes;
		if (is_choice) {
			connection->state = CONNECTION_OPEN;
			continue;
		}
		if (is_redirect(&reply)) {
			connection->state = CONNECTION_LEAVING;
			run_reads_refused(run, connection, &reply);
			follow_moved(run, connection, &reply);
		}
		run_op_answered(run, connection, &reply, now_ns);
	}
	memmove(connection->in, connection->in + used, connection->in_used - used);
	connection->in_used -= used;
	/* A reply that does not fit is nothing that was asked for. */
	if (connection->in_used == run->in_bytes ||
	    (connection->state == CONNECTION_LEAVING && connection->op_count == 0)) {
		drop(run, connection);
		return false;
	}
	return true;
}

static void
on_readable(struct run *run, struct connection *connection)
{
	const ssize_t got = recv(connection->fd, connection->in + connection->in_used,
				 run->in_bytes - connection->in_used, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		drop(run, connection);
		return;
	}
	connection->in_used += (size_t)got;
	(void)take_replies(run, connection);
}

/* ---- what is sent when ---- */

static bool
has_room(const struct run *run, const struct connection *connection)
{
	return connection->state == CONNECTION_OPEN &&
	       connection->op_count < run->config->pipeline &&
	       run->out_bytes - connection->out_used >= run_request_bytes(run->config);
}

static void
issue_closed(struct run *run, struct connection *connection)
{
	const uint64_t now_ns = platform_monotonic_ns();

	while (run->config->rate == 0 && now_ns < run->end_ns && has_room(run, connection))
		run_op_issue(run, connection, now_ns, now_ns);
}

static uint64_t
intended_ns(const struct run *run, uint64_t number)
{
	return run->begin_ns + (uint64_t)((double)number * 1e9 / (double)run->config->rate);
}

/* Hands every request that is due to a connection with room, in turn. */
static void
issue_open(struct run *run, uint64_t now_ns)
{
	const uint32_t count = run->config->connections;

	while (run->issued < run->due_total && intended_ns(run, run->issued) <= now_ns) {
		uint32_t tried = 0;
		while (tried < count &&
		       !has_room(run, &run->connections[(run->next_connection + tried) % count]))
			tried++;
		if (tried == count)
			return;
		struct connection *connection =
		    &run->connections[(run->next_connection + tried) % count];
		run->next_connection = (run->next_connection + tried + 1) % count;
		run_op_issue(run, connection, intended_ns(run, run->issued), now_ns);
	}
}

/* It is connected, or has waited for a position that is known by now. */
static void
begin_reads(struct run *run, struct connection *connection)
{
	run_reads_begin(run, connection);
	connection->since_ns = platform_monotonic_ns();
	if (connection->wants_out) {
		connection->wants_out = false;
		watch(run, connection, EPOLL_CTL_MOD, EPOLLIN);
	}
	flush_out(run, connection);
}

static void
on_event(struct run *run, const struct epoll_event *event)
{
	struct connection *connection = event->data.ptr;
	socklen_t bytes = sizeof(int);
	int error = 0;

	if (connection->fd < 0)
		return;
	if (connection->state == CONNECTION_OPENING) {
		(void)getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
		if (error != 0) {
			drop(run, connection);
			return;
		}
		begin_reads(run, connection);
	} else {
		if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			on_readable(run, connection);
		if (event->events & EPOLLOUT)
			flush_out(run, connection);
	}
	issue_closed(run, connection);
}

/* Now and then: connections that have to be opened, or have waited too long. */
static void
sweep(struct run *run, uint64_t now_ns)
{
	for (uint32_t i = 0; i < run->config->connections; i++) {
		struct connection *connection = &run->connections[i];
		const bool is_late =
		    (connection->state == CONNECTION_OPENING &&
		     now_ns > connection->since_ns + CONNECT_NS) ||
		    (connection->state == CONNECTION_CHOOSING &&
		     now_ns > connection->since_ns + REPLY_NS) ||
		    (connection->op_count != 0 &&
		     now_ns > connection->ops[connection->op_first].call_ns + REPLY_NS);
		if (is_late)
			drop(run, connection);
		if (connection->state == CONNECTION_WAITING)
			begin_reads(run, connection);
		if (connection->state == CONNECTION_CLOSED && now_ns >= connection->next_try_ns)
			open_connection(run, connection);
	}
}

/* What was due and never sent has waited until now: each of them as long as the last of so many
 * neighbours that UNSENT_STEPS suffice. */
static void
count_unsent(struct run *run, uint64_t now_ns)
{
	const uint64_t step = run->result->unsent / UNSENT_STEPS + 1;

	for (uint64_t left = run->result->unsent; left != 0;) {
		const uint64_t count = left < step ? left : step;
		left -= count;
		run_op_unsent(run, intended_ns(run, run->due_total - left - 1), count, now_ns);
	}
}

static bool
is_over(const struct run *run, uint64_t now_ns)
{
	const bool has_due = run->config->rate != 0 && run->issued < run->due_total;

	return now_ns >= run->end_ns &&
	       ((run->outstanding == 0 && !has_due) || now_ns >= run->end_ns + DRAIN_NS);
}

static void
run_loop(struct run *run)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t now_ns = platform_monotonic_ns(), swept_ns = 0;

	while (!is_over(run, now_ns)) {
		uint64_t wait_ns = SWEEP_NS;

		if (now_ns - swept_ns >= SWEEP_NS) {
			sweep(run, now_ns);
			swept_ns = now_ns;
		}
		if (run->config->rate != 0) {
			issue_open(run, now_ns);
			const uint64_t next_ns = intended_ns(run, run->issued);
			if (run->issued < run->due_total && next_ns > now_ns &&
			    next_ns - now_ns < wait_ns)
				wait_ns = next_ns - now_ns;
		}
		for (uint32_t i = 0; i < run->dirty_count; i++)
			flush_out(run, run->dirty[i]);
		run->dirty_count = 0;
		const struct timespec wait = { .tv_nsec = (long)wait_ns };
		const int count = epoll_pwait2(run->epoll_fd, events, EVENTS_MAX, &wait, NULL);
		for (int i = 0; i < count; i++)
			on_event(run, &events[i]);
		now_ns = platform_monotonic_ns();
	}
	run->result->unsent = run->config->rate != 0 ? run->due_total - run->issued : 0;
	count_unsent(run, now_ns);
	for (uint32_t i = 0; i < run->config->connections; i++)
		drop(run, &run->connections[i]);
}

/* ---- memory ---- */

static bool
take_memory(struct run *run)
{
	const struct bench_run_config *config = run->config;
	bool is_good;

	run->out_bytes = config->pipeline * run_request_bytes(config);
	run->in_bytes = IN_BYTES + 2 * (size_t)config->value_bytes;
	run->connections = calloc(config->connections, sizeof(*run->connections));
	run->dirty = calloc(config->connections, sizeof(struct connection *));
	run->value = calloc(1, config->value_bytes + 1);
	is_good = run->connections != NULL && run->dirty != NULL && run->value != NULL;
	for (uint32_t i = 0; i < config->connections && is_good; i++) {
		struct connection *connection = &run->connections[i];
		connection->fd = -1;
		connection->index = i;
		connection->address = run_reads_address(run, i);
		connection->ops = calloc(config->pipeline, sizeof(*connection->ops));
		connection->out = malloc(run->out_bytes);
		connection->in = malloc(run->in_bytes);
		is_good =
		    connection->ops != NULL && connection->out != NULL && connection->in != NULL;
	}
	if (is_good)
		memset(run->value, 'v', config->value_bytes);
	return is_good;
}

static void
give_memory(struct run *run)
{
	for (uint32_t i = 0; run->connections != NULL && i < run->config->connections; i++) {
		free(run->connections[i].ops);
		free(run->connections[i].out);
		free(run->connections[i].in);
	}
	free(run->connections);
	free(run->dirty);
	free(run->value);
	if (run->epoll_fd >= 0)
		(void)close(run->epoll_fd);
}

/* ---- the history ---- */

/* Histories prove something: none is overwritten. */
static bool
open_history(struct run *run, char *text, size_t text_bytes)
{
	const char *path = run->config->history;

	run->history = fopen(path, "wxe");
	if (run->history == NULL && errno == EEXIST)
		(void)snprintf(
		    text, text_bytes,
		    "%s is there already and is not overwritten; give another --history, "
		    "or remove it",
		    path);
	else if (run->history == NULL)
		(void)snprintf(text, text_bytes, "%s: %s", path, strerror(errno));
	return run->history != NULL;
}

/* False: it is not whole, and @text says so. */
static bool
close_history(struct run *run, char *text, size_t text_bytes)
{
	const bool was_good = ferror(run->history) == 0;
	const bool is_good = fclose(run->history) == 0 && was_good;

	run->history = NULL;
	if (run->result->sent == 0)
		(void)unlink(run->config->history);
	if (!is_good)
		(void)snprintf(text, text_bytes, "%s is not whole: it could not be written",
			       run->config->history);
	return is_good;
}

/* ---- a run ---- */

static bool
prepare(struct run *run, char *text, size_t text_bytes)
{
	const struct bench_run_config *config = run->config;

	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++)
		run->weight_sum += config->weights[kind];
	if (run->epoll_fd < 0 || !take_memory(run)) {
		(void)snprintf(text, text_bytes, "no memory for %u connections",
			       config->connections);
		return false;
	}
	return config->history == NULL || open_history(run, text, text_bytes);
}

bool
bench_run(const struct bench_run_config *config, struct bench_run_result *result, char *text,
	  size_t text_bytes)
{
	struct run run = { .config = config,
			   .result = result,
			   .address_count = config->address_count,
			   .epoll_fd = -1 };
	bool is_good;

	memset(result, 0, sizeof(*result));
	memcpy(run.addresses, config->addresses, sizeof(run.addresses));
	prng_seed(&run.prng, config->seed);
	is_good = prepare(&run, text, text_bytes);
	if (is_good) {
		run.begin_ns = run.last_ok_ns = run.last_reply_ns = platform_monotonic_ns();
		run.end_ns = run.begin_ns + config->duration_ns;
		run.due_total =
		    (uint64_t)((double)config->duration_ns / 1e9 * (double)config->rate);
		run_loop(&run);
		/* Who dies early was away for the rest. */
		result->elapsed_ns = max_u64(run.last_reply_ns, run.end_ns) - run.begin_ns;
		if (run.end_ns > run.last_ok_ns && run.end_ns - run.last_ok_ns > result->gap_max_ns)
			result->gap_max_ns = run.end_ns - run.last_ok_ns;
		is_good = result->ok != 0;
		if (!is_good)
			(void)snprintf(text, text_bytes,
				       "no request was answered (%llu sent, %llu refused%s%s); see "
				       "`tern status`",
				       (unsigned long long)result->sent,
				       (unsigned long long)result->fail,
				       result->errors[0].count ? ": " : "", result->errors[0].code);
	}
	if (run.history != NULL && !close_history(&run, text, text_bytes))
		is_good = false;
	give_memory(&run);
	return is_good;
}
