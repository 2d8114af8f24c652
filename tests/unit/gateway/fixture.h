/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the gateway share: a started node for each test, requests with their expected
 * replies, texts that replies hold. */
#ifndef TERN_TESTS_GATEWAY_FIXTURE_H
#define TERN_TESTS_GATEWAY_FIXTURE_H

#include <stddef.h>

#include "tests/unit/gateway/fake_node.h"

/* A node of zeros, to be set up and given to fake_start; node_free stops it. */
struct fake_node *node_make(void);
struct fake_node *node_start(void);
void node_free(struct fake_node *node);

/* The same around one test: *context is the node. */
int node_setup(void **context);
int node_teardown(void **context);
#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

struct step {
	const char *send, *expect;
};
void steps_run(int fd, const struct step *steps, size_t count);
#define RUN(fd, steps) steps_run(fd, steps, sizeof(steps) / sizeof(steps[0]))

/* Reads "*<count>" or "$<bytes>"; the number. */
long client_read_number(int fd, char mark);
/* Reads one bulk string, whatever bytes it has, and ends it by 0. */
void client_read_bulk(int fd, char *text, size_t room);
void expect_has(const char *text, const char *part);

#endif
