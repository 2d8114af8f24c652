/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random pipelines against a model. Each connection has keys of its own, so its replies are those
 * of a sequential run, whatever order the lcore completes in and however the bytes are cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

#define KEYS        3
#define CONNECTIONS 5
#define REQUESTS    400
#define TEXT_BYTES  (REQUESTS * 160)

struct client {
	int fd;
	int64_t values[KEYS];
	bool is_there[KEYS];
	char send[TEXT_BYTES], expect[TEXT_BYTES];
	size_t send_used, sent, expect_used;
};

__attribute__((format(printf, 3, 4))) static void
put(char *text, size_t *used, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int bytes = vsnprintf(text + *used, TEXT_BYTES - *used, format, args);
	va_end(args);
	assert_true(bytes >= 0 && (size_t)bytes < TEXT_BYTES - *used);
	*used += (size_t)bytes;
}

#define SEND(client, ...)   put((client)->send, &(client)->send_used, __VA_ARGS__)
#define EXPECT(client, ...) put((client)->expect, &(client)->expect_used, __VA_ARGS__)

static void
expect_key(struct client *client, uint32_t key)
{
	const long long value = client->values[key];

	if (client->is_there[key])
		EXPECT(client, "$%d\r\n%lld\r\n", snprintf(NULL, 0, "%lld", value), value);
	else
		EXPECT(client, "$-1\r\n");
}

static void
add_write(struct client *client, struct prng *prng, int number, uint32_t key)
{
	const long long delta = (long long)prng_below(prng, 100) - 50;

	switch (prng_below(prng, 5)) {
	case 0:
		SEND(client, "SET c%dk%u %lld\r\n", number, key, delta);
		EXPECT(client, "+OK\r\n");
		client->values[key] = delta;
		client->is_there[key] = true;
		break;
	case 1:
		SEND(client, "DEL c%dk%u\r\n", number, key);
		EXPECT(client, ":%d\r\n", client->is_there[key]);
		client->values[key] = 0;
		client->is_there[key] = false;
		break;
	case 2:
		SEND(client, "SET !busy 1\r\n");
		EXPECT(client, "-BUSY the server's queues are full, it was not executed: try again"
			       "\r\n");
		break;
	default:
		SEND(client, "TERN.INCRBY c%dk%u %lld MIN 0\r\n", number, key, delta);
		if (client->values[key] + delta < 0) {
			EXPECT(client, "-BOUND value %lld delta %lld min 0\r\n",
			       (long long)client->values[key], delta);
			break;
		}
		client->values[key] += delta;
		client->is_there[key] = true;
		EXPECT(client, ":%lld\r\n", (long long)client->values[key]);
		break;
	}
}

/* Some commands between MULTI and EXEC; sometimes dropped, sometimes spoilt, sometimes in conflict
 * with a write of this very connection. */
static void
add_multi(struct client *client, struct prng *prng, int number)
{
	const uint32_t count = (uint32_t)prng_below(prng, 5), end = (uint32_t)prng_below(prng, 8);
	int64_t values[KEYS];
	bool is_there[KEYS];
	static char replies[TEXT_BYTES];
	size_t used = 0;

	if (end == 2) {
		SEND(client, "WATCH c%dk0\r\nSET c%dk0 1\r\n", number, number);
		EXPECT(client, "+OK\r\n+OK\r\n");
		client->values[0] = 1;
		client->is_there[0] = true;
	}
	memcpy(values, client->values, sizeof(values));
	memcpy(is_there, client->is_there, sizeof(is_there));
	SEND(client, "MULTI\r\n");
	EXPECT(client, "+OK\r\n");
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t key = (uint32_t)prng_below(prng, KEYS);
		const bool is_read = prng_below(prng, 2) == 0;
		SEND(client, is_read ? "GET c%dk%u\r\n" : "INCR c%dk%u\r\n", number, key);
		EXPECT(client, "+QUEUED\r\n");
		if (!is_read) {
			values[key]++;
			is_there[key] = true;
			put(replies, &used, ":%lld\r\n", (long long)values[key]);
		} else if (!is_there[key]) {
			put(replies, &used, "$-1\r\n");
		} else {
			const long long value = values[key];
			put(replies, &used, "$%d\r\n%lld\r\n", snprintf(NULL, 0, "%lld", value),
			    value);
		}
	}
	replies[used] = 0;
	if (end == 0) {
		SEND(client, "DISCARD\r\n");
		EXPECT(client, "+OK\r\n");
	} else if (end == 1) {
		SEND(client, "SELECT\r\nEXEC\r\n");
		EXPECT(client, "-ERR wrong number of arguments for 'select' command\r\n"
			       "-EXECABORT Transaction discarded because of previous errors.\r\n");
	} else if (end == 2) {
		SEND(client, "EXEC\r\n");
		EXPECT(client, "*-1\r\n");
	} else {
		SEND(client, "EXEC\r\n");
		EXPECT(client, "*%u\r\n%s", count, replies);
		memcpy(client->values, values, sizeof(values));
		memcpy(client->is_there, is_there, sizeof(is_there));
	}
}

static void
add_request(struct client *client, struct prng *prng, int number)
{
	const uint32_t key = (uint32_t)prng_below(prng, KEYS);

	switch (prng_below(prng, 9)) {
	case 8:
		add_multi(client, prng, number);
		break;
	case 0:
		SEND(client, "*1\r\n$4\r\nPING\r\n");
		EXPECT(client, "+PONG\r\n");
		break;
	case 1:
		SEND(client, "NONE\r\n");
		EXPECT(client, "-ERR unknown command 'NONE', with args beginning with: \r\n");
		break;
	case 2:
		SEND(client, "MGET c%dk0 c%dk1\r\n", number, number);
		EXPECT(client, "*2\r\n");
		expect_key(client, 0);
		expect_key(client, 1);
		break;
	case 3:
	case 4:
		SEND(client, "*2\r\n$3\r\nGET\r\n$4\r\nc%dk%u\r\n", number, key);
		expect_key(client, key);
		break;
	default:
		add_write(client, prng, number, key);
		break;
	}
}

static void
run(uint64_t seed, uint32_t in_flight_max)
{
	struct fake_node *node = node_make();
	struct client *clients = calloc(CONNECTIONS, sizeof(*clients));
	struct prng prng;
	bool has_more = true;

	prng_seed(&prng, seed);
	node->shuffle_seed = seed;
	node->in_flight_max = in_flight_max;
	fake_start(node);
	for (int c = 0; c < CONNECTIONS; c++) {
		clients[c].fd = client_open(node);
		for (int i = 0; i < REQUESTS; i++)
			add_request(&clients[c], &prng, c);
	}
	while (has_more) {
		has_more = false;
		for (int c = 0; c < CONNECTIONS; c++) {
			struct client *client = &clients[c];
			const size_t left = client->send_used - client->sent;
			if (left == 0)
				continue;
			const size_t piece = 1 + prng_below(&prng, left < 900 ? left : 900);
			client_send_bytes(client->fd, client->send + client->sent, piece);
			client->sent += piece;
			has_more = true;
		}
	}
	for (int c = 0; c < CONNECTIONS; c++) {
		client_expect_bytes(clients[c].fd, clients[c].expect, clients[c].expect_used);
		close(clients[c].fd);
	}
	fake_stop(node);
	free(clients);
	free(node);
}

static void
test_random_pipelines(void **context)
{
	(void)context;
	for (uint64_t seed = 1; seed <= 6; seed++)
		run(seed, 0);
}

static void
test_random_pipelines_with_little_room(void **context)
{
	(void)context;
	for (uint64_t seed = 101; seed <= 106; seed++)
		run(seed, 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_pipelines),
		cmocka_unit_test(test_random_pipelines_with_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
