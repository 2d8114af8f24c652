/* SPDX-License-Identifier: Apache-2.0 */
/* The real redis-cli and redis-benchmark against the gateway. Skipped where they are not installed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

/* Runs "timeout 90 <before> -p PORT <after>"; what it printed, both streams, is in @text. */
static int
tool(const struct fake_node *node, const char *before, const char *after, char *text, size_t room)
{
	char line[512];
	size_t used = 0;

	snprintf(line, sizeof(line), "timeout 90 %s -p %u %s 2>&1", before, node->port, after);
	FILE *pipe = popen(line, "re");
	assert_non_null(pipe);
	for (;;) {
		const size_t got = fread(text + used, 1, room - 1 - used, pipe);
		if (got == 0)
			break;
		used += got;
	}
	text[used] = 0;
	const int status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
expect_cli(const struct fake_node *node, const char *options, const char *command, const char *want)
{
	char text[65536], before[128];

	snprintf(before, sizeof(before), "redis-cli %s", options);
	assert_int_equal(tool(node, before, command, text, sizeof(text)), 0);
	if (strcmp(text, want) != 0)
		fail_msg("redis-cli %s: '%s', wanted '%s'", command, text, want);
}

static void
test_cli(void **context)
{
	struct fake_node *node = node_make();

	(void)context;
	fake_start(node);
	for (int version = 2; version <= 3; version++) {
		const char *options = version == 2 ? "" : "-3";
		expect_cli(node, options, "PING", "PONG\n");
		expect_cli(node, options, "SET balance 20", "OK\n");
		expect_cli(node, options, "GET balance", "20\n");
		expect_cli(node, options, "TERN.INCRBY balance -50 MIN 0",
			   "BOUND value 20 delta -50 min 0\n\n");
		expect_cli(node, options, "INCRBY balance 1", "21\n");
		expect_cli(node, options, "MGET balance none", "21\n\n");
		expect_cli(node, options, "DEL balance", "1\n");
		expect_cli(node, options, "DBSIZE", "0\n");
		expect_cli(node, options, "CONFIG GET appendonly",
			   version == 2 ? "appendonly\nyes\n" : "appendonly yes\n");
	}
	node_free(node);
}

/* Mass insertion: a stream of commands, ended by an ECHO that must come back last. */
static void
test_cli_pipe(void **context)
{
	struct fake_node *node = node_make();
	char text[4096];

	(void)context;
	fake_start(node);
	assert_int_equal(tool(node,
			      "sh -c 'i=0; while [ $i -lt 3000 ]; do echo \"SET key$i $i\"; "
			      "i=$((i+1)); done | redis-cli \"$@\"' cli",
			      "--pipe", text, sizeof(text)),
			 0);
	assert_non_null(strstr(text, "errors: 0, replies: 3000"));
	expect_cli(node, "", "GET key2999", "2999\n");
	expect_cli(node, "", "DBSIZE", "3000\n");
	node_free(node);
}

static void
test_benchmark(void **context)
{
	struct fake_node *node = node_make();
	char text[65536];

	(void)context;
	fake_start(node);
	const int code = tool(node, "redis-benchmark",
			      "-t ping,set,get,incr,mset -n 20000 -P 16 --csv", text, sizeof(text));
	if (code != 0 || strcasestr(text, "err") != NULL || strcasestr(text, "warn") != NULL)
		fail_msg("redis-benchmark: %d: %s", code, text);
	assert_non_null(strstr(text, "\"MSET (10 keys)\""));
	/* Each increment was executed once. */
	expect_cli(node, "", "GET counter:__rand_int__", "20000\n");
	node_free(node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cli),
		cmocka_unit_test(test_cli_pipe),
		cmocka_unit_test(test_benchmark),
	};

	if (system("redis-cli --version >/dev/null 2>&1 && "
		   "redis-benchmark --version >/dev/null 2>&1") != 0) {
		fprintf(stderr, "redis-cli and redis-benchmark are not installed (redis-tools)\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
