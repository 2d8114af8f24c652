/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes over memif: traffic both ways, filter, refusals, an orderly stop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/nic_dpdk/nic_node.h"

#define SILENT_TURNS 500u

static struct node_pair pair;

static void
traffic_of(uint32_t payload_bytes, bool is_ipv6)
{
	uint64_t arp_requests = 0;

	pair_open(&pair, payload_bytes);
	pair.is_ipv6 = is_ipv6;
	pair_start(&pair, NODE_A);
	pair_start(&pair, NODE_B);
	assert_true(pair_wait_traffic(&pair, 20000));
	for (uint32_t node = NODE_A; node <= NODE_B; node++) {
		const struct node_page *page = pair.pages[node];
		const struct net_node_counters *counters =
		    &page->stats.nodes[NODE_A + NODE_B - node];
		char path[160];

		assert_int_equal(pair_stop(&pair, node), 0);
		assert_int_equal(atomic_load(&page->phase), NODE_CLOSED);
		assert_int_equal(atomic_load(&page->bad), 0);
		assert_string_equal(page->driver, "net_memif");
		assert_true(counters->rx_frames >= 20000);
		assert_true(counters->tx_frames > 0 && counters->tx_bytes > counters->tx_frames);
		assert_true(page->stats.hw_ipackets >= counters->rx_frames);
		assert_true(page->stats.hw_opackets >= counters->tx_frames);
		arp_requests += page->stats.arp_requests;
		/* EAL's directory is gone. */
		(void)snprintf(path, sizeof(path), "%s/dpdk/nictest-%d-%u", pair.directory,
			       (int)getpid(), node);
		assert_int_not_equal(access(path, F_OK), 0);
	}
	/* Somebody had to ask; the other may have learned the address from a datagram. */
	assert_true(arp_requests > 0);
	pair_close(&pair);
}

static void
test_traffic(void **state)
{
	(void)state;
	traffic_of(1472, false);
}

static void
test_jumbo(void **state)
{
	(void)state;
	traffic_of(8972, false);
}

static void
test_ipv6(void **state)
{
	(void)state;
	traffic_of(1452, true);
	traffic_of(8952, true);
}

/* Waits until each node sends by @port. */
static bool
wait_ports(uint32_t port)
{
	for (uint32_t ms = 0; ms < 60000; ms++) {
		if (atomic_load(&pair.pages[NODE_A]->port) == port &&
		    atomic_load(&pair.pages[NODE_B]->port) == port)
			return true;
		if (!pair_is_alive(&pair, NODE_A) || !pair_is_alive(&pair, NODE_B))
			return false;
		pair_sleep_ms(1);
	}
	return false;
}

/* A process that comes back has only one of the two links: the node that stayed follows it. */
static void
two_links(bool is_ipv6)
{
	pair_open(&pair, 1452);
	pair.is_ipv6 = is_ipv6;
	pair.link_count = 2;
	pair_start(&pair, NODE_A);
	pair_start(&pair, NODE_B);
	assert_true(pair_wait_traffic(&pair, 5000));
	for (uint32_t dead = 0; dead < 4; dead++) {
		(void)pair_kill(&pair, NODE_B);
		pair.dead_links = 1u << (dead % 2);
		pair_start(&pair, NODE_B);
		assert_true(pair_wait_traffic(&pair, 5000));
		assert_true(wait_ports(1 - dead % 2));
	}
	(void)pair_kill(&pair, NODE_B);
	pair.dead_links = 0;
	pair_start(&pair, NODE_B);
	assert_true(pair_wait_traffic(&pair, 5000));
	assert_int_equal(pair_stop(&pair, NODE_A), 0);
	assert_int_equal(pair_stop(&pair, NODE_B), 0);
	const struct net_stats *stats = &pair.pages[NODE_A]->stats;
	assert_int_equal(stats->port_count, 2);
	assert_true(stats->nodes[NODE_B].takeovers >= 3);
	assert_true(stats->ports[0].rx_frames >= 5000 && stats->ports[1].rx_frames >= 5000);
	assert_true(stats->ports[0].tx_frames > 0 && stats->ports[1].tx_frames > 0);
	assert_int_equal(stats->ports[0].rx_frames + stats->ports[1].rx_frames,
			 stats->nodes[NODE_B].rx_frames);
	assert_int_equal(stats->ports[0].tx_bytes + stats->ports[1].tx_bytes,
			 stats->nodes[NODE_B].tx_bytes);
	assert_int_equal(atomic_load(&pair.pages[NODE_A]->bad), 0);
	pair_close(&pair);
}

static void
test_two_links(void **state)
{
	(void)state;
	two_links(false);
	two_links(true);
}

/* Hears nothing while both go on for some turns, in which whatever was under way has come. */
static bool
falls_silent(uint32_t node)
{
	for (uint32_t i = 0; i < 100; i++) {
		const uint64_t before = atomic_load(&pair.pages[node]->received);
		if (!pair_wait_turns(&pair, SILENT_TURNS))
			return false;
		if (atomic_load(&pair.pages[node]->received) == before)
			return true;
	}
	return false;
}

static bool
is_hearing(uint32_t node)
{
	const uint64_t before = atomic_load(&pair.pages[node]->received);

	for (uint32_t i = 0; i < 1000; i++) {
		if (atomic_load(&pair.pages[node]->received) > before)
			return true;
		if (!pair_wait_turns(&pair, SILENT_TURNS))
			return false;
	}
	return false;
}

static void
test_filter(void **state)
{
	uint8_t *a_to_b, *b_to_a;

	(void)state;
	pair_open(&pair, 1472);
	a_to_b = &pair.cells[NODE_A * NET_NODES_MAX + NODE_B];
	b_to_a = &pair.cells[NODE_B * NET_NODES_MAX + NODE_A];
	pair_start(&pair, NODE_A);
	pair_start(&pair, NODE_B);
	assert_true(pair_wait_traffic(&pair, 100));

	*a_to_b = 1; /* one way */
	assert_true(falls_silent(NODE_B));
	assert_true(is_hearing(NODE_A));
	*b_to_a = 1;
	assert_true(falls_silent(NODE_A));
	*a_to_b = 0;
	*b_to_a = 0;
	assert_true(is_hearing(NODE_A));
	assert_true(is_hearing(NODE_B));

	/* It holds for a node that starts into it: not even ARP passes. */
	*a_to_b = 1;
	*b_to_a = 1;
	(void)pair_kill(&pair, NODE_B);
	pair_start(&pair, NODE_B);
	while (atomic_load(&pair.pages[NODE_B]->phase) == NODE_STARTING &&
	       pair_is_alive(&pair, NODE_B))
		pair_sleep_ms(1);
	assert_true(pair_wait_turns(&pair, 10 * SILENT_TURNS));
	assert_int_equal(atomic_load(&pair.pages[NODE_B]->received), 0);
	assert_false(atomic_load(&pair.pages[NODE_B]->is_up));
	*a_to_b = 0;
	*b_to_a = 0;
	assert_true(pair_wait_traffic(&pair, 100));
	assert_int_equal(pair_stop(&pair, NODE_A), 0);
	assert_true(pair.pages[NODE_A]->stats.nodes[NODE_B].tx_cut > 0);
	assert_int_equal(pair_stop(&pair, NODE_B), 0);
	pair_close(&pair);
}

/* The client is there first; the server comes after it. */
static void
test_client_first(void **state)
{
	(void)state;
	pair_open(&pair, 1472);
	pair_start(&pair, NODE_B);
	while (atomic_load(&pair.pages[NODE_B]->phase) == NODE_STARTING &&
	       pair_is_alive(&pair, NODE_B))
		pair_sleep_ms(1);
	pair_sleep_ms(100);
	assert_false(atomic_load(&pair.pages[NODE_B]->is_up));
	pair_start(&pair, NODE_A);
	assert_true(pair_wait_traffic(&pair, 100));
	pair_close(&pair);
}

/* A second server on a socket that is served is refused, and the first one lives on. */
static void
test_socket_in_use(void **state)
{
	const uint32_t self = NODE_A;
	pid_t first;

	(void)state;
	pair_open(&pair, 1472);
	pair_start(&pair, NODE_A);
	pair_start(&pair, NODE_B);
	assert_true(pair_wait_traffic(&pair, 100));
	first = pair.pids[self];
	pair_start(&pair, self); /* both have the page now */
	while (atomic_load(&pair.pages[self]->phase) == NODE_STARTING)
		pair_sleep_ms(1);
	assert_int_equal(atomic_load(&pair.pages[self]->phase), NODE_REFUSED);
	assert_int_equal(WEXITSTATUS(pair_wait(&pair, self)), 3);
	assert_int_equal(atomic_load(&pair.pages[self]->err), TERN_ERR_BUSY);
	assert_non_null(strstr(pair.pages[self]->text, "running process"));
	pair.pids[self] = first;
	pair.incarnation[self]--;
	assert_true(pair_wait_traffic(&pair, 100));
	pair_close(&pair);
}

struct refusal_case {
	const char *device;
	const char *says;
};

/* Refusals come before EAL starts, so one process can try them all. */
static void
test_refusals(void **state)
{
	static const struct refusal_case cases[] = {
		{ "net_memif0,role=server,socket-abstract=no", "socket=PATH is missing" },
		{ "net_memif0,role=server,socket=/tmp/nictest.sock", "socket-abstract=no" },
		{ "net_memif0,role=server,socket=/tmp/x.sock,socket-abstract=no,zero-copy=yes",
		  "zero-copy" },
		{ "net_memif0,role=server,socket=/tmp/x.sock,socket-abstract=no,bsize=1024",
		  "bsize is below" },
		{ "net_memif0,role=server,socket=/tmp,socket-abstract=no", "is no socket" },
		{ "net_af_packet0", "iface=NAME is missing" },
		{ "net_af_xdp0,iface=0123456789abcdef", "iface=NAME is missing, or longer" },
		{ "net_af_packet0,iface=no-such-port", "interface no-such-port: No such device" },
		{ "net_af_packet0,iface=lo,framesz=1536", "framesz is below" },
		{ "", "out of range" },
	};
	struct nic_config good = { .node_id = 1, .port_count = 1, .peer_count = 1 };
	char text[256];
	struct nic *nic;

	(void)state;
	good.ports[0] = (struct nic_port_config){ .ip = inet_addr_v4(1), .udp_port_base = 7000 };
	good.peers[0] =
	    (struct nic_peer_config){ .node_id = 2, .ip = inet_addr_v4(2), .udp_port = 7000 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nic_config config = good;

		(void)snprintf(config.ports[0].device, sizeof(config.ports[0].device), "%s",
			       cases[i].device);
		assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
		assert_non_null(strstr(text, cases[i].says));
		assert_null(nic);
	}

	struct nic_config config = good;
	char path[NIC_SOCKET_PATH_MAX + 1];
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(strlen(path), NIC_SOCKET_PATH_MAX);
	(void)snprintf(config.ports[0].device, sizeof(config.ports[0].device),
		       "net_memif0,role=server,socket=%sy,socket-abstract=no,bsize=2048", path);
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "108 bytes, at most 107"));

	config = good;
	config.ports[0].payload_bytes_max = 8972;
	(void)snprintf(config.ports[0].device, sizeof(config.ports[0].device),
		       "net_af_xdp0,iface=lo");
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "at most 1472 with net_af_xdp"));

	config = good;
	(void)snprintf(config.ports[0].device, sizeof(config.ports[0].device), "net_null0");
	config.peers[0].node_id = 1; /* ourselves */
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
	config.peers[0].node_id = 2;
	config.peers[0].port = 1; /* no such port */
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
	config.peers[0].port = 0;
	config.peers[0].ip = (struct inet_addr){ { 0xfd, [15] = 2 } }; /* another family */
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
	config.peers[0].ip = inet_addr_v4(2);
	config.peer_count = 2;
	config.peers[1] = config.peers[0]; /* twice over one port */
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
	config.port_count = 0;
	assert_int_equal(nic_open(&config, &nic, text, sizeof(text)), TERN_ERR_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),     cmocka_unit_test(test_traffic),
		cmocka_unit_test(test_jumbo),        cmocka_unit_test(test_filter),
		cmocka_unit_test(test_ipv6),         cmocka_unit_test(test_two_links),
		cmocka_unit_test(test_client_first), cmocka_unit_test(test_socket_in_use),
	};

	pair_need_memif();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
