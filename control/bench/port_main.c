/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern-bench-port MILLISECONDS: measures net_memif between two processes through hw/nic_dpdk, short
 * and long frames, one way and round trip, then jumbo frames one way through ports that are set up
 * for them, and writes one JSON object. A program of its own, so
 * that `tern` does not load DPDK. Of the two processes one sends and the other counts or answers;
 * they speak to the first one through a shared page.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/bench/raw.h"
#include "hw/nic_dpdk/nic.h"
#include "hw/platform/platform.h"

#define SENDER      1u
#define ANSWERER    2u
#define UP_MS_MAX   15000u
#define LATE_NS     20000000u /* a round trip that takes longer is not waited for */
#define SETTLE_MS   50
#define UDP_PORT    7000
#define SUBNET      0x0a4d0000u
#define MAGIC_BYTES 16u

enum phase { PHASE_IDLE = 0, PHASE_ONE_WAY, PHASE_ROUND_TRIP, PHASE_OVER };

struct page {
	_Atomic int phase;
	_Atomic uint32_t frame_bytes;
	_Atomic uint64_t received, round_trips;
	_Atomic uint64_t late;          /* round trips that were given up */
	_Atomic int failed;             /* a process could not open its port */
	struct histogram latency;       /* of the round trips of this phase; the sender's */
	_Atomic uint32_t latency_phase; /* counts phases; the sender clears the histogram at a new
					 * one */
	char text[512];
};

struct process {
	struct page *page;
	struct nic *nic;
	uint16_t self, peer;
	_Atomic bool is_over;
};

static void
sleep_ms(uint32_t ms)
{
	const struct timespec step = { .tv_sec = ms / 1000,
				       .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&step, NULL);
}

/* Sends up to @count frames of the wanted length, each with @sequence. True: some left. */
static bool
send_frames(struct process *process, struct net_port net, uint32_t count, uint64_t sequence)
{
	struct net_frame frames[NET_BURST_MAX];
	const uint32_t length = atomic_load(&process->page->frame_bytes) - BENCH_PORT_HDR_BYTES;
	const uint32_t had = net.ops->tx_alloc(net.net, process->peer, frames, count);

	for (uint32_t i = 0; i < had; i++) {
		frames[i].length = length < frames[i].capacity ? length : frames[i].capacity;
		memset(frames[i].bytes, 0, frames[i].length);
		memcpy(frames[i].bytes, &sequence, sizeof(sequence));
	}
	return had != 0 && net.ops->tx_burst(net.net, frames, had) != 0;
}

struct round {
	uint64_t sequence, sent_ns; /* sent_ns 0: none under way */
	uint32_t latency_phase;
};

/* The sender's part of one turn. @answers: the newest sequence that came back, 0: none. */
static bool
sender_turn(struct process *process, struct net_port net, struct round *round, uint64_t answer)
{
	struct page *page = process->page;
	const int phase = atomic_load(&page->phase);
	const uint64_t now_ns = platform_monotonic_ns();

	if (phase == PHASE_ONE_WAY)
		return send_frames(process, net, NET_BURST_MAX, 0);
	if (phase != PHASE_ROUND_TRIP) {
		round->sent_ns = 0;
		return false;
	}
	if (round->latency_phase != atomic_load(&page->latency_phase)) {
		memset(&page->latency, 0, sizeof(page->latency));
		round->latency_phase = atomic_load(&page->latency_phase);
		round->sent_ns = 0;
	}
	if (round->sent_ns != 0 && answer == round->sequence) {
		histogram_add(&page->latency, now_ns - round->sent_ns);
		atomic_fetch_add(&page->round_trips, 1);
		round->sent_ns = 0;
	}
	if (round->sent_ns != 0 && now_ns - round->sent_ns < LATE_NS)
		return false;
	if (round->sent_ns != 0) { /* as long as it has waited: a lower bound */
		histogram_add(&page->latency, now_ns - round->sent_ns);
		atomic_fetch_add(&page->late, 1);
	}
	round->sequence++;
	round->sent_ns = platform_monotonic_ns();
	return send_frames(process, net, 1, round->sequence);
}

static void *
data_main(void *argument)
{
	struct process *process = argument;
	const struct net_port net = nic_port(process->nic);
	struct round round = { .sequence = 1 };

	if (nic_thread_register(process->nic) != TERN_OK)
		abort();
	while (!atomic_load(&process->is_over)) {
		struct net_frame frames[NET_BURST_MAX];
		const uint32_t got = net.ops->rx_burst(net.net, frames, NET_BURST_MAX);
		uint64_t newest = 0;
		bool has_worked = got != 0;

		for (uint32_t i = 0; i < got; i++)
			if (frames[i].length >= sizeof(newest))
				memcpy(&newest, frames[i].bytes, sizeof(newest));
		net.ops->rx_release(net.net, frames, got);
		if (process->self == SENDER)
			has_worked |= sender_turn(process, net, &round, newest);
		else if (newest != 0)
			(void)send_frames(process, net, 1, newest);
		if (process->self == ANSWERER && got != 0)
			atomic_fetch_add(&process->page->received, got);
		if (!has_worked)
			(void)sched_yield();
	}
	nic_thread_unregister(process->nic);
	return NULL;
}

static void
process_main(struct page *page, const char *directory, uint16_t self, bool is_jumbo)
{
	struct process process = { .page = page,
				   .self = self,
				   .peer = (uint16_t)(SENDER + ANSWERER - self) };
	struct nic_config config = { .node_id = self, .port_count = 1, .peer_count = 1 };
	pthread_t thread;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(config.file_prefix, sizeof(config.file_prefix), "tern-bench-%d-%u",
		       (int)getppid(), self);
	(void)snprintf(config.run_dir, sizeof(config.run_dir), "%s", directory);
	(void)snprintf(config.ports[0].device, sizeof(config.ports[0].device),
		       "net_memif0,role=%s,id=0,socket=%s/port.sock,socket-abstract=no,%s",
		       self == SENDER ? "server" : "client", directory,
		       is_jumbo ? "bsize=9216,rsize=8" : "bsize=2048,rsize=10");
	if (is_jumbo)
		config.ports[0].payload_bytes_max = BENCH_FRAME_JUMBO - BENCH_PORT_HDR_BYTES;
	config.ports[0].ip = inet_addr_v4(SUBNET + self);
	config.ports[0].udp_port_base = UDP_PORT;
	config.peers[0] = (struct nic_peer_config){ .node_id = process.peer,
						    .ip = inet_addr_v4(SUBNET + process.peer),
						    .udp_port = UDP_PORT };
	if (nic_open(&config, &process.nic, page->text, sizeof(page->text)) != TERN_OK ||
	    pthread_create(&thread, NULL, data_main, &process) != 0) {
		atomic_store(&page->failed, 1);
		_exit(1);
	}
	while (atomic_load(&page->phase) != PHASE_OVER)
		sleep_ms(nic_maintain(process.nic));
	atomic_store(&process.is_over, true);
	(void)pthread_join(thread, NULL);
	nic_close(process.nic);
	_exit(0);
}

/* Until frames go round; false: they do not. */
static bool
await_up(struct page *page)
{
	atomic_store(&page->frame_bytes, BENCH_FRAME_SHORT);
	atomic_store(&page->phase, PHASE_ROUND_TRIP);
	for (uint32_t ms = 0; ms < UP_MS_MAX; ms++) {
		if (atomic_load(&page->failed) != 0)
			return false;
		if (atomic_load(&page->round_trips) > 100)
			return true;
		sleep_ms(1);
	}
	(void)snprintf(page->text, sizeof(page->text), "no frame came through in %u ms", UP_MS_MAX);
	return false;
}

/* False: nothing came through. */
static bool
one_way(struct page *page, uint32_t frame_bytes, uint32_t ms, double *frames_per_s)
{
	atomic_store(&page->frame_bytes, frame_bytes);
	atomic_store(&page->phase, PHASE_ONE_WAY);
	sleep_ms(SETTLE_MS);
	const uint64_t begin_ns = platform_monotonic_ns(), before = atomic_load(&page->received);
	sleep_ms(ms);
	const uint64_t after = atomic_load(&page->received), end_ns = platform_monotonic_ns();
	atomic_store(&page->phase, PHASE_IDLE);
	sleep_ms(SETTLE_MS);
	*frames_per_s = (double)(after - before) * 1e9 / (double)(end_ns - begin_ns);
	if (after == before)
		(void)snprintf(page->text, sizeof(page->text),
			       "no frame of %u bytes came through in %u ms", frame_bytes, ms);
	return after != before;
}

/* False: none ended. */
static bool
round_trip(struct page *page, uint32_t frame_bytes, uint32_t ms, double *p50_ns, double *p99_ns)
{
	const uint64_t before = atomic_load(&page->round_trips);

	atomic_store(&page->frame_bytes, frame_bytes);
	atomic_fetch_add(&page->latency_phase, 1);
	atomic_store(&page->phase, PHASE_ROUND_TRIP);
	sleep_ms(ms);
	atomic_store(&page->phase, PHASE_IDLE);
	sleep_ms(SETTLE_MS);
	*p50_ns = (double)histogram_at(&page->latency, 500);
	*p99_ns = (double)histogram_at(&page->latency, 990);
	if (atomic_load(&page->round_trips) != before)
		return true;
	(void)snprintf(page->text, sizeof(page->text), "no round trip of %u bytes ended in %u ms",
		       frame_bytes, ms);
	return false;
}

static bool
measure(struct page *page, uint32_t ms, struct bench_port_result *result)
{
	if (!await_up(page))
		return false;
	const uint64_t before = atomic_load(&page->late);
	const bool is_good =
	    round_trip(page, BENCH_FRAME_SHORT, ms, &result->short_p50_ns, &result->short_p99_ns) &&
	    round_trip(page, BENCH_FRAME_LONG, ms, &result->long_p50_ns, &result->long_p99_ns) &&
	    one_way(page, BENCH_FRAME_SHORT, ms, &result->short_frames_per_s) &&
	    one_way(page, BENCH_FRAME_LONG, ms, &result->long_frames_per_s);
	result->late = (uint32_t)(atomic_load(&page->late) - before);
	return is_good;
}

static bool
measure_jumbo(struct page *page, uint32_t ms, struct bench_port_result *result)
{
	return await_up(page) && one_way(page, BENCH_FRAME_JUMBO, ms, &result->jumbo_frames_per_s);
}

static void
print_result(const struct bench_port_result *result)
{
	(void)printf("{\"short_frames_per_s\":%.1f,\"long_frames_per_s\":%.1f,"
		     "\"jumbo_frames_per_s\":%.1f,\"short_p50_ns\":%.1f,\"short_p99_ns\":%.1f,"
		     "\"long_p50_ns\":%.1f,\"long_p99_ns\":%.1f,\"late\":%u}\n",
		     result->short_frames_per_s, result->long_frames_per_s,
		     result->jumbo_frames_per_s, result->short_p50_ns, result->short_p99_ns,
		     result->long_p50_ns, result->long_p99_ns, result->late);
}

static void
remove_directory(const char *directory)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/port.sock", directory);
	(void)unlink(path);
	/* EAL removes its own below it. */
	(void)snprintf(path, sizeof(path), "%s/dpdk", directory);
	(void)rmdir(path);
	(void)rmdir(directory);
}

/* Who could not open its port has said so itself. */
static bool
has_ended_well(struct page *page, pid_t pid)
{
	int status = 0;

	if (pid < 0 || (waitpid(pid, &status, 0) == pid && status == 0))
		return pid > 0;
	if (atomic_load(&page->failed) == 0)
		(void)snprintf(page->text, sizeof(page->text),
			       WIFSIGNALED(status) ? "one of its processes died of signal %d"
						   : "one of its processes ended with %d",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return false;
}

/* Two processes, joined by a port of one kind, from start to end. */
static bool
run_pair(struct page *page, uint32_t ms, bool is_jumbo, struct bench_port_result *result)
{
	char directory[] = "/tmp/tern-bench-XXXXXX";
	pid_t pids[2];

	memset(page, 0, sizeof(*page));
	if (mkdtemp(directory) == NULL) {
		(void)snprintf(page->text, sizeof(page->text), "no directory below /tmp");
		return false;
	}
	for (uint16_t i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			process_main(page, directory, (uint16_t)(SENDER + i), is_jumbo);
		if (pids[i] < 0) {
			(void)snprintf(page->text, sizeof(page->text), "no process: %s",
				       strerror(errno));
			atomic_store(&page->failed, 1);
		}
	}
	bool is_good = is_jumbo ? measure_jumbo(page, ms, result) : measure(page, ms, result);
	atomic_store(&page->phase, PHASE_OVER);
	for (int i = 0; i < 2; i++)
		is_good &= has_ended_well(page, pids[i]);
	remove_directory(directory);
	return is_good;
}

int
main(int argc, char **argv)
{
	struct page *page =
	    mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const long ms = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	struct bench_port_result result = { 0 };

	if (ms < 1 || ms > BENCH_PORT_MS_MAX || page == MAP_FAILED) {
		(void)fprintf(stderr, "usage: tern-bench-port MILLISECONDS\n");
		return 2;
	}
	if (!run_pair(page, (uint32_t)ms, false, &result) ||
	    !run_pair(page, (uint32_t)ms, true, &result)) {
		page->text[strcspn(page->text, "\"\\\n")] = '\0';
		(void)printf("{\"error\":\"%s\"}\n", page->text);
		return 1;
	}
	print_result(&result);
	return 0;
}
