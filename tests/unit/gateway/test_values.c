/* SPDX-License-Identifier: Apache-2.0 */
/* Commands whose replies carry values, conditions, walks over the keys, reads at a replica. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/gateway/glob.h"
#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

static void
test_values(void **context)
{
	static const struct step steps[] = {
		{ "GETSET k a\r\n", "$-1\r\n" },
		{ "GETSET k b\r\n", "$1\r\na\r\n" },
		{ "SET k c GET\r\n", "$1\r\nb\r\n" },
		{ "SET k d NX GET\r\n", "$1\r\nc\r\n" },
		{ "SET k d XX\r\n", "+OK\r\n" },
		{ "SET none d XX GET\r\n", "$-1\r\n" },
		{ "SET k \"\" GET\r\n", "$1\r\nd\r\n" },
		{ "GETSET k e\r\n", "$0\r\n\r\n" },
		{ "INCR n\r\n", ":1\r\n" },
		{ "GETDEL n\r\n", "$1\r\n1\r\n" },
		{ "GETDEL n\r\n", "$-1\r\n" },
		{ "SETNX k f\r\n", ":0\r\n" },
		{ "SETNX l f\r\n", ":1\r\n" },
		{ "MSETNX l 1 m 2\r\n", ":0\r\n" },
		{ "EXISTS m\r\n", ":0\r\n" },
		{ "MSETNX o 1 m 2\r\n", ":1\r\n" },
		{ "MSETNX o 1 m\r\n", "-ERR wrong number of arguments for 'msetnx' command\r\n" },
		{ "APPEND k fgh\r\n", ":4\r\n" },
		{ "GET k\r\n", "$4\r\nefgh\r\n" },
		{ "STRLEN k\r\n", ":4\r\n" },
		{ "STRLEN none\r\n", ":0\r\n" },
		{ "INCRBY i -120\r\n", ":-120\r\n" },
		{ "STRLEN i\r\n", ":4\r\n" },
		{ "TYPE i\r\n", "+string\r\n" },
		{ "TYPE none\r\n", "+none\r\n" },
		{ "UNLINK k l m o i none\r\n", ":5\r\n" },
		{ "DBSIZE\r\n", ":0\r\n" },
	};
	const int fd = client_open(*context);

	RUN(fd, steps);
	close(fd);
}

/* More values on their way than the channel has room for: the rest waits for its turn. */
static void
test_values_wait_for_room(void **context)
{
	enum { BYTES = 100000, COUNT = 20 };
	struct fake_node *node = *context;
	const int fd = client_open(node);
	char head[64], *value = malloc(BYTES + 3);
	struct gateway_stats stats;

	assert_non_null(value);
	for (int i = 0; i <= COUNT; i++) {
		memset(value, 'a' + i, BYTES);
		snprintf(head, sizeof(head), "*3\r\n$6\r\nGETSET\r\n$1\r\nk\r\n$%d\r\n", BYTES);
		client_send(fd, head);
		memcpy(value + BYTES, "\r\n", 3);
		client_send(fd, value);
	}
	client_expect(fd, "$-1\r\n");
	for (int i = 0; i < COUNT; i++) {
		memset(value, 'a' + i, BYTES);
		snprintf(head, sizeof(head), "$%d\r\n", BYTES);
		client_expect(fd, head);
		client_expect(fd, value);
	}
	close(fd);
	const int other = client_open(node);
	client_send(other, "PING\r\n");
	client_expect(other, "+PONG\r\n");
	for (int i = 0; i < 60000; i++) {
		gateway_stats(node->gateway, &stats);
		if (stats.connections_now == 1)
			break;
		usleep(1000);
	}
	/* Nothing of the replies is left behind. */
	assert_in_range(stats.buffers_bytes, 1, 100000);
	close(other);
	free(value);
}

static void
test_scan_returns_every_key_once(void **context)
{
	static uint8_t seen[1000];
	const int fd = client_open(*context);
	char text[64], cursor[32] = "0";
	int calls = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "SET key:%d v\r\n", i);
		client_send(fd, text);
	}
	for (int i = 0; i < 1000; i++)
		client_expect(fd, "+OK\r\n");
	memset(seen, 0, sizeof(seen));
	do {
		snprintf(text, sizeof(text), "SCAN %s MATCH key:*7 COUNT 50\r\n", cursor);
		client_send(fd, text);
		assert_int_equal(client_read_number(fd, '*'), 2);
		client_read_bulk(fd, cursor, sizeof(cursor));
		for (long left = client_read_number(fd, '*'); left > 0; left--) {
			client_read_bulk(fd, text, sizeof(text));
			assert_memory_equal(text, "key:", 4);
			seen[atoi(text + 4)]++;
		}
		/* Keys that come and go between the calls do not matter to the others. */
		client_send(fd, "SET passing 1\r\nDEL passing\r\n");
		client_expect(fd, "+OK\r\n:1\r\n");
		assert_in_range(++calls, 1, 100000);
	} while (strcmp(cursor, "0") != 0);
	assert_true(calls > 5);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(seen[i], i % 10 == 7);
	close(fd);
}

static void
test_scan_and_keys_refuse(void **context)
{
	static const struct step steps[] = {
		{ "SCAN x\r\n", "-ERR invalid cursor\r\n" },
		{ "SCAN -1\r\n", "-ERR invalid cursor\r\n" },
		{ "SCAN 1\r\n",
		  "-ERR invalid cursor: it is not of this node, begin again with 0\r\n" },
		{ "SCAN 0 COUNT 0\r\n", "-ERR syntax error\r\n" },
		{ "SCAN 0 COUNT x\r\n", "-ERR value is not an integer or out of range\r\n" },
		{ "SCAN 0 MATCH\r\n", "-ERR syntax error\r\n" },
		{ "SCAN 0 SORT x\r\n", "-ERR syntax error\r\n" },
		{ "KEYS *\r\n", "*0\r\n" },
		{ "MSET aa 1 ab 2 b 3\r\n", "+OK\r\n" },
		{ "KEYS *\r\n", "*3\r\n$2\r\naa\r\n$2\r\nab\r\n$1\r\nb\r\n" },
		{ "KEYS a?\r\n", "*2\r\n$2\r\naa\r\n$2\r\nab\r\n" },
		{ "KEYS b\r\n", "*1\r\n$1\r\nb\r\n" },
		{ "DEL aa ab b\r\n", ":3\r\n" },
	};
	const int fd = client_open(*context);
	char text[64];

	RUN(fd, steps);
	for (int i = 0; i < 20001; i++) {
		snprintf(text, sizeof(text), "SET many%d v\r\n", i);
		client_send(fd, text);
		client_expect(fd, "+OK\r\n");
	}
	client_send(fd, "KEYS *\r\n");
	client_expect(fd, "-ERR KEYS looks at no more than 20000 keys, use SCAN\r\n");
	client_send(fd, "KEYS many2000[01]\r\n");
	client_expect(fd, "*1\r\n$9\r\nmany20000\r\n");
	close(fd);
}

/* Calls of SCAN from the first to the last. */
static uint32_t
scan_calls(int fd, const char *pattern)
{
	char text[1200], cursor[32] = "0";
	uint32_t calls = 0;

	do {
		snprintf(text, sizeof(text), "SCAN %s MATCH %s COUNT 10000\r\n", cursor, pattern);
		client_send(fd, text);
		assert_int_equal(client_read_number(fd, '*'), 2);
		client_read_bulk(fd, cursor, sizeof(cursor));
		assert_int_equal(client_read_number(fd, '*'), 0);
		calls++;
	} while (strcmp(cursor, "0") != 0);
	return calls;
}

/* A pattern that costs much with every key: the other clients do not wait for all of them. */
static void
test_patterns_are_bounded(void **context)
{
	enum { KEY = 1000, HALF = 511 };
	const int fd = client_open(*context);
	char text[1200], key[KEY + 1], costly[HALF + 3];

	memset(key, 'a', KEY);
	key[KEY] = 0;
	for (int i = 0; i < 1200; i++) {
		snprintf(text, sizeof(text), "SET %s%d v\r\n", key, i);
		client_send(fd, text);
		client_expect(fd, "+OK\r\n");
	}
	memset(costly, 'a', sizeof(costly));
	costly[0] = '*';
	costly[HALF + 1] = 'b';
	costly[HALF + 2] = 0;
	assert_true(scan_calls(fd, costly) > scan_calls(fd, "b*"));
	snprintf(text, sizeof(text), "KEYS %s\r\n", costly);
	client_send(fd, text);
	client_expect(fd, "-ERR KEYS looks at no more than 20000 keys, use SCAN\r\n");
	/* As many keys of that length, without going back and forth. */
	snprintf(text, sizeof(text), "KEYS %s7\r\nKEYS *b*\r\n", key);
	client_send(fd, text);
	client_expect(fd, "*1\r\n$1001\r\n");
	client_expect(fd, key);
	client_expect(fd, "7\r\n*0\r\n");
	close(fd);
}

static void
test_readonly_at_a_replica(void **context)
{
	struct fake_node *node = *context;
	int fd = client_open(node);

	client_send(fd, "SET k v\r\nREADONLY\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n$1\r\nv\r\n");
	close(fd);
	node->is_not_master = true;
	node->master_id = 2;
	fake_publish_role(node, false, 2);
	const uint64_t reads = node->reads_taken;
	/* A client that met the master here would be let go. */
	fd = client_open(node);
	client_send(fd, "READONLY\r\n");
	client_expect(fd, "+OK\r\n");
	client_send(fd, "GET k\r\nMGET k none\r\nSET k w\r\nPING\r\nSTRLEN k\r\n");
	client_expect(fd, "$1\r\nv\r\n*2\r\n$1\r\nv\r\n$-1\r\n");
	client_expect(fd, "-READONLY You can't write against a read only replica.\r\n");
	client_expect(fd, "+PONG\r\n:1\r\n");
	assert_int_equal(node->reads_taken, reads);
	client_send(fd, "CLIENT REPLY SKIP\r\nGET k\r\nSTRLEN k\r\n");
	client_expect(fd, ":1\r\n");
	/* Who follows nobody does not know how old its state is. */
	fake_publish_role(node, false, 0);
	client_send(fd, "GET k\r\n");
	client_expect(fd, "-MASTERDOWN Link with MASTER is down and no replica may answer.\r\n");
	fake_publish_role(node, false, 2);
	client_send(fd, "GET k\r\nREADWRITE\r\nGET k\r\nREADONLY\r\nRESET\r\nGET k\r\n");
	client_expect(fd, "$1\r\nv\r\n+OK\r\n-MOVED 0 10.0.0.2:7002\r\n+OK\r\n+RESET\r\n"
			  "-MOVED 0 10.0.0.2:7002\r\n");
	close(fd);
}

/* The state is @age_ms old; @age_ms 0: that is not known. */
static void
publish_age(struct fake_node *node, uint64_t age_ms)
{
	struct node_status status;
	struct timespec now;

	fake_publish_role(node, false, 2);
	status_read(&node->cell, &status);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	status.echo_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	status.fresh_ns = age_ms == 0 ? 0 : status.echo_ns - age_ms * 1000000;
	status.effective_elect_min_ns = UINT64_MAX;
	status_publish(&node->cell, &status);
}

static void
test_readonly_with_a_bound(void **context)
{
	struct fake_node *node = *context;
	char line[128];
	int fd = client_open(node);

	client_send(fd, "SET k v\r\n");
	client_expect(fd, "+OK\r\n");
	close(fd);
	node->is_not_master = true;
	node->master_id = 2;
	publish_age(node, 60000);
	fd = client_open(node);
	client_send(fd, "READONLY 0\r\nREADONLY x\r\nREADONLY 3600001\r\nREADONLY 1 2\r\n");
	for (int i = 0; i < 4; i++)
		client_expect(fd, "-ERR READONLY takes 1 to 3600000 milliseconds, or nothing\r\n");
	client_send(fd, "GET k\r\nREADONLY 3600000\r\nGET k\r\nREADONLY 50000\r\nGET k\r\n");
	client_expect(fd, "-MOVED 0 10.0.0.2:7002\r\n+OK\r\n$1\r\nv\r\n+OK\r\n");
	client_read_line(fd, line, sizeof(line));
	assert_memory_equal(line, "-STALE the state here may be 60", 31);
	assert_non_null(strstr(line, " ms old, 50000 ms are allowed\r\n"));
	client_send(fd, "TERN.STALE\r\n");
	client_expect(fd, "*2\r\n:60");
	client_read_line(fd, line, sizeof(line));
	client_expect(fd, ":69\r\n");
	publish_age(node, 0);
	client_send(fd, "MGET k k\r\nGET k\r\nTERN.STALE\r\n");
	client_expect(fd, "-STALE how old the state here is, is not known\r\n"
			  "-STALE how old the state here is, is not known\r\n"
			  "*2\r\n:-1\r\n:69\r\n");
	/* Without a bound any age will do. */
	client_send(fd, "READONLY\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n$1\r\nv\r\n");
	close(fd);
}

/* The node's own bound, of connections that name none. */
static void
test_readonly_at_a_node_with_a_bound(void **context)
{
	struct fake_node *node = node_make();

	(void)context;
	node->stale_ns_max = 50000 * UINT64_C(1000000);
	fake_start(node);
	node->is_not_master = true;
	node->master_id = 2;
	publish_age(node, 60000);
	const int fd = client_open(node);
	char line[128];
	client_send(fd, "READONLY\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n-STALE the state here may be 60");
	client_read_line(fd, line, sizeof(line));
	/* A connection may ask for less, not for more. */
	client_send(fd, "READONLY 70000\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n-STALE the state here may be 60");
	client_read_line(fd, line, sizeof(line));
	assert_non_null(strstr(line, " 50000 ms are allowed"));
	publish_age(node, 10);
	client_send(fd, "RESET\r\nREADONLY\r\nGET k\r\n");
	client_expect(fd, "+RESET\r\n+OK\r\n$-1\r\n");
	close(fd);
	node_free(node);
}

/* A connection of class memory sees what was answered in it; the others what is durable. */
static void
test_class(void **context)
{
	struct fake_node *node = *context;
	const int fast = client_open(node), safe = client_open(node);

	client_send(fast, "TERN.CLASS\r\nTERN.CLASS none\r\nTERN.CLASS memory x\r\n");
	client_expect(fast,
		      "$7\r\ndurable\r\n-ERR syntax: TERN.CLASS [durable | memory | async]\r\n"
		      "-ERR syntax: TERN.CLASS [durable | memory | async]\r\n");
	client_send(fast, "SET c 1\r\nTERN.CLASS memory\r\nTERN.CLASS\r\nSET c 2\r\nGET c\r\n");
	client_expect(fast, "+OK\r\n+OK\r\n$6\r\nmemory\r\n+OK\r\n$1\r\n2\r\n");
	client_send(safe, "GET c\r\n");
	client_expect(safe, "$1\r\n1\r\n");
	/* After its own write a connection waits until that is durable. */
	client_send(fast, "TERN.CLASS durable\r\nGET c\r\n");
	client_expect(fast, "+OK\r\n");
	client_send(safe, "SET d 1\r\n");
	client_expect(safe, "+OK\r\n");
	client_expect(fast, "$1\r\n2\r\n");
	client_send(fast, "TERN.CLASS memory\r\nRESET\r\nTERN.CLASS\r\nSET !class 1\r\n");
	client_expect(fast, "+OK\r\n+RESET\r\n$7\r\ndurable\r\n"
			    "-CLASS the log is volatile here, nothing can be durable: "
			    "TERN.CLASS memory\r\n");
	close(fast);
	close(safe);
}

static void
test_glob(void **context)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} table[] = {
		{ "*", "", true },         { "", "", true },          { "", "a", false },
		{ "a*c", "abbc", true },   { "a*c", "abb", false },   { "a?c", "abc", true },
		{ "a?c", "ac", false },    { "*b*b*", "abab", true }, { "*b*b*", "aba", false },
		{ "[a-c]x", "bx", true },  { "[c-a]x", "bx", true },  { "[^a-c]x", "bx", false },
		{ "[^a-c]x", "dx", true }, { "[abc", "b", true },     { "\\*", "*", true },
		{ "\\*", "a", false },     { "[\\]]", "]", true },    { "a\\", "a\\", true },
		{ "a*", "a", true },       { "*a", "ba", true },      { "*aab", "aaab", true },
		{ "h[a-]", "h-", true },
	};
	uint64_t steps = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *p = table[i].pattern, *t = table[i].text;
		if (glob_match((const uint8_t *)p, (uint32_t)strlen(p), (const uint8_t *)t,
			       (uint32_t)strlen(t), &steps) != table[i].matches)
			fail_msg("'%s' and '%s'", p, t);
	}
	/* What lies between is not looked at, what is gone back to is counted again, and so is what
	 * a set holds. */
	steps = 0;
	assert_true(glob_match((const uint8_t *)"a*", 2, (const uint8_t *)"aaaaaaaa", 8, &steps));
	assert_int_equal(steps, 2);
	assert_false(glob_match((const uint8_t *)"*ab", 3, (const uint8_t *)"aaaa", 4, &steps));
	assert_int_equal(steps, 2 + 1 + 2 + 2 + 2 + 1);
	assert_true(glob_match((const uint8_t *)"[xyz]", 5, (const uint8_t *)"z", 1, &steps));
	assert_int_equal(steps, 10 + 5);
	assert_int_equal(glob_prefix((const uint8_t *)"ab*", 3), 2);
	assert_int_equal(glob_prefix((const uint8_t *)"abc", 3), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_values),
		NODE_TEST(test_values_wait_for_room),
		NODE_TEST(test_scan_returns_every_key_once),
		NODE_TEST(test_scan_and_keys_refuse),
		NODE_TEST(test_patterns_are_bounded),
		NODE_TEST(test_readonly_at_a_replica),
		NODE_TEST(test_readonly_with_a_bound),
		cmocka_unit_test(test_readonly_at_a_node_with_a_bound),
		NODE_TEST(test_class),
		cmocka_unit_test(test_glob),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
