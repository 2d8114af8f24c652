/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/inet.h"

#include <string.h>

#include "dataplane/base/invariant.h"

#define ETHER_TYPE_IPV4  0x0800u
#define ETHER_TYPE_ARP   0x0806u
#define IP_VERSION_IHL   0x45u /* IPv4, header of 20 bytes */
#define IP_PROTOCOL_UDP  17u
#define IP_TTL           64u
#define IP_FLAG_DF       0x4000u
#define IP_FRAGMENT_BITS 0x3fffu /* more fragments, and the offset */

static void
put16(uint8_t *out, uint32_t value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static void
put32(uint8_t *out, uint32_t value)
{
	put16(out, value >> 16);
	put16(out + 2, value & 0xffff);
}

static uint16_t
get16(const uint8_t *in)
{
	return (uint16_t)(in[0] << 8 | in[1]);
}

static uint32_t
get32(const uint8_t *in)
{
	return (uint32_t)get16(in) << 16 | get16(in + 2);
}

/* RFC 1071 over the 20 bytes of an IPv4 header. */
static uint32_t
ip_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

void
inet_udp_encode(uint8_t *out, const struct inet_udp *udp)
{
	uint8_t *ip = out + 14;
	uint8_t *to = ip + 20;

	INVARIANT(udp->payload_bytes <= UINT16_MAX - 28);
	memset(out, 0, INET_UDP_HDR_BYTES);
	memcpy(out, udp->mac_to, INET_MAC_BYTES);
	memcpy(out + 6, udp->mac_from, INET_MAC_BYTES);
	put16(out + 12, ETHER_TYPE_IPV4);
	ip[0] = IP_VERSION_IHL;
	put16(ip + 2, udp->payload_bytes + 28);
	put16(ip + 6, IP_FLAG_DF);
	ip[8] = IP_TTL;
	ip[9] = IP_PROTOCOL_UDP;
	put32(ip + 12, udp->ip_from);
	put32(ip + 16, udp->ip_to);
	put16(ip + 10, ~ip_sum(ip) & 0xffff);
	put16(to, udp->port_from);
	put16(to + 2, udp->port_to);
	put16(to + 4, udp->payload_bytes + 8);
}

enum tern_err
inet_udp_decode(const uint8_t *packet, uint32_t bytes, struct inet_udp *udp)
{
	const uint8_t *ip = packet + 14;
	const uint8_t *from = ip + 20;

	if (bytes < INET_UDP_HDR_BYTES || get16(packet + 12) != ETHER_TYPE_IPV4)
		return TERN_ERR_UNSUPPORTED;
	if (ip[0] != IP_VERSION_IHL)
		return (ip[0] >> 4) == 4 ? TERN_ERR_MALFORMED : TERN_ERR_UNSUPPORTED;
	if (ip[9] != IP_PROTOCOL_UDP)
		return TERN_ERR_UNSUPPORTED;
	const uint32_t ip_bytes = get16(ip + 2);
	const uint32_t udp_bytes = get16(from + 4);
	if (ip_bytes < 28 || ip_bytes > bytes - 14 || udp_bytes < 8 || udp_bytes > ip_bytes - 20 ||
	    (get16(ip + 6) & IP_FRAGMENT_BITS) != 0 || ip_sum(ip) != 0xffff)
		return TERN_ERR_MALFORMED;
	memcpy(udp->mac_to, packet, INET_MAC_BYTES);
	memcpy(udp->mac_from, packet + 6, INET_MAC_BYTES);
	udp->ip_from = get32(ip + 12);
	udp->ip_to = get32(ip + 16);
	udp->port_from = get16(from);
	udp->port_to = get16(from + 2);
	udp->payload_bytes = udp_bytes - 8;
	return TERN_OK;
}

void
inet_arp_encode(uint8_t *out, const struct inet_arp *arp)
{
	uint8_t *body = out + 14;

	memset(out, 0, INET_ARP_BYTES);
	if (arp->is_request)
		memset(out, 0xff, INET_MAC_BYTES);
	else
		memcpy(out, arp->mac_to, INET_MAC_BYTES);
	memcpy(out + 6, arp->mac_from, INET_MAC_BYTES);
	put16(out + 12, ETHER_TYPE_ARP);
	put16(body, 1); /* Ethernet */
	put16(body + 2, ETHER_TYPE_IPV4);
	body[4] = INET_MAC_BYTES;
	body[5] = 4;
	put16(body + 6, arp->is_request ? 1 : 2);
	memcpy(body + 8, arp->mac_from, INET_MAC_BYTES);
	put32(body + 14, arp->ip_from);
	if (!arp->is_request)
		memcpy(body + 18, arp->mac_to, INET_MAC_BYTES);
	put32(body + 24, arp->ip_to);
}

enum tern_err
inet_arp_decode(const uint8_t *packet, uint32_t bytes, struct inet_arp *arp)
{
	const uint8_t *body = packet + 14;

	if (bytes < INET_ARP_BYTES || get16(packet + 12) != ETHER_TYPE_ARP)
		return TERN_ERR_UNSUPPORTED;
	const uint16_t op = get16(body + 6);
	if (get16(body) != 1 || get16(body + 2) != ETHER_TYPE_IPV4 || body[4] != INET_MAC_BYTES ||
	    body[5] != 4 || (op != 1 && op != 2))
		return TERN_ERR_MALFORMED;
	arp->is_request = op == 1;
	memcpy(arp->mac_from, body + 8, INET_MAC_BYTES);
	memcpy(arp->mac_to, body + 18, INET_MAC_BYTES);
	arp->ip_from = get32(body + 14);
	arp->ip_to = get32(body + 24);
	return TERN_OK;
}
