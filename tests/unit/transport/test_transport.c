/* SPDX-License-Identifier: Apache-2.0 */
/* One stream and one assembly with a bad channel in between. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/prng.h"
#include "dataplane/transport/transport_internal.h"
#include "dataplane/wire/page.h"
#include "tests/support/check.h"

#define BLOCK_PAGES_MAX     300u
#define LOG_BLOCKS_MAX      160u
#define LOG_PAGES_MAX       4096u
#define RING_PAGES          640u
#define UNITS_PER_FRAME_MAX 6u
#define BODY_BYTES_MAX      (FRAGMENT_HDR_BYTES + UNITS_PER_FRAME_MAX * FRAGMENT_UNIT_BYTES)
#define PACKETS_MAX         8192u
#define RESEND_NS           2000000u
#define FETCH_AFTER_NS      200000u
#define STEP_NS             20000u
#define STEPS_MAX           400000u

/* ---- the sender's log: real blocks ---- */

static uint8_t log_pages[LOG_PAGES_MAX][PAGE_BYTES];
static uint64_t log_first_page[LOG_BLOCKS_MAX + 2]; /* by log_index, from 1 */
static uint64_t log_last;

static void
log_append(struct prng *prng, uint32_t pages)
{
	const uint64_t index = log_last + 1;
	const uint64_t page_lsn = log_first_page[index];
	const uint32_t tail =
	    (uint32_t)prng_between(prng, pages == 1 ? BLOCK_HDR_BYTES : 1, PAGE_PAYLOAD_BYTES);
	struct block_hdr hdr = { .kind = BLOCK_COMMANDS,
				 .machine_version = 1,
				 .log_index = index,
				 .term = 3,
				 .page_lsn = page_lsn,
				 .time_ns = index,
				 .command_count = 1,
				 .payload_bytes = (pages - 1) * PAGE_PAYLOAD_BYTES + tail,
				 .pages = pages };

	assert_true(page_lsn + pages <= LOG_PAGES_MAX && index <= LOG_BLOCKS_MAX);
	for (uint32_t i = 0; i < pages; i++) {
		uint8_t *page = log_pages[page_lsn + i];
		const uint32_t used = i + 1 == pages ? tail : PAGE_PAYLOAD_BYTES;

		memset(page, 0, PAGE_BYTES);
		for (uint32_t at = 0; at < used; at++)
			page[PAGE_PAYLOAD_OFFSET + at] = (uint8_t)(index * 31 + i * 7 + at);
		if (i == 0)
			block_hdr_encode(page + PAGE_PAYLOAD_OFFSET, &hdr);
		const struct page_content content = { .cluster_id = 9,
						      .term = 3,
						      .log_index = index,
						      .page_in_block = i,
						      .used_bytes = used };
		page_content_seal(page, &content);
	}
	log_last = index;
	log_first_page[index + 1] = page_lsn + pages;
}

static void
log_reset(void)
{
	log_last = 0;
	log_first_page[1] = 0;
}

/* ---- the channel ---- */

struct packet {
	uint64_t due_ns;
	bool is_used;
	enum { PACKET_BLOCK, PACKET_ACK, PACKET_FETCH } kind;
	uint64_t received_index, credit_end_page;
	uint32_t run; /* acknowledgements of an earlier run are not for the stream (boot_no) */
	uint32_t bytes;
	uint8_t body[BODY_BYTES_MAX];
};

struct world {
	struct prng prng;
	uint32_t loss, duplicate, reorder; /* of 1000 */
	uint64_t now_ns;
	struct stream *stream;
	struct assembly *assembly;
	uint32_t units_per_frame, blocks_max;
	uint64_t ring_from;   /* first page of the receiver's ring that is still needed */
	uint64_t delivered;   /* blocks handed on */
	uint64_t start_index; /* of the first delivery */
	uint64_t in_flight_high;
	uint32_t run;
	uint32_t packet_count;
	struct packet *packets;
	uint8_t (*ring)[PAGE_BYTES];
};

static struct packet packet_memory[PACKETS_MAX];
static uint8_t ring_memory[RING_PAGES][PAGE_BYTES];
static _Alignas(64) uint8_t stream_memory[sizeof(struct stream)];

static void
world_open(struct world *world, uint64_t seed, uint32_t units_per_frame, uint32_t blocks_max)
{
	const struct stream_config stream = { .units_per_frame = units_per_frame,
					      .resend_ns = RESEND_NS,
					      .bytes_in_flight_max = 256u * PAGE_BYTES };
	const struct assembly_config assembly = { .block_pages_max = BLOCK_PAGES_MAX,
						  .blocks_max = blocks_max,
						  .fetch_after_ns = FETCH_AFTER_NS };

	memset(world, 0, sizeof(*world));
	prng_seed(&world->prng, seed);
	world->units_per_frame = units_per_frame;
	world->blocks_max = blocks_max;
	world->packets = packet_memory;
	world->ring = ring_memory;
	memset(packet_memory, 0, sizeof(packet_memory));
	memset(ring_memory, 0xa5, sizeof(ring_memory));
	assert_true(stream_bytes() <= sizeof(stream_memory));
	stream_init(stream_memory, &stream, &world->stream);
	void *memory = aligned_alloc(64, align_up_u64(assembly_bytes(&assembly), 64));
	assert_non_null(memory);
	assembly_init(memory, &assembly, &world->assembly);
	world->now_ns = 1000;
	log_reset();
}

static void
world_close(struct world *world)
{
	free(world->assembly);
}

static struct packet *
channel_slot(struct world *world)
{
	for (uint32_t i = 0; i < PACKETS_MAX; i++)
		if (!world->packets[i].is_used)
			return &world->packets[i];
	return NULL;
}

static void
channel_put(struct world *world, const struct packet *packet)
{
	const uint32_t copies = prng_below(&world->prng, 1000) < world->duplicate ? 2 : 1;

	for (uint32_t i = 0; i < copies; i++) {
		struct packet *slot;

		if (prng_below(&world->prng, 1000) < world->loss)
			continue;
		slot = channel_slot(world);
		if (slot == NULL)
			continue;
		*slot = *packet;
		slot->is_used = true;
		slot->due_ns = world->now_ns + STEP_NS;
		if (prng_below(&world->prng, 1000) < world->reorder)
			slot->due_ns += prng_below(&world->prng, 20) * STEP_NS;
		world->packet_count++;
	}
}

static uint64_t
credit_of(const struct world *world)
{
	return world->ring_from + RING_PAGES;
}

static void
send_ack(struct world *world)
{
	struct packet packet = { .kind = PACKET_ACK,
				 .run = world->run,
				 .credit_end_page = credit_of(world) };

	packet.received_index = assembly_stats(world->assembly).next_index - 1;
	channel_put(world, &packet);
}

/* ---- the receiver ---- */

static void
check_block(struct world *world, const struct assembly_block *block)
{
	assert_int_equal(block->log_index, world->start_index + world->delivered);
	assert_int_equal(block->page_lsn, log_first_page[block->log_index]);
	assert_int_equal(block->pages,
			 log_first_page[block->log_index + 1] - log_first_page[block->log_index]);
	const uint32_t last = (block->units - 1) % FRAGMENT_UNITS_PER_PAGE;
	uint8_t *tail = world->ring[(block->page_lsn + block->pages - 1) % RING_PAGES];
	const uint32_t used =
	    PAGE_IDENTITY_BYTES + last * FRAGMENT_UNIT_BYTES + block->last_unit_bytes;
	memset(tail + used, 0, PAGE_BYTES - used);
	for (uint32_t i = 0; i < block->pages; i++) {
		struct page_content content;
		const uint8_t *page = world->ring[(block->page_lsn + i) % RING_PAGES];

		assert_int_equal(page_content_open(page, &content), TERN_OK);
		assert_memory_equal(page + PAGE_IDENTITY_BYTES,
				    log_pages[block->page_lsn + i] + PAGE_IDENTITY_BYTES,
				    PAGE_BYTES - PAGE_IDENTITY_BYTES);
	}
}

static void
place(struct world *world, const struct fragment_hdr *fragment, const uint8_t *units)
{
	uint32_t left = fragment_payload_bytes(fragment);

	for (uint32_t i = 0; i < fragment->unit_count; i++) {
		const uint32_t unit = fragment->unit_first + i;
		const uint32_t bytes = min_u32(left, FRAGMENT_UNIT_BYTES);
		uint8_t *page = world->ring[(fragment->page_lsn + unit / 3) % RING_PAGES];

		if (!assembly_has_unit(world->assembly, fragment->log_index, unit))
			memcpy(page + PAGE_IDENTITY_BYTES + unit % 3 * FRAGMENT_UNIT_BYTES,
			       units + i * FRAGMENT_UNIT_BYTES, bytes);
		left -= bytes;
	}
	assert_int_equal(left, 0);
	assembly_mark(world->assembly, fragment);
}

static void
receive_fragment(struct world *world, const struct packet *packet)
{
	struct fragment_hdr fragment;
	struct assembly_block block;

	assert_int_equal(fragment_decode(packet->body, packet->bytes, &fragment), TERN_OK);
	const enum assembly_verdict verdict =
	    assembly_offer(world->assembly, &fragment, credit_of(world), world->now_ns);
	assert_int_not_equal(verdict, ASSEMBLY_REFUSED);
	/* The stream keeps within the credit that it was told; only a restart knows none. */
	if (verdict == ASSEMBLY_OLD || verdict == ASSEMBLY_DUPLICATE)
		send_ack(world);
	if (verdict != ASSEMBLY_TAKE)
		return;
	place(world, &fragment, packet->body + FRAGMENT_HDR_BYTES);
	while (assembly_next(world->assembly, &block)) {
		check_block(world, &block);
		/* Now and then a block is not what it must be. */
		if (world->loss != 0 && prng_below(&world->prng, 100) == 0) {
			assembly_reject(world->assembly, world->now_ns);
			return;
		}
		assembly_take(world->assembly);
		world->delivered++;
		send_ack(world);
	}
}

static void
channel_deliver(struct world *world)
{
	if (world->packet_count == 0)
		return;
	for (uint32_t i = 0; i < PACKETS_MAX; i++) {
		struct packet *packet = &world->packets[i];
		struct fetch fetch;

		if (!packet->is_used || packet->due_ns > world->now_ns)
			continue;
		packet->is_used = false;
		world->packet_count--;
		switch (packet->kind) {
		case PACKET_BLOCK:
			receive_fragment(world, packet);
			break;
		case PACKET_ACK:
			if (packet->run == world->run)
				stream_on_ack(world->stream, packet->received_index,
					      packet->credit_end_page, world->now_ns);
			break;
		case PACKET_FETCH:
			assert_int_equal(fetch_decode(packet->body, packet->bytes, &fetch),
					 TERN_OK);
			stream_on_fetch(world->stream, &fetch, world->now_ns);
			break;
		}
	}
}

/* ---- the sender ---- */

static void
check_bounds(struct world *world)
{
	const struct stream_stats stats = stream_stats(world->stream);
	const uint64_t first = log_first_page[stats.acked_index + 1];
	const uint64_t end = log_first_page[stats.next_index];
	const uint64_t pages = end - first;

	assert_true(stats.acked_index < stats.next_index);
	/* The bound, or one block that is larger than it. */
	assert_true(pages <= 256 || stats.next_index == stats.acked_index + 2);
	world->in_flight_high = max_u64(world->in_flight_high, pages);
}

static uint32_t
send_all(struct world *world, uint32_t frames_max)
{
	struct stream_want want;
	uint32_t sent = 0;

	for (; sent < frames_max && stream_next(world->stream, log_last, world->now_ns, &want);
	     sent++) {
		struct packet packet = { .kind = PACKET_BLOCK };

		assert_true(want.log_index >= 1 && want.log_index <= log_last);
		packet.bytes =
		    stream_fill(world->stream, &want, log_pages[log_first_page[want.log_index]], 7,
				world->now_ns, packet.body);
		if (packet.bytes == 0)
			break;
		assert_true(packet.bytes <=
			    FRAGMENT_HDR_BYTES + world->units_per_frame * FRAGMENT_UNIT_BYTES);
		channel_put(world, &packet);
		check_bounds(world);
	}
	return sent;
}

static void
step(struct world *world)
{
	struct packet packet = { .kind = PACKET_FETCH };
	struct fetch fetch;

	world->now_ns += STEP_NS;
	channel_deliver(world);
	(void)send_all(world, 48);
	if (world->now_ns >= assembly_deadline_ns(world->assembly) &&
	    assembly_fetch(world->assembly, 0, world->now_ns, &fetch)) {
		assert_true(fetch.range_count >= 1 && fetch.range_count <= FETCH_RANGES_MAX);
		packet.bytes = fetch_encode(packet.body, &fetch);
		channel_put(world, &packet);
	}
	/* The receiver applies and gives room back, sometimes later than sooner. */
	const uint64_t next = log_first_page[world->start_index + world->delivered];
	if (prng_below(&world->prng, 8) == 0 && world->ring_from != next) {
		world->ring_from = next;
		send_ack(world);
	}
}

static void
begin(struct world *world, uint64_t log_index)
{
	world->run++;
	world->start_index = log_index;
	world->delivered = 0;
	world->ring_from = log_first_page[log_index];
	stream_start(world->stream, log_index, world->now_ns);
	assembly_accept(world->assembly, log_index, log_first_page[log_index]);
}

static void
run_until(struct world *world, uint64_t last_index)
{
	uint32_t steps = 0;

	while (world->start_index + world->delivered <= last_index ||
	       stream_stats(world->stream).acked_index < last_index) {
		step(world);
		assert_true(++steps < STEPS_MAX);
	}
}

static uint32_t
random_pages(struct prng *prng)
{
	switch (prng_below(prng, 12)) {
	case 0:
		return (uint32_t)prng_between(prng, 1, BLOCK_PAGES_MAX);
	case 1:
	case 2:
	case 3:
		return 16;
	default:
		return (uint32_t)prng_between(prng, 1, 6);
	}
}

static void
fill_log(struct world *world, uint64_t blocks)
{
	for (uint64_t i = 0; i < blocks; i++) {
		const uint32_t pages = random_pages(&world->prng);

		if (log_first_page[log_last + 1] + pages > LOG_PAGES_MAX)
			return;
		log_append(&world->prng, pages);
	}
}

/* ---- tests ---- */

static void
test_clean_channel(void **state)
{
	static const uint32_t units[] = { 1, 2, 6 };

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct world world;

		world_open(&world, 1, units[i], 64);
		log_append(&world.prng, 16);
		fill_log(&world, 60);
		begin(&world, 1);
		run_until(&world, log_last);
		for (uint32_t j = 0; j < 2 * FETCH_AFTER_NS / STEP_NS; j++)
			step(&world);
		/* Nothing was lost, so nothing was asked for or repeated. */
		const struct assembly_stats got = assembly_stats(world.assembly);
		const struct stream_stats sent = stream_stats(world.stream);
		assert_int_equal(got.fetches_sent, 0);
		assert_int_equal(got.duplicates, 0);
		assert_int_equal(got.blocks_whole, log_last);
		assert_int_equal(sent.fragments_resent, 0);
		assert_int_equal(sent.timeouts, 0);
		assert_int_equal(sent.fragments_sent, got.fragments_taken);
		assert_true(world.in_flight_high > 16);
		assert_int_equal(stream_deadline_ns(world.stream), UINT64_MAX);
		assert_int_equal(assembly_deadline_ns(world.assembly), UINT64_MAX);
		world_close(&world);
	}
}

static void
test_block_of_16_pages_is_48_units(void **state)
{
	struct world world;
	struct stream_want want;
	uint8_t body[BODY_BYTES_MAX];
	uint32_t frames = 0;

	(void)state;
	world_open(&world, 1, 1, 64);
	do {
		log_reset();
		log_append(&world.prng, 16);
	} while (log_pages[15][PAGE_BYTES - 1] == 0); /* until the last page is used to its end */
	begin(&world, 1);
	while (stream_next(world.stream, 1, 0, &want)) {
		assert_int_equal(want.unit_first, frames);
		assert_true(stream_fill(world.stream, &want, log_pages[0], 0, 0, body) != 0);
		frames++;
	}
	assert_true(frames <= 48 && frames > 45);
	world_close(&world);
}

struct totals {
	uint64_t fetches, resent, timeouts, duplicates, old, ahead, rejected;
};

static void
one_seed(uint64_t seed, struct totals *totals)
{
	struct world world;

	world_open(&world, seed, seed % 2 == 0 ? 1 : 6, seed % 3 == 0 ? 4 : 256);
	world.loss = (uint32_t)prng_below(&world.prng, 300);
	world.duplicate = (uint32_t)prng_below(&world.prng, 300);
	world.reorder = (uint32_t)prng_below(&world.prng, 1000);
	fill_log(&world, prng_between(&world.prng, 1, 100));
	begin(&world, prng_between(&world.prng, 1, log_last));
	run_until(&world, log_last);

	/* Restart anywhere, on both sides, with frames of the first run still under way. */
	begin(&world, prng_between(&world.prng, 1, log_last));
	run_until(&world, log_last);

	/* The sender alone starts again, behind what the receiver holds. */
	stream_start(
	    world.stream,
	    prng_between(&world.prng, world.start_index, world.start_index + world.delivered - 1),
	    world.now_ns);
	fill_log(&world, 10);
	run_until(&world, log_last);

	const struct assembly_stats got = assembly_stats(world.assembly);
	const struct stream_stats sent = stream_stats(world.stream);
	totals->fetches += sent.fetches_received;
	totals->resent += sent.fragments_resent;
	totals->timeouts += sent.timeouts;
	totals->duplicates += got.duplicates;
	totals->old += got.old;
	totals->ahead += got.ahead;
	totals->rejected += got.blocks_rejected;
	world_close(&world);
}

static uint64_t seed_now; /* 0: the test is through */

static int
say_seed(void **state)
{
	(void)state;
	if (seed_now != 0)
		(void)fprintf(stderr, "failed with TERN_SEED=%" PRIu64 "\n", seed_now);
	return 0;
}

static void
test_bad_channel(void **state)
{
	const char *from = getenv("TERN_SEED");
	struct totals totals = { 0 };

	(void)state;
	if (from != NULL) {
		one_seed(strtoull(from, NULL, 10), &totals);
		return;
	}
	for (uint64_t seed = 1; seed <= CHECK_SEEDS(40); seed++) {
		seed_now = seed;
		one_seed(seed, &totals);
	}
	seed_now = 0;
	/* Everything that should have happened did. */
	assert_true(totals.fetches > 0);
	assert_true(totals.resent > 0);
	assert_true(totals.timeouts > 0);
	assert_true(totals.duplicates > 0);
	assert_true(totals.old > 0);
	assert_true(totals.ahead > 0);
	assert_true(totals.rejected > 0);
}

/* One frame for the next want. */
static bool
send_one(struct world *world, struct fragment_hdr *fragment, uint8_t *body)
{
	struct stream_want want;

	if (!stream_next(world->stream, log_last, world->now_ns, &want))
		return false;
	const uint32_t bytes =
	    stream_fill(world->stream, &want, log_pages[log_first_page[want.log_index]], 0,
			world->now_ns, body);
	if (bytes == 0)
		return false;
	assert_int_equal(fragment_decode(body, bytes, fragment), TERN_OK);
	return true;
}

static void
test_window(void **state)
{
	struct world world;
	struct fragment_hdr fragment;
	struct stream_want want;
	uint8_t body[BODY_BYTES_MAX];
	uint32_t blocks = 0;

	(void)state;
	world_open(&world, 5, 6, 64);
	for (uint32_t i = 0; i < 20; i++)
		log_append(&world.prng, 2);
	begin(&world, 3);

	/* Before the first acknowledgement: one block. */
	while (send_one(&world, &fragment, body))
		assert_int_equal(fragment.log_index, 3);
	assert_int_equal(stream_stats(world.stream).next_index, 4);
	/* It does not offer again and again what does not fit. */
	assert_false(stream_next(world.stream, log_last, world.now_ns, &want));

	/* Credit for exactly two more blocks, and not quite a third. */
	stream_on_ack(world.stream, 3, log_first_page[6] + 1, world.now_ns);
	while (send_one(&world, &fragment, body))
		blocks = (uint32_t)fragment.log_index;
	assert_int_equal(blocks, 5);
	stream_on_ack(world.stream, 3, log_first_page[7], world.now_ns);
	while (send_one(&world, &fragment, body))
		blocks = (uint32_t)fragment.log_index;
	assert_int_equal(blocks, 6);

	/* The receiver refuses what lies beyond its credit or its window. */
	assert_true(world.assembly != NULL);
	fragment.log_index = 3;
	fragment.page_lsn = log_first_page[3];
	assert_int_equal(assembly_offer(world.assembly, &fragment, log_first_page[4] - 1, 1),
			 ASSEMBLY_AHEAD);
	assert_int_equal(assembly_offer(world.assembly, &fragment, log_first_page[4], 1),
			 ASSEMBLY_TAKE);
	fragment.log_index = 3 + 64;
	fragment.page_lsn = 1000;
	assert_int_equal(assembly_offer(world.assembly, &fragment, 5000, 1), ASSEMBLY_AHEAD);
	fragment.log_index = 3 + 63;
	assert_int_equal(assembly_offer(world.assembly, &fragment, 5000, 1), ASSEMBLY_TAKE);
	fragment.log_index = 2;
	assert_int_equal(assembly_offer(world.assembly, &fragment, 5000, 1), ASSEMBLY_OLD);

	/* The bound on bytes under way holds without any credit limit. */
	stream_start(world.stream, 1, world.now_ns);
	stream_on_ack(world.stream, 0, UINT64_MAX, world.now_ns);
	world.stream->config.bytes_in_flight_max = 10 * PAGE_BYTES;
	while (send_one(&world, &fragment, body))
		blocks = (uint32_t)fragment.log_index;
	assert_int_equal(blocks, 5);
	stream_on_ack(world.stream, 2, UINT64_MAX, world.now_ns);
	while (send_one(&world, &fragment, body))
		blocks = (uint32_t)fragment.log_index;
	assert_int_equal(blocks, 7);
	world_close(&world);
}

/* The log may have reclaimed what is acknowledged: who waits for it sends nothing else. */
static void
test_no_repair_of_what_is_acknowledged(void **state)
{
	struct world world;
	struct fragment_hdr fragment;
	uint8_t body[BODY_BYTES_MAX];
	const struct fetch fetch = { .range_count = 1, .ranges = { { .log_index = 2 } } };

	(void)state;
	world_open(&world, 7, 6, 64);
	for (uint32_t i = 0; i < 9; i++)
		log_append(&world.prng, 2);
	begin(&world, 1);
	stream_on_ack(world.stream, 1, log_first_page[6], world.now_ns);
	while (send_one(&world, &fragment, body))
		;
	stream_on_fetch(world.stream, &fetch, world.now_ns);
	stream_on_ack(world.stream, 5, log_first_page[6], world.now_ns);
	assert_false(send_one(&world, &fragment, body));
	/* No credit, and nothing is heard: it asks with what comes next, not with what was. */
	world.now_ns = stream_deadline_ns(world.stream);
	assert_true(send_one(&world, &fragment, body));
	assert_int_equal(fragment.log_index, 6);
	world_close(&world);
}

/* A fragment of block 1 of two pages, fit to be bent. */
static struct fragment_hdr
sound_fragment(uint64_t log_index, uint64_t page_lsn)
{
	return (struct fragment_hdr){ .log_index = log_index,
				      .page_lsn = page_lsn,
				      .block_pages = 2,
				      .block_units = 6,
				      .unit_first = 0,
				      .unit_count = 1,
				      .last_unit_bytes = 100 };
}

static void
test_refused_fragments(void **state)
{
	struct world world;
	struct fragment_hdr bent, good = sound_fragment(10, 50);

	(void)state;
	world_open(&world, 1, 1, 16);
	assert_int_equal(assembly_offer(world.assembly, &good, 500, 1), ASSEMBLY_REFUSED);
	assembly_accept(world.assembly, 10, 50);

	/* Counts that cannot be. */
	bent = good, bent.block_pages = 0;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.block_pages = BLOCK_PAGES_MAX + 1, bent.block_units = 903;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.block_units = 7;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.block_units = 3;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.unit_first = 6;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.unit_first = 5, bent.unit_count = 2;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.unit_count = 0;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.last_unit_bytes = FRAGMENT_UNIT_BYTES + 1;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.page_lsn = UINT64_MAX;
	assert_int_equal(assembly_offer(world.assembly, &bent, UINT64_MAX, 1), ASSEMBLY_REFUSED);

	/* Places that contradict what is known. */
	bent = good, bent.page_lsn = 51;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	assert_int_equal(assembly_offer(world.assembly, &good, 500, 1), ASSEMBLY_TAKE);
	assembly_mark(world.assembly, &good);
	bent = sound_fragment(11, 53); /* block 10 ends at page 52 */
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = sound_fragment(13, 52); /* two blocks lie between */
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = sound_fragment(13, 60);
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_TAKE);
	bent = sound_fragment(12, 57); /* would end at 59, but 13 begins at 60 */
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = sound_fragment(12, 58);
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_TAKE);

	/* Contradictions about a block that is known. */
	bent = good, bent.last_unit_bytes = 101, bent.unit_first = 3;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	bent = good, bent.block_units = 5, bent.unit_first = 3;
	assert_int_equal(assembly_offer(world.assembly, &bent, 500, 1), ASSEMBLY_REFUSED);
	assert_true(assembly_has_unit(world.assembly, 10, 0));
	assert_false(assembly_has_unit(world.assembly, 10, 1));
	assert_int_equal(assembly_offer(world.assembly, &good, 500, 1), ASSEMBLY_DUPLICATE);
	assert_int_equal(assembly_stats(world.assembly).refused, 16);
	assembly_stop(world.assembly);
	assert_int_equal(assembly_offer(world.assembly, &good, 500, 1), ASSEMBLY_REFUSED);
	world_close(&world);
}

/* A wrong first fragment must not keep the right ones out for ever. */
static void
test_wrong_first_fragment(void **state)
{
	struct world world;
	struct fragment_hdr wrong = sound_fragment(10, 50), good = wrong;
	struct assembly_block block;
	uint32_t refusals = 0;

	(void)state;
	world_open(&world, 1, 1, 16);
	assembly_accept(world.assembly, 10, 50);
	wrong.last_unit_bytes = 7;
	assert_int_equal(assembly_offer(world.assembly, &wrong, 500, 1), ASSEMBLY_TAKE);
	assembly_mark(world.assembly, &wrong);
	while (assembly_offer(world.assembly, &good, 500, 1) == ASSEMBLY_REFUSED)
		assert_true(++refusals < 100);
	for (good.unit_first = 0; good.unit_first < 6; good.unit_first++) {
		assert_int_equal(assembly_offer(world.assembly, &good, 500, 1), ASSEMBLY_TAKE);
		assembly_mark(world.assembly, &good);
	}
	assert_true(assembly_next(world.assembly, &block));
	assert_int_equal(block.last_unit_bytes, 100);

	/* A successor in the wrong place falls when this one is taken. */
	struct fragment_hdr after = sound_fragment(12, 70), next = sound_fragment(11, 52);
	assert_int_equal(assembly_offer(world.assembly, &after, 500, 1), ASSEMBLY_TAKE);
	assembly_mark(world.assembly, &after);
	assembly_take(world.assembly);
	for (next.unit_first = 0; next.unit_first < 6; next.unit_first++) {
		assert_int_equal(assembly_offer(world.assembly, &next, 500, 1), ASSEMBLY_TAKE);
		assembly_mark(world.assembly, &next);
	}
	assert_true(assembly_next(world.assembly, &block));
	assembly_take(world.assembly);
	assert_false(assembly_has_unit(world.assembly, 12, 0));
	after = sound_fragment(12, 54);
	assert_int_equal(assembly_offer(world.assembly, &after, 500, 1), ASSEMBLY_TAKE);
	world_close(&world);
}

static void
test_fetch_names_what_is_missing(void **state)
{
	struct world world;
	struct fragment_hdr fragment = sound_fragment(1, 0);
	struct fetch fetch;

	(void)state;
	world_open(&world, 1, 1, 16);
	assembly_accept(world.assembly, 1, 0);
	assert_int_equal(assembly_deadline_ns(world.assembly), UINT64_MAX);
	for (uint32_t unit = 0; unit < 6; unit += 2) {
		fragment.unit_first = unit;
		assert_int_equal(assembly_offer(world.assembly, &fragment, 500, 1000),
				 ASSEMBLY_TAKE);
		assembly_mark(world.assembly, &fragment);
	}
	fragment = sound_fragment(3, 4);
	assert_int_equal(assembly_offer(world.assembly, &fragment, 500, 2000), ASSEMBLY_TAKE);
	assembly_mark(world.assembly, &fragment);

	assert_int_equal(assembly_deadline_ns(world.assembly), 1000 + FETCH_AFTER_NS);
	assert_false(assembly_fetch(world.assembly, 0, 1000 + FETCH_AFTER_NS - 1, &fetch));
	assert_true(assembly_fetch(world.assembly, 0, 2000 + FETCH_AFTER_NS, &fetch));
	assert_int_equal(fetch.range_count, 5);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(fetch.ranges[i].log_index, 1);
		assert_int_equal(fetch.ranges[i].unit_first, 2 * i + 1);
		assert_int_equal(fetch.ranges[i].unit_count, 1);
	}
	assert_int_equal(fetch.ranges[3].log_index, 2);
	assert_int_equal(fetch.ranges[3].unit_count, 0);
	assert_int_equal(fetch.ranges[4].log_index, 3);
	assert_int_equal(fetch.ranges[4].unit_first, 1);
	assert_int_equal(fetch.ranges[4].unit_count, 5);
	/* Asked for once; asked for again later, and then more patiently. */
	assert_false(assembly_fetch(world.assembly, 0, 2001 + FETCH_AFTER_NS, &fetch));
	assert_int_equal(assembly_deadline_ns(world.assembly), 2000 + 3 * FETCH_AFTER_NS);
	assert_true(assembly_fetch(world.assembly, 0, 2000 + 3 * FETCH_AFTER_NS, &fetch));
	assert_int_equal(assembly_deadline_ns(world.assembly), 2000 + 7 * FETCH_AFTER_NS);

	/* The master has more, and nothing of it has come for a while. */
	assembly_accept(world.assembly, 7, 20);
	assert_false(assembly_fetch(world.assembly, 6, 1, &fetch));
	uint64_t now_ns = 10000000;
	for (uint32_t i = 0; i < 3 && !assembly_fetch(world.assembly, 9, now_ns, &fetch); i++)
		now_ns += FETCH_AFTER_NS;
	assert_int_equal(fetch.range_count, 1);
	assert_int_equal(fetch.ranges[0].log_index, 7);
	assert_int_equal(fetch.ranges[0].unit_count, 0);
	world_close(&world);
}

/* What a peer asks for is clipped to what there is; nonsense costs nothing. */
static void
test_fetch_is_served(void **state)
{
	struct world world;
	struct fragment_hdr fragment;
	struct stream_want want;
	struct fetch fetch = { .range_count = 6 };
	uint8_t body[BODY_BYTES_MAX];
	uint32_t units = 0;

	(void)state;
	world_open(&world, 3, 6, 64);
	for (uint32_t i = 0; i < 6; i++)
		log_append(&world.prng, 4);
	begin(&world, 2);
	stream_on_ack(world.stream, 1, UINT64_MAX, 1);
	while (stream_stats(world.stream).next_index < 5)
		assert_true(send_one(&world, &fragment, body));
	assert_true(send_one(&world, &fragment, body)); /* six units of block 5 */
	assert_int_equal(stream_stats(world.stream).fragments_resent, 0);

	fetch.ranges[0] = (struct fetch_range){ 1, 0, 0 }; /* before the stream */
	fetch.ranges[1] = (struct fetch_range){ 3, 0, 0 }; /* the whole block */
	fetch.ranges[2] = (struct fetch_range){ 4, 2, 3 };
	fetch.ranges[3] = (struct fetch_range){ 5, 4, 100 }; /* two units of it were sent */
	fetch.ranges[4] = (struct fetch_range){ 99, 0, 0 };
	fetch.ranges[5] = (struct fetch_range){ 4, 500, 3 }; /* the block is not that long */
	stream_on_fetch(world.stream, &fetch, 1);
	stream_on_fetch(world.stream, &fetch, 1); /* twice is as good as once */
	for (uint32_t at = 0; at < 2; units += fragment.unit_count) {
		assert_true(send_one(&world, &fragment, body));
		assert_int_equal(fragment.log_index, 3);
		assert_int_equal(fragment.unit_first, units);
		if (units + fragment.unit_count == fragment.block_units)
			at = 2;
	}
	assert_true(send_one(&world, &fragment, body));
	assert_int_equal(fragment.log_index, 4);
	assert_int_equal(fragment.unit_first, 2);
	assert_int_equal(fragment.unit_count, 3);
	assert_true(send_one(&world, &fragment, body));
	assert_int_equal(fragment.log_index, 5);
	assert_int_equal(fragment.unit_first, 4);
	assert_int_equal(fragment.unit_count, 2);
	assert_false(send_one(&world, &fragment, body)); /* the unit that is not there */
	assert_true(stream_next(world.stream, log_last, 1, &want));
	assert_int_equal(want.log_index, 5); /* and on with what is new */
	assert_int_equal(want.unit_first, 6);
	world_close(&world);
}

static void
test_resend_timer(void **state)
{
	struct world world;
	struct fragment_hdr fragment;
	struct stream_want want;
	uint8_t body[BODY_BYTES_MAX];

	(void)state;
	world_open(&world, 3, 6, 64);
	for (uint32_t i = 0; i < 4; i++)
		log_append(&world.prng, 2);
	begin(&world, 1);
	assert_int_equal(stream_deadline_ns(world.stream), UINT64_MAX);
	world.now_ns = 5000;
	while (send_one(&world, &fragment, body))
		;
	assert_int_equal(stream_deadline_ns(world.stream), 5000 + RESEND_NS);
	assert_false(stream_next(world.stream, log_last, 5000 + RESEND_NS - 1, &want));
	world.now_ns = 5000 + RESEND_NS;
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(send_one(&world, &fragment, body));
		assert_int_equal(fragment.log_index, 1);
		assert_int_equal(fragment.unit_first, 0);
		assert_false(stream_next(world.stream, log_last, world.now_ns, &want));
		world.now_ns += RESEND_NS;
	}
	assert_int_equal(stream_stats(world.stream).timeouts, 3);
	/* An acknowledgement without progress is not progress. */
	stream_on_ack(world.stream, 0, 2, world.now_ns);
	assert_true(stream_deadline_ns(world.stream) <= world.now_ns);
	/* Progress, and then no credit: a fragment beyond it makes the peer speak again. */
	stream_on_ack(world.stream, 1, 2, world.now_ns);
	assert_false(send_one(&world, &fragment, body));
	world.now_ns = stream_deadline_ns(world.stream);
	assert_true(world.now_ns != UINT64_MAX);
	assert_true(send_one(&world, &fragment, body));
	assert_int_equal(fragment.log_index, 2);
	stream_stop(world.stream);
	assert_false(stream_is_active(world.stream));
	assert_int_equal(stream_deadline_ns(world.stream), UINT64_MAX);
	assert_false(stream_next(world.stream, log_last, UINT64_MAX - 1, &want));
	world_close(&world);
}

/* A peer that says for long that it holds less than it acknowledged is sent it again. */
static void
test_forgotten_ack(void **state)
{
	struct world world;
	struct fragment_hdr fragment;
	uint8_t body[BODY_BYTES_MAX];

	(void)state;
	world_open(&world, 3, 6, 64);
	for (uint32_t i = 0; i < 4; i++)
		log_append(&world.prng, 2);
	begin(&world, 1);
	stream_on_ack(world.stream, 4, 100, 1);
	assert_false(send_one(&world, &fragment, body));
	stream_on_ack(world.stream, 2, 100, 1); /* an old one, late */
	stream_on_ack(world.stream, 4, 100, 1);
	assert_int_equal(stream_stats(world.stream).acked_index, 4);
	for (uint32_t i = 0; i < STREAM_LOW_REPORTS_MAX; i++)
		stream_on_ack(world.stream, 2, 100, 1);
	assert_true(send_one(&world, &fragment, body));
	assert_int_equal(fragment.log_index, 3);
	world_close(&world);
}

/* A damaged copy of our own is not sent. */
static void
test_damaged_block(void **state)
{
	struct world world;
	struct fragment_hdr fragment;
	uint8_t body[BODY_BYTES_MAX];

	(void)state;
	world_open(&world, 3, 1, 64);
	log_append(&world.prng, 2);
	begin(&world, 1);
	log_pages[0][PAGE_PAYLOAD_OFFSET + 50] ^= 1;
	assert_false(send_one(&world, &fragment, body));
	assert_int_equal(stream_stats(world.stream).fragments_sent, 0);
	log_pages[0][PAGE_PAYLOAD_OFFSET + 50] ^= 1;
	assert_true(send_one(&world, &fragment, body));
	world_close(&world);
}

static void
test_misuse_is_refused(void **state)
{
	struct world world;
	struct fragment_hdr fragment = sound_fragment(1, 0);
	struct stream_want want = { 2, 0 };
	uint8_t body[BODY_BYTES_MAX];

	(void)state;
	world_open(&world, 3, 1, 16);
	log_append(&world.prng, 2);
	begin(&world, 1);
	expect_assert_failure(stream_fill(world.stream, &want, log_pages[0], 0, 0, body));
	expect_assert_failure(assembly_mark(world.assembly, &fragment));
	expect_assert_failure(assembly_take(world.assembly));
	expect_assert_failure(assembly_accept(world.assembly, 0, 0));
	expect_assert_failure(stream_start(world.stream, 0, 0));
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_channel),
		cmocka_unit_test(test_no_repair_of_what_is_acknowledged),
		cmocka_unit_test(test_block_of_16_pages_is_48_units),
		cmocka_unit_test_teardown(test_bad_channel, say_seed),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_refused_fragments),
		cmocka_unit_test(test_wrong_first_fragment),
		cmocka_unit_test(test_fetch_names_what_is_missing),
		cmocka_unit_test(test_fetch_is_served),
		cmocka_unit_test(test_resend_timer),
		cmocka_unit_test(test_forgotten_ack),
		cmocka_unit_test(test_damaged_block),
		cmocka_unit_test(test_misuse_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
