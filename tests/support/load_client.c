/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of its own for tests with real processes: plain sockets, plain RESP, no code of the
 * product. It writes unique keys, journals each before it is sent and after its reply, goes to the
 * other address when a connection breaks or is refused, and later reads back what was acknowledged.
 *
 *	load_client write  --addr H:P [--addr H:P] --journal FILE --prefix P [--connections N]
 *	                   [--seconds S] [--rate R]
 *	load_client verify --addr H:P [--addr H:P] --journal FILE
 *
 * Journal lines: `S key ns` before sending, `A key ns` acknowledged, `E key ns` refused by an error
 * reply, `U key ns` outcome unknown (the connection broke). Times are CLOCK_MONOTONIC.
 * A journal that cannot be written ends the program: exit 4.
 * The value of a key is the key itself. One request is outstanding on each connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ADDRESSES_MAX   4
#define CONNECTIONS_MAX 256
#define RETRY_NS        1000000ull    /* between attempts to reach a master */
#define CONNECT_NS      200000000ull  /* a connection that does not open */
#define REPLY_NS        3000000000ull /* a reply that does not come */

struct connection {
	int fd; /* -1: none */
	bool is_open, is_waiting;
	uint32_t address;
	uint64_t next_try_ns, since_ns;
	char key[64];
	char in[256];
	size_t in_bytes;
};

struct options {
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	uint32_t address_count, connections;
	const char *journal, *prefix;
	double seconds;
	uint64_t rate;
};

struct totals {
	uint64_t sent, acked, refused, unknown;
};

static volatile sig_atomic_t is_over;

static void
on_signal(int number)
{
	(void)number;
	is_over = 1;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* What a journal does not say nobody will miss: without it there is no result. */
static void
end_without_journal(void)
{
	fprintf(stderr, "load_client: journal: %s\n", strerror(errno));
	exit(4);
}

/* One line. That of a request is out before the request is. */
static void
note(FILE *journal, char kind, const char *key)
{
	if (fprintf(journal, "%c %s %llu\n", kind, key, (unsigned long long)now_ns()) < 0 ||
	    (kind == 'S' && fflush(journal) != 0))
		end_without_journal();
}

static void
drop(struct connection *connection, uint32_t address_count)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	connection->is_open = false;
	connection->is_waiting = false;
	connection->in_bytes = 0;
	connection->address = (connection->address + 1) % address_count;
	connection->next_try_ns = now_ns() + RETRY_NS;
}

static void
open_connection(struct connection *connection, const struct options *options)
{
	const int one = 1;
	const struct sockaddr_storage *address = &options->addresses[connection->address];

	connection->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		return;
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->since_ns = now_ns();
	if (connect(connection->fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		connection->is_open = true;
	else if (errno != EINPROGRESS)
		drop(connection, options->address_count);
}

/* Sends one SET of a new key; the journal line is out before the bytes are. */
static void
send_next(struct connection *connection, const struct options *options, FILE *journal,
	  uint64_t number, struct totals *totals)
{
	char out[256];

	snprintf(connection->key, sizeof(connection->key), "%s:%llu", options->prefix,
		 (unsigned long long)number);
	note(journal, 'S', connection->key);
	const size_t length = strlen(connection->key);
	const int bytes =
	    snprintf(out, sizeof(out), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", length,
		     connection->key, length, connection->key);
	totals->sent++;
	connection->is_waiting = true;
	connection->since_ns = now_ns();
	if (send(connection->fd, out, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
		note(journal, 'U', connection->key);
		totals->unknown++;
		drop(connection, options->address_count);
	}
}

static void
on_readable(struct connection *connection, const struct options *options, FILE *journal,
	    struct totals *totals)
{
	const ssize_t got = recv(connection->fd, connection->in + connection->in_bytes,
				 sizeof(connection->in) - connection->in_bytes - 1, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		if (connection->is_waiting) {
			note(journal, 'U', connection->key);
			totals->unknown++;
		}
		drop(connection, options->address_count);
		return;
	}
	connection->in_bytes += (size_t)got;
	connection->in[connection->in_bytes] = '\0';
	if (strstr(connection->in, "\r\n") == NULL)
		return;
	const bool is_ok = connection->in[0] == '+';
	note(journal, is_ok ? 'A' : 'E', connection->key);
	connection->is_waiting = false;
	connection->in_bytes = 0;
	if (is_ok) {
		totals->acked++;
	} else {
		totals->refused++;
		drop(connection, options->address_count);
	}
}

static void
expire(struct connection *connection, const struct options *options, FILE *journal,
       struct totals *totals)
{
	const uint64_t age_ns = now_ns() - connection->since_ns;

	if (connection->fd < 0)
		return;
	if (!connection->is_open && age_ns > CONNECT_NS) {
		drop(connection, options->address_count);
	} else if (connection->is_waiting && age_ns > REPLY_NS) {
		note(journal, 'U', connection->key);
		totals->unknown++;
		drop(connection, options->address_count);
	}
}

static void
on_event(struct connection *connection, short events, const struct options *options, FILE *journal,
	 struct totals *totals)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (!connection->is_open && (events & (POLLOUT | POLLERR | POLLHUP)) != 0) {
		getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
		if (error != 0)
			drop(connection, options->address_count);
		else
			connection->is_open = true;
	} else if ((events & (POLLIN | POLLERR | POLLHUP)) != 0) {
		on_readable(connection, options, journal, totals);
	}
}

static int
run_write(const struct options *options)
{
	static struct connection connections[CONNECTIONS_MAX];
	FILE *journal = fopen(options->journal, "w");
	const uint64_t begin_ns = now_ns();
	struct totals totals = { 0 };
	uint64_t number = 0;

	if (journal == NULL)
		return 2;
	for (uint32_t i = 0; i < options->connections; i++)
		connections[i].fd = -1;
	while (!is_over && (double)(now_ns() - begin_ns) < options->seconds * 1e9) {
		struct pollfd fds[CONNECTIONS_MAX];

		for (uint32_t i = 0; i < options->connections; i++) {
			struct connection *connection = &connections[i];
			const uint64_t now = now_ns();
			const bool is_due =
			    options->rate == 0 || number < (uint64_t)((double)(now - begin_ns) /
								      1e9 * (double)options->rate);

			if (connection->fd < 0 && now >= connection->next_try_ns)
				open_connection(connection, options);
			if (connection->is_open && !connection->is_waiting && is_due)
				send_next(connection, options, journal, number++, &totals);
			expire(connection, options, journal, &totals);
			fds[i].fd = connection->fd;
			fds[i].events = connection->is_open ? POLLIN : POLLOUT;
			fds[i].revents = 0;
		}
		if (poll(fds, options->connections, 1) <= 0)
			continue;
		for (uint32_t i = 0; i < options->connections; i++)
			if (fds[i].fd >= 0 && fds[i].revents != 0)
				on_event(&connections[i], fds[i].revents, options, journal,
					 &totals);
	}
	for (uint32_t i = 0; i < options->connections; i++)
		if (connections[i].is_waiting) {
			note(journal, 'U', connections[i].key);
			totals.unknown++;
		}
	if (fclose(journal) != 0)
		end_without_journal();
	printf("{\"sent\":%llu,\"acknowledged\":%llu,\"refused\":%llu,\"unknown\":%llu}\n",
	       (unsigned long long)totals.sent, (unsigned long long)totals.acked,
	       (unsigned long long)totals.refused, (unsigned long long)totals.unknown);
	return 0;
}

/* ---- reading back ---- */

static int
connect_blocking(const struct options *options, uint32_t address)
{
	const struct timeval limit = { .tv_sec = 5 };
	const int fd = socket(options->addresses[address].ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&options->addresses[address],
		    sizeof(options->addresses[address])) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Reads one GET reply. 1: the value is @key; 0: no such key or another value; -1: go elsewhere. */
static int
read_reply(FILE *in, const char *key)
{
	char line[512];

	if (fgets(line, sizeof(line), in) == NULL || line[0] == '-')
		return -1;
	if (line[0] != '$' && line[0] != '_')
		return -1;
	if (line[0] == '_' || line[1] == '-')
		return 0;
	if (fgets(line, sizeof(line), in) == NULL)
		return -1;
	line[strcspn(line, "\r\n")] = '\0';
	return strcmp(line, key) == 0;
}

#define BATCH 200

/* Asks for @count keys in one pipeline; tries all addresses for up to 20 s. */
static bool
find_batch(const struct options *options, char keys[][64], uint32_t count, bool *is_found)
{
	static uint32_t address;

	for (int attempt = 0; attempt < 4000; attempt++) {
		const int fd = connect_blocking(options, address);
		bool is_good = fd >= 0;
		FILE *stream = fd < 0 ? NULL : fdopen(fd, "r+");

		for (uint32_t i = 0; is_good && i < count; i++) {
			char out[160];
			const int bytes =
			    snprintf(out, sizeof(out), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n",
				     strlen(keys[i]), keys[i]);
			is_good = send(fd, out, (size_t)bytes, MSG_NOSIGNAL) == bytes;
		}
		for (uint32_t i = 0; is_good && i < count; i++) {
			const int verdict = read_reply(stream, keys[i]);
			is_good = verdict >= 0;
			is_found[i] = verdict == 1;
		}
		if (stream != NULL)
			fclose(stream);
		if (is_good)
			return true;
		address = (address + 1) % options->address_count;
		usleep(5000);
	}
	return false;
}

static int
run_verify(const struct options *options)
{
	static char keys[BATCH][64], kinds[BATCH];
	bool is_found[BATCH];
	uint64_t acked = 0, found = 0, lost = 0, unknown = 0, unknown_found = 0;
	FILE *journal = fopen(options->journal, "r");
	uint32_t count = 0;
	char line[256];
	bool has_line = true;

	if (journal == NULL)
		return 2;
	while (has_line) {
		char kind = 0, key[64];

		has_line = fgets(line, sizeof(line), journal) != NULL;
		if (has_line && sscanf(line, "%c %63s", &kind, key) == 2 &&
		    (kind == 'A' || kind == 'U')) {
			memcpy(keys[count], key, sizeof(key));
			kinds[count++] = kind;
		}
		if (count < BATCH && has_line)
			continue;
		if (count != 0 && !find_batch(options, keys, count, is_found)) {
			fprintf(stderr, "load_client: nobody answers reads\n");
			return 3;
		}
		for (uint32_t i = 0; i < count; i++) {
			acked += kinds[i] == 'A';
			unknown += kinds[i] == 'U';
			found += kinds[i] == 'A' && is_found[i];
			unknown_found += kinds[i] == 'U' && is_found[i];
			if (kinds[i] == 'A' && !is_found[i] && lost++ < 10)
				fprintf(stderr, "load_client: lost %s\n", keys[i]);
		}
		count = 0;
	}
	if (ferror(journal) != 0)
		end_without_journal();
	fclose(journal);
	printf("{\"acknowledged\":%llu,\"found\":%llu,\"lost\":%llu,\"unknown\":%llu,"
	       "\"unknown_found\":%llu}\n",
	       (unsigned long long)acked, (unsigned long long)found, (unsigned long long)lost,
	       (unsigned long long)unknown, (unsigned long long)unknown_found);
	return lost != 0;
}

static bool
parse_address(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	char host[64];
	const char *colon = strrchr(text, ':');

	if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	v4.sin_port = v6.sin6_port = htons((uint16_t)atoi(colon + 1));
	if (host[0] != '[') {
		memcpy(address, &v4, sizeof(v4));
		return inet_pton(AF_INET, host,
				 &((struct sockaddr_in *)(void *)address)->sin_addr) == 1;
	}
	host[strlen(host) - 1] = '\0';
	memcpy(address, &v6, sizeof(v6));
	return inet_pton(AF_INET6, host + 1,
			 &((struct sockaddr_in6 *)(void *)address)->sin6_addr) == 1;
}

int
main(int argc, char **argv)
{
	struct options options = { .connections = 32, .seconds = 1e9, .prefix = "k" };

	for (int i = 2; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (strcmp(name, "--addr") == 0 && options.address_count < ADDRESSES_MAX &&
		    parse_address(value, &options.addresses[options.address_count]))
			options.address_count++;
		else if (strcmp(name, "--journal") == 0)
			options.journal = value;
		else if (strcmp(name, "--prefix") == 0)
			options.prefix = value;
		else if (strcmp(name, "--connections") == 0)
			options.connections = (uint32_t)atoi(value);
		else if (strcmp(name, "--seconds") == 0)
			options.seconds = atof(value);
		else if (strcmp(name, "--rate") == 0)
			options.rate = (uint64_t)atoll(value);
		else
			return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (argc < 2 || options.address_count == 0 || options.journal == NULL ||
	    options.connections == 0 || options.connections > CONNECTIONS_MAX)
		return 2;
	return strcmp(argv[1], "write") == 0 ? run_write(&options) : run_verify(&options);
}
