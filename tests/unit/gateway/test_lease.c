/* SPDX-License-Identifier: Apache-2.0 */
/* A read point that was given by lease is used only while the lease still runs: this thread, or all
 * of the process, may have slept since the lcore looked (P11). */
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/gateway/fixture.h"

static void
test_a_lease_that_runs(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);

	client_send(fd, "SET k v\r\n");
	client_expect(fd, "+OK\r\n");
	node->is_leasing = true;
	status_lease_set(&node->cell, UINT64_MAX);
	client_send(fd, "GET k\r\n");
	client_expect(fd, "$1\r\nv\r\n");
	assert_int_equal(node->leases_given, 1);
	assert_int_equal(node->reads_taken, 1);
	close(fd);
}

/* Its end is past, or it was ended before its time. */
static void
test_a_lease_that_is_over(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);

	client_send(fd, "SET k v\r\n");
	client_expect(fd, "+OK\r\n");
	node->is_leasing = true;
	for (uint64_t until_ns = 0; until_ns < 2; until_ns++) {
		status_lease_set(&node->cell, until_ns);
		client_send(fd, "GET k\r\nGET k\r\n");
		client_expect(fd, "$1\r\nv\r\n$1\r\nv\r\n");
	}
	/* Each was given by lease, and asked for again without one. */
	assert_true(node->leases_given >= 2);
	assert_int_equal(node->reads_taken, 2 * node->leases_given);
	close(fd);
}

/* The second time there is no lease to look at: whoever is not master says so. */
static void
test_mastership_that_is_over(void **context)
{
	struct fake_node *node = *context;
	const int fd = client_open(node);

	client_send(fd, "SET k old\r\n");
	client_expect(fd, "+OK\r\n");
	node->is_leasing = true;
	node->is_held = true;
	status_lease_set(&node->cell, UINT64_MAX);
	client_send(fd, "GET k\r\n");
	fake_await_held(node, 1);
	assert_int_equal(node->leases_given, 1);
	status_lease_set(&node->cell, 0);
	node->master_id = 2;
	node->is_not_master = true;
	fake_release(node);
	char line[256];
	client_read_line(fd, line, sizeof(line));
	expect_has(line, "-MOVED");
	assert_int_equal(node->reads_taken, 2);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(test_a_lease_that_runs),
		NODE_TEST(test_a_lease_that_is_over),
		NODE_TEST(test_mastership_that_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
