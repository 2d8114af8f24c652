/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "hw/platform/platform.h"

/* After IDLE_S of silence the kernel asks, every INTERVAL_S; what is left is PROBES of them. */
#define IDLE_S     60
#define INTERVAL_S 15
#define PROBES     ((PLATFORM_TCP_GONE_S - IDLE_S) / INTERVAL_S)

void
platform_tcp_watch(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, PROBES },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, PLATFORM_TCP_GONE_S * 1000 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
				 sizeof(options[i].value));
}
