/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client of the admin socket sends, through a real socket and in pieces: every line gets one
 * reply, which is a JSON object of the API, and the connection ends when the client ends it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/admin/admin.h"
#include "tests/fuzz/fuzz.h"

static char dir[] = "/tmp/tern-fuzz-admin-XXXXXX";
static char path[64];
static struct admin *admin;

static json_t *
echo(void *context, const json_t *request)
{
	(void)context;
	return json_deep_copy(request);
}

static json_t *
refuse(void *context, const json_t *request)
{
	const json_t *text = json_object_get(request, "text");

	(void)context;
	return admin_refuse(ADMIN_EXIT_REFUSED, "%s",
			    json_is_string(text) ? json_string_value(text) : "no");
}

static void
finish(void)
{
	admin_stop(admin);
	(void)rmdir(dir);
}

static void
begin(void)
{
	static const struct admin_verb verbs[] = { { "echo", echo }, { "refuse", refuse } };
	const struct admin_options options = { .socket_path = path,
					       .verbs = verbs,
					       .verb_count = 2 };
	char text[256];

	if (admin != NULL)
		return;
	REQUIRE(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/admin", dir);
	REQUIRE(admin_start(&options, &admin, text, sizeof(text)) == TERN_OK);
	REQUIRE(atexit(finish) == 0);
}

static void
check_reply(const char *line, size_t bytes)
{
	json_t *reply = json_loadb(line, bytes, 0, NULL);

	REQUIRE(json_is_object(reply));
	REQUIRE(strcmp(json_string_value(json_object_get(reply, "api")), ADMIN_API) == 0);
	if (json_is_true(json_object_get(reply, "ok")))
		REQUIRE(json_object_get(reply, "result") != NULL);
	else
		REQUIRE(json_is_string(json_object_get(reply, "error")));
	json_decref(reply);
}

static size_t
read_replies(int fd)
{
	static char bytes[1u << 20];
	size_t used = 0, start = 0, count = 0;
	ssize_t got;

	while ((got = recv(fd, bytes + used, sizeof(bytes) - used, 0)) > 0)
		used += (size_t)got;
	REQUIRE(got == 0);
	for (size_t i = 0; i < used; i++)
		if (bytes[i] == '\n') {
			check_reply(bytes + start, i - start);
			start = i + 1;
			count++;
		}
	REQUIRE(start == used);
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t lines = 0;

	if (bytes > 4096)
		return 0;
	begin();
	memcpy(address.sun_path, path, sizeof(path));
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	REQUIRE(fd >= 0);
	REQUIRE(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	const size_t half = bytes / 2;
	REQUIRE(send(fd, data, half, MSG_NOSIGNAL) == (ssize_t)half);
	REQUIRE(send(fd, data + half, bytes - half, MSG_NOSIGNAL) == (ssize_t)(bytes - half));
	REQUIRE(shutdown(fd, SHUT_WR) == 0);
	for (size_t i = 0; i < bytes; i++)
		lines += data[i] == '\n';
	REQUIRE(read_replies(fd) == lines);
	REQUIRE(close(fd) == 0);
	return 0;
}
