/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/nic_dpdk/nic_node.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/crc32c.h"
#include "tests/support/check.h"

#define FRAMES_A_TURN   NET_BURST_MAX
#define HEAVY_CRC_BYTES 64u
#define WAIT_MS_MAX     60000u

/* A frame: the sender's incarnation, a CRC over what follows the first 16 bytes, filler. */
struct frame_head {
	uint64_t incarnation;
	uint32_t crc, length;
};

struct node_run {
	struct nic *nic;
	bool is_heavy;
	struct node_page *page;
	uint16_t self, peer;
	uint64_t incarnation;
	uint32_t payload_bytes;
	_Atomic bool is_over;
};

void
pair_sleep_ms(uint32_t ms)
{
	const struct timespec step = { .tv_sec = ms / 1000,
				       .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&step, NULL);
}

/* A heavy node spends its time in bursts of long frames, not in looking at them. */
static uint32_t
crc_bytes(const struct node_run *run, uint32_t length)
{
	const uint32_t all = length - (uint32_t)sizeof(struct frame_head);

	return run->is_heavy && all > HEAVY_CRC_BYTES ? HEAVY_CRC_BYTES : all;
}

static void
node_take(struct node_run *run, const struct net_frame *frame)
{
	struct frame_head head;

	memcpy(&head, frame->bytes, sizeof(head));
	if (frame->length < sizeof(head) || frame->node != run->peer ||
	    head.length != frame->length ||
	    head.crc != crc32c(frame->bytes + sizeof(head), crc_bytes(run, head.length))) {
		atomic_fetch_add(&run->page->bad, 1);
		return;
	}
	if (atomic_load(&run->page->received_of) != head.incarnation) {
		atomic_store(&run->page->received, 0);
		atomic_store(&run->page->received_of, head.incarnation);
	}
	atomic_fetch_add(&run->page->received, 1);
}

static void
node_send(struct node_run *run, struct net_port net, uint64_t turn)
{
	struct net_frame frames[FRAMES_A_TURN];
	const uint32_t count = net.ops->tx_alloc(net.net, run->peer, frames, FRAMES_A_TURN);

	for (uint32_t i = 0; i < count; i++) {
		struct frame_head head = { .incarnation = run->incarnation };

		head.length = run->payload_bytes;
		if (!run->is_heavy && turn % 16 != 0)
			head.length =
			    (uint32_t)sizeof(head) +
			    (uint32_t)((turn * 37 + i * 211) % (run->payload_bytes - sizeof(head)));
		const uint32_t filled = crc_bytes(run, head.length);
		memset(frames[i].bytes + sizeof(head), (int)(turn + i), filled);
		head.crc = crc32c(frames[i].bytes + sizeof(head), filled);
		memcpy(frames[i].bytes, &head, sizeof(head));
		frames[i].length = head.length;
	}
	if (count != 0)
		(void)net.ops->tx_burst(net.net, frames, count);
}

static void *
node_data_thread(void *arg)
{
	struct node_run *run = arg;
	const struct net_port net = nic_port(run->nic);

	if (nic_thread_register(run->nic) != TERN_OK)
		abort();
	for (uint64_t turn = 0; !atomic_load(&run->is_over); turn++) {
		struct net_frame frames[NET_BURST_MAX];
		const uint32_t got = net.ops->rx_burst(net.net, frames, NET_BURST_MAX);

		for (uint32_t i = 0; i < got; i++)
			node_take(run, &frames[i]);
		net.ops->rx_release(net.net, frames, got);
		if (!atomic_load(&run->page->is_silent))
			node_send(run, net, turn);
		atomic_store(&run->page->is_up, net.ops->is_up(net.net, run->peer));
		if (turn % 64 == 0) {
			static struct net_stats stats;
			net.ops->stats(net.net, &stats);
			atomic_store(&run->page->port, stats.nodes[run->peer].port);
		}
		atomic_store(&run->page->turns, turn + 1);
		if (!run->is_heavy)
			(void)sched_yield();
	}
	net.ops->stats(net.net, &run->page->stats);
	(void)snprintf(run->page->driver, sizeof(run->page->driver), "%s",
		       net.ops->driver(net.net));
	nic_thread_unregister(run->nic);
	return NULL;
}

static uint64_t
count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (directory == NULL)
		return 0;
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

static struct inet_addr
address_of(const struct node_pair *pair, uint32_t link, uint32_t node)
{
	struct inet_addr v6 = { { 0xfd, 0x77, [3] = (uint8_t)link, [15] = (uint8_t)node } };

	return pair->is_ipv6 ? v6 : inet_addr_v4(0x0a000000u + (link << 8) + node);
}

static void
link_config(const struct node_pair *pair, uint32_t link, uint32_t node, struct nic_config *config)
{
	const uint32_t peer = NODE_A + NODE_B - node;
	struct nic_port_config *port = &config->ports[link];

	(void)snprintf(
	    port->device, sizeof(port->device),
	    "net_memif%u,role=%s,id=0,socket=%s/ab%u%s.sock,socket-abstract=no,bsize=%u,rsize=%u",
	    link, node == NODE_A ? "server" : "client", pair->directory, link,
	    (pair->dead_links >> link & 1) == 0 ? ""
	    : node == NODE_A                    ? "-a"
						: "-b",
	    pair->payload_bytes > 1472 ? 9216u : 2048u, pair->payload_bytes > 1472 ? 8u : 10u);
	port->payload_bytes_max = (uint16_t)pair->payload_bytes;
	port->ip = address_of(pair, link, node);
	port->udp_port_base = 7000;
	config->peers[link] = (struct nic_peer_config){ .node_id = (uint16_t)peer,
							.port = (uint16_t)link,
							.ip = address_of(pair, link, peer),
							.udp_port = 7000 };
}

static void
node_config(const struct node_pair *pair, uint32_t node, struct nic_config *config)
{
	const uint32_t links = pair->link_count == 0 ? 1 : pair->link_count;

	*config = (struct nic_config){ .node_id = (uint16_t)node,
				       .port_count = links,
				       .peer_count = links };
	config->cpu = 0;
	config->filter.cells = pair->cells;
	(void)snprintf(config->file_prefix, sizeof(config->file_prefix), "nictest-%d-%u",
		       (int)getppid(), node);
	(void)snprintf(config->run_dir, sizeof(config->run_dir), "%s", pair->directory);
	for (uint32_t link = 0; link < links; link++)
		link_config(pair, link, node, config);
}

static void
idle_port_config(const struct node_pair *pair, uint32_t node, struct nic_config *config)
{
	config->port_count = 2;
	config->ports[1] = config->ports[0];
	config->ports[1].ip = inet_addr_v4(0x0a000100u + node);
	(void)snprintf(config->ports[1].device, sizeof(config->ports[1].device),
		       "net_memif1,role=%s,id=0,socket=%s/idle-%u.sock,socket-abstract=no,"
		       "bsize=9216,rsize=8",
		       node == NODE_A ? "server" : "client", pair->directory, node);
}

static void
node_main(const struct node_pair *pair, uint32_t node)
{
	struct node_page *page = pair->pages[node];
	struct node_run run = { .page = page,
				.self = (uint16_t)node,
				.peer = (uint16_t)(NODE_A + NODE_B - node),
				.incarnation = pair->incarnation[node],
				.payload_bytes = pair->payload_bytes,
				.is_heavy = pair->is_heavy };
	struct nic_config config;
	pthread_t thread;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	node_config(pair, node, &config);
	if (pair->has_idle_port)
		idle_port_config(pair, node, &config);
	const enum tern_err err = nic_open(&config, &run.nic, page->text, sizeof(page->text));
	atomic_store(&page->err, err);
	if (err != TERN_OK) {
		atomic_store(&page->phase, NODE_REFUSED);
		_exit(3);
	}
	if (pthread_create(&thread, NULL, node_data_thread, &run) != 0)
		abort();
	atomic_store(&page->phase, NODE_RUNNING);
	while (!atomic_load(&page->is_stopping)) {
		pair_sleep_ms(nic_maintain(run.nic));
		atomic_store(&page->descriptors, count_descriptors());
	}
	atomic_store(&run.is_over, true);
	(void)pthread_join(thread, NULL);
	nic_close(run.nic);
	atomic_store(&page->phase, NODE_CLOSED);
	_exit(0);
}

static void *
shared_map(size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(map != MAP_FAILED);
	return map;
}

void
pair_open(struct node_pair *pair, uint32_t payload_bytes)
{
	memset(pair, 0, sizeof(*pair));
	pair->payload_bytes = payload_bytes;
	(void)snprintf(pair->directory, sizeof(pair->directory), "/tmp/nictest-XXXXXX");
	assert_non_null(mkdtemp(pair->directory));
	for (uint32_t node = NODE_A; node <= NODE_B; node++)
		pair->pages[node] = shared_map(sizeof(struct node_page));
	pair->cells = shared_map(NET_NODES_MAX * NET_NODES_MAX);
}

void
pair_close(struct node_pair *pair)
{
	char path[96];

	for (uint32_t node = NODE_A; node <= NODE_B; node++) {
		if (pair->pids[node] != 0)
			(void)pair_kill(pair, node);
		(void)munmap(pair->pages[node], sizeof(struct node_page));
	}
	(void)munmap(pair->cells, NET_NODES_MAX * NET_NODES_MAX);
	(void)snprintf(path, sizeof(path), "rm -rf %s", pair->directory);
	assert_int_equal(system(path), 0);
}

void
pair_start(struct node_pair *pair, uint32_t node)
{
	struct node_page *page = pair->pages[node];

	memset(page, 0, sizeof(*page));
	pair->incarnation[node]++;
	(void)fflush(NULL);
	pair->pids[node] = fork();
	assert_true(pair->pids[node] >= 0);
	if (pair->pids[node] == 0)
		node_main(pair, node);
}

int
pair_wait(struct node_pair *pair, uint32_t node)
{
	int status = -1;

	assert_int_equal(waitpid(pair->pids[node], &status, 0), pair->pids[node]);
	pair->pids[node] = 0;
	return status;
}

int
pair_kill(struct node_pair *pair, uint32_t node)
{
	(void)kill(pair->pids[node], SIGKILL);
	return pair_wait(pair, node);
}

int
pair_stop(struct node_pair *pair, uint32_t node)
{
	atomic_store(&pair->pages[node]->is_stopping, true);
	return pair_wait(pair, node);
}

bool
pair_is_alive(struct node_pair *pair, uint32_t node)
{
	int status;

	if (pair->pids[node] == 0)
		return false;
	if (waitpid(pair->pids[node], &status, WNOHANG) == 0)
		return true;
	(void)fprintf(stderr, "node %u ended: status 0x%x %s\n", node, (unsigned)status,
		      pair->pages[node]->text);
	pair->pids[node] = 0;
	return false;
}

static bool
hears(const struct node_pair *pair, uint32_t node, uint64_t frames)
{
	const struct node_page *page = pair->pages[node];

	return atomic_load(&page->received_of) == pair->incarnation[NODE_A + NODE_B - node] &&
	       atomic_load(&page->received) >= frames && atomic_load(&page->is_up);
}

bool
pair_wait_traffic(struct node_pair *pair, uint64_t frames)
{
	for (uint32_t ms = 0; ms < WAIT_MS_MAX; ms++) {
		if (hears(pair, NODE_A, frames) && hears(pair, NODE_B, frames))
			return true;
		if (!pair_is_alive(pair, NODE_A) || !pair_is_alive(pair, NODE_B))
			return false;
		pair_sleep_ms(1);
	}
	return false;
}

bool
pair_wait_turns(struct node_pair *pair, uint64_t turns)
{
	const uint64_t a = atomic_load(&pair->pages[NODE_A]->turns);
	const uint64_t b = atomic_load(&pair->pages[NODE_B]->turns);

	for (uint32_t ms = 0; ms < WAIT_MS_MAX; ms++) {
		if (atomic_load(&pair->pages[NODE_A]->turns) >= a + turns &&
		    atomic_load(&pair->pages[NODE_B]->turns) >= b + turns)
			return true;
		if (!pair_is_alive(pair, NODE_A) || !pair_is_alive(pair, NODE_B))
			return false;
		pair_sleep_ms(1);
	}
	return false;
}

void
pair_need_memif(void)
{
	static struct node_pair pair;

	pair_open(&pair, 1472);
	pair_start(&pair, NODE_A);
	while (atomic_load(&pair.pages[NODE_A]->phase) == NODE_STARTING &&
	       pair_is_alive(&pair, NODE_A))
		pair_sleep_ms(1);
	const bool is_missing = atomic_load(&pair.pages[NODE_A]->err) == TERN_ERR_UNSUPPORTED &&
				strstr(pair.pages[NODE_A]->text, "DPDK cannot make") != NULL;
	if (is_missing)
		(void)fprintf(stderr, "skipped: %s\n", pair.pages[NODE_A]->text);
	pair_close(&pair);
	if (is_missing)
		exit(77);
}
