/* SPDX-License-Identifier: Apache-2.0 */
/* TERN.SESSION and TERN.ONCE: a write under a number is executed once, however often it comes. */
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fake_node.h"

static void
expect_lines(int fd, const char *const (*lines)[2], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		client_send(fd, lines[i][0]);
		client_expect(fd, lines[i][1]);
	}
}

static void
test_once(void **context)
{
	static const char *const lines[][2] = {
		{ "TERN.SESSION OPEN\r\n", ":1\r\n" },
		{ "TERN.ONCE 1 1 INCR n\r\n", ":1\r\n" },
		{ "TERN.ONCE 1 1 INCR n\r\n", ":1\r\n" },
		{ "TERN.ONCE 1 2 INCRBY n 5\r\n", ":6\r\n" },
		{ "tern.once 1 1 incr n\r\n", ":1\r\n" },
		{ "TERN.ONCE 1 3 TERN.INCRBY n -9 MIN 0\r\n", "-BOUND value 6 delta -9 min 0\r\n" },
		{ "SET n 100\r\n", "+OK\r\n" },
		{ "TERN.ONCE 1 3 TERN.INCRBY n -9 MIN 0\r\n", "-BOUND value 6 delta -9 min 0\r\n" },
		{ "TERN.ONCE 1 4 SET n 7\r\n", "+OK\r\n" },
		{ "SET n 8\r\n", "+OK\r\n" },
		{ "TERN.ONCE 1 4 SET n 7\r\n", "+OK\r\n" },
		{ "GET n\r\n", "$1\r\n8\r\n" },
		{ "TERN.ONCE 1 5 DEL n\r\n", ":1\r\n" },
		{ "TERN.ONCE 1 5 DEL n\r\n", ":1\r\n" },
		{ "TERN.SESSION CLOSE 1\r\n", "+OK\r\n" },
	};
	struct fake_node node = { 0 };
	char line[256];
	(void)context;

	fake_start(&node);
	const int fd = client_open(&node);
	expect_lines(fd, lines, sizeof(lines) / sizeof(lines[0]));
	client_send(fd, "TERN.ONCE 1 6 INCR n\r\n");
	client_read_line(fd, line, sizeof(line));
	assert_memory_equal(line, "-NOSESSION ", 11);
	client_send(fd, "EXISTS n\r\n");
	client_expect(fd, ":0\r\n");
	fake_stop(&node);
}

/* Answers that are no longer kept: what was done and what was refused are still told apart. */
static void
test_old_answers(void **context)
{
	struct fake_node node = { 0 };
	char line[256];
	(void)context;

	fake_start(&node);
	const int fd = client_open(&node);
	client_send(fd, "TERN.SESSION OPEN\r\nTERN.ONCE 1 1 TERN.INCRBY n 5 MAX 4\r\n");
	client_expect(fd, ":1\r\n-BOUND value 0 delta 5 max 4\r\n");
	for (int seq = 2; seq < 300; seq++) {
		char reply[32];
		(void)snprintf(line, sizeof(line), "TERN.ONCE 1 %d INCR n\r\n", seq);
		(void)snprintf(reply, sizeof(reply), ":%d\r\n", seq - 1);
		client_send(fd, line);
		client_expect(fd, reply);
		if (seq == 100) {
			client_send(fd, "TERN.ONCE 1 1 TERN.INCRBY n 5 MAX 4\r\n");
			client_read_line(fd, line, sizeof(line));
			assert_memory_equal(line, "-REFUSED ", 9);
		}
	}
	client_send(fd, "TERN.ONCE 1 100 INCR n\r\n");
	client_expect(fd, "+DONE\r\n");
	client_send(fd, "TERN.ONCE 1 2 INCR n\r\n");
	client_read_line(fd, line, sizeof(line));
	assert_memory_equal(line, "-TOOOLD ", 8);
	client_send(fd, "GET n\r\n");
	client_expect(fd, "$3\r\n298\r\n");
	fake_stop(&node);
}

static void
test_wrong_use(void **context)
{
	static const char *const lines[] = {
		"TERN.ONCE 1 1 GET n\r\n",
		"TERN.ONCE 0 1 INCR n\r\n",
		"TERN.ONCE 1 0 INCR n\r\n",
		"TERN.ONCE x 1 INCR n\r\n",
		"TERN.ONCE 1 1 NOSUCH n\r\n",
		"TERN.ONCE 1 1 INCR\r\n",
		"TERN.ONCE 1 1\r\n",
		"TERN.ONCE 1 1 TERN.ONCE 1 2 INCR n\r\n",
		"TERN.ONCE 1 1 TERN.SESSION OPEN\r\n",
		"TERN.SESSION\r\n",
		"TERN.SESSION CLOSE\r\n",
		"TERN.SESSION CLOSE x\r\n",
		"TERN.SESSION OPEN 1\r\n",
	};
	struct fake_node node = { 0 };
	char line[256];
	(void)context;

	fake_start(&node);
	const int fd = client_open(&node);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		client_send(fd, lines[i]);
		client_read_line(fd, line, sizeof(line));
		assert_memory_equal(line, "-ERR ", 5);
	}
	assert_int_equal(node.writes_taken, 0);
	fake_stop(&node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_old_answers),
		cmocka_unit_test(test_wrong_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
