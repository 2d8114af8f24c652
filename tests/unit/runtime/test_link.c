/* SPDX-License-Identifier: Apache-2.0 */
/* P13: frames of other generations are not taken, and what their senders are told. */
#include <string.h>

#include "dataplane/runtime/link.h"
#include "tests/support/check.h"

#define CLUSTER 0x0123456789abcdefULL
#define SELF    1
#define PEER    2

struct net {
	uint8_t bytes[2048];
	uint32_t sent, length;
	uint16_t node;
};

static uint32_t
tx_alloc(void *context, uint16_t node, struct net_frame *frames, uint32_t count)
{
	struct net *net = context;

	assert_int_equal(count, 1);
	frames[0] =
	    (struct net_frame){ .bytes = net->bytes, .capacity = sizeof(net->bytes), .node = node };
	return 1;
}

static uint32_t
tx_burst(void *context, struct net_frame *frames, uint32_t count)
{
	struct net *net = context;

	net->sent += count;
	net->length = frames[0].length;
	net->node = frames[0].node;
	return count;
}

static const struct net_ops ops = { .tx_alloc = tx_alloc, .tx_burst = tx_burst };

static struct link
link_of(struct net *net, uint32_t number, uint32_t id)
{
	return (struct link){ .cluster_id = CLUSTER,
			      .generation = { number, id },
			      .boot_no = 1,
			      .node_id = SELF,
			      .peers = 1u << PEER,
			      .mgmt = { &ops, net } };
}

/* A frame from the peer: a FAREWELL, or a notice. */
static struct net_frame
frame_of(uint8_t *bytes, uint32_t number, uint32_t id, const struct generation_notice *notice)
{
	const struct frame_hdr hdr = {
		.kind = notice != NULL ? FRAME_GENERATION : FRAME_MESSAGE,
		.body_bytes = notice != NULL ? GENERATION_NOTICE_BYTES : 4,
		.cluster_id = CLUSTER,
		.generation = { number, id },
		.boot_no = 1,
		.sender = PEER,
		.receiver = SELF,
	};

	memset(bytes, 0, FRAME_HDR_BYTES + GENERATION_NOTICE_BYTES);
	if (notice != NULL)
		generation_notice_encode(bytes + FRAME_HDR_BYTES, notice);
	else
		bytes[FRAME_HDR_BYTES] = MSG_FAREWELL;
	frame_seal(bytes, &hdr, hdr.body_bytes);
	return (struct net_frame){ .bytes = bytes, .length = FRAME_HDR_BYTES + hdr.body_bytes };
}

static bool
accepts(struct link *link, uint32_t number, uint32_t id, const struct generation_notice *notice)
{
	uint8_t bytes[FRAME_HDR_BYTES + GENERATION_NOTICE_BYTES];
	const struct net_frame frame = frame_of(bytes, number, id, notice);
	struct frame_hdr hdr;

	return link_accept(link, &frame, &hdr);
}

static void
test_only_the_own_one_is_taken(void **state)
{
	struct net net = { 0 };
	struct link link = link_of(&net, 2, 7);

	(void)state;
	assert_true(accepts(&link, 2, 7, NULL));
	assert_false(accepts(&link, 1, 0, NULL));
	assert_false(accepts(&link, 3, 7, NULL));
	assert_false(accepts(&link, 2, 8, NULL));
	assert_int_equal(link.drops.stale_generation, 1);
	assert_int_equal(link.drops.later_generation, 1);
	assert_int_equal(link.drops.other_generation, 1);
	/* Nobody is superseded by a frame that is no notice. */
	assert_int_equal(link.later.number, 0);
}

static void
test_who_is_behind_is_told(void **state)
{
	struct net net = { 0 };
	struct link link = link_of(&net, 2, 7);
	struct generation_notice told;
	struct frame_hdr hdr;

	(void)state;
	link.notice = (struct generation_notice){
		.is_known = true, .log_index = 40, .commit_index = 39, .chain = { 5, 6 }
	};
	link_tell_strangers(&link, 9, 1000);
	assert_int_equal(net.sent, 0);
	assert_false(accepts(&link, 1, 0, NULL));
	link_tell_strangers(&link, 9, 1000);
	assert_int_equal(net.sent, 1);
	assert_int_equal(net.node, PEER);
	assert_int_equal(frame_open(net.bytes, net.length, &hdr), TERN_OK);
	assert_int_equal(hdr.kind, FRAME_GENERATION);
	assert_int_equal(hdr.generation.number, 2);
	assert_int_equal(hdr.generation.id, 7);
	assert_int_equal(
	    generation_notice_decode(net.bytes + FRAME_HDR_BYTES, hdr.body_bytes, &told), TERN_OK);
	assert_int_equal(told.log_index, 40);
	/* Not for every frame. */
	assert_false(accepts(&link, 1, 0, NULL));
	link_tell_strangers(&link, 9, 2000);
	assert_int_equal(net.sent, 1);
	link_tell_strangers(&link, 9, 100000000);
	assert_int_equal(net.sent, 2);
	link.is_superseded = true;
	assert_false(accepts(&link, 1, 0, NULL));
	link_tell_strangers(&link, 9, 900000000);
	assert_int_equal(net.sent, 2);
}

static void
test_who_is_behind_learns_it(void **state)
{
	struct net net = { 0 };
	struct link link = link_of(&net, 2, 7);
	struct generation_notice notice = { .is_known = true, .parent_id = 8, .log_index = 40 };

	(void)state;
	/* Of a branch that is not from here. */
	assert_false(accepts(&link, 3, 9, &notice));
	assert_int_equal(link.later.number, 0);
	assert_int_equal(link.drops.other_generation, 1);
	notice.parent_id = 7;
	assert_false(accepts(&link, 3, 9, &notice));
	assert_int_equal(link.later.number, 3);
	assert_int_equal(link.later.id, 9);
	assert_true(link.later_notice.is_known);
	/* Later ones left the history somewhere behind that. */
	assert_false(accepts(&link, 5, 10, &notice));
	assert_int_equal(link.later.number, 5);
	assert_false(link.later_notice.is_known);
	/* An equal one of a member that has nothing to say. */
	assert_false(accepts(&link, 2, 7, &notice));
}

static void
test_text(void **state)
{
	static const char *const bad[] = { "",
					   "2",
					   "2-",
					   "0-00000000",
					   "1-00000001",
					   "2-00000000",
					   "02-00000001",
					   "2-1",
					   "2-0000000G",
					   "2-000000011",
					   "65536-00000001" };
	const struct generation good[] = { { 1, 0 }, { 2, 0xdeadbeef }, { 65535, 1 } };
	char text[GENERATION_TEXT_BYTES];
	struct generation again;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		generation_print(&good[i], text);
		assert_true(generation_parse(text, &again));
		assert_true(generation_equal(&again, &good[i]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(generation_parse(bad[i], &again));
}

/* Of somebody else: nothing of such a frame is used, and what was wrong is counted. */
static void
test_frames_of_others(void **state)
{
	static const struct {
		uint64_t cluster_id;
		uint32_t boot_no;
		uint16_t sender, receiver, shard;
		size_t count_at;
	} cases[] = {
		{ CLUSTER ^ 1, 9, PEER, SELF, 0, offsetof(struct status_drops, foreign_cluster) },
		{ CLUSTER, 9, PEER, 3, 0, offsetof(struct status_drops, wrong_receiver) },
		{ CLUSTER, 9, PEER, SELF, 1, offsetof(struct status_drops, wrong_shard) },
		{ CLUSTER, 9, 3, SELF, 0, offsetof(struct status_drops, unknown_sender) },
		/* Who was given the same id takes this one for another node. */
		{ CLUSTER, 9, SELF, SELF, 0, offsetof(struct status_drops, duplicate_id) },
		{ CLUSTER, 9, SELF, 3, 0, offsetof(struct status_drops, duplicate_id) },
		{ CLUSTER, 4, PEER, SELF, 0, offsetof(struct status_drops, stale_boot) },
	};
	struct net net = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct link link = link_of(&net, 2, 7);
		struct status_drops wanted = { 0 };
		uint8_t bytes[FRAME_HDR_BYTES + GENERATION_NOTICE_BYTES];
		struct net_frame frame = frame_of(bytes, 2, 7, NULL);
		struct frame_hdr hdr;

		link.peer_boots[PEER] = 5;
		assert_int_equal(frame_open(bytes, frame.length, &hdr), TERN_OK);
		hdr.cluster_id = cases[i].cluster_id;
		hdr.boot_no = cases[i].boot_no;
		hdr.sender = cases[i].sender;
		hdr.receiver = cases[i].receiver;
		hdr.shard = cases[i].shard;
		frame_seal(bytes, &hdr, hdr.body_bytes);
		assert_false(link_accept(&link, &frame, &hdr));
		*(uint64_t *)((uint8_t *)&wanted + cases[i].count_at) = 1;
		assert_memory_equal(&link.drops, &wanted, sizeof(wanted));
		assert_int_equal(link.peer_boots[PEER], 5);
		assert_int_equal(link.peer_boots[SELF], 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_own_one_is_taken),
		cmocka_unit_test(test_frames_of_others),
		cmocka_unit_test(test_who_is_behind_is_told),
		cmocka_unit_test(test_who_is_behind_learns_it),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
