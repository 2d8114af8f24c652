/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of a data port: ARP, neighbour discovery and UDP over IPv4 and IPv6, also with checksums
 * put right. What is accepted must be decoded to the same from its own encoding. */
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
	REQUIRE(udp.payload_bytes <= bytes - inet_udp_hdr_bytes(&udp.ip_to));
	uint8_t *copy = malloc(bytes);
	REQUIRE(copy != NULL);
	memcpy(copy, packet, bytes);
	inet_udp_encode(copy, &udp);
	inet_udp_seal(copy);
	REQUIRE(inet_udp_decode(copy, bytes, &again) == TERN_OK);
	REQUIRE(memcmp(udp.mac_to, again.mac_to, INET_MAC_BYTES) == 0);
	REQUIRE(memcmp(udp.mac_from, again.mac_from, INET_MAC_BYTES) == 0);
	REQUIRE(inet_addr_equal(&udp.ip_from, &again.ip_from));
	REQUIRE(inet_addr_equal(&udp.ip_to, &again.ip_to));
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
try_nd(const uint8_t *packet, uint32_t bytes)
{
	uint8_t copy[INET_ND_BYTES];
	struct inet_nd nd, again;

	if (inet_nd_decode(packet, bytes, &nd) != TERN_OK)
		return;
	inet_nd_encode(copy, &nd);
	const enum tern_err err = inet_nd_decode(copy, sizeof(copy), &again);
	/* We have a link-layer address always; who looks for an address of his own has none. */
	if (nd.is_solicitation && inet_addr_is_none(&nd.ip_from)) {
		REQUIRE(err == TERN_ERR_MALFORMED);
		return;
	}
	REQUIRE(err == TERN_OK);
	REQUIRE(nd.is_solicitation == again.is_solicitation);
	REQUIRE(nd.is_solicited == again.is_solicited);
	REQUIRE(inet_addr_equal(&nd.target, &again.target));
	REQUIRE(inet_addr_equal(&nd.ip_from, &again.ip_from));
	REQUIRE(memcmp(nd.link, again.link, INET_MAC_BYTES) == 0);
}

/* The checksum of ICMPv6 over as many bytes as the header says, if they are there. */
static void
put_icmp6_checksum(uint8_t *ip, uint32_t bytes)
{
	const uint32_t length = (uint32_t)(ip[4] << 8 | ip[5]);
	uint32_t sum = length + 58;

	if (length < 4 || length > bytes - 40)
		return;
	ip[42] = ip[43] = 0;
	for (uint32_t i = 8; i < 40 + length; i++)
		sum += i % 2 == 0 ? (uint32_t)ip[i] << 8 : ip[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	ip[42] = (uint8_t)(~sum >> 8);
	ip[43] = (uint8_t)~sum;
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

static uint8_t *
copy_of(const uint8_t *data, size_t bytes)
{
	uint8_t *packet = malloc(bytes);

	REQUIRE(packet != NULL);
	memcpy(packet, data, bytes);
	return packet;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes > 10000)
		return 0;
	try_udp(data, (uint32_t)bytes);
	try_arp(data, (uint32_t)bytes);
	try_nd(data, (uint32_t)bytes);
	if (bytes < INET_UDP_HDR_BYTES)
		return 0;
	uint8_t *packet = copy_of(data, bytes);
	put_ip_checksum(packet + IP_OFFSET);
	try_udp(packet, (uint32_t)bytes);
	free(packet);
	if (bytes < INET_UDP6_HDR_BYTES)
		return 0;
	packet = copy_of(data, bytes);
	const uint32_t udp_bytes = (uint32_t)(packet[58] << 8 | packet[59]);
	if (packet[12] == 0x86 && packet[13] == 0xdd && udp_bytes <= bytes - 54 && udp_bytes >= 8)
		inet_udp_seal(packet);
	try_udp(packet, (uint32_t)bytes);
	put_icmp6_checksum(packet + IP_OFFSET, (uint32_t)bytes - IP_OFFSET);
	try_nd(packet, (uint32_t)bytes);
	free(packet);
	return 0;
}
