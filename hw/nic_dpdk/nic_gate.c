/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding EAL's interrupt thread still, by public means: an event descriptor of ours is one of its
 * interrupt sources, and the callback of that source does not return while the thread is wanted
 * held. Callbacks run one after another on that one thread, so while it is in ours it is in no
 * driver's. The functions that make an interrupt handle are marked experimental in 22.11; this is
 * the only file that uses them.
 */
#define _GNU_SOURCE
#define ALLOW_EXPERIMENTAL_API
#include <errno.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_interrupts.h>

#include "hw/nic_dpdk/nic_internal.h"

#define GATE_WAIT_US 20000u
#define GATE_STEP_US 20u

static bool
is_seqpacket(int fd)
{
	int type = 0;
	socklen_t length = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

/* Stands before the C library's for everybody in this process, and differs for memif's sockets
 * only. A peer that connects and is gone before the driver's first message reaches it makes the
 * driver (22.11) close the descriptor and leave it registered: the interrupt thread then panics, or
 * watches whatever gets that number next. Told that the message went out, the driver reads the end
 * of the connection and leaves it in good order. */
ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	const ssize_t sent = syscall(SYS_sendmsg, fd, message, flags | MSG_NOSIGNAL);
	const int error = errno;
	ssize_t bytes = 0;

	if (sent >= 0)
		return sent;
	if ((error != EPIPE && error != ECONNRESET) || !is_seqpacket(fd)) {
		errno = error;
		return -1;
	}
	for (size_t i = 0; i < message->msg_iovlen; i++)
		bytes += (ssize_t)message->msg_iov[i].iov_len;
	return bytes;
}

static void
gate_futex(struct nic_gate *gate, int op, uint32_t value)
{
	/* Spurious returns are fine: every caller looks at its condition again. */
	(void)syscall(SYS_futex, &gate->signal, op, value, NULL, NULL, 0);
}

/* EAL's interrupt thread. It says which hold it obeys: a hold that follows a release at once must
 * not take the answer to the one before for its own. */
static void
gate_callback(void *arg)
{
	struct nic_gate *gate = arg;
	uint64_t count;

	if (read(gate->event_fd, &count, sizeof(count)) < 0)
		return;
	for (;;) {
		const uint32_t signal = atomic_load(&gate->signal);
		const uint32_t hold = atomic_load(&gate->hold_wanted);

		atomic_store(&gate->hold_obeyed, hold);
		if (hold == 0)
			return;
		gate_futex(gate, FUTEX_WAIT_PRIVATE, signal);
	}
}

static void
gate_signal(struct nic_gate *gate)
{
	atomic_fetch_add(&gate->signal, 1);
	gate_futex(gate, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

enum tern_err
nic_gate_open(struct nic_gate *gate)
{
	struct rte_intr_handle *handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);

	gate->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (handle == NULL || gate->event_fd < 0)
		return TERN_ERR_NO_MEMORY;
	if (rte_intr_fd_set(handle, gate->event_fd) != 0 ||
	    rte_intr_type_set(handle, RTE_INTR_HANDLE_EXT) != 0 ||
	    rte_intr_callback_register(handle, gate_callback, gate) != 0)
		return TERN_ERR_IO;
	gate->handle = handle;
	return TERN_OK;
}

static bool
gate_wait(const struct nic_gate *gate, uint32_t hold)
{
	const struct timespec step = { .tv_nsec = GATE_STEP_US * 1000 };

	for (uint32_t waited_us = 0; waited_us < GATE_WAIT_US; waited_us += GATE_STEP_US) {
		if (atomic_load(&gate->hold_obeyed) == hold)
			return true;
		(void)nanosleep(&step, NULL);
	}
	return atomic_load(&gate->hold_obeyed) == hold;
}

bool
nic_gate_hold(struct nic_gate *gate)
{
	const uint64_t one = 1;

	if (atomic_load(&gate->hold_wanted) == 0) {
		gate->hold_last = gate->hold_last == UINT32_MAX ? 1 : gate->hold_last + 1;
		atomic_store(&gate->hold_wanted, gate->hold_last);
		/* An eventfd refuses a write only at its limit, and then it is readable. */
		if (write(gate->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			return false;
		gate_signal(gate);
	}
	return gate_wait(gate, gate->hold_last);
}

bool
nic_gate_is_held(const struct nic_gate *gate)
{
	const uint32_t hold = atomic_load(&gate->hold_wanted);

	return hold != 0 && atomic_load(&gate->hold_obeyed) == hold;
}

bool
nic_gate_release(struct nic_gate *gate)
{
	atomic_store(&gate->hold_wanted, 0);
	gate_signal(gate);
	return gate_wait(gate, 0);
}
