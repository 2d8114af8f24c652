/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, ARP, IPv4 and UDP headers for data ports, so that ordinary switches, tools and captures
 * understand the traffic. RFC 826 (ARP), RFC 791 (IPv4), RFC 768 (UDP). No options, no fragments.
 * Addresses are host-order integers in the decoded form.
 */
#ifndef TERN_WIRE_INET_H
#define TERN_WIRE_INET_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"

#define INET_UDP_HDR_BYTES 42u /* Ethernet 14, IPv4 20, UDP 8 */
#define INET_ARP_BYTES     42u
#define INET_MAC_BYTES     6u

struct inet_udp {
	uint8_t mac_to[INET_MAC_BYTES], mac_from[INET_MAC_BYTES];
	uint32_t ip_from, ip_to;
	uint16_t port_from, port_to;
	uint32_t payload_bytes;
};

/* Writes INET_UDP_HDR_BYTES at @out, with the IPv4 checksum; the UDP checksum is 0 (absent): every
 * Tern frame carries a CRC32C. */
void inet_udp_encode(uint8_t *out, const struct inet_udp *udp);
/* UNSUPPORTED: not IPv4/UDP. MALFORMED: lengths, checksum, options, fragments. The payload starts
 * at @packet + INET_UDP_HDR_BYTES. */
TERN_CHECKED enum tern_err
inet_udp_decode(const uint8_t *packet, uint32_t bytes, struct inet_udp *udp);

struct inet_arp {
	bool is_request;
	uint8_t mac_from[INET_MAC_BYTES], mac_to[INET_MAC_BYTES];
	uint32_t ip_from, ip_to;
};

/* Writes INET_ARP_BYTES; a request goes to the broadcast address. */
void inet_arp_encode(uint8_t *out, const struct inet_arp *arp);
TERN_CHECKED enum tern_err
inet_arp_decode(const uint8_t *packet, uint32_t bytes, struct inet_arp *arp);

#endif
