/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/last_word.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/base/invariant.h"
#include "hw/net_kernel/net_sockaddr.h"

#define ROUNDS    2u /* a datagram may be lost */
#define CHILD_END 3  /* the child's only descriptor besides 0, 1 and 2 */

struct address {
	union net_sockaddr address;
	socklen_t bytes;
	uint16_t node_id;
};

/* What both processes see. */
struct last_word {
	pthread_mutex_t lock; /* held by the data thread for its life */
	_Atomic bool is_over;
	/* Odd while the data thread writes: who dies then says nothing. Nobody reads it before. */
	_Atomic uint64_t version;
	struct farewell farewell;
	uint32_t address_count;
	struct address addresses[LAST_WORD_PEERS_MAX];
	/* The parent's. */
	pid_t child; /* 0: it has ended */
	int pair;    /* its end of the socket pair; -1: closed */
};

/* ---- the child ---- */

static void
say(const struct last_word *word, int socket)
{
	uint8_t frame[FAREWELL_FRAME_BYTES_MAX];
	uint32_t number = 0;

	for (uint32_t i = 0; i < ROUNDS * word->address_count; i++) {
		const struct address *to = &word->addresses[i % word->address_count];

		if ((word->farewell.members >> to->node_id & 1) == 0)
			continue;
		const uint32_t bytes = farewell_seal(frame, &word->farewell, to->node_id, number++);
		(void)sendto(socket, frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, &to->address.any,
			     to->bytes);
	}
}

/* Waits until the data thread holds the lock and its socket has come. -1: it never will. */
static int
take_socket(int pair)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t bytes;
	int socket = -1;

	do
		bytes = recvmsg(pair, &message, MSG_CMSG_CLOEXEC);
	while (bytes < 0 && errno == EINTR);
	const struct cmsghdr *header = bytes == 1 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(&socket, CMSG_DATA(header), sizeof(socket));
	return socket;
}

/* Of what the parent has open nothing is left but the pair. Its lines are the parent's: whoever
 * waits for the end of its output must not wait for the child. */
static bool
keep_only(int pair)
{
	const int kept = fcntl(pair, F_DUPFD, CHILD_END + 1);
	const int null_fd = open("/dev/null", O_RDWR);

	if (kept < 0)
		return false;
	for (int i = 0; i < CHILD_END; i++)
		if (null_fd < 0 || (null_fd != i && dup2(null_fd, i) < 0))
			return false;
	return dup2(kept, CHILD_END) >= 0 && close_range(CHILD_END + 1, ~0u, 0) == 0;
}

static _Noreturn void
child_main(struct last_word *word, int pair)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)prctl(PR_SET_NAME, "ternd-last-word", 0, 0, 0);
	const int socket = keep_only(pair) ? take_socket(CHILD_END) : -1;
	if (socket < 0)
		_exit(0);
	const int result = pthread_mutex_lock(&word->lock);
	if (result == EOWNERDEAD && !atomic_load(&word->is_over) &&
	    atomic_load(&word->version) % 2 == 0 && word->farewell.is_master)
		say(word, socket);
	_exit(0);
}

/* ---- main thread ---- */

static bool
lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	if (pthread_mutexattr_init(&attributes) != 0)
		return false;
	const bool is_good =
	    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
	    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
	    pthread_mutex_init(lock, &attributes) == 0;
	(void)pthread_mutexattr_destroy(&attributes);
	return is_good;
}

enum tern_err
last_word_fork(struct last_word **out)
{
	int pair[2];

	*out = NULL;
	struct last_word *word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (word == MAP_FAILED)
		return TERN_ERR_NO_MEMORY;
	if (!lock_init(&word->lock) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		(void)munmap(word, sizeof(*word));
		return TERN_ERR_IO;
	}
	const pid_t child = fork();
	if (child == 0)
		child_main(word, pair[1]);
	(void)close(pair[1]);
	if (child < 0) {
		(void)close(pair[0]);
		(void)munmap(word, sizeof(*word));
		return TERN_ERR_IO;
	}
	word->child = child;
	word->pair = pair[0];
	*out = word;
	return TERN_OK;
}

bool
last_word_is_gone(struct last_word *word)
{
	if (word->child == 0 || waitpid(word->child, NULL, WNOHANG) != word->child)
		return false;
	word->child = 0;
	return !atomic_load(&word->is_over);
}

void
last_word_end(struct last_word *word)
{
	if (word == NULL)
		return;
	/* A child that waits for the socket ends by this, one that waits for the lock has it. */
	if (word->pair >= 0)
		(void)close(word->pair);
	while (word->child != 0 && waitpid(word->child, NULL, 0) < 0 && errno == EINTR)
		;
	(void)pthread_mutex_destroy(&word->lock);
	(void)munmap(word, sizeof(*word));
}

/* ---- data thread ---- */

void
last_word_hold(struct last_word *word, int socket, const struct last_word_peer *peers,
	       uint32_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	INVARIANT(count <= LAST_WORD_PEERS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct address *to = &word->addresses[i];

		to->node_id = peers[i].node_id;
		to->bytes = net_sockaddr_make(&to->address, &peers[i].ip, peers[i].port);
	}
	word->address_count = count;
	const int locked = pthread_mutex_lock(&word->lock);
	INVARIANT(locked == 0);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &socket, sizeof(socket));
	/* A child that is gone is told of by last_word_is_gone. */
	(void)sendmsg(word->pair, &message, MSG_NOSIGNAL);
	(void)close(word->pair);
	word->pair = -1;
}

void
last_word_note(struct last_word *word, const struct farewell *farewell)
{
	const uint64_t version = atomic_load_explicit(&word->version, memory_order_relaxed);

	atomic_store_explicit(&word->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	word->farewell = *farewell;
	atomic_store_explicit(&word->version, version + 2, memory_order_release);
}

void
last_word_over(struct last_word *word)
{
	atomic_store(&word->is_over, true);
	const int unlocked = pthread_mutex_unlock(&word->lock);
	INVARIANT(unlocked == 0);
}
