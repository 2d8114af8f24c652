/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/inet.h"

#include <string.h>

#include "tests/support/check.h"

/* A header as another implementation writes it (RFC 1071 sums worked out by hand): 192.168.0.1 to
 * 192.168.0.199, UDP, 115 bytes, not to be fragmented: checksum 0xb861. */
static const uint8_t foreign[INET_UDP_HDR_BYTES] = {
	0x02, 0,    0,    0,    0,    0x0b, 0x02, 0,    0,    0,    0,    0x0a, 0x08, 0x00,
	0x45, 0x00, 0,    0x73, 0,    0,    0x40, 0,    0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
	0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7, 0x1b, 0xbc, 0x1b, 0xbd, 0,    0x5f, 0,    0
};

static void
test_udp_of_others(void **context)
{
	uint8_t packet[14 + 115] = { 0 }, again[INET_UDP_HDR_BYTES];
	struct inet_udp udp;
	(void)context;

	memcpy(packet, foreign, sizeof(foreign));
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_OK);
	assert_int_equal(inet_addr_v4_of(&udp.ip_from), 0xc0a80001);
	assert_int_equal(inet_addr_v4_of(&udp.ip_to), 0xc0a800c7);
	assert_int_equal(udp.port_from, 7100);
	assert_int_equal(udp.port_to, 7101);
	assert_int_equal(udp.payload_bytes, 87);
	assert_int_equal(udp.mac_from[5], 0x0a);
	assert_int_equal(udp.mac_to[5], 0x0b);
	inet_udp_encode(again, &udp);
	assert_memory_equal(again, foreign, sizeof(again));
	/* Behind a short packet Ethernet puts padding. */
	uint8_t padded[14 + 115 + 20] = { 0 };
	memcpy(padded, packet, sizeof(packet));
	assert_int_equal(inet_udp_decode(padded, sizeof(padded), &udp), TERN_OK);
	assert_int_equal(udp.payload_bytes, 87);
	assert_int_equal(inet_udp_decode(packet, sizeof(packet) - 1, &udp), TERN_ERR_MALFORMED);
}

/* Every flipped bit of the IPv4 header is refused. */
static void
test_ip_header_is_covered(void **context)
{
	uint8_t packet[14 + 115] = { 0 };
	struct inet_udp udp;
	(void)context;

	memcpy(packet, foreign, sizeof(foreign));
	for (uint32_t bit = 12 * 8; bit < 34 * 8; bit++) {
		packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_not_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_OK);
		packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	/* A UDP length beyond the packet's, or below its own header's. */
	packet[39] = 0x60;
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_MALFORMED);
	packet[39] = 7;
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_MALFORMED);
	packet[39] = 8;
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_OK);
	assert_int_equal(udp.payload_bytes, 0);
}

static void
test_all_payload_lengths(void **context)
{
	static uint8_t packet[65536];
	struct inet_udp udp = { .ip_from = inet_addr_v4(0xffffffff),
				.ip_to = inet_addr_v4(0xfffffffe) },
			read;
	(void)context;

	for (uint32_t bytes = 0; bytes <= 65507 - 14; bytes += bytes < 2000 ? 1 : 997) {
		udp.payload_bytes = bytes;
		inet_udp_encode(packet, &udp);
		assert_int_equal(inet_udp_decode(packet, INET_UDP_HDR_BYTES + bytes, &read),
				 TERN_OK);
		assert_int_equal(read.payload_bytes, bytes);
	}
	udp.payload_bytes = 65508;
	expect_assert_failure(inet_udp_encode(packet, &udp));
}

static void
test_arp(void **context)
{
	const struct inet_arp request = { .is_request = true,
					  .mac_from = { 2, 3, 4, 5, 6, 7 },
					  .ip_from = 0x0a000001,
					  .ip_to = 0x0a000002 };
	uint8_t packet[INET_ARP_BYTES];
	struct inet_arp read;
	(void)context;

	inet_arp_encode(packet, &request);
	for (int i = 0; i < 6; i++)
		assert_int_equal(packet[i], 0xff);
	assert_int_equal(inet_arp_decode(packet, sizeof(packet), &read), TERN_OK);
	assert_true(read.is_request);
	assert_memory_equal(read.mac_from, request.mac_from, 6);
	assert_int_equal(read.ip_from, request.ip_from);
	assert_int_equal(read.ip_to, request.ip_to);
	packet[21] = 3; /* neither request nor reply */
	assert_int_equal(inet_arp_decode(packet, sizeof(packet), &read), TERN_ERR_MALFORMED);
	packet[21] = 2;
	assert_int_equal(inet_arp_decode(packet, sizeof(packet), &read), TERN_OK);
	assert_false(read.is_request);
	struct inet_udp udp;
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_UNSUPPORTED);
	memcpy(packet, foreign, sizeof(packet));
	assert_int_equal(inet_arp_decode(packet, sizeof(packet), &read), TERN_ERR_UNSUPPORTED);
}

/* Packets as another implementation writes them: fd00::1 to fd00::2, an odd number of bytes, flow
 * label and all; and how a kernel asks for fd00::2. */
static const uint8_t foreign6[] = { 0x02, 0,    0,    0,    0,    0x0b, 0x02, 0,   0,    0,    0,
				    0x0a, 0x86, 0xdd, 0x60, 0x01, 0x23, 0x45, 0,   0x13, 0x11, 0x40,
				    0xfd, 0,    0,    0,    0,    0,    0,    0,   0,    0,    0,
				    0,    0,    0,    0,    0x01, 0xfd, 0,    0,   0,    0,    0,
				    0,    0,    0,    0,    0,    0,    0,    0,   0,    0x02, 0x1b,
				    0xbc, 0x1b, 0xbd, 0,    0x13, 0x3d, 0x89, 'o', 'd',  'd',  '-',
				    'p',  'a',  'y',  'l',  'o',  'a',  'd' };
static const uint8_t solicitation[INET_ND_BYTES] = {
	0x33, 0x33, 0xff, 0,    0,    0x02, 0x02, 0,    0,    0,    0,   0x0a, 0x86, 0xdd, 0x60,
	0,    0,    0,    0,    0x20, 0x3a, 0xff, 0xfd, 0,    0,    0,   0,    0,    0,    0,
	0,    0,    0,    0,    0,    0,    0,    0x01, 0xff, 0x02, 0,   0,    0,    0,    0,
	0,    0,    0,    0,    0x01, 0xff, 0,    0,    0x02, 0x87, 0,   0x7d, 0x8e, 0,    0,
	0,    0,    0xfd, 0,    0,    0,    0,    0,    0,    0,    0,   0,    0,    0,    0,
	0,    0,    0x02, 0x01, 0x01, 0x02, 0,    0,    0,    0,    0x0a
};

static void
test_udp6_of_others(void **context)
{
	const struct inet_addr from = { { 0xfd, [15] = 1 } }, to = { { 0xfd, [15] = 2 } };
	uint8_t packet[sizeof(foreign6) + 9] = { 0 }, again[sizeof(foreign6)];
	struct inet_udp udp;
	(void)context;

	memcpy(packet, foreign6, sizeof(foreign6));
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_OK);
	assert_true(inet_addr_equal(&udp.ip_from, &from) && inet_addr_equal(&udp.ip_to, &to));
	assert_int_equal(udp.port_from, 7100);
	assert_int_equal(udp.port_to, 7101);
	assert_int_equal(udp.payload_bytes, 11);
	/* The same from our encoder, but for the flow label. */
	memcpy(again, foreign6, sizeof(again));
	inet_udp_encode(again, &udp);
	assert_int_equal(again[60] | again[61], 0);
	inet_udp_seal(again);
	memcpy(again + 14, foreign6 + 14, 4);
	assert_memory_equal(again, foreign6, sizeof(again));
	assert_int_equal(inet_udp_decode(packet, sizeof(foreign6) - 1, &udp), TERN_ERR_MALFORMED);
}

/* A checksum is demanded, and covers addresses, ports and payload. */
static void
test_udp6_checksum(void **context)
{
	uint8_t packet[sizeof(foreign6)];
	struct inet_udp udp = { .ip_from = { { 0xfd } }, .ip_to = { { 0xfd, 1 } } };
	(void)context;

	memcpy(packet, foreign6, sizeof(packet));
	for (uint32_t bit = 22 * 8; bit < sizeof(packet) * 8; bit++) {
		packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_MALFORMED);
		packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	memset(packet + 60, 0, 2);
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_MALFORMED);
	/* Fragments and other extension headers are not ours. */
	memcpy(packet, foreign6, sizeof(packet));
	packet[20] = 44;
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_UNSUPPORTED);
	/* IPv4 within IPv6 is our own way to write IPv4 down. */
	uint8_t within[INET_UDP6_HDR_BYTES] = { 0 };
	memcpy(within, foreign6, 54);
	memset(within + 22, 0, 32);
	within[32] = within[33] = within[48] = within[49] = 0xff;
	within[19] = 8;
	within[59] = 8;
	inet_udp_seal(within);
	assert_int_equal(inet_udp_decode(within, sizeof(within), &udp), TERN_ERR_MALFORMED);
}

static void
test_udp6_all_payload_lengths(void **context)
{
	static uint8_t packet[65536];
	struct inet_udp udp = { .ip_from = { { 0xfd, [15] = 1 } },
				.ip_to = { { 0xfd, [15] = 2 } } },
			read;
	(void)context;

	for (uint32_t i = 0; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i * 31 + (i >> 8));
	for (uint32_t bytes = 0; bytes <= 65507 - 34; bytes += bytes < 2000 ? 1 : 997) {
		udp.payload_bytes = bytes;
		inet_udp_encode(packet, &udp);
		inet_udp_seal(packet);
		assert_int_equal(inet_udp_decode(packet, INET_UDP6_HDR_BYTES + bytes, &read),
				 TERN_OK);
		assert_int_equal(read.payload_bytes, bytes);
	}
	/* Two families in one packet there are not. */
	udp.ip_to = inet_addr_v4(1);
	expect_assert_failure(inet_udp_encode(packet, &udp));
}

static void
test_nd(void **context)
{
	const struct inet_addr from = { { 0xfd, [15] = 1 } }, target = { { 0xfd, [15] = 2 } };
	uint8_t packet[INET_ND_BYTES], mac[INET_MAC_BYTES];
	struct inet_nd nd;
	(void)context;

	assert_int_equal(inet_nd_decode(solicitation, sizeof(solicitation), &nd), TERN_OK);
	assert_true(nd.is_solicitation && nd.has_link);
	assert_true(inet_addr_equal(&nd.ip_from, &from) && inet_addr_equal(&nd.target, &target));
	assert_int_equal(nd.link[5], 0x0a);
	inet_nd_encode(packet, &nd);
	assert_memory_equal(packet, solicitation, sizeof(packet));
	/* The group in which fd00::2 is asked for. */
	const struct inet_addr group = inet_nd_group(&target);
	assert_true(inet_addr_equal(&group, &nd.ip_to));
	inet_nd_group_mac(&group, mac);
	assert_memory_equal(mac, solicitation, sizeof(mac));

	struct inet_nd answer = { .is_solicited = true,
				  .target = target,
				  .ip_from = target,
				  .ip_to = from,
				  .link = { 2, 0, 0, 0, 0, 0x0b } };
	inet_nd_encode(packet, &answer);
	assert_int_equal(inet_nd_decode(packet, sizeof(packet), &nd), TERN_OK);
	assert_true(!nd.is_solicitation && nd.is_solicited && nd.has_link);
	assert_int_equal(nd.link[5], 0x0b);
	struct inet_udp udp;
	assert_int_equal(inet_udp_decode(packet, sizeof(packet), &udp), TERN_ERR_UNSUPPORTED);
}

/* What RFC 4861, 7.1 tells a receiver to discard. */
static void
test_nd_refused(void **context)
{
	uint8_t packet[INET_ND_BYTES];
	struct inet_nd nd = { 0 };
	(void)context;

	memcpy(packet, solicitation, sizeof(packet));
	for (uint32_t bit = 22 * 8; bit < sizeof(packet) * 8; bit++) {
		packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_not_equal(inet_nd_decode(packet, sizeof(packet), &nd), TERN_OK);
		packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	packet[21] = 254; /* it was routed */
	assert_int_equal(inet_nd_decode(packet, sizeof(packet), &nd), TERN_ERR_MALFORMED);
	for (uint32_t bytes = 0; bytes < sizeof(packet); bytes++)
		assert_int_not_equal(inet_nd_decode(solicitation, bytes, &nd), TERN_OK);

	const struct inet_nd bad[] = {
		/* a multicast target; asked for by all at once; a nobody that has a link */
		{ .is_solicited = true, .target = { { 0xff, 2 } }, .ip_from = { { 0xfd } } },
		{ .is_solicited = true,
		  .target = { { 0xfd } },
		  .ip_from = { { 0xfd } },
		  .ip_to = { { 0xff, 2, [15] = 1 } } },
		{ .is_solicitation = true, .target = { { 0xfd } }, .ip_to = { { 0xfd } } },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		inet_nd_encode(packet, &bad[i]);
		assert_int_equal(inet_nd_decode(packet, sizeof(packet), &nd), TERN_ERR_MALFORMED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_of_others),
		cmocka_unit_test(test_ip_header_is_covered),
		cmocka_unit_test(test_all_payload_lengths),
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_udp6_of_others),
		cmocka_unit_test(test_udp6_checksum),
		cmocka_unit_test(test_udp6_all_payload_lengths),
		cmocka_unit_test(test_nd),
		cmocka_unit_test(test_nd_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
