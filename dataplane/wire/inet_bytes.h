/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room only: big-endian fields and the checksum of the internet protocols. */
#ifndef TERN_WIRE_INET_BYTES_H
#define TERN_WIRE_INET_BYTES_H

#include <stdint.h>
#include <string.h>

#define ETHER_TYPE_IPV4 0x0800u
#define ETHER_TYPE_ARP  0x0806u
#define ETHER_TYPE_IPV6 0x86ddu
#define ETHER_HDR_BYTES 14u
#define IP6_HDR_BYTES   40u

static inline void
inet_put16(uint8_t *out, uint32_t value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static inline void
inet_put32(uint8_t *out, uint32_t value)
{
	inet_put16(out, value >> 16);
	inet_put16(out + 2, value & 0xffff);
}

static inline uint16_t
inet_get16(const uint8_t *in)
{
	return (uint16_t)(in[0] << 8 | in[1]);
}

static inline uint32_t
inet_get32(const uint8_t *in)
{
	return (uint32_t)inet_get16(in) << 16 | inet_get16(in + 2);
}

/* RFC 1071 sums are the same in any byte order, so words are added as the machine loads them. Only
 * the last piece of a packet may be odd; @bytes <= 65,575. */
static inline uint64_t
inet_sum_add(uint64_t sum, const uint8_t *bytes, uint32_t count)
{
	uint32_t word, at = 0;

	for (; at + 4 <= count; at += 4) {
		memcpy(&word, bytes + at, 4);
		sum += word;
	}
	word = 0;
	memcpy(&word, bytes + at, count - at);
	return sum + word;
}

/* Folded; as two bytes in the order of memory. 0xffff: a checksum that was in it is right. */
static inline uint16_t
inet_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Over the pseudo header of RFC 8200, 8.1 and the @bytes behind the IPv6 header @ip. */
static inline uint16_t
inet_sum_ip6(const uint8_t *ip, uint8_t protocol, uint32_t bytes)
{
	uint8_t tail[8] = { 0 };

	inet_put32(tail, bytes);
	tail[7] = protocol;
	uint64_t sum = inet_sum_add(0, ip + 8, 32);
	sum = inet_sum_add(sum, tail, sizeof(tail));
	return inet_sum_fold(inet_sum_add(sum, ip + IP6_HDR_BYTES, bytes));
}

#endif
