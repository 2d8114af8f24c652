/* SPDX-License-Identifier: Apache-2.0 */
/* Writes at a replica that go to the master: a gateway, and a master that is this test's. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/wire/native.h"
#include "tests/support/check.h"
#include "tests/unit/gateway/fake_node.h"

#define SESSION  77u
#define SEEN_MAX 64u
/* How long a write is sent again. A starved machine is not to reach the long one, and whatever
 * waits for the short one bears it when it is reached too soon. */
#define PATIENT_MS   60000u
#define IMPATIENT_MS 1000u

/* What the master does with the writes that come. */
enum manner { ANSWER = 1, DROP, DROP_ONCE, FORGET, NOBODY };

struct master {
	int fd;
	char address[32];
	pthread_t thread;
	_Atomic bool is_stopping;
	_Atomic int manner;
	_Atomic uint32_t seen;     /* writes, each once, by their numbers */
	_Atomic uint32_t copies;   /* of all of them */
	_Atomic uint32_t nobodies; /* times that it said that nobody is master */
	uint64_t numbers[SEEN_MAX];
	enum command_op ops[SEEN_MAX];
	enum command_class classes[SEEN_MAX];
	_Atomic uint32_t under_way_high;
};

static void
answer(struct master *master, struct native_writer *writer, const struct command *command)
{
	struct native_reply reply = { .what = NATIVE_WHAT_WRITE,
				      .outcome = NATIVE_DONE,
				      .id = command->seq,
				      .log_index = 1,
				      .copies = 3 };

	if (command->op == COMMAND_ADD && (command->flags & COMMAND_HAS_MIN) != 0)
		reply.reply =
		    (struct reply){ .kind = REPLY_BOUND, .value = 20, .delta = -50, .bound = 3 };
	else if (command->op == COMMAND_ADD)
		reply.reply = (struct reply){ .kind = REPLY_INTEGER, .value = 7 };
	else if ((command->flags & COMMAND_IF_ABSENT) != 0)
		reply.reply = (struct reply){ .kind = REPLY_NULL };
	else if (command->op == COMMAND_SET || command->op == COMMAND_MSET)
		reply.reply = (struct reply){ .kind = REPLY_OK };
	else
		reply.reply = (struct reply){ .kind = REPLY_INTEGER, .value = 1 };
	if (command->class_ == COMMAND_ASYNC) {
		reply =
		    (struct native_reply){ .what = NATIVE_WHAT_WRITE,
					   .outcome = command_fits_async(command) ? NATIVE_ACCEPTED
										  : NATIVE_CLASS,
					   .id = command->seq };
		if (reply.outcome == NATIVE_ACCEPTED) {
			reply.log_index = 8;
			reply.term = 3;
			reply.slot = 2;
		}
	}
	if (master->manner == FORGET)
		reply.reply = (struct reply){ .kind = REPLY_DONE, .value = 1 };
	assert_true(native_add_reply(writer, &reply));
}

/* Whoever waits long for an answer sends its write again. True: this is the first copy. */
static bool
note(struct master *master, const struct command *command)
{
	for (uint32_t i = 0; i < master->seen; i++)
		if (master->numbers[i] == command->seq)
			return false;
	assert_in_range(master->seen, 0, SEEN_MAX - 1);
	master->numbers[master->seen] = command->seq;
	master->ops[master->seen] = command->op;
	master->classes[master->seen] = command->class_;
	master->seen++;
	return true;
}

static void
take_writes(struct master *master, struct native_writer *writer, struct native_cursor cursor)
{
	const uint8_t *bytes;
	uint32_t length, count = 0;

	while (native_next_command(&cursor, &bytes, &length)) {
		struct command command;
		assert_int_equal(command_decode(bytes, length, &command), TERN_OK);
		if (command.op == COMMAND_SESSION_CLOSE)
			continue;
		assert_int_equal(command.client_id, SESSION);
		master->copies++;
		count += note(master, &command);
		if (master->manner == ANSWER || master->manner == FORGET)
			answer(master, writer, &command);
		if (master->manner == DROP_ONCE)
			master->manner = ANSWER;
	}
	if (count > master->under_way_high)
		master->under_way_high = count;
}

static void
serve(struct master *master, const uint8_t *frame, uint32_t bytes, const struct sockaddr_in *from)
{
	_Alignas(8) uint8_t out[2048];
	struct native_writer writer;
	struct native_hdr hdr;
	uint64_t number;

	assert_int_equal(native_open(frame, bytes, &hdr), TERN_OK);
	struct native_cursor cursor = native_items(frame, &hdr);
	native_begin(&writer, out, sizeof(out));
	if (hdr.kind == NATIVE_SUBMIT)
		take_writes(master, &writer, cursor);
	while (hdr.kind == NATIVE_OPEN && native_next_open(&cursor, &number)) {
		const struct native_reply reply = { .what = NATIVE_WHAT_OPEN,
						    .outcome = NATIVE_DONE,
						    .id = number,
						    .reply = { .kind = REPLY_SESSION,
							       .value = SESSION } };
		assert_true(native_add_reply(&writer, &reply));
	}
	const struct native_hdr says = {
		.kind = hdr.kind == NATIVE_WHO_IS_MASTER ? NATIVE_MASTER : NATIVE_REPLY,
		.node = 2,
		.master = master->manner == NOBODY ? 0 : 2,
		.cluster_id = 5,
		.token = hdr.token,
		.term = 3,
	};
	if (writer.item_count == 0 && says.kind == NATIVE_REPLY)
		return;
	master->nobodies += says.master == 0;
	const uint32_t length = native_seal(&writer, &says);
	assert_int_equal(
	    sendto(master->fd, out, length, 0, (const struct sockaddr *)from, sizeof(*from)),
	    length);
}

static void *
master_main(void *context)
{
	struct master *master = context;
	static _Alignas(8) uint8_t frame[NATIVE_FRAME_BYTES_MAX];

	while (!master->is_stopping) {
		struct sockaddr_in from;
		socklen_t from_bytes = sizeof(from);
		const ssize_t got = recvfrom(master->fd, frame, sizeof(frame), 0,
					     (struct sockaddr *)&from, &from_bytes);
		if (got <= 0)
			continue;
		serve(master, frame, (uint32_t)got, &from);
	}
	return NULL;
}

struct pair {
	struct fake_node *node;
	struct master master;
};

static int
setup_with(void **context, uint32_t deadline_ms)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	const struct timeval wait = { .tv_usec = 20000 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);

	assert_non_null(pair);
	pair->master.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(pair->master.fd, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(getsockname(pair->master.fd, (struct sockaddr *)&address, &bytes), 0);
	assert_int_equal(setsockopt(pair->master.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)),
			 0);
	(void)snprintf(pair->master.address, sizeof(pair->master.address), "127.0.0.1:%u",
		       ntohs(address.sin_port));
	pair->master.manner = ANSWER;
	assert_int_equal(pthread_create(&pair->master.thread, NULL, master_main, &pair->master), 0);
	pair->node = calloc(1, sizeof(*pair->node));
	assert_non_null(pair->node);
	pair->node->forward_addresses = pair->master.address;
	pair->node->forward_deadline_ms = deadline_ms;
	fake_start(pair->node);
	pair->node->is_not_master = true;
	pair->node->master_id = 2;
	fake_publish_role(pair->node, false, 2);
	*context = pair;
	return 0;
}

static int
setup(void **context)
{
	return setup_with(context, PATIENT_MS);
}

static int
setup_impatient(void **context)
{
	return setup_with(context, IMPATIENT_MS);
}

static int
teardown(void **context)
{
	struct pair *pair = *context;

	fake_stop(pair->node);
	pair->master.is_stopping = true;
	pthread_join(pair->master.thread, NULL);
	close(pair->master.fd);
	free(pair->node);
	free(pair);
	return 0;
}

/* The replies are the master's; one connection's writes go one by one, in their order. */
static void
test_replies(void **context)
{
	struct pair *pair = *context;
	struct master *master = &pair->master;
	const int fd = client_open(pair->node);

	client_send(fd, "SET k v\r\nINCR n\r\nMSET a 1 b 2\r\nDEL a\r\nAPPEND k w\r\n"
			"EXPIRE k 9\r\nPERSIST k\r\nSET k v NX\r\nTERN.INCRBY n -50 MIN 3\r\n");
	client_expect(fd, "+OK\r\n:7\r\n+OK\r\n:1\r\n:1\r\n:1\r\n:1\r\n$-1\r\n"
			  "-BOUND value 20 delta -50 min 3\r\n");
	assert_int_equal(master->seen, 9);
	assert_int_equal(master->under_way_high, 1);
	for (uint32_t i = 0; i < 9; i++)
		assert_int_equal(master->numbers[i], i + 1);
	assert_int_equal(master->ops[3], COMMAND_DELETE);
	assert_int_equal(master->classes[8], COMMAND_DURABLE);
	/* How many hold it is the master's word, too. */
	client_send(fd, "WAIT 1 0\r\n");
	client_expect(fd, ":2\r\n");
	client_send(fd, "TERN.CLASS memory\r\nSET k v\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n");
	assert_int_equal(master->classes[9], COMMAND_MEMORY);
	client_send(fd, "TERN.CLASS async\r\nINCR n\r\nSET k v NX\r\n");
	client_expect(fd, "+OK\r\n+ACCEPTED 3 8 2\r\n"
			  "-CLASS this command needs its result, and async has none: "
			  "TERN.CLASS durable or memory\r\n");
	assert_int_equal(master->classes[10], COMMAND_ASYNC);
	close(fd);
}

/* A replica waits for what its master accepted, until that is lost with it. */
static void
test_what_was_accepted_is_lost(void **context)
{
	struct pair *pair = *context;
	const int fd = client_open(pair->node);

	client_send(fd, "TERN.CLASS async\r\nSET k v\r\nREADONLY\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n+ACCEPTED 3 8 2\r\n+OK\r\n");
	fake_publish_commit(pair->node, false, 2, 3, 0);
	client_expect_nothing(fd);
	fake_publish_commit(pair->node, false, 2, 4, 0);
	client_expect(fd, "$-1\r\n");
	close(fd);
}

/* What cannot be forwarded is refused as where nothing is, and the connection is kept. */
static void
test_what_is_not_forwarded(void **context)
{
	struct pair *pair = *context;
	const int fd = client_open(pair->node);

	client_send(fd,
		    "GETSET k v\r\nGETDEL k\r\nSET k v GET\r\nTERN.SESSION OPEN\r\n"
		    "TERN.ONCE 1 1 SET k v\r\nMULTI\r\nSET k v\r\nEXEC\r\nGET k\r\nSET k v\r\n");
	for (int i = 0; i < 5; i++)
		client_expect(fd, "-READONLY You can't write against a read only replica.\r\n");
	client_expect(fd, "+OK\r\n+QUEUED\r\n"
			  "-READONLY You can't write against a read only replica.\r\n"
			  "-MOVED 0 10.0.0.2:7002\r\n+OK\r\n");
	assert_int_equal(pair->master.seen, 1);
	/* One datagram has to hold it. */
	enum { VALUE = 61400 };
	char *value = malloc(VALUE + 2);
	assert_non_null(value);
	memset(value, 'x', VALUE);
	memcpy(value + VALUE, "\r\n", 2);
	client_send(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$61400\r\n");
	client_send_bytes(fd, value, VALUE + 2);
	client_expect(fd, "-ERR the command is larger than this server's limit: as it is logged it "
			  "has 61448 bytes, and 61400 can be forwarded; send it to the master\r\n");
	free(value);
	close(fd);
}

/* A lost datagram is sent again under its number: the master can tell that it is the same. */
static void
test_repeats_keep_their_number(void **context)
{
	struct pair *pair = *context;
	struct master *master = &pair->master;
	const int fd = client_open(pair->node);

	master->manner = DROP_ONCE;
	client_send(fd, "INCR n\r\nINCR n\r\n");
	client_expect(fd, ":7\r\n:7\r\n");
	assert_true(master->copies >= 3);
	assert_int_equal(master->seen, 2);
	assert_int_equal(master->numbers[0], 1);
	assert_int_equal(master->numbers[1], 2);
	close(fd);
}

/* Executed, but the answer is not kept any more: there is only one that a plain SET can have. */
static void
test_forgotten_answers(void **context)
{
	struct pair *pair = *context;
	int fd = client_open(pair->node);

	pair->master.manner = FORGET;
	client_send(fd, "SET k v\r\nMSET a 1\r\n");
	client_expect(fd, "+OK\r\n+OK\r\n");
	client_send(fd, "INCR n\r\n");
	client_expect_end(fd);
	fd = client_open(pair->node);
	client_send(fd, "SET k v NX\r\n");
	client_expect_end(fd);
}

/* A write that is answered, once the master answers and as soon as that is soon enough. */
static void
write_until_answered(struct pair *pair)
{
	char byte = '-';

	for (int i = 0; i < 60000 && byte != '+'; i++) {
		const int fd = client_open(pair->node);
		(void)usleep(1000);
		client_send(fd, "SET k v\r\n");
		if (recv(fd, &byte, 1, 0) <= 0)
			byte = '-'; /* no reply, for it may have been executed */
		close(fd);
	}
	assert_int_equal(byte, '+');
}

static void
test_no_answer_and_no_master(void **context)
{
	struct pair *pair = *context;

	write_until_answered(pair);
	/* It may have been executed: no reply would be true. */
	int fd = client_open(pair->node);
	pair->master.manner = DROP;
	client_send(fd, "INCR n\r\n");
	client_expect_end(fd);
	/* It was sent to nobody. */
	fd = client_open(pair->node);
	pair->master.manner = NOBODY;
	/* The first one goes to who was master; by its end the gateway has heard otherwise. */
	const int other = client_open(pair->node);
	client_send(other, "SET k v\r\n");
	client_expect_end(other);
	assert_true(pair->master.nobodies > 0);
	const uint32_t seen = pair->master.seen;
	client_send(fd, "SET k v\r\n");
	client_expect(fd, "-TRYAGAIN the master takes no writes just now, try again\r\n");
	assert_int_equal(pair->master.seen, seen);
	/* And it comes back. */
	pair->master.manner = ANSWER;
	write_until_answered(pair);
	close(fd);
}

/* Once this node is master it executes writes itself. */
static void
test_becoming_master(void **context)
{
	struct pair *pair = *context;
	const int fd = client_open(pair->node);

	client_send(fd, "SET k v\r\n");
	client_expect(fd, "+OK\r\n");
	const uint32_t seen = pair->master.seen;
	pair->node->is_not_master = false;
	fake_publish_role(pair->node, true, 1);
	client_send(fd, "SET k w\r\nGET k\r\n");
	client_expect(fd, "+OK\r\n$1\r\nw\r\n");
	assert_int_equal(pair->master.seen, seen);
	close(fd);
}

int
main(void)
{
#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		PAIR_TEST(test_replies),
		PAIR_TEST(test_what_was_accepted_is_lost),
		PAIR_TEST(test_what_is_not_forwarded),
		PAIR_TEST(test_repeats_keep_their_number),
		PAIR_TEST(test_forgotten_answers),
		cmocka_unit_test_setup_teardown(test_no_answer_and_no_master, setup_impatient,
						teardown),
		PAIR_TEST(test_becoming_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
