/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hw/net_kernel/net_kernel.h"
#include "tests/support/check.h"

#define LOOPBACK 0x7f000001u
#define WAIT_MS  60000

/* Three nodes on one address that differ by port. */
struct trio {
	uint8_t cells[NET_NODES_MAX * NET_NODES_MAX];
	struct net_kernel *nets[4];
	struct net_port ports[4];
};

static int
trio_open_at(void **state, struct inet_addr ip)
{
	static struct trio trio;
	char text[128];

	memset(&trio, 0, sizeof(trio));
	for (uint16_t node = 1; node <= 3; node++) {
		const struct net_kernel_config config = { .node_id = node,
							  .ip = ip,
							  .filter = { .cells = trio.cells } };

		if (net_kernel_open(&config, &trio.nets[node], text, sizeof(text)) != TERN_OK)
			return -1;
		trio.ports[node] = net_kernel_port(trio.nets[node]);
	}
	for (uint16_t node = 1; node <= 3; node++)
		for (uint16_t other = 1; other <= 3; other++) {
			const struct net_kernel_peer peer = { .node_id = other,
							      .ip = ip,
							      .port = net_kernel_udp_port(
								  trio.nets[other]) };

			if (other != node && net_kernel_peer_set(trio.nets[node], &peer) != TERN_OK)
				return -1;
		}
	*state = &trio;
	return 0;
}

static int
trio_open(void **state)
{
	return trio_open_at(state, inet_addr_v4(LOOPBACK));
}

static int
trio6_open(void **state)
{
	return trio_open_at(state, (struct inet_addr){ { [15] = 1 } });
}

static int
trio_close(void **state)
{
	struct trio *trio = *state;

	for (uint16_t node = 1; node <= 3; node++)
		net_kernel_close(trio->nets[node]);
	return 0;
}

static uint32_t
send_frames(struct trio *trio, uint16_t from, uint16_t to, uint32_t count, uint32_t length)
{
	struct net_frame frames[NET_KERNEL_BUFFERS];
	const struct net_port *port = &trio->ports[from];

	assert_int_equal(port->ops->tx_alloc(port->net, to, frames, count), count);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(frames[i].capacity >= length);
		memset(frames[i].bytes, (int)i, length);
		frames[i].bytes[0] = (uint8_t)from;
		frames[i].length = length;
	}
	return port->ops->tx_burst(port->net, frames, count);
}

/* Receives until the port has been quiet; the loopback delivers within the send. */
static uint32_t
receive_all(struct trio *trio, uint16_t node, uint16_t from, uint32_t length)
{
	struct net_frame frames[NET_BURST_MAX];
	const struct net_port *port = &trio->ports[node];
	uint32_t total = 0, got;

	do {
		got = port->ops->rx_burst(port->net, frames, NET_BURST_MAX);
		for (uint32_t i = 0; i < got; i++) {
			assert_int_equal(frames[i].node, from);
			assert_int_equal(frames[i].bytes[0], from);
			assert_int_equal(frames[i].length, length);
		}
		port->ops->rx_release(port->net, frames, got);
		total += got;
	} while (got != 0);
	return total;
}

static void
test_exchange(void **state)
{
	struct trio *trio = *state;
	struct net_stats stats;
	struct pollfd wait = { .fd = trio->ports[2].ops->wait_fd(trio->ports[2].net),
			       .events = POLLIN };

	assert_int_equal(poll(&wait, 1, 0), 0);
	assert_int_equal(send_frames(trio, 1, 2, 20, 100), 20);
	assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
	assert_int_equal(receive_all(trio, 2, 1, 100), 20);
	assert_int_equal(poll(&wait, 1, 0), 0);
	assert_int_equal(send_frames(trio, 3, 2, 70, 1472), 70);
	assert_int_equal(receive_all(trio, 2, 3, 1472), 70);
	assert_int_equal(receive_all(trio, 1, 2, 0), 0);

	trio->ports[2].ops->stats(trio->ports[2].net, &stats);
	assert_int_equal(stats.nodes[1].rx_frames, 20);
	assert_int_equal(stats.nodes[1].rx_bytes, 2000);
	assert_int_equal(stats.nodes[3].rx_frames, 70);
	assert_int_equal(stats.hw_ipackets, 90);
	trio->ports[3].ops->stats(trio->ports[3].net, &stats);
	assert_int_equal(stats.nodes[2].tx_frames, 70);
	assert_int_equal(stats.hw_opackets, 70);
	assert_int_equal(stats.nodes[2].tx_bytes, 70 * 1472);
	assert_string_equal(trio->ports[1].ops->driver(trio->ports[1].net), "kernel_udp");
	assert_int_equal(trio->ports[1].ops->frame_bytes_max(trio->ports[1].net, 2), 1472);
	assert_int_equal(trio->ports[1].ops->frame_bytes_max(trio->ports[1].net, 9), 0);
	assert_true(trio->ports[1].ops->is_up(trio->ports[1].net, 2));
	assert_false(trio->ports[1].ops->is_up(trio->ports[1].net, 63));
	assert_false(trio->ports[1].ops->is_up(trio->ports[1].net, 64));
}

/* One burst to several nodes. */
static void
test_mixed_burst(void **state)
{
	struct trio *trio = *state;
	const struct net_port *port = &trio->ports[1];
	struct net_frame frames[4];

	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(
		    port->ops->tx_alloc(port->net, (uint16_t)(2 + i % 2), &frames[i], 1), 1);
		memset(frames[i].bytes, 1, 50);
		frames[i].length = 50;
	}
	assert_int_equal(port->ops->tx_burst(port->net, frames, 4), 4);
	assert_int_equal(receive_all(trio, 2, 1, 50), 2);
	assert_int_equal(receive_all(trio, 3, 1, 50), 2);
}

static void
test_buffers_come_back(void **state)
{
	struct trio *trio = *state;
	const struct net_port *port = &trio->ports[1];
	struct net_frame frames[NET_KERNEL_BUFFERS + 1];
	struct net_stats stats;

	for (uint32_t round = 0; round < 5; round++) {
		assert_int_equal(port->ops->tx_alloc(port->net, 2, frames, NET_KERNEL_BUFFERS + 1),
				 NET_KERNEL_BUFFERS);
		assert_int_equal(port->ops->tx_alloc(port->net, 2, frames, 1), 0);
		for (uint32_t i = 0; i < NET_KERNEL_BUFFERS; i++)
			frames[i].length = 8;
		trio->cells[1 * NET_NODES_MAX + 2] = 1; /* dropped frames give theirs back too */
		assert_int_equal(port->ops->tx_burst(port->net, frames, NET_KERNEL_BUFFERS), 0);
		trio->cells[1 * NET_NODES_MAX + 2] = 0;
	}
	port->ops->stats(port->net, &stats);
	assert_int_equal(stats.tx_no_buffer, 5 * 2);
	assert_int_equal(stats.nodes[2].tx_cut, 5 * NET_KERNEL_BUFFERS);
	assert_int_equal(port->ops->tx_alloc(port->net, 9, frames, 1), 0);

	/* Received frames that are kept are not overwritten, and there is an end to them. */
	const struct net_port *to = &trio->ports[2];
	uint32_t kept = 0, got;
	assert_int_equal(send_frames(trio, 1, 2, NET_KERNEL_BUFFERS, 20), NET_KERNEL_BUFFERS);
	assert_int_equal(send_frames(trio, 1, 2, 10, 20), 10);
	while ((got = to->ops->rx_burst(to->net, frames + kept, NET_BURST_MAX)) != 0)
		kept += got;
	assert_int_equal(kept, NET_KERNEL_BUFFERS);
	for (uint32_t i = 0; i < kept; i++)
		assert_int_equal(frames[i].bytes[1], i);
	to->ops->rx_release(to->net, frames, kept);
	assert_int_equal(receive_all(trio, 2, 1, 20), 10);
}

static void
test_filter(void **state)
{
	struct trio *trio = *state;
	struct net_stats stats;

	assert_int_equal(send_frames(trio, 1, 2, 3, 40), 3); /* under way when the cut comes */
	trio->cells[1 * NET_NODES_MAX + 2] = 1;
	assert_int_equal(receive_all(trio, 2, 1, 40), 0);
	assert_int_equal(send_frames(trio, 1, 2, 4, 40), 0);
	assert_int_equal(send_frames(trio, 2, 1, 5, 40), 5); /* one way only */
	assert_int_equal(receive_all(trio, 1, 2, 40), 5);
	trio->ports[2].ops->stats(trio->ports[2].net, &stats);
	assert_int_equal(stats.nodes[1].rx_cut, 3);
	assert_int_equal(stats.nodes[1].rx_frames, 0);
	trio->ports[1].ops->stats(trio->ports[1].net, &stats);
	assert_int_equal(stats.nodes[2].tx_cut, 4);
	assert_int_equal(stats.nodes[2].tx_frames, 3);
	trio->cells[1 * NET_NODES_MAX + 2] = 0;
	assert_int_equal(send_frames(trio, 1, 2, 6, 40), 6);
	assert_int_equal(receive_all(trio, 2, 1, 40), 6);
}

/* Strangers, empty and oversized datagrams are counted drops. */
static void
test_strangers(void **state)
{
	struct trio *trio = *state;
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(net_kernel_udp_port(trio->nets[1])),
					.sin_addr = { .s_addr = htonl(LOOPBACK) } };
	const int known = trio->ports[2].ops->wait_fd(trio->ports[2].net);
	const int stranger = socket(AF_INET, SOCK_DGRAM, 0);
	uint8_t bytes[NET_KERNEL_FRAME_BYTES_MAX + 1] = { 2 };
	struct net_stats stats;

	assert_int_equal(sendto(stranger, bytes, 10, 0, (const struct sockaddr *)&to, sizeof(to)),
			 10);
	assert_int_equal(sendto(known, bytes, 0, 0, (const struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(
	    sendto(known, bytes, sizeof(bytes), 0, (const struct sockaddr *)&to, sizeof(to)),
	    sizeof(bytes));
	assert_int_equal(sendto(known, bytes, 10, 0, (const struct sockaddr *)&to, sizeof(to)), 10);
	/* Three drops in one burst leave the fourth. */
	assert_int_equal(receive_all(trio, 1, 2, 10), 1);
	trio->ports[1].ops->stats(trio->ports[1].net, &stats);
	assert_int_equal(net_drops_rx(&stats.drops), 3);
	assert_int_equal(stats.drops.rx_unknown_peer, 1);
	assert_int_equal(stats.drops.rx_malformed, 2);
	assert_int_equal(stats.nodes[2].rx_frames, 1);
	(void)close(stranger);
}

static void
test_refusals(void **state)
{
	struct trio *trio = *state;
	struct net_kernel_config config = { .node_id = 4,
					    .ip = inet_addr_v4(LOOPBACK),
					    .port = net_kernel_udp_port(trio->nets[1]) };
	struct net_kernel *net;
	char text[128];

	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_BUSY);
	assert_non_null(strstr(text, "127.0.0.1:"));
	assert_non_null(strstr(text, "in use"));
	assert_null(net);
	config.ip = inet_addr_v4(0xc0000201u); /* 192.0.2.1, documentation: not ours */
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	config.ip = inet_addr_v4(LOOPBACK);
	config.port = 0;
	config.peer_count = 2;
	config.peers[0] =
	    (struct net_kernel_peer){ .node_id = 1, .port = 9, .ip = inet_addr_v4(LOOPBACK) };
	config.peers[1] =
	    (struct net_kernel_peer){ .node_id = 2, .port = 9, .ip = inet_addr_v4(LOOPBACK) };
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	config.peers[1] =
	    (struct net_kernel_peer){ .node_id = 1, .port = 10, .ip = inet_addr_v4(LOOPBACK) };
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	config.peers[1] =
	    (struct net_kernel_peer){ .node_id = 4, .port = 10, .ip = inet_addr_v4(LOOPBACK) };
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	config.peers[1] =
	    (struct net_kernel_peer){ .node_id = 64, .port = 10, .ip = inet_addr_v4(LOOPBACK) };
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	/* Another family than ours. */
	config.peers[1] =
	    (struct net_kernel_peer){ .node_id = 2, .port = 10, .ip = { { [15] = 1 } } };
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	config.ip = (struct inet_addr){ { 0x20, 0x01, 0x0d, 0xb8 } };
	config.peer_count = 0;
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
	assert_non_null(strstr(text, "[2001:db8::]:0 cannot be bound"));
	config.ip = inet_addr_v4(LOOPBACK);
	config.peer_count = 1;
	config.node_id = 0;
	assert_int_equal(net_kernel_open(&config, &net, text, sizeof(text)), TERN_ERR_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exchange, trio_open, trio_close),
		cmocka_unit_test_setup_teardown(test_exchange, trio6_open, trio_close),
		cmocka_unit_test_setup_teardown(test_mixed_burst, trio_open, trio_close),
		cmocka_unit_test_setup_teardown(test_buffers_come_back, trio_open, trio_close),
		cmocka_unit_test_setup_teardown(test_filter, trio_open, trio_close),
		cmocka_unit_test_setup_teardown(test_strangers, trio_open, trio_close),
		cmocka_unit_test_setup_teardown(test_refusals, trio_open, trio_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
