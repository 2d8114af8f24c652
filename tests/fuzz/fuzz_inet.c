/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of a data port: ARP and UDP over IPv4, also with the header's checksum put right. What is
 * accepted must be decoded to the same from its own encoding. */
#include <stdlib.h>

#include "dataplane/wire/inet.h"
#include "tests/fuzz/fuzz.h"

#define IP_OFFSET 14u

static void
try_udp(const uint8_t *packet, uint32_t bytes)
{
	struct inet_udp udp = { 0 }, again = { 0 };

	if (inet_udp_decode(packet, bytes, &udp) != TERN_OK)
		return;
	REQUIRE(udp.payload_bytes <= bytes - INET_UDP_HDR_BYTES);
	uint8_t *copy = malloc(bytes);
	REQUIRE(copy != NULL);
	memcpy(copy, packet, bytes);
	inet_udp_encode(copy, &udp);
	REQUIRE(inet_udp_decode(copy, bytes, &again) == TERN_OK);
	REQUIRE(memcmp(udp.mac_to, again.mac_to, INET_MAC_BYTES) == 0);
	REQUIRE(memcmp(udp.mac_from, again.mac_from, INET_MAC_BYTES) == 0);
	REQUIRE(udp.ip_from == again.ip_from && udp.ip_to == again.ip_to);
	REQUIRE(udp.port_from == again.port_from && udp.port_to == again.port_to);
	REQUIRE(udp.payload_bytes == again.payload_bytes);
	free(copy);
}

static void
try_arp(const uint8_t *packet, uint32_t bytes)
{
	uint8_t copy[INET_ARP_BYTES];
	struct inet_arp arp = { 0 }, again = { 0 };

	if (inet_arp_decode(packet, bytes, &arp) != TERN_OK)
		return;
	inet_arp_encode(copy, &arp);
	REQUIRE(inet_arp_decode(copy, sizeof(copy), &again) == TERN_OK);
	REQUIRE(arp.is_request == again.is_request);
	REQUIRE(memcmp(arp.mac_from, again.mac_from, INET_MAC_BYTES) == 0);
	REQUIRE(arp.ip_from == again.ip_from && arp.ip_to == again.ip_to);
}

static void
put_ip_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	ip[10] = ip[11] = 0;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes > 10000)
		return 0;
	try_udp(data, (uint32_t)bytes);
	try_arp(data, (uint32_t)bytes);
	if (bytes < INET_UDP_HDR_BYTES)
		return 0;
	uint8_t *packet = malloc(bytes);
	REQUIRE(packet != NULL);
	memcpy(packet, data, bytes);
	put_ip_checksum(packet + IP_OFFSET);
	try_udp(packet, (uint32_t)bytes);
	free(packet);
	return 0;
}
