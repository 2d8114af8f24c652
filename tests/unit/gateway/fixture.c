/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/check.h"

struct fake_node *
node_make(void)
{
	struct fake_node *node = calloc(1, sizeof(*node));

	assert_non_null(node);
	return node;
}

struct fake_node *
node_start(void)
{
	struct fake_node *node = node_make();

	fake_start(node);
	return node;
}

void
node_free(struct fake_node *node)
{
	fake_stop(node);
	free(node);
}

int
node_setup(void **context)
{
	*context = node_start();
	return 0;
}

int
node_teardown(void **context)
{
	node_free(*context);
	return 0;
}

void
steps_run(int fd, const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		client_send(fd, steps[i].send);
		client_expect(fd, steps[i].expect);
	}
}

long
client_read_number(int fd, char mark)
{
	char line[64];

	client_read_line(fd, line, sizeof(line));
	assert_int_equal(line[0], mark);
	return strtol(line + 1, NULL, 10);
}

void
client_read_bulk(int fd, char *text, size_t room)
{
	const size_t bytes = (size_t)client_read_number(fd, '$');

	assert_true(bytes + 2 < room);
	for (size_t used = 0; used < bytes + 2;) {
		const ssize_t got = recv(fd, text + used, bytes + 2 - used, 0);
		assert_true(got > 0);
		used += (size_t)got;
	}
	text[bytes] = 0;
}

void
expect_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' is not in '%s'", part, text);
}
