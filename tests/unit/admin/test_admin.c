/* SPDX-License-Identifier: Apache-2.0 */
/* The server and the client over a real unix socket. */
#include "tests/support/check.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/admin/admin_client.h"

#define WAIT_MS 60000

struct fixture {
	char dir[32], path[64], text[512];
	struct admin *admin;
	int begun, ended, calls;
};

static json_t *
echo(void *context, const json_t *request)
{
	struct fixture *f = context;

	f->calls++;
	return json_pack("{s:O?}", "value", json_object_get(request, "value"));
}

static json_t *
refuse(void *context, const json_t *request)
{
	(void)context;
	(void)request;
	return admin_refuse(ADMIN_EXIT_REFUSED, "no: %d", 7);
}

static json_t *
nothing(void *context, const json_t *request)
{
	(void)context;
	(void)request;
	return NULL;
}

static json_t *
large(void *context, const json_t *request)
{
	const size_t bytes = (size_t)json_integer_value(json_object_get(request, "bytes"));
	char *text = malloc(bytes + 1);

	(void)context;
	assert_non_null(text);
	memset(text, 'x', bytes);
	text[bytes] = 0;
	json_t *result = json_pack("{s:s}", "text", text);
	free(text);
	return result;
}

static void
begin(void *context)
{
	((struct fixture *)context)->begun++;
}

static void
end(void *context)
{
	((struct fixture *)context)->ended++;
}

static const struct admin_verb verbs[] = {
	{ "echo", echo }, { "refuse", refuse }, { "nothing", nothing }, { "large", large }
};

static struct admin_options
options_of(struct fixture *f)
{
	return (struct admin_options){ .socket_path = f->path,
				       .verbs = verbs,
				       .verb_count = 4,
				       .context = f,
				       .thread_begin = begin,
				       .thread_end = end };
}

static int
start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/tern-admin-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	const struct admin_options options = options_of(f);
	*state = f;
	return admin_start(&options, &f->admin, f->text, sizeof(f->text)) == TERN_OK ? 0 : -1;
}

static int
stop(void **state)
{
	struct fixture *f = *state;

	admin_stop(f->admin);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

/* A raw connection, to send what the client would not. */
static void
dial_by(const struct fixture *f, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static int
dial(const struct fixture *f)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	dial_by(f, fd);
	return fd;
}

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* One line, or "" at the end of the stream. */
static void
hear(int fd, char *line, size_t bytes)
{
	size_t used = 0;
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	while (used + 1 < bytes) {
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		if (recv(fd, line + used, 1, 0) != 1 || line[used] == '\n')
			break;
		used++;
	}
	line[used] = 0;
}

static void
round_trip(void **state)
{
	struct fixture *f = *state;
	json_t *arguments = json_pack("{s:i,s:s}", "value", 42, "verb", "refuse"), *result = NULL;
	struct stat facts;

	/* The arguments cannot replace the verb. */
	assert_int_equal(
	    admin_call(f->path, "echo", arguments, WAIT_MS, &result, f->text, sizeof(f->text)),
	    ADMIN_EXIT_OK);
	assert_int_equal(json_integer_value(json_object_get(result, "value")), 42);
	json_decref(result);
	json_decref(arguments);
	assert_int_equal(f->calls, 1);
	assert_int_equal(stat(f->path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
}

static void
refusals_carry_text_and_code(void **state)
{
	struct fixture *f = *state;
	json_t *result = NULL;

	assert_int_equal(
	    admin_call(f->path, "refuse", NULL, WAIT_MS, &result, f->text, sizeof(f->text)),
	    ADMIN_EXIT_REFUSED);
	assert_null(result);
	assert_string_equal(f->text, "no: 7");
	assert_int_equal(
	    admin_call(f->path, "nothing", NULL, WAIT_MS, &result, f->text, sizeof(f->text)),
	    ADMIN_EXIT_FAILED);
	assert_non_null(strstr(f->text, "internal error"));
	assert_int_equal(
	    admin_call(f->path, "absent", NULL, WAIT_MS, &result, f->text, sizeof(f->text)),
	    ADMIN_EXIT_USAGE);
	assert_non_null(strstr(f->text, "unknown verb"));
}

static void
bad_lines_are_answered(void **state)
{
	static const char *const lines[][2] = {
		{ "nonsense\n", "no JSON object" },
		{ "[1]\n", "no JSON object" },
		{ "{\"verb\":\"echo\"}\n", "unknown \\\"api\\\"" },
		{ "{\"api\":\"admin/v9\",\"verb\":\"echo\"}\n", "unknown \\\"api\\\"" },
		{ "{\"api\":\"admin/v1\"}\n", "no \\\"verb\\\"" },
		{ "{\"api\":\"admin/v1\",\"verb\":\"echo\",\"verb\":\"x\"}\n", "no JSON object" },
	};
	struct fixture *f = *state;
	const int fd = dial(f);
	char line[1024];

	/* One connection serves them all. */
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		say(fd, lines[i][0]);
		hear(fd, line, sizeof(line));
		assert_non_null(strstr(line, "\"ok\":false"));
		assert_non_null(strstr(line, lines[i][1]));
	}
	(void)close(fd);
}

static void
pieces_and_pipelines(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	char line[1024];

	say(fd, "{\"api\":\"admin/v1\",\"ve");
	say(fd,
	    "rb\":\"echo\",\"value\":1}\n{\"api\":\"admin/v1\",\"verb\":\"echo\",\"value\":2}\n{");
	hear(fd, line, sizeof(line));
	assert_non_null(strstr(line, "\"value\":1"));
	hear(fd, line, sizeof(line));
	assert_non_null(strstr(line, "\"value\":2"));
	say(fd, "}\n");
	hear(fd, line, sizeof(line));
	assert_non_null(strstr(line, "\"ok\":false"));
	(void)close(fd);
}

static void
a_request_line_is_bounded(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	char *longer = malloc(ADMIN_REQUEST_MAX + 1), line[512];

	assert_non_null(longer);
	memset(longer, 'a', ADMIN_REQUEST_MAX);
	longer[ADMIN_REQUEST_MAX] = 0;
	say(fd, longer);
	free(longer);
	hear(fd, line, sizeof(line));
	assert_non_null(strstr(line, "too long"));
	hear(fd, line, sizeof(line));
	assert_string_equal(line, ""); /* closed */
	(void)close(fd);
}

static void
connections_are_bounded(void **state)
{
	struct fixture *f = *state;
	int fds[ADMIN_CLIENTS_MAX];
	char line[512];

	for (uint32_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
		fds[i] = dial(f);
		say(fds[i], "{\"api\":\"admin/v1\",\"verb\":\"echo\",\"value\":3}\n");
		hear(fds[i], line, sizeof(line));
		assert_non_null(strstr(line, "\"value\":3"));
	}
	const int more = dial(f);
	hear(more, line, sizeof(line));
	assert_non_null(strstr(line, "busy"));
	(void)close(more);
	/* A place that was left is used again. */
	(void)close(fds[0]);
	json_t *result = NULL;
	enum admin_exit code = ADMIN_EXIT_FAILED;
	for (int i = 0; i < 1000 && code != ADMIN_EXIT_OK; i++)
		code =
		    admin_call(f->path, "echo", NULL, WAIT_MS, &result, f->text, sizeof(f->text));
	assert_int_equal(code, ADMIN_EXIT_OK);
	json_decref(result);
	for (uint32_t i = 1; i < ADMIN_CLIENTS_MAX; i++)
		(void)close(fds[i]);
}

static uint64_t
cpu_us(void)
{
	struct rusage used;

	assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
	return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* A client that no descriptor is left for waits for one, and costs no core meanwhile. */
static void
no_descriptor_is_left(void **state)
{
	const struct timespec while_none_is = { .tv_sec = 1 };
	struct fixture *f = *state;
	struct rlimit before, none;
	char line[512];
	int full[64];
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* poll takes no more descriptors than the limit is. */
	for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
		full[i] = dup(fd);
		assert_true(full[i] >= 0);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)full[63] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	dial_by(f, fd);
	say(fd, "{\"api\":\"admin/v1\",\"verb\":\"echo\",\"value\":7}\n");
	const uint64_t began_us = cpu_us();
	nanosleep(&while_none_is, NULL);
	const uint64_t used_us = cpu_us() - began_us;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	hear(fd, line, sizeof(line));
	assert_non_null(strstr(line, "{\"value\":7}"));
	assert_in_range(used_us, 0, 100000);
	for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++)
		(void)close(full[i]);
	(void)close(fd);
}

static void
large_replies(void **state)
{
	struct fixture *f = *state;
	json_t *arguments = json_pack("{s:i}", "bytes", 3000000), *result = NULL;

	assert_int_equal(
	    admin_call(f->path, "large", arguments, WAIT_MS, &result, f->text, sizeof(f->text)),
	    ADMIN_EXIT_OK);
	assert_int_equal(json_string_length(json_object_get(result, "text")), 3000000);
	json_decref(result);
	json_decref(arguments);
	arguments = json_pack("{s:i}", "bytes", 5000000);
	assert_int_equal(
	    admin_call(f->path, "large", arguments, WAIT_MS, &result, f->text, sizeof(f->text)),
	    ADMIN_EXIT_UNREACHABLE);
	json_decref(arguments);
}

static void
live_sockets_are_refused_and_dead_ones_replaced(void **state)
{
	struct fixture *f = *state;
	const struct admin_options options = options_of(f);
	struct admin *second = NULL;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	assert_int_equal(admin_start(&options, &second, f->text, sizeof(f->text)), TERN_ERR_BUSY);
	assert_null(second);
	admin_stop(f->admin);
	f->admin = NULL;
	assert_int_equal(f->begun, 1);
	assert_int_equal(f->ended, 1);
	assert_int_not_equal(access(f->path, F_OK), 0);
	/* What a killed daemon leaves behind. */
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	assert_int_equal(admin_start(&options, &f->admin, f->text, sizeof(f->text)), TERN_OK);
}

static void
a_file_in_the_way_is_kept(void **state)
{
	struct fixture *f = *state;
	struct admin_options options = options_of(f);
	struct admin *second = NULL;
	char path[80], longer[200];

	(void)snprintf(path, sizeof(path), "%s/file", f->dir);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	(void)fclose(stream);
	options.socket_path = path;
	assert_int_equal(admin_start(&options, &second, f->text, sizeof(f->text)), TERN_ERR_IO);
	assert_int_equal(unlink(path), 0);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	options.socket_path = longer;
	assert_int_equal(admin_start(&options, &second, f->text, sizeof(f->text)), TERN_ERR_CONFIG);
}

static void
nobody_there(void **state)
{
	struct fixture *f = *state;
	json_t *result = NULL;
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/absent", f->dir);
	assert_int_equal(admin_call(path, "echo", NULL, 50, &result, f->text, sizeof(f->text)),
			 ADMIN_EXIT_UNREACHABLE);
	assert_null(result);
	assert_non_null(strstr(f->text, "nobody answers"));
	/* A socket that is listened on and never answered: a stopped daemon. */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(admin_call(path, "echo", NULL, 50, &result, f->text, sizeof(f->text)),
			 ADMIN_EXIT_UNREACHABLE);
	assert_non_null(strstr(f->text, "no reply in time"));
	(void)close(fd);
	(void)unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, start, stop),
		cmocka_unit_test_setup_teardown(refusals_carry_text_and_code, start, stop),
		cmocka_unit_test_setup_teardown(bad_lines_are_answered, start, stop),
		cmocka_unit_test_setup_teardown(pieces_and_pipelines, start, stop),
		cmocka_unit_test_setup_teardown(a_request_line_is_bounded, start, stop),
		cmocka_unit_test_setup_teardown(connections_are_bounded, start, stop),
		cmocka_unit_test_setup_teardown(no_descriptor_is_left, start, stop),
		cmocka_unit_test_setup_teardown(large_replies, start, stop),
		cmocka_unit_test_setup_teardown(live_sockets_are_refused_and_dead_ones_replaced,
						start, stop),
		cmocka_unit_test_setup_teardown(a_file_in_the_way_is_kept, start, stop),
		cmocka_unit_test_setup_teardown(nobody_there, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
