/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of what goes over a network beside frames between nodes. */
#include <string.h>

#include "dataplane/wire/inet.h"
#include "dataplane/wire/native.h"
#include "tests/support/check.h"
#include "tests/unit/wire/samples.h"
#include "tests/unit/wire/samples_parts.h"

/* ---- packets ---- */

static enum tern_err
udp_turn(uint8_t *data, uint32_t bytes)
{
	struct inet_udp udp;
	const enum tern_err err = inet_udp_decode(data, bytes, &udp);

	if (err != TERN_OK)
		return err;
	assert_true(inet_udp_hdr_bytes(&udp.ip_to) + udp.payload_bytes <= bytes);
	inet_udp_encode(data, &udp);
	inet_udp_seal(data);
	return TERN_OK;
}

static enum tern_err
arp_turn(uint8_t *data, uint32_t bytes)
{
	struct inet_arp arp;
	const enum tern_err err = inet_arp_decode(data, bytes, &arp);

	if (err == TERN_OK)
		inet_arp_encode(data, &arp);
	return err;
}

static enum tern_err
nd_turn(uint8_t *data, uint32_t bytes)
{
	struct inet_nd nd;
	const enum tern_err err = inet_nd_decode(data, bytes, &nd);

	/* Longer ones carry options that we do not write. */
	if (err == TERN_OK && bytes == INET_ND_BYTES)
		inet_nd_encode(data, &nd);
	return err;
}

static void
udp_sample_make(struct samples *samples, bool is_v4)
{
	struct sample *sample = sample_add(samples, is_v4 ? "inet_udp" : "inet_udp6", udp_turn);
	struct inet_udp udp = { .mac_to = { 2, 0, 0, 0, 0, 2 },
				.mac_from = { 2, 0, 0, 0, 0, 1 },
				.ip_from = { { 0xfd, 0x77, [15] = 1 } },
				.ip_to = { { 0xfd, 0x77, [15] = 2 } },
				.port_from = 7100,
				.port_to = 7101,
				.payload_bytes = 8 };

	if (is_v4) {
		udp.ip_from = inet_addr_v4(0x0a000001);
		udp.ip_to = inet_addr_v4(0x0a000002);
	}
	const uint32_t header_bytes = inet_udp_hdr_bytes(&udp.ip_to);
	inet_udp_encode(sample->data, &udp);
	memcpy(sample->data + header_bytes, "payload!", 8);
	inet_udp_seal(sample->data);
	sample->bytes = header_bytes + 8;
}

void
packet_samples_make(struct samples *samples)
{
	udp_sample_make(samples, true);
	udp_sample_make(samples, false);
	for (int i = 0; i < 2; i++) {
		struct sample *sample =
		    sample_add(samples, i == 0 ? "inet_arp_request" : "inet_arp_reply", arp_turn);
		const struct inet_arp arp = { .is_request = i == 0,
					      .mac_from = { 2, 0, 0, 0, 0, 1 },
					      .mac_to = { 0, 0, 0, 0, 0, (uint8_t)(2 * i) },
					      .ip_from = 0x0a000001,
					      .ip_to = 0x0a000002 };
		inet_arp_encode(sample->data, &arp);
		sample->bytes = INET_ARP_BYTES;
	}
	for (int i = 0; i < 2; i++) {
		struct sample *sample = sample_add(
		    samples, i == 0 ? "inet_nd_solicitation" : "inet_nd_advertisement", nd_turn);
		struct inet_nd nd = { .is_solicitation = i == 0,
				      .is_solicited = i == 1,
				      .target = { { 0xfd, 0x77, [15] = 2 } },
				      .ip_from = { { 0xfd, 0x77, [15] = 1 } },
				      .mac_from = { 2, 0, 0, 0, 0, 1 },
				      .mac_to = { 2, 0, 0, 0, 0, 2 },
				      .link = { 2, 0, 0, 0, 0, 1 } };
		nd.ip_to = i == 0 ? inet_nd_group(&nd.target) : nd.target;
		if (i == 0)
			inet_nd_group_mac(&nd.ip_to, nd.mac_to);
		inet_nd_encode(sample->data, &nd);
		sample->bytes = INET_ND_BYTES;
	}
}

/* ---- native frames ---- */

static enum tern_err
native_turn(uint8_t *data, uint32_t bytes)
{
	_Alignas(8) uint8_t again[SAMPLE_BYTES_MAX];
	struct native_writer writer;
	struct native_reply reply;
	struct native_node node;
	struct native_read read;
	struct native_hdr hdr;
	const uint8_t *command;
	uint64_t number;
	uint32_t length;
	const enum tern_err err = native_open(data, bytes, &hdr);

	if (err != TERN_OK)
		return err;
	native_begin(&writer, again, sizeof(again));
	struct native_cursor cursor = native_items(data, &hdr);
	for (uint32_t i = 0; i < hdr.item_count; i++) {
		bool is_good = false;
		if (hdr.kind == NATIVE_MASTER)
			is_good =
			    native_next_node(&cursor, &node) && native_add_node(&writer, &node);
		else if (hdr.kind == NATIVE_OPEN)
			is_good =
			    native_next_open(&cursor, &number) && native_add_open(&writer, number);
		else if (hdr.kind == NATIVE_SUBMIT)
			is_good = native_next_command(&cursor, &command, &length) &&
				  native_add_command(&writer, command, length);
		else if (hdr.kind == NATIVE_READ)
			is_good =
			    native_next_read(&cursor, &read) && native_add_read(&writer, &read);
		else if (hdr.kind == NATIVE_REPLY)
			is_good =
			    native_next_reply(&cursor, &reply) && native_add_reply(&writer, &reply);
		assert_true(is_good);
	}
	assert_int_equal(native_seal(&writer, &hdr), bytes);
	memcpy(data, again, bytes);
	return TERN_OK;
}

static void
add_sample_reads(struct native_writer *writer)
{
	const uint8_t *key = (const uint8_t *)"user:1";
	const struct native_read reads[] = {
		{ .id = 801, .key = key, .key_bytes = 6, .is_memory = true },
		{ .id = 821,
		  .key = key,
		  .key_bytes = 6,
		  .is_memory = true,
		  .reads = NATIVE_READS_SESSION,
		  .position = 822,
		  .limit_ms = 823 },
		{ .id = 824,
		  .key = key,
		  .key_bytes = 6,
		  .reads = NATIVE_READS_STALE,
		  .limit_ms = 825 },
		{ .id = 826,
		  .key = key,
		  .key_bytes = 6,
		  .reads = NATIVE_READS_SNAPSHOT,
		  .position = 827 },
		{ .id = 828, .key = key, .key_bytes = 6, .reads = NATIVE_READS_DIRTY },
	};

	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
		assert_true(native_add_read(writer, &reads[i]));
}

static void
add_sample_replies(struct native_writer *writer)
{
	const struct native_reply replies[] = {
		{ .what = NATIVE_WHAT_OPEN,
		  .outcome = NATIVE_DONE,
		  .id = 802,
		  .log_index = 803,
		  .reply = { .kind = REPLY_SESSION, .value = 804 } },
		{ .what = NATIVE_WHAT_WRITE,
		  .outcome = NATIVE_DONE,
		  .id = 805,
		  .log_index = 806,
		  .copies = 2,
		  .is_memory = true,
		  .reply = { .kind = REPLY_BOUND,
			     .is_max = true,
			     .is_repeat = true,
			     .value = 807,
			     .delta = -808,
			     .bound = 809 } },
		{ .what = NATIVE_WHAT_WRITE, .outcome = NATIVE_NOT_MASTER, .id = 810 },
		{ .what = NATIVE_WHAT_READ,
		  .outcome = NATIVE_DONE,
		  .id = 811,
		  .log_index = 812,
		  .type = NATIVE_VALUE_BYTES,
		  .value = (const uint8_t *)"hello",
		  .value_bytes = 5 },
		{ .what = NATIVE_WHAT_READ,
		  .outcome = NATIVE_DONE,
		  .id = 813,
		  .log_index = 814,
		  .is_memory = true,
		  .type = NATIVE_VALUE_INTEGER,
		  .integer = -815,
		  .age_ns = 829 },
		{ .what = NATIVE_WHAT_WRITE,
		  .outcome = NATIVE_ACCEPTED,
		  .id = 817,
		  .log_index = 818,
		  .term = 819,
		  .slot = 820 },
		{ .what = NATIVE_WHAT_READ,
		  .outcome = NATIVE_POSITION,
		  .id = 830,
		  .log_index = 831 },
		{ .what = NATIVE_WHAT_READ, .outcome = NATIVE_GONE, .id = 832 },
		{ .what = NATIVE_WHAT_READ,
		  .outcome = NATIVE_STALE,
		  .id = 833,
		  .age_ns = UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		assert_true(native_add_reply(writer, &replies[i]));
}

static void
native_add_sample_items(struct native_writer *writer, enum native_kind kind,
			const struct sample *commands)
{
	const struct native_node nodes[] = { { 1, 7301, inet_addr_v4(0x7f000001) },
					     { 2, 7302, inet_addr_v4(0x7f000002) } };

	switch (kind) {
	case NATIVE_WHO_IS_MASTER:
		break;
	case NATIVE_MASTER:
		assert_true(native_add_node(writer, &nodes[0]) &&
			    native_add_node(writer, &nodes[1]));
		break;
	case NATIVE_OPEN:
		assert_true(native_add_open(writer, 816));
		break;
	case NATIVE_SUBMIT:
		assert_true(native_add_command(writer, commands[0].data, commands[0].bytes) &&
			    native_add_command(writer, commands[2].data, commands[2].bytes));
		break;
	case NATIVE_READ:
		add_sample_reads(writer);
		break;
	case NATIVE_REPLY:
		add_sample_replies(writer);
		break;
	}
}

void
native_samples_make(struct samples *samples)
{
	static const char *const names[] = {
		"native_who_is_master", "native_master", "native_open",
		"native_submit",        "native_read",   "native_reply"
	};

	for (int kind = NATIVE_WHO_IS_MASTER; kind <= NATIVE_REPLY; kind++) {
		struct sample *sample =
		    sample_add(samples, names[kind - NATIVE_WHO_IS_MASTER], native_turn);
		const bool is_node = kind == NATIVE_MASTER || kind == NATIVE_REPLY;
		const struct native_hdr hdr = {
			.kind = (enum native_kind)kind,
			.node = is_node ? 2 : 0,
			.master = is_node ? 1 : 0,
			.cluster_id = 0x0102030405060708ULL,
			.token = 0x1112131415161718ULL,
			.term = is_node ? 820 : 0,
		};
		struct native_writer writer;
		native_begin(&writer, sample->data, sizeof(sample->data));
		native_add_sample_items(&writer, hdr.kind, samples->list);
		sample->bytes = native_seal(&writer, &hdr);
		sample->covered_first = 4;
		sample->covered_end = sample->bytes;
	}
	/* A node that is reached over IPv6, behind one that is not. */
	struct sample *sample = sample_add(samples, "native_master6", native_turn);
	const struct native_hdr hdr = { .kind = NATIVE_MASTER, .node = 2, .cluster_id = 821 };
	const struct native_node nodes[] = { { 1, 7301, inet_addr_v4(0x7f000001) },
					     { 2, 7302, { { 0xfd, 0x77, [15] = 2 } } } };
	struct native_writer writer;
	native_begin(&writer, sample->data, sizeof(sample->data));
	assert_true(native_add_node(&writer, &nodes[0]) && native_add_node(&writer, &nodes[1]));
	sample->bytes = native_seal(&writer, &hdr);
	sample->covered_first = 4;
	sample->covered_end = sample->bytes;
}
