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
	assert_int_equal(udp.ip_from, 0xc0a80001);
	assert_int_equal(udp.ip_to, 0xc0a800c7);
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
	struct inet_udp udp = { .ip_from = 0xffffffff, .ip_to = 0xfffffffe }, read;
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_of_others),
		cmocka_unit_test(test_ip_header_is_covered),
		cmocka_unit_test(test_all_payload_lengths),
		cmocka_unit_test(test_arp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
