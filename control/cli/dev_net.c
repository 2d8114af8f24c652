/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The networks of a local cluster with --net veth or veth-xdp. Every node has a network namespace
 * of its own; one more, the hub, holds the bridge of the management network. Nothing is made in the
 * caller's namespace, so nothing of it can collide with what is there.
 *
 *	NAME-<node>    mgmt0 (10.78.0.<id>), and the data port, without an address: the node's own
 *	               stack speaks on it. Of a pair it is data-<peer>, a cable between the two; of
 *	               more data nodes it is data0, which leads to the switch. With --links 2 there
 *	               is data1-<peer>, or data1, beside it
 *	NAME-hub       bridge br0 with one port a node: the management network
 *	NAME-switch    only with more than two data nodes: bridge br0 with one port data-<node> a
 *data node; of the second links bridge br1, ports data1-<node>
 *
 * NAME is that of the run directory ("tern-XXXXXX"), which is recorded before anything is made, so
 * that `tern dev down` finds everything, also after a crash. The file "net" in the run directory
 * says that all was made. Links go with their namespaces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/dev.h"
#include "hw/file_store/register_store.h"
#include "hw/net_kernel/net_sockaddr.h"

#define NETNS_DIR     "/run/netns"
#define BACKLOG       511
#define LISTEN_TRIES  1000
#define SCRIPT_BYTES  3584u /* less than a pipe takes, so that writing never waits */
#define IP4_UDP_BYTES 28u   /* of an MTU */
#define IP6_UDP_BYTES 48u
#define NETNS_HUB     "hub"
#define NETNS_SWITCH  "switch"
#define DATA_NAME_MAX 16u /* of the kernel's, with its end */

struct script {
	size_t bytes;
	char text[SCRIPT_BYTES];
};

__attribute__((format(printf, 2, 3))) static void
add_line(struct script *script, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	const int bytes = vsnprintf(script->text + script->bytes,
				    sizeof(script->text) - script->bytes, format, list);
	va_end(list);
	if (bytes > 0)
		script->bytes += (size_t)bytes;
	if (script->bytes >= sizeof(script->text))
		script->bytes = sizeof(script->text) - 1;
}

const char *
dev_net_name(enum dev_net net)
{
	switch (net) {
	case DEV_NET_MEMIF:
		break;
	case DEV_NET_VETH:
		return "veth";
	case DEV_NET_VETH_XDP:
		return "veth-xdp";
	}
	return "memif";
}

bool
dev_net_parse(const char *text, enum dev_net *net)
{
	static const enum dev_net all[] = { DEV_NET_MEMIF, DEV_NET_VETH, DEV_NET_VETH_XDP };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*net = all[i];
		if (strcmp(text, dev_net_name(*net)) == 0)
			return true;
	}
	return false;
}

/* More than two data nodes meet at a switch; two have a cable between them. */
static bool
has_switch(const struct dev *dev)
{
	return dev->data_count > 2;
}

/* The name of a namespace of ours. "": the run directory has no name of ours. */
static void
netns_name(const struct dev *dev, const char *end, char out[DEV_NETNS_MAX])
{
	const char *name = strrchr(dev->run_dir, '/');

	out[0] = 0;
	if (name && strncmp(name, "/tern-", 6) == 0 && strlen(name) == 12)
		(void)snprintf(out, DEV_NETNS_MAX, "%s-%.20s", name + 1, end);
}

/* Namespace @index of netns_count(), by the end of its name: first those of the nodes. */
static const char *
netns_end(const struct dev *dev, uint32_t index)
{
	if (index < dev->node_count)
		return dev->nodes[index].name;
	return index == dev->node_count ? NETNS_HUB : NETNS_SWITCH;
}

static uint32_t
netns_count(const struct dev *dev)
{
	return dev->node_count + (has_switch(dev) ? 2 : 1);
}

/* What is at the end of a link: the interface by which a node reaches @node, or the switch's port
 * that leads to it. */
static void
end_name(const struct dev_node *node, uint32_t link, char out[DATA_NAME_MAX])
{
	(void)snprintf(out, DATA_NAME_MAX, "data%s-%.9s", link == 0 ? "" : "1", node->name);
}

static void
data_name(const struct dev *dev, const struct dev_node *peer, uint32_t link,
	  char out[DATA_NAME_MAX])
{
	if (has_switch(dev))
		(void)snprintf(out, DATA_NAME_MAX, "data%u", link);
	else
		end_name(peer, link, out);
}

static bool
netns_exists(const char *name)
{
	char path[sizeof(NETNS_DIR) + DEV_NETNS_MAX];

	(void)snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	return name[0] != 0 && access(path, F_OK) == 0;
}

static _Noreturn void
become_ip(const char *netns, int in, int out)
{
	static const char *const places[] = { "/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip" };
	const char *const argv[] = { "ip", "-n", netns, "-batch", "-", NULL };
	const char *const argv_here[] = { "ip", "-batch", "-", NULL };

	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			(void)execv(places[i],
				    (char *const *)(uintptr_t)(netns ? argv : argv_here));
	static const char absent[] = "`ip` is not there: install iproute2";
	_exit(write(out, absent, sizeof(absent) - 1) < 0 ? 126 : 127);
}

/* Lets `ip` run the lines of @script, in @netns if it is not NULL. False: @text has its words. */
static bool
run_ip(const char *netns, const struct script *script, char *text, size_t text_bytes)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = -1;
	size_t used = 0;
	ssize_t got;

	text[0] = 0;
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
	    write(in[1], script->text, script->bytes) != (ssize_t)script->bytes) {
		(void)snprintf(text, text_bytes, "pipe: %s", strerror(errno));
		return false;
	}
	const pid_t pid = fork();
	if (pid == 0)
		become_ip(netns, in[0], out[1]);
	(void)close(in[0]);
	(void)close(in[1]);
	(void)close(out[1]);
	while (pid > 0 && used + 1 < text_bytes &&
	       (got = read(out[0], text + used, text_bytes - 1 - used)) > 0)
		used += (size_t)got;
	(void)close(out[0]);
	text[used] = 0;
	while (used > 0 && text[used - 1] == '\n')
		text[--used] = 0;
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

bool
dev_net_remove(const struct dev *dev, char *text, size_t text_bytes)
{
	struct script script = { 0 };
	char name[DEV_NETNS_MAX];

	if (dev->net == DEV_NET_MEMIF)
		return true;
	for (uint32_t i = 0; i < netns_count(dev); i++) {
		netns_name(dev, netns_end(dev, i), name);
		if (netns_exists(name))
			add_line(&script, "netns del %s\n", name);
	}
	return script.bytes == 0 || run_ip(NULL, &script, text, text_bytes);
}

/* One data link of @node: to the switch, or to each node behind it in the list. */
static void
script_data(const struct dev *dev, uint32_t index, uint32_t link, struct script *script)
{
	const struct dev_node *node = &dev->nodes[index];
	char mine[DATA_NAME_MAX], theirs[DATA_NAME_MAX];
	char one[DEV_NETNS_MAX], other[DEV_NETNS_MAX];

	netns_name(dev, node->name, one);
	end_name(node, link, theirs);
	for (uint32_t i = index + 1; i <= dev->node_count; i++) {
		const bool is_last = i == dev->node_count;
		if (has_switch(dev) ? !is_last : is_last || dev->nodes[i].is_witness)
			continue;
		data_name(dev, is_last ? NULL : &dev->nodes[i], link, mine);
		netns_name(dev, is_last ? NETNS_SWITCH : dev->nodes[i].name, other);
		add_line(script, "link add %s netns %s type veth peer name %s netns %s\n", mine,
			 one, theirs, other);
	}
}

/* Namespaces and the pairs of interfaces between them; nothing is up yet. */
static void
script_links(const struct dev *dev, struct script *script)
{
	char hub[DEV_NETNS_MAX], name[DEV_NETNS_MAX];

	for (uint32_t i = 0; i < netns_count(dev); i++) {
		netns_name(dev, netns_end(dev, i), name);
		add_line(script, "netns add %s\n", name);
	}
	netns_name(dev, NETNS_HUB, hub);
	for (uint32_t i = 0; i < dev->node_count; i++) {
		netns_name(dev, dev->nodes[i].name, name);
		add_line(script, "link add mgmt0 netns %s type veth peer name mgmt-%s netns %s\n",
			 name, dev->nodes[i].name, hub);
		for (uint32_t link = 0; link < dev->links && !dev->nodes[i].is_witness; link++)
			script_data(dev, i, link, script);
	}
}

/* A bridge floods what it knows no port for: nobody here asks for multicast groups. */
static void
script_bridge(const char *bridge, struct script *script)
{
	add_line(script,
		 "link add %s type bridge stp_state 0 mcast_snooping 0\n"
		 "link set %s addrgenmode none\nlink set %s up\n",
		 bridge, bridge, bridge);
}

static void
script_bridge_port(const char *bridge, const char *port, uint32_t mtu, struct script *script)
{
	add_line(script,
		 "link set %s addrgenmode none\nlink set %s mtu %u master %s\nlink set %s up\n",
		 port, port, mtu, bridge, port);
}

static void
script_hub(const struct dev *dev, struct script *script)
{
	char port[DATA_NAME_MAX];

	script_bridge("br0", script);
	for (uint32_t i = 0; i < dev->node_count; i++) {
		(void)snprintf(port, sizeof(port), "mgmt-%.9s", dev->nodes[i].name);
		script_bridge_port("br0", port, DEV_MTU, script);
	}
}

static void
script_switch(const struct dev *dev, struct script *script)
{
	char port[DATA_NAME_MAX], bridge[DATA_NAME_MAX];

	for (uint32_t link = 0; link < dev->links; link++) {
		(void)snprintf(bridge, sizeof(bridge), "br%u", link);
		script_bridge(bridge, script);
		for (uint32_t i = 0; i < dev->node_count; i++) {
			end_name(&dev->nodes[i], link, port);
			if (!dev->nodes[i].is_witness)
				script_bridge_port(bridge, port, dev->mtu, script);
		}
	}
}

static void
script_node(const struct dev *dev, const struct dev_node *self, struct script *script)
{
	char name[DATA_NAME_MAX];

	if (dev->is_ipv6)
		add_line(script, "link set lo up\naddr add " DEV_MGMT_HOST6 "/64 dev mgmt0 nodad\n",
			 self->id);
	else
		add_line(script, "link set lo up\naddr add " DEV_MGMT_HOST "/24 dev mgmt0\n",
			 self->id);
	add_line(script, "link set mgmt0 up\n");
	for (uint32_t i = 0; i < dev->node_count * dev->links && !self->is_witness; i++) {
		const struct dev_node *peer = &dev->nodes[i % dev->node_count];
		const uint32_t link = i / dev->node_count;
		/* All peers are behind one interface, or each behind its own. */
		if (has_switch(dev) ? peer != dev->nodes : peer->is_witness || peer->id == self->id)
			continue;
		/* No link-local address: the kernel has nothing to say on a data port. */
		data_name(dev, peer, link, name);
		add_line(script,
			 "link set %s addrgenmode none\nlink set %s mtu %u\nlink set %s up\n", name,
			 name, dev->mtu, name);
	}
}

static bool
is_made(const struct dev *dev, const char *marker)
{
	char name[DEV_NETNS_MAX];

	if (access(marker, F_OK) != 0)
		return false;
	for (uint32_t i = 0; i < netns_count(dev); i++) {
		netns_name(dev, netns_end(dev, i), name);
		if (!netns_exists(name))
			return false;
	}
	return true;
}

/* Lets `ip` run @script in the namespace whose name ends so, and empties the script. */
static bool
run_in(const struct dev *dev, const char *end, struct script *script, char *text, size_t text_bytes)
{
	char name[DEV_NETNS_MAX];

	netns_name(dev, end, name);
	const bool is_good = run_ip(name, script, text, text_bytes);
	script->bytes = 0;
	return is_good;
}

static bool
make_all(const struct dev *dev, char *text, size_t text_bytes)
{
	struct script script = { 0 };

	script_links(dev, &script);
	bool is_good = run_ip(NULL, &script, text, text_bytes);
	script.bytes = 0;
	script_hub(dev, &script);
	is_good = is_good && run_in(dev, NETNS_HUB, &script, text, text_bytes);
	script.bytes = 0;
	if (has_switch(dev)) {
		script_switch(dev, &script);
		is_good = is_good && run_in(dev, NETNS_SWITCH, &script, text, text_bytes);
	}
	for (uint32_t i = 0; i < dev->node_count && is_good; i++) {
		script.bytes = 0;
		script_node(dev, &dev->nodes[i], &script);
		is_good = run_in(dev, dev->nodes[i].name, &script, text, text_bytes);
	}
	return is_good;
}

enum admin_exit
dev_net_make(struct cli *cli, const struct dev *dev)
{
	char marker[sizeof(dev->run_dir) + 8], text[512];

	if (dev->net == DEV_NET_MEMIF)
		return ADMIN_EXIT_OK;
	(void)snprintf(marker, sizeof(marker), "%s/net", dev->run_dir);
	if (is_made(dev, marker))
		return ADMIN_EXIT_OK;
	for (uint32_t i = 0; i < dev->node_count; i++)
		if (process_state_of(&dev->nodes[i].process) != PROCESS_DEAD)
			return cli_fail(cli, ADMIN_EXIT_FAILED,
					"network namespaces of the cluster are gone while node %s "
					"runs; end it with `tern dev down`",
					dev->nodes[i].name);
	if (!dev_net_remove(dev, text, sizeof(text)) || !make_all(dev, text, sizeof(text)))
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"the network namespaces cannot be made: %s; `tern dev down` "
				"removes what was",
				text);
	if (file_store_write_atomic(marker, "made\n", 5))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "%s cannot be written", marker);
	return ADMIN_EXIT_OK;
}

bool
dev_net_is_shared(const struct dev *dev)
{
	return dev->net != DEV_NET_MEMIF && has_switch(dev);
}

const char *
dev_net_loopback(const struct dev *dev)
{
	return dev->is_ipv6 ? "[::1]" : "127.0.0.1";
}

void
dev_net_port(const struct dev *dev, const struct dev_node *peer, uint32_t link,
	     struct node_config_port *port, uint32_t number)
{
	char name[DATA_NAME_MAX];

	data_name(dev, peer, link, name);
	if (dev->mtu > DEV_MTU)
		port->payload_max = dev->mtu - (dev->is_ipv6 ? IP6_UDP_BYTES : IP4_UDP_BYTES);
	if (dev->net == DEV_NET_VETH_XDP)
		(void)snprintf(port->device, sizeof(port->device), "net_af_xdp%u,iface=%s", number,
			       name);
	else if (dev->net == DEV_NET_VETH && dev->mtu > DEV_MTU)
		(void)snprintf(port->device, sizeof(port->device),
			       "net_af_packet%u,iface=%s,blocksz=36864,framesz=9216,framecnt=512",
			       number, name);
	else if (dev->net == DEV_NET_VETH)
		(void)snprintf(port->device, sizeof(port->device),
			       "net_af_packet%u,iface=%s,framecnt=2048", number, name);
}

/* Opened here, in the caller's namespace, and handed to the node: so it is reached on the loopback
 * address. */
static int
open_here(const struct dev *dev, int kind, uint16_t port)
{
	const struct inet_addr v4 = inet_addr_v4(INADDR_LOOPBACK), v6 = { { [15] = 1 } };
	const struct inet_addr *ip = dev->is_ipv6 ? &v6 : &v4;
	union net_sockaddr address;
	const socklen_t bytes = net_sockaddr_make(&address, ip, port);
	const int one = 1, fd = net_sockaddr_socket(ip, kind | SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 &&
	    (kind != SOCK_STREAM ||
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0) &&
	    bind(fd, &address.any, bytes) == 0 && (kind != SOCK_STREAM || listen(fd, BACKLOG) == 0))
		return fd;
	const int reason = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = reason;
	return -1;
}

/* The threads of a node that was just killed may still be letting go of the old one. */
static int
open_here_patiently(const struct dev *dev, int kind, uint16_t port)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int fd = open_here(dev, kind, port);

	for (int i = 0; i < LISTEN_TRIES && fd < 0 && errno == EADDRINUSE; i++) {
		(void)nanosleep(&pause, NULL);
		fd = open_here(dev, kind, port);
	}
	return fd;
}

void
dev_net_place_close(struct process_place *place)
{
	const int fds[] = { place->netns_fd, place->passed_fds[0], place->passed_fds[1] };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

enum admin_exit
dev_net_place(struct cli *cli, const struct dev *dev, const struct dev_node *node,
	      struct process_place *place)
{
	char name[DEV_NETNS_MAX], path[sizeof(NETNS_DIR) + DEV_NETNS_MAX];
	uint16_t port = node->resp_port;

	*place = (struct process_place){ .netns_fd = -1, .passed_fds = { -1, -1 } };
	if (dev->net == DEV_NET_MEMIF)
		return ADMIN_EXIT_OK;
	netns_name(dev, node->name, name);
	(void)snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	place->netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (place->netns_fd < 0)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "network namespace %s: %s", name,
				strerror(errno));
	place->passed_fds[0] = open_here_patiently(dev, SOCK_STREAM, port);
	if (place->passed_fds[0] >= 0 && !node->is_witness) {
		port = node->client_port;
		place->passed_fds[1] = open_here_patiently(dev, SOCK_DGRAM, port);
	}
	if (place->passed_fds[0] >= 0 && (node->is_witness || place->passed_fds[1] >= 0))
		return ADMIN_EXIT_OK;
	const int reason = errno;
	dev_net_place_close(place);
	return cli_fail(cli, ADMIN_EXIT_FAILED, "%s:%u: %s", dev_net_loopback(dev), port,
			strerror(reason));
}

/* The values of options that have only two, by their first letters. */
static bool
is_one_of(const char *value, const char *first, const char *second)
{
	return value == NULL || strcmp(value, first) == 0 || strcmp(value, second) == 0;
}

static enum admin_exit
check_options(struct cli *cli, const struct dev *wanted)
{
	const char *mtu = cli->values[CLI_MTU], *links = cli->values[CLI_LINKS];
	const char *ip = cli->values[CLI_IP];

	if (!is_one_of(mtu, "1500", "9000"))
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--mtu \"%.32s\", allowed 1500, 9000", mtu);
	if (!is_one_of(links, "1", "2"))
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--links \"%.32s\", allowed 1, 2", links);
	if (!is_one_of(ip, "4", "6"))
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--ip \"%.32s\", allowed 4, 6", ip);
	if (wanted->net == DEV_NET_VETH_XDP && wanted->mtu > DEV_MTU)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--net veth-xdp takes frames of less than a page; allowed --mtu "
				"1500, or --net veth");
	if (wanted->net != DEV_NET_MEMIF && geteuid() != 0)
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"--net %s makes network namespaces, which needs root; run it as "
				"root, or take --net memif",
				dev_net_name(wanted->net));
	return ADMIN_EXIT_OK;
}

enum admin_exit
dev_net_choose(struct cli *cli, struct dev *dev)
{
	const char *name = cli->values[CLI_NET], *mtu = cli->values[CLI_MTU];
	const char *links = cli->values[CLI_LINKS], *ip = cli->values[CLI_IP];
	struct dev wanted = { .net = dev->net,
			      .mtu = dev->mtu == 0 ? DEV_MTU : dev->mtu,
			      .links = dev->links == 0 ? 1 : dev->links,
			      .is_ipv6 = dev->is_ipv6 };
	char text[512];

	if (name && !dev_net_parse(name, &wanted.net))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--net \"%.32s\", allowed memif, veth, veth-xdp", name);
	if (mtu)
		wanted.mtu = mtu[0] == '9' ? DEV_MTU_JUMBO : DEV_MTU;
	if (links)
		wanted.links = links[0] == '2' ? 2 : 1;
	if (ip)
		wanted.is_ipv6 = ip[0] == '6';
	const enum admin_exit code = check_options(cli, &wanted);
	if (code)
		return code;
	if (wanted.net == dev->net && wanted.mtu == dev->mtu && wanted.links == dev->links &&
	    wanted.is_ipv6 == dev->is_ipv6)
		return ADMIN_EXIT_OK;
	for (uint32_t i = 0; i < dev->node_count && dev->cluster_id != 0; i++)
		if (process_state_of(&dev->nodes[i].process) != PROCESS_DEAD)
			return cli_fail(
			    cli, ADMIN_EXIT_USAGE,
			    "the cluster in %s runs on --net %s --mtu %u --links %u --ip "
			    "%d; end it with `tern dev down` first",
			    dev->dir, dev_net_name(dev->net), dev->mtu, dev->links,
			    dev->is_ipv6 ? 6 : 4);
	if (!dev_net_remove(dev, text, sizeof(text)))
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"network namespaces of before cannot be removed: %s", text);
	dev->net = wanted.net;
	dev->mtu = wanted.mtu;
	dev->links = wanted.links;
	dev->is_ipv6 = wanted.is_ipv6;
	return ADMIN_EXIT_OK;
}
