/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data thread: boots the runtime, then turns it. Adaptive polling: while work is in flight it
 * polls and yields, with a short sleep now and then; idle, it spins for poll.spin, then sleeps on
 * the wake-up, the management socket and storage completions. Frames of the data port wake nobody,
 * so a sleep is never longer than an eighth of the idle time (nor than poll.sleep_max, unless peers
 * are heard on the management network: they wake us there, runtime_sleep_ns): what comes after a
 * pause waits for a small part of that pause. Only traffic ends the idle time. Heartbeats
 * do not: three idle nodes would burn a fifth of a core on telling each other that they are there.
 */
#include "control/daemon/ternd.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#include "hw/platform/platform.h"

#define BOOT_POLL_NS   50000u
#define STOP_WAIT_NS   2000000000ull
#define STOP_LOOK_NS   1000000u
#define TIMER_SLACK_NS 1000ul
/* Yielding is not enough on shared cores: with autogroups (one a session) it only helps threads of
 * the same session, and a client starves beside two pollers. So who polls for AWAKE_NS on end
 * really sleeps for PAUSE_NS. 64 unpipelined connections on two CPUs fell from 42,000 to 2,000
 * writes/s in one run out of nine before; in one of 100 with 100 us a millisecond; in none of 100
 * with these. */
#define AWAKE_NS 500000u
#define PAUSE_NS 150000u
/* A yield is a system call, as long as a turn that finds nothing: between two of them an answer of
 * the other node would wait. But a device's completion is run by threads of the kernel, which get
 * the CPU at every empty turn while writes are in flight. */
#define YIELD_NS  10000u
#define NAP_SHARE 8u /* a sleep takes at most this part of the idle time */
/* But it may choose when. Right after a write was handed to the device nothing can come back for a
 * while: this part of the time that writes took lately is slept through. The kernel makes a sleep
 * of 40 us last 75. */
#define DEVICE_SHARE      4u
#define DEVICE_NAP_NS_MIN 15000u
#define DEVICE_NAP_NS_MAX 150000u

struct nap {
	uint64_t busy_count;    /* of the runtime, when it was last looked at */
	uint64_t idle_since_ns; /* 0: not idle */
	uint64_t slept_ns;      /* end of the last sleep */
	uint64_t yielded_ns;    /* or of the last yield */
	uint64_t groups_begun;  /* of the runtime, when it was last looked at */
	uint64_t overdue_ns;    /* the deadline that had passed after the last idle turn; 0: none */
};

static bool
has_requests(struct ternd *node)
{
	return !ring_is_empty(&node->gateway_channel.requests) ||
	       !ring_is_empty(&node->admin_channel.requests) ||
	       !ring_is_empty(&node->endpoint_channel.requests) ||
	       !ring_is_empty(&node->load->channel.requests);
}

static void
sleep_until_woken(struct ternd *node, uint64_t ns)
{
	const struct net_port mgmt = net_kernel_port(node->mgmt);
	struct pollfd fds[3] = {
		{ .fd = node->lcore_wake.fd, .events = POLLIN },
		{ .fd = mgmt.ops->wait_fd(mgmt.net), .events = POLLIN },
		{ .fd = node->disk.ops->wait_fd(node->disk.disk), .events = POLLIN },
	};
	const struct timespec timeout = { .tv_sec = (time_t)(ns / 1000000000u),
					  .tv_nsec = (long)(ns % 1000000000u) };

	wake_prepare(&node->lcore_wake);
	if (!has_requests(node) && !pool_note_is_answered(node) &&
	    !atomic_load(&node->lcore.is_stop_wanted)) {
		runtime_note_sleep(node->runtime);
		(void)ppoll(fds, 3, &timeout, NULL);
	}
	wake_done(&node->lcore_wake);
}

/* Traffic ends the idle time; heartbeats, ticks and status do not. */
static void
note_traffic(struct ternd *node, struct nap *nap)
{
	const uint64_t busy_count = runtime_busy_count(node->runtime);

	if (busy_count == nap->busy_count)
		return;
	nap->busy_count = busy_count;
	nap->idle_since_ns = 0;
}

/* A write group was handed to the device a moment ago: sleeps through the first part of the time
 * that it takes. Its completion, were it sooner, and requests that can be taken end the sleep; for
 * frames of peers the part is small enough. */
static void
sleep_on_device(struct ternd *node, struct nap *nap, uint64_t ns)
{
	struct pollfd fds[2] = {
		{ .fd = node->disk.ops->wait_fd(node->disk.disk), .events = POLLIN },
		{ .fd = node->lcore_wake.fd, .events = POLLIN },
	};
	const struct timespec timeout = { .tv_nsec = (long)ns };
	const uint64_t begin_ns = platform_monotonic_ns();

	wake_prepare(&node->lcore_wake);
	/* Requests that wait already were left waiting by the runtime. */
	(void)ppoll(fds, has_requests(node) ? 1 : 2, &timeout, NULL);
	wake_done(&node->lcore_wake);
	/* With several groups in flight the descriptor may say so of one that came back before. */
	const uint64_t now_ns = platform_monotonic_ns();
	if (now_ns - begin_ns >= ns)
		nap->slept_ns = now_ns;
}

/* Gives the CPU to whoever wants it, now and then. */
static void
yield_some(struct ternd *node, struct nap *nap, uint64_t now_ns)
{
	if (!runtime_is_writing(node->runtime) && now_ns - nap->yielded_ns < YIELD_NS)
		return;
	sched_yield();
	nap->yielded_ns = now_ns;
}

/* Something is in flight and nothing of it has come back. */
static void
wait_in_flight(struct ternd *node, struct nap *nap)
{
	const uint64_t now_ns = platform_monotonic_ns();
	const uint64_t groups_begun = runtime_groups_begun(node->runtime);
	const uint64_t device_ns =
	    min_u64(runtime_group_ns(node->runtime) / DEVICE_SHARE, DEVICE_NAP_NS_MAX);

	if (groups_begun != nap->groups_begun) {
		nap->groups_begun = groups_begun;
		if (device_ns >= DEVICE_NAP_NS_MIN) {
			sleep_on_device(node, nap, device_ns);
			return;
		}
	}
	if (now_ns - nap->slept_ns < AWAKE_NS) {
		yield_some(node, nap, now_ns);
		return;
	}
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	nanosleep(&pause, NULL);
	nap->slept_ns = platform_monotonic_ns();
}

/* After an idle turn. */
static void
rest(struct ternd *node, struct nap *nap)
{
	const uint64_t now_ns = platform_monotonic_ns();
	const uint64_t deadline_ns = runtime_deadline_ns(node->runtime);

	if (node->config.poll.mode == POLL_BUSY)
		return;
	if (nap->idle_since_ns == 0)
		nap->idle_since_ns = now_ns;
	const uint64_t idle_ns = now_ns - nap->idle_since_ns;
	if (idle_ns < node->config.poll.spin_ns) {
		yield_some(node, nap, now_ns);
		return;
	}
	const uint64_t ns =
	    min_u64(max_u64(idle_ns / NAP_SHARE, node->config.poll.sleep_min_ns),
		    runtime_sleep_ns(node->runtime, node->config.poll.sleep_max_ns));
	/* The turn may have begun before the time came. If the next one does nothing either, what
	 * is due waits for something else, and its time says nothing. */
	const bool is_stuck = deadline_ns <= now_ns && deadline_ns == nap->overdue_ns;
	nap->overdue_ns = deadline_ns <= now_ns ? deadline_ns : 0;
	if (deadline_ns > now_ns || is_stuck) {
		const uint64_t sleep_ns =
		    is_stuck ? node->config.poll.sleep_min_ns : min_u64(ns, deadline_ns - now_ns);
		standstill_due(&node->lcore.standstill, now_ns + sleep_ns);
		sleep_until_woken(node, sleep_ns);
		nap->slept_ns = platform_monotonic_ns();
	}
}

/* From now on this thread does not end unnoticed. */
static void
hold_last_word(struct ternd *node)
{
	const struct net_port mgmt = net_kernel_port(node->mgmt);
	struct last_word_peer peers[LAST_WORD_PEERS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < node->config.node_count; i++) {
		const struct node_config_node *peer = &node->config.nodes[i];
		if (peer->id != node->config.id)
			peers[count++] =
			    (struct last_word_peer){ peer->id, peer->mgmt.port, peer->mgmt.ip };
	}
	last_word_hold(node->last_word, mgmt.ops->wait_fd(mgmt.net), peers, count);
}

/* What was noted last. */
struct noted {
	bool is_master;
	uint64_t term, config_index;
};

/* After a turn: tells the last word who is master now, if that has changed. */
static void
note_role(struct ternd *node, struct noted *noted)
{
	const struct core_view *view = runtime_view(node->runtime);
	const struct noted now = {
		.is_master = view->role == CORE_MASTER,
		.term = view->term,
		.config_index = view->members.config_index,
	};

	if (now.is_master == noted->is_master &&
	    (!now.is_master ||
	     (now.term == noted->term && now.config_index == noted->config_index)))
		return;
	const struct farewell farewell = runtime_farewell(node->runtime);
	last_word_note(node->last_word, &farewell);
	*noted = now;
}

static bool
boot(struct ternd *node)
{
	const struct timespec step = { .tv_nsec = BOOT_POLL_NS };
	enum runtime_boot verdict = RUNTIME_BOOT_MORE;

	if (nvme_attach(node->nvme, node->lcore.why, sizeof(node->lcore.why)) != TERN_OK)
		return false;
	if (node->config.disk.iopoll == DISK_IOPOLL_ON && nvme_iopoll_why(node->nvme)[0] != 0)
		platform_diag(PLATFORM_WARNING, "iopoll_off node=%s why=%s", node->config.name,
			      nvme_iopoll_why(node->nvme));
	while (verdict == RUNTIME_BOOT_MORE && !atomic_load(&node->lcore.is_stop_wanted)) {
		verdict = runtime_boot_turn(node->runtime);
		if (verdict == RUNTIME_BOOT_MORE)
			nanosleep(&step, NULL);
	}
	node->lcore.boot = verdict;
	if (verdict != RUNTIME_BOOT_READY)
		return false;
	if (node->nic != NULL && nic_thread_register(node->nic) != TERN_OK) {
		snprintf(node->lcore.why, sizeof(node->lcore.why),
			 "DPDK has no room for the data thread");
		return false;
	}
	return true;
}

/* True while the loop should go on: after a stop was asked for, a master gets a while to hand its
 * mastership over. */
static bool
goes_on(struct ternd *node, uint64_t *stop_ns)
{
	if (!atomic_load_explicit(&node->lcore.is_stop_wanted, memory_order_relaxed))
		return true;
	if (*stop_ns == 0) {
		*stop_ns = platform_monotonic_ns();
		runtime_stop(node->runtime);
		return true;
	}
	return runtime_view(node->runtime)->role == CORE_MASTER &&
	       (runtime_view(node->runtime)->mode == CORE_MODE_DUPLEX ||
		runtime_view(node->runtime)->mode == CORE_MODE_MAJORITY) &&
	       platform_monotonic_ns() - *stop_ns < STOP_WAIT_NS;
}

/* One port of several is enough: the others are down because their peers are. */
static bool
is_data_up(struct ternd *node)
{
	for (uint32_t i = 0; node->nic != NULL && i < node->config.port_count; i++)
		if (nic_port_is_up(node->nic, i))
			return true;
	return node->nic == NULL;
}

/* Until it is asked to end, or the incarnation is over: then true. */
static bool
turn_on(struct ternd *node)
{
	struct nap nap = { 0 };
	struct noted noted = { 0 };
	uint64_t stop_ns = 0;
	bool is_up = true;

	while (goes_on(node, &stop_ns)) {
		const bool is_up_now = is_data_up(node);

		if (is_up_now != is_up) {
			is_up = is_up_now;
			runtime_set_data_port(node->runtime, is_up);
		}
		const bool has_loaded = load_turn(node->load);
		const enum runtime_turn turn = runtime_turn(node->runtime);
		const enum runtime_turn verdict =
		    has_loaded && turn != RUNTIME_RESTART ? RUNTIME_WORKED : turn;

		standstill_look(&node->lcore.standstill, runtime_turn_ns(node->runtime));
		note_role(node, &noted);
		note_traffic(node, &nap);
		switch (verdict) {
		case RUNTIME_WORKED:
			break;
		case RUNTIME_WAITING:
			nap.idle_since_ns = 0;
			if (node->config.poll.mode != POLL_BUSY)
				wait_in_flight(node, &nap);
			break;
		case RUNTIME_IDLE:
			rest(node, &nap);
			break;
		case RUNTIME_RESTART:
			return true;
		}
	}
	return false;
}

static void *
lcore_main(void *context)
{
	struct ternd *node = context;

	(void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	if (node->config.poll.cpu >= 0 &&
	    platform_pin_thread((uint32_t)node->config.poll.cpu) != TERN_OK)
		platform_diag(PLATFORM_WARNING, "pin_failed node=%s cpu=%d", node->config.name,
			      node->config.poll.cpu);
	hold_last_word(node);
	if (!boot(node)) {
		last_word_over(node->last_word);
		atomic_store(&node->lcore.phase, LCORE_FAILED);
		return NULL;
	}
	atomic_store(&node->lcore.phase, LCORE_RUNNING);
	const bool is_over = turn_on(node);
	last_word_over(node->last_word);
	if (node->nic != NULL)
		nic_thread_unregister(node->nic);
	atomic_store(&node->lcore.phase, is_over ? LCORE_OVER : LCORE_ENDED);
	return NULL;
}

enum tern_err
lcore_start(struct ternd *node)
{
	return pthread_create(&node->lcore.thread, NULL, lcore_main, node) == 0 ? TERN_OK
										: TERN_ERR_IO;
}

void
lcore_stop(struct ternd *node)
{
	const struct timespec step = { .tv_nsec = STOP_LOOK_NS };
	int phase;

	atomic_store(&node->lcore.is_stop_wanted, true);
	wake_up(&node->lcore_wake);
	/* A device may fail while it hands over, and a port that was asked for be wanted again. */
	while ((phase = atomic_load(&node->lcore.phase)) == LCORE_BOOTING ||
	       phase == LCORE_RUNNING) {
		if (node->nic != NULL)
			(void)nic_maintain(node->nic);
		pool_note_turn(node);
		nanosleep(&step, NULL);
	}
	(void)pthread_join(node->lcore.thread, NULL);
}
