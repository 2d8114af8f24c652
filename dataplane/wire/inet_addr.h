/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One internet address of either family: IPv6 as it is, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 * All zero: none.
 */
#ifndef TERN_WIRE_INET_ADDR_H
#define TERN_WIRE_INET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define INET_ADDR_BYTES 16u

struct inet_addr {
	uint8_t bytes[INET_ADDR_BYTES];
};

/* @ipv4: host order. */
static inline struct inet_addr
inet_addr_v4(uint32_t ipv4)
{
	return (struct inet_addr){ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
				     (uint8_t)(ipv4 >> 24), (uint8_t)(ipv4 >> 16),
				     (uint8_t)(ipv4 >> 8), (uint8_t)ipv4 } };
}

static inline bool
inet_addr_equal(const struct inet_addr *a, const struct inet_addr *b)
{
	return memcmp(a->bytes, b->bytes, INET_ADDR_BYTES) == 0;
}

static inline bool
inet_addr_is_none(const struct inet_addr *addr)
{
	static const struct inet_addr none = { { 0 } };

	return inet_addr_equal(addr, &none);
}

static inline bool
inet_addr_is_v4(const struct inet_addr *addr)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(addr->bytes, prefix, sizeof(prefix)) == 0;
}

/* Host order; only of an IPv4 address. */
static inline uint32_t
inet_addr_v4_of(const struct inet_addr *addr)
{
	return (uint32_t)addr->bytes[12] << 24 | (uint32_t)addr->bytes[13] << 16 |
	       (uint32_t)addr->bytes[14] << 8 | addr->bytes[15];
}

#endif
