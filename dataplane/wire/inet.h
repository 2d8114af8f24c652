/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, ARP, neighbour discovery, IPv4, IPv6 and UDP headers for data ports, so that ordinary
 * switches, tools and captures understand the traffic. RFC 826 (ARP), RFC 791 (IPv4), RFC 8200
 * (IPv6), RFC 4861 (neighbour discovery), RFC 768 (UDP). No options, no extension headers, no
 * fragments.
 */
#ifndef TERN_WIRE_INET_H
#define TERN_WIRE_INET_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/inet_addr.h"

#define INET_UDP_HDR_BYTES     42u /* Ethernet 14, IPv4 20, UDP 8 */
#define INET_UDP6_HDR_BYTES    62u /* Ethernet 14, IPv6 40, UDP 8 */
#define INET_UDP_HDR_BYTES_MAX INET_UDP6_HDR_BYTES
#define INET_ARP_BYTES         42u
#define INET_ND_BYTES          86u /* Ethernet 14, IPv6 40, ICMPv6 24, one option 8 */
#define INET_MAC_BYTES         6u

/* Both addresses are of one family. */
struct inet_udp {
	uint8_t mac_to[INET_MAC_BYTES], mac_from[INET_MAC_BYTES];
	struct inet_addr ip_from, ip_to;
	uint16_t port_from, port_to;
	uint32_t payload_bytes;
};

static inline uint32_t
inet_udp_hdr_bytes(const struct inet_addr *ip)
{
	return inet_addr_is_v4(ip) ? INET_UDP_HDR_BYTES : INET_UDP6_HDR_BYTES;
}

/* Writes inet_udp_hdr_bytes() at @out, with the IPv4 checksum. The UDP checksum is 0: over IPv4
 * that means absent (every Tern frame carries a CRC32C), over IPv6 inet_udp_seal puts it. */
void inet_udp_encode(uint8_t *out, const struct inet_udp *udp);
/* The UDP checksum that IPv6 demands, once the payload stands behind the headers of @packet. IPv4:
 * nothing. */
void inet_udp_seal(uint8_t *packet);
/* UNSUPPORTED: neither IPv4/UDP nor IPv6/UDP. MALFORMED: lengths, checksums, options, fragments.
 * The payload starts at @packet + inet_udp_hdr_bytes(). */
TERN_CHECKED enum tern_err
inet_udp_decode(const uint8_t *packet, uint32_t bytes, struct inet_udp *udp);

struct inet_arp {
	bool is_request;
	/* mac_to all zero: nobody's. A request then goes to the broadcast address. */
	uint8_t mac_from[INET_MAC_BYTES], mac_to[INET_MAC_BYTES];
	uint32_t ip_from, ip_to; /* host order */
};

/* Writes INET_ARP_BYTES. */
void inet_arp_encode(uint8_t *out, const struct inet_arp *arp);
TERN_CHECKED enum tern_err
inet_arp_decode(const uint8_t *packet, uint32_t bytes, struct inet_arp *arp);

/* A neighbour solicitation or advertisement. */
struct inet_nd {
	bool is_solicitation;
	bool is_solicited;       /* advertisement: somebody asked for it */
	bool has_link;           /* with a link-layer address, of the sender's */
	struct inet_addr target; /* whose link-layer address is asked for, or told */
	/* The sender's; ip_from none: it has none yet and looks whether the target is taken. */
	struct inet_addr ip_from, ip_to;
	uint8_t mac_from[INET_MAC_BYTES], mac_to[INET_MAC_BYTES]; /* of Ethernet */
	uint8_t link[INET_MAC_BYTES];
};

/* The multicast group in which @ip is asked for, and the Ethernet address of such a group. */
struct inet_addr inet_nd_group(const struct inet_addr *ip);
void inet_nd_group_mac(const struct inet_addr *group, uint8_t mac[INET_MAC_BYTES]);
/* Writes INET_ND_BYTES, with the link-layer address @nd->link always. An advertisement overrides
 * what its receiver knew. */
void inet_nd_encode(uint8_t *out, const struct inet_nd *nd);
/* UNSUPPORTED: another packet. MALFORMED: what RFC 4861, 7.1 tells receivers to discard. */
TERN_CHECKED enum tern_err
inet_nd_decode(const uint8_t *packet, uint32_t bytes, struct inet_nd *nd);

#endif
