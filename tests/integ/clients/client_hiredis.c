/* SPDX-License-Identifier: Apache-2.0 */
/* usage: client_hiredis NAME PREFIX SENTINEL...   Writes keys one after the other until it is
 * ended; prints "A KEY VALUE" for each that was acknowledged. */
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static redisContext *
open_address(const char *host, int port)
{
	const struct timeval limit = { .tv_sec = 5 };
	redisContext *context = redisConnectWithTimeout(host, port, limit);

	if (context != NULL && context->err == 0 && redisSetTimeout(context, limit) == REDIS_OK)
		return context;
	if (context != NULL)
		redisFree(context);
	return NULL;
}

/* Asks one sentinel for the master and connects to it; NULL: not to be had there now. */
static redisContext *
find_master(const char *sentinel, const char *name)
{
	char host[128];
	const char *colon = strrchr(sentinel, ':');
	redisContext *master = NULL;

	if (colon == NULL)
		return NULL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - sentinel), sentinel);
	redisContext *asked = open_address(host, atoi(colon + 1));
	if (asked == NULL)
		return NULL;
	redisReply *reply = redisCommand(asked, "SENTINEL get-master-addr-by-name %s", name);
	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		master = open_address(reply->element[0]->str, atoi(reply->element[1]->str));
	if (reply != NULL)
		freeReplyObject(reply);
	redisFree(asked);
	return master;
}

static bool
is_written(redisContext *master, const char *prefix, int number)
{
	redisReply *reply = redisCommand(master, "SET %s:%d %d", prefix, number, number);
	const bool is_good = reply != NULL && reply->type == REDIS_REPLY_STATUS;

	if (!is_good)
		printf("E %s\n", reply != NULL && reply->str != NULL ? reply->str : master->errstr);
	if (reply != NULL)
		freeReplyObject(reply);
	return is_good;
}

int
main(int argc, char **argv)
{
	redisContext *master = NULL;
	int next = 3;

	if (argc < 4)
		return 2;
	for (int number = 0;;) {
		if (master == NULL) {
			master = find_master(argv[next], argv[1]);
			next = next + 1 < argc ? next + 1 : 3;
		}
		if (master == NULL) {
			usleep(20000);
			continue;
		}
		if (!is_written(master, argv[2], number)) {
			redisFree(master);
			master = NULL;
			continue;
		}
		printf("A %s:%d %d\n", argv[2], number, number);
		fflush(stdout);
		number++;
		usleep(2000);
	}
}
