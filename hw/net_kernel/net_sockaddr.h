/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as the kernel's sockets want them. */
#ifndef TERN_HW_NET_SOCKADDR_H
#define TERN_HW_NET_SOCKADDR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/wire/inet_addr.h"

union net_sockaddr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Returns how long it is. @port: host order. No address: any of IPv4. */
static inline socklen_t
net_sockaddr_make(union net_sockaddr *out, const struct inet_addr *ip, uint16_t port)
{
	memset(out, 0, sizeof(*out));
	if (inet_addr_is_none(ip) || inet_addr_is_v4(ip)) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(port);
		memcpy(&out->v4.sin_addr, ip->bytes + 12, 4);
		return sizeof(out->v4);
	}
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(port);
	memcpy(&out->v6.sin6_addr, ip->bytes, INET_ADDR_BYTES);
	return sizeof(out->v6);
}

/* False: neither family. */
static inline bool
net_sockaddr_read(const union net_sockaddr *from, struct inet_addr *ip, uint16_t *port)
{
	if (from->any.sa_family == AF_INET) {
		*ip = inet_addr_v4(ntohl(from->v4.sin_addr.s_addr));
		*port = ntohs(from->v4.sin_port);
		return true;
	}
	memcpy(ip->bytes, &from->v6.sin6_addr, INET_ADDR_BYTES);
	*port = ntohs(from->v6.sin6_port);
	return from->any.sa_family == AF_INET6;
}

/* A socket of the family of @ip. IPv6 takes nothing of IPv4. -1: errno. */
static inline int
net_sockaddr_socket(const struct inet_addr *ip, int kind)
{
	const bool is_v4 = inet_addr_is_none(ip) || inet_addr_is_v4(ip);
	const int one = 1, fd = socket(is_v4 ? AF_INET : AF_INET6, kind, 0);

	if (fd >= 0 && !is_v4)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	return fd;
}

#define NET_SOCKADDR_TEXT_MAX (INET6_ADDRSTRLEN + 2u)
/* "10.0.0.1", "[fd00::1]": what a ":port" may follow. */
static inline void
net_sockaddr_text(const struct inet_addr *ip, char out[NET_SOCKADDR_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "?";
	const bool is_v4 = inet_addr_is_none(ip) || inet_addr_is_v4(ip);
	size_t bytes;

	(void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? ip->bytes + 12 : ip->bytes, text,
			sizeof(text));
	bytes = strlen(text);
	out[0] = '[';
	memcpy(out + (is_v4 ? 0 : 1), text, bytes + 1);
	if (!is_v4)
		memcpy(out + 1 + bytes, "]", 2);
}

#endif
