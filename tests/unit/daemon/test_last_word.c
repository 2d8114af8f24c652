/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real processes: an owner is forked, whose data thread holds the last word, and dies in some way.
 * Whoever is killed first, nothing is left: this process is the one that orphans go to, and in the
 * end it has no child.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/daemon/last_word.h"
#include "hw/net_kernel/net_sockaddr.h"
#include "tests/support/check.h"

#define SELF     2u
#define NODES    5u /* 1, 3, 4 and 5 are peers; 4 is no member */
#define STRANGER 4u
#define ROUNDS   2u
#define WAIT_MS  60000

static const struct inet_addr loopback = { { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };

static struct farewell
facts_of(bool is_master)
{
	return (struct farewell){
		.is_master = is_master,
		.node_id = SELF,
		.shard = 0,
		.boot_no = 7,
		.cluster_id = 0x1122334455667788u,
		.term = 42,
		.members = UINT64_C(1) << 1 | UINT64_C(1) << 3 | UINT64_C(1) << 5,
		.generation = { 1, 0 },
	};
}

enum way {
	WAY_KILL,        /* SIGKILL, held */
	WAY_ABORT,       /* a failed INVARIANT */
	WAY_THREAD_ENDS, /* the data thread alone, without a word */
	WAY_HALF,        /* killed while it notes */
	WAY_OVER,        /* in good order */
	WAY_EARLY,       /* killed before anything is held */
	WAY_REFUSED,     /* ends in good order before anything is held */
};

struct rig {
	int sockets[NODES + 1]; /* by node id */
	struct last_word_peer peers[NODES];
	uint32_t peer_count;
	enum way way;
	bool is_master;
	int ready; /* the owner's end of a pipe */
	struct last_word *word;
};

static int
rig_open(void **state)
{
	static struct rig rig;

	rig = (struct rig){ 0 };
	for (uint32_t node = 1; node <= NODES; node++) {
		union net_sockaddr address;
		struct inet_addr ip;
		socklen_t bytes = net_sockaddr_make(&address, &loopback, 0);

		rig.sockets[node] =
		    net_sockaddr_socket(&loopback, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (rig.sockets[node] < 0 || bind(rig.sockets[node], &address.any, bytes) != 0 ||
		    getsockname(rig.sockets[node], &address.any, &bytes) != 0)
			return -1;
		if (node == SELF)
			continue;
		struct last_word_peer *peer = &rig.peers[rig.peer_count++];
		peer->node_id = (uint16_t)node;
		if (!net_sockaddr_read(&address, &ip, &peer->port))
			return -1;
		peer->ip = ip;
	}
	*state = &rig;
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int
rig_close(void **state)
{
	struct rig *rig = *state;

	for (uint32_t node = 1; node <= NODES; node++)
		(void)close(rig->sockets[node]);
	return 0;
}

/* ---- the owner ---- */

static void
tell_ready(const struct rig *rig)
{
	if (write(rig->ready, "", 1) != 1)
		_exit(3);
}

static void *
data_thread(void *context)
{
	struct rig *rig = context;
	const struct farewell facts = facts_of(rig->is_master);
	const struct farewell before = facts_of(!rig->is_master);

	last_word_hold(rig->word, rig->sockets[SELF], rig->peers, rig->peer_count);
	last_word_note(rig->word, &before);
	last_word_note(rig->word, &facts);
	tell_ready(rig);
	switch (rig->way) {
	case WAY_OVER:
		last_word_over(rig->word);
		return NULL;
	case WAY_THREAD_ENDS:
		return NULL;
	case WAY_ABORT:
		abort();
	case WAY_HALF:
		/* It dies within the copy: what is copied cannot be read. */
		last_word_note(rig->word, (const struct farewell *)(uintptr_t)8);
		_exit(4);
	case WAY_KILL:
	case WAY_EARLY:
	case WAY_REFUSED:
		break;
	}
	for (;;)
		(void)pause();
}

static _Noreturn void
owner(struct rig *rig)
{
	const struct rlimit no_core = { 0, 0 };
	pthread_t thread;

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)signal(SIGABRT, SIG_DFL); /* a sanitizer has handlers of its own */
	(void)signal(SIGSEGV, SIG_DFL);
	if (last_word_fork(&rig->word) != TERN_OK)
		_exit(2);
	if (rig->way == WAY_EARLY) {
		tell_ready(rig);
		for (;;)
			(void)pause();
	}
	if (rig->way != WAY_REFUSED) {
		if (pthread_create(&thread, NULL, data_thread, rig) != 0)
			_exit(2);
		(void)pthread_join(thread, NULL);
	} else {
		tell_ready(rig);
	}
	if (rig->way == WAY_THREAD_ENDS)
		for (;;)
			(void)pause();
	last_word_end(rig->word);
	_exit(0);
}

/* Everybody who was there has ended: returns the owner's status. */
static int
reap_all(pid_t owner_pid)
{
	int status, owner_status = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid == owner_pid)
			owner_status = status;
	assert_int_equal(errno, ECHILD);
	return owner_status;
}

static int
run(struct rig *rig, enum way way, bool is_master)
{
	int ends[2];
	char byte;

	rig->way = way;
	rig->is_master = is_master;
	assert_int_equal(pipe(ends), 0);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		rig->ready = ends[1];
		owner(rig);
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	if (way == WAY_KILL || way == WAY_EARLY)
		assert_int_equal(kill(pid, SIGKILL), 0);
	if (way == WAY_THREAD_ENDS) {
		struct pollfd fd = { .fd = rig->sockets[1], .events = POLLIN };
		assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
		assert_int_equal(kill(pid, SIGKILL), 0);
	}
	(void)close(ends[0]);
	return reap_all(pid);
}

/* ---- what arrived, when nobody is left who could send ---- */

static uint32_t
frames_at(const struct rig *rig, uint16_t node)
{
	uint8_t bytes[2048];
	uint64_t sequence = 0;
	uint32_t count = 0;

	for (;; count++) {
		union net_sockaddr from, self;
		socklen_t from_bytes = sizeof(from), self_bytes = sizeof(self);
		struct frame_hdr hdr;
		struct msg msg;
		const ssize_t got =
		    recvfrom(rig->sockets[node], bytes, sizeof(bytes), 0, &from.any, &from_bytes);
		if (got < 0)
			return count;
		assert_int_equal(frame_open(bytes, (uint32_t)got, &hdr), TERN_OK);
		assert_int_equal(hdr.kind, FRAME_MESSAGE);
		assert_int_equal(msg_decode(bytes + FRAME_HDR_BYTES, hdr.body_bytes, &msg),
				 TERN_OK);
		assert_int_equal(msg.kind, MSG_FAREWELL);
		assert_int_equal(hdr.sender, SELF);
		assert_int_equal(hdr.receiver, node);
		assert_int_equal(hdr.term, 42);
		assert_int_equal(hdr.boot_no, 7);
		assert_true(hdr.cluster_id == 0x1122334455667788u);
		assert_int_equal(hdr.generation.number, 1);
		assert_true(hdr.sequence > sequence);
		sequence = hdr.sequence;
		/* Peers drop what comes from any other address. */
		assert_int_equal(getsockname(rig->sockets[SELF], &self.any, &self_bytes), 0);
		assert_int_equal(from.v4.sin_port, self.v4.sin_port);
		assert_int_equal(from.v4.sin_addr.s_addr, self.v4.sin_addr.s_addr);
	}
}

static void
expect_said(const struct rig *rig)
{
	for (uint16_t node = 1; node <= NODES; node++)
		assert_int_equal(frames_at(rig, node),
				 node == SELF || node == STRANGER ? 0 : ROUNDS);
}

static void
expect_silence(const struct rig *rig)
{
	for (uint16_t node = 1; node <= NODES; node++)
		assert_int_equal(frames_at(rig, node), 0);
}

static void
a_killed_master_is_spoken_for(void **state)
{
	assert_true(WIFSIGNALED(run(*state, WAY_KILL, true)));
	expect_said(*state);
}

static void
a_master_that_aborts_is_spoken_for(void **state)
{
	const int status = run(*state, WAY_ABORT, true);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	expect_said(*state);
}

static void
a_master_whose_data_thread_ended_is_spoken_for(void **state)
{
	(void)run(*state, WAY_THREAD_ENDS, true);
	expect_said(*state);
}

static void
nothing_is_said_for_others(void **state)
{
	assert_true(WIFSIGNALED(run(*state, WAY_KILL, false)));
	expect_silence(*state);
}

static void
nothing_is_said_after_an_orderly_end(void **state)
{
	assert_int_equal(run(*state, WAY_OVER, true), 0);
	expect_silence(*state);
}

static void
what_was_half_noted_is_not_said(void **state)
{
	const int status = run(*state, WAY_HALF, true);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	expect_silence(*state);
}

static void
nobody_stays_when_nothing_was_held(void **state)
{
	assert_true(WIFSIGNALED(run(*state, WAY_EARLY, true)));
	expect_silence(*state);
	assert_int_equal(run(*state, WAY_REFUSED, true), 0);
	expect_silence(*state);
}

/* The last word is killed; the node goes on and ends as ever. */
static void
its_end_is_told_once(void **state)
{
	struct rig *rig = *state;
	struct last_word *word;
	char path[64], child[16] = "";

	assert_int_equal(last_word_fork(&word), TERN_OK);
	assert_false(last_word_is_gone(word));
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *children = fopen(path, "r");
	assert_non_null(children);
	assert_non_null(fgets(child, sizeof(child), children));
	(void)fclose(children);
	assert_int_equal(kill((pid_t)strtol(child, NULL, 10), SIGTERM), 0);
	last_word_hold(word, rig->sockets[SELF], rig->peers, rig->peer_count);
	const struct farewell facts = facts_of(true);
	last_word_note(word, &facts);
	assert_int_equal(kill((pid_t)strtol(child, NULL, 10), SIGKILL), 0);
	bool is_gone = false;
	for (int i = 0; i < WAIT_MS && !is_gone; i++) {
		is_gone = last_word_is_gone(word);
		(void)poll(NULL, 0, 1);
	}
	assert_true(is_gone);
	assert_false(last_word_is_gone(word));
	last_word_over(word);
	last_word_end(word);
	expect_silence(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_killed_master_is_spoken_for),
		TEST(a_master_that_aborts_is_spoken_for),
		TEST(a_master_whose_data_thread_ended_is_spoken_for),
		TEST(nothing_is_said_for_others),
		TEST(nothing_is_said_after_an_orderly_end),
		TEST(what_was_half_noted_is_not_said),
		TEST(nobody_stays_when_nothing_was_held),
		TEST(its_end_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
