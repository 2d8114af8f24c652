/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports on an interface of the kernel: net_af_packet and net_af_xdp. Such a port has no handshake
 * and is the data thread's from its first hand-over on; a lost carrier only means that the link is
 * down. The drivers do not tell, so the interface is asked: it must exist, have the MTU of our
 * frames, and be running. The socket for that stays in the network namespace in which it was made.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "hw/nic_dpdk/nic_internal.h"

/* Of net_af_xdp: one buffer a frame, and that is less than a page. */
#define XDP_MTU_MAX 1500u
/* What a ring of net_af_packet holds beside a frame, and its frame size unless told. */
#define RING_OVERHEAD      112u
#define RING_FRAME_DEFAULT 2048u
/* Enough for a whole ring on its way. The kernel's default holds a fifth of one; then frames stay
 * in the ring, and a full ring blocks its sender. */
#define SEND_BUFFER_BYTES (32 << 20)

bool
nic_device_argument(const char *device, const char *key, char *value, size_t bytes)
{
	const size_t key_length = strlen(key);

	for (const char *at = strchr(device, ','); at != NULL; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, key, key_length) != 0 || at[key_length] != '=')
			continue;
		at += key_length + 1;
		const size_t length = strcspn(at, ",");
		if (length >= bytes)
			return false;
		memcpy(value, at, length);
		value[length] = '\0';
		return true;
	}
	return false;
}

static bool
ask(const struct nic_eth *eth, unsigned long request, struct ifreq *answer)
{
	memset(answer, 0, sizeof(*answer));
	memcpy(answer->ifr_name, eth->interface, sizeof(eth->interface));
	return ioctl(eth->interface_fd, request, answer) == 0;
}

bool
nic_kernel_is_running(const struct nic_eth *eth)
{
	struct ifreq answer;

	return ask(eth, SIOCGIFFLAGS, &answer) &&
	       (answer.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

/* The frame must fit the ring of net_af_packet; longer ones are dropped without a word there. */
static enum tern_err
check_ring(const struct nic_eth *eth, const char *device, char *err, size_t err_bytes)
{
	char value[32];
	uint64_t frame_bytes = RING_FRAME_DEFAULT;

	if (nic_device_argument(device, "framesz", value, sizeof(value)))
		frame_bytes = strtoull(value, NULL, 10);
	if (frame_bytes >= nic_eth_frame_bytes(eth) + RING_OVERHEAD)
		return TERN_OK;
	(void)snprintf(err, err_bytes,
		       "%s: framesz is below a frame of %u bytes and %u of overhead", device,
		       nic_eth_frame_bytes(eth), RING_OVERHEAD);
	return TERN_ERR_CONFIG;
}

enum tern_err
nic_kernel_check(struct nic_eth *eth, const char *device, char *err, size_t err_bytes)
{
	struct ifreq answer;

	eth->is_kernel = true;
	eth->is_af_packet = strncmp(device, "net_af_packet", 13) == 0;
	if (!nic_device_argument(device, "iface", eth->interface, sizeof(eth->interface)) ||
	    eth->interface[0] == '\0') {
		(void)snprintf(err, err_bytes, "%s: iface=NAME is missing, or longer than %zu",
			       device, sizeof(eth->interface) - 1);
		return TERN_ERR_CONFIG;
	}
	if (!eth->is_af_packet && nic_eth_mtu(eth) > XDP_MTU_MAX) {
		(void)snprintf(err, err_bytes,
			       "%s: payload_max %u, at most %u with net_af_xdp; use net_af_packet",
			       device, eth->payload_bytes_max,
			       XDP_MTU_MAX - nic_eth_ip_udp_bytes(eth));
		return TERN_ERR_CONFIG;
	}
	eth->interface_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (eth->interface_fd < 0 || !ask(eth, SIOCGIFMTU, &answer)) {
		(void)snprintf(err, err_bytes, "interface %s: %s", eth->interface, strerror(errno));
		return TERN_ERR_CONFIG;
	}
	if (answer.ifr_mtu < (int)nic_eth_mtu(eth)) {
		(void)snprintf(
		    err, err_bytes, "interface %s has an MTU of %d bytes, payload_max %u needs %u",
		    eth->interface, answer.ifr_mtu, eth->payload_bytes_max, nic_eth_mtu(eth));
		return TERN_ERR_CONFIG;
	}
	return eth->is_af_packet ? check_ring(eth, device, err, err_bytes) : TERN_OK;
}

void
nic_kernel_buffers(void)
{
	const int bytes = SEND_BUFFER_BYTES;
	DIR *directory = opendir("/proc/self/fd");

	if (directory == NULL)
		return;
	for (const struct dirent *entry = readdir(directory); entry != NULL;
	     entry = readdir(directory)) {
		const int fd = (int)strtol(entry->d_name, NULL, 10);
		int domain = 0;
		socklen_t length = sizeof(domain);

		if (entry->d_name[0] == '.' ||
		    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 ||
		    domain != AF_PACKET)
			continue;
		/* Not permitted without CAP_NET_ADMIN: the plain call gives what the limit allows.
		 */
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
	(void)closedir(directory);
}
