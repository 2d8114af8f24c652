/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/inet.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/wire/inet_bytes.h"

#define IP_VERSION_IHL   0x45u /* IPv4, header of 20 bytes */
#define IP_PROTOCOL_UDP  17u
#define IP_TTL           64u
#define IP_FLAG_DF       0x4000u
#define IP_FRAGMENT_BITS 0x3fffu /* more fragments, and the offset */
#define IP4_HDR_BYTES    20u
#define UDP_HDR_BYTES    8u

/* ---- UDP ---- */

static void
udp_put(uint8_t *out, const struct inet_udp *udp)
{
	inet_put16(out, udp->port_from);
	inet_put16(out + 2, udp->port_to);
	inet_put16(out + 4, udp->payload_bytes + UDP_HDR_BYTES);
}

void
inet_udp_encode(uint8_t *out, const struct inet_udp *udp)
{
	const bool is_v4 = inet_addr_is_v4(&udp->ip_to);
	uint8_t *ip = out + ETHER_HDR_BYTES;

	INVARIANT(is_v4 == inet_addr_is_v4(&udp->ip_from));
	INVARIANT(udp->payload_bytes <= UINT16_MAX - IP4_HDR_BYTES - UDP_HDR_BYTES);
	memset(out, 0, inet_udp_hdr_bytes(&udp->ip_to));
	memcpy(out, udp->mac_to, INET_MAC_BYTES);
	memcpy(out + 6, udp->mac_from, INET_MAC_BYTES);
	inet_put16(out + 12, is_v4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6);
	if (!is_v4) {
		ip[0] = 6u << 4;
		inet_put16(ip + 4, udp->payload_bytes + UDP_HDR_BYTES);
		ip[6] = IP_PROTOCOL_UDP;
		ip[7] = IP_TTL;
		memcpy(ip + 8, udp->ip_from.bytes, INET_ADDR_BYTES);
		memcpy(ip + 24, udp->ip_to.bytes, INET_ADDR_BYTES);
		udp_put(ip + IP6_HDR_BYTES, udp);
		return;
	}
	ip[0] = IP_VERSION_IHL;
	inet_put16(ip + 2, udp->payload_bytes + IP4_HDR_BYTES + UDP_HDR_BYTES);
	inet_put16(ip + 6, IP_FLAG_DF);
	ip[8] = IP_TTL;
	ip[9] = IP_PROTOCOL_UDP;
	memcpy(ip + 12, udp->ip_from.bytes + 12, 4);
	memcpy(ip + 16, udp->ip_to.bytes + 12, 4);
	const uint16_t sum = (uint16_t)~inet_sum_fold(inet_sum_add(0, ip, IP4_HDR_BYTES));
	memcpy(ip + 10, &sum, sizeof(sum));
	udp_put(ip + IP4_HDR_BYTES, udp);
}

void
inet_udp_seal(uint8_t *packet)
{
	uint8_t *ip = packet + ETHER_HDR_BYTES;
	uint8_t *udp = ip + IP6_HDR_BYTES;

	if (inet_get16(packet + 12) != ETHER_TYPE_IPV6)
		return;
	memset(udp + 6, 0, 2);
	uint16_t sum = (uint16_t)~inet_sum_ip6(ip, IP_PROTOCOL_UDP, inet_get16(udp + 4));
	if (sum == 0)
		sum = UINT16_MAX; /* 0 would say that there is none */
	memcpy(udp + 6, &sum, sizeof(sum));
}

static enum tern_err
udp4_decode(const uint8_t *packet, uint32_t bytes, struct inet_udp *udp)
{
	const uint8_t *ip = packet + ETHER_HDR_BYTES;
	const uint8_t *from = ip + IP4_HDR_BYTES;

	if (ip[0] != IP_VERSION_IHL)
		return (ip[0] >> 4) == 4 ? TERN_ERR_MALFORMED : TERN_ERR_UNSUPPORTED;
	if (ip[9] != IP_PROTOCOL_UDP)
		return TERN_ERR_UNSUPPORTED;
	const uint32_t ip_bytes = inet_get16(ip + 2);
	const uint32_t udp_bytes = inet_get16(from + 4);
	if (ip_bytes < IP4_HDR_BYTES + UDP_HDR_BYTES || ip_bytes > bytes - ETHER_HDR_BYTES ||
	    udp_bytes < UDP_HDR_BYTES || udp_bytes > ip_bytes - IP4_HDR_BYTES ||
	    (inet_get16(ip + 6) & IP_FRAGMENT_BITS) != 0 ||
	    inet_sum_fold(inet_sum_add(0, ip, IP4_HDR_BYTES)) != UINT16_MAX)
		return TERN_ERR_MALFORMED;
	udp->ip_from = inet_addr_v4(inet_get32(ip + 12));
	udp->ip_to = inet_addr_v4(inet_get32(ip + 16));
	udp->port_from = inet_get16(from);
	udp->port_to = inet_get16(from + 2);
	udp->payload_bytes = udp_bytes - UDP_HDR_BYTES;
	return TERN_OK;
}

static enum tern_err
udp6_decode(const uint8_t *packet, uint32_t bytes, struct inet_udp *udp)
{
	const uint8_t *ip = packet + ETHER_HDR_BYTES;
	const uint8_t *from = ip + IP6_HDR_BYTES;

	if (ip[0] >> 4 != 6 || ip[6] != IP_PROTOCOL_UDP)
		return TERN_ERR_UNSUPPORTED;
	const uint32_t ip_bytes = inet_get16(ip + 4);
	const uint32_t udp_bytes = inet_get16(from + 4);
	if (ip_bytes < UDP_HDR_BYTES || ip_bytes > bytes - ETHER_HDR_BYTES - IP6_HDR_BYTES ||
	    udp_bytes < UDP_HDR_BYTES || udp_bytes > ip_bytes || inet_get16(from + 6) == 0 ||
	    inet_sum_ip6(ip, IP_PROTOCOL_UDP, udp_bytes) != UINT16_MAX)
		return TERN_ERR_MALFORMED;
	memcpy(udp->ip_from.bytes, ip + 8, INET_ADDR_BYTES);
	memcpy(udp->ip_to.bytes, ip + 24, INET_ADDR_BYTES);
	/* An IPv4 address within IPv6 is never on a wire. */
	if (inet_addr_is_v4(&udp->ip_from) || inet_addr_is_v4(&udp->ip_to))
		return TERN_ERR_MALFORMED;
	udp->port_from = inet_get16(from);
	udp->port_to = inet_get16(from + 2);
	udp->payload_bytes = udp_bytes - UDP_HDR_BYTES;
	return TERN_OK;
}

enum tern_err
inet_udp_decode(const uint8_t *packet, uint32_t bytes, struct inet_udp *udp)
{
	if (bytes < INET_UDP_HDR_BYTES)
		return TERN_ERR_UNSUPPORTED;
	memcpy(udp->mac_to, packet, INET_MAC_BYTES);
	memcpy(udp->mac_from, packet + 6, INET_MAC_BYTES);
	const uint16_t type = inet_get16(packet + 12);
	if (type == ETHER_TYPE_IPV4)
		return udp4_decode(packet, bytes, udp);
	if (type == ETHER_TYPE_IPV6 && bytes >= INET_UDP6_HDR_BYTES)
		return udp6_decode(packet, bytes, udp);
	return TERN_ERR_UNSUPPORTED;
}

/* ---- ARP ---- */

void
inet_arp_encode(uint8_t *out, const struct inet_arp *arp)
{
	static const uint8_t nobody[INET_MAC_BYTES];
	uint8_t *body = out + ETHER_HDR_BYTES;
	const bool is_known = memcmp(arp->mac_to, nobody, sizeof(nobody)) != 0;

	memset(out, 0, INET_ARP_BYTES);
	if (arp->is_request && !is_known)
		memset(out, 0xff, INET_MAC_BYTES);
	else
		memcpy(out, arp->mac_to, INET_MAC_BYTES);
	memcpy(out + 6, arp->mac_from, INET_MAC_BYTES);
	inet_put16(out + 12, ETHER_TYPE_ARP);
	inet_put16(body, 1); /* Ethernet */
	inet_put16(body + 2, ETHER_TYPE_IPV4);
	body[4] = INET_MAC_BYTES;
	body[5] = 4;
	inet_put16(body + 6, arp->is_request ? 1 : 2);
	memcpy(body + 8, arp->mac_from, INET_MAC_BYTES);
	inet_put32(body + 14, arp->ip_from);
	memcpy(body + 18, arp->mac_to, INET_MAC_BYTES);
	inet_put32(body + 24, arp->ip_to);
}

enum tern_err
inet_arp_decode(const uint8_t *packet, uint32_t bytes, struct inet_arp *arp)
{
	const uint8_t *body = packet + ETHER_HDR_BYTES;

	if (bytes < INET_ARP_BYTES || inet_get16(packet + 12) != ETHER_TYPE_ARP)
		return TERN_ERR_UNSUPPORTED;
	const uint16_t op = inet_get16(body + 6);
	if (inet_get16(body) != 1 || inet_get16(body + 2) != ETHER_TYPE_IPV4 ||
	    body[4] != INET_MAC_BYTES || body[5] != 4 || (op != 1 && op != 2))
		return TERN_ERR_MALFORMED;
	arp->is_request = op == 1;
	memcpy(arp->mac_from, body + 8, INET_MAC_BYTES);
	memcpy(arp->mac_to, body + 18, INET_MAC_BYTES);
	arp->ip_from = inet_get32(body + 14);
	arp->ip_to = inet_get32(body + 24);
	return TERN_OK;
}
