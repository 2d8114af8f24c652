/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of moving blocks, with a peer that says whatever the input wants. A stream over a small
 * log hears acknowledgements and requests of any content: what it sends must be fragments of blocks
 * that exist. An assembly is offered fragments of any content: what it hands on must lie where the
 * window allows. The runtime's part (looking at credit, placing units) is played here.
 */
#include "dataplane/base/bits.h"
#include "dataplane/transport/transport.h"
#include "dataplane/wire/page.h"
#include "tests/fuzz/fuzz.h"

#define BLOCKS          12u
#define BLOCK_PAGES_MAX 3u
#define UNITS_PER_FRAME 3u
#define WINDOW_BLOCKS   8u
#define RING_PAGES      16u
#define STEPS_MAX       300u
#define MS              1000000ull

struct end {
	_Alignas(64) uint8_t stream_memory[64 * 1024];
	_Alignas(64) uint8_t assembly_memory[4096];
	_Alignas(64) uint8_t log[BLOCKS][BLOCK_PAGES_MAX * PAGE_BYTES];
	uint8_t body[FRAGMENT_HDR_BYTES + UNITS_PER_FRAME * FRAGMENT_UNIT_BYTES];
	struct stream *stream;
	struct assembly *assembly;
	uint64_t now_ns, last_index;
	uint64_t next_index, next_page_lsn; /* of the log that the assembly fills */
};

static void
make_log(struct end *end)
{
	uint64_t page_lsn = 0;

	for (uint32_t i = 0; i < BLOCKS; i++) {
		const uint32_t pages = 1 + i % BLOCK_PAGES_MAX;
		const struct block_hdr hdr = {
			.kind = BLOCK_COMMANDS,
			.log_index = i + 1,
			.page_lsn = page_lsn,
			.payload_bytes = (pages - 1) * PAGE_PAYLOAD_BYTES + 200 + 1000 * (i % 4),
			.pages = pages,
		};
		block_hdr_encode(end->log[i] + PAGE_PAYLOAD_OFFSET, &hdr);
		page_lsn += pages;
	}
}

static uint64_t
pick(struct fuzz_input *in, uint64_t near)
{
	const uint8_t how = fuzz_u8(in);

	if (how < 224)
		return near + how % 16 - min_u64(near, 8);
	return how == 0xff ? fuzz_take(in, 8) : UINT64_MAX - (how - 224u);
}

/* ---- the sender ---- */

static void
stream_send(struct end *end, uint32_t frames)
{
	struct stream_want want;

	for (uint32_t i = 0; i < frames; i++) {
		struct fragment_hdr fragment;

		if (!stream_next(end->stream, end->last_index, end->now_ns, &want))
			return;
		REQUIRE(want.log_index >= 1 && want.log_index <= end->last_index);
		const uint32_t bytes = stream_fill(end->stream, &want, end->log[want.log_index - 1],
						   0, end->now_ns, end->body);
		if (bytes == 0)
			return;
		REQUIRE(bytes <= sizeof(end->body));
		REQUIRE(fragment_decode(end->body, bytes, &fragment) == TERN_OK);
		REQUIRE(fragment.log_index == want.log_index);
		REQUIRE(fragment.unit_first == want.unit_first);
	}
}

static void
stream_hear_fetch(struct end *end, struct fuzz_input *in)
{
	uint8_t body[FETCH_BYTES_MAX];
	struct fetch fetch = { .range_count = 1 + fuzz_u8(in) % 6 }, decoded;

	for (uint32_t i = 0; i < fetch.range_count; i++) {
		fetch.ranges[i].log_index = pick(in, stream_stats(end->stream).next_index);
		fetch.ranges[i].unit_first = (uint32_t)pick(in, 3);
		fetch.ranges[i].unit_count = (uint32_t)pick(in, 3);
	}
	if (fetch_decode(body, fetch_encode(body, &fetch), &decoded) == TERN_OK)
		stream_on_fetch(end->stream, &decoded, end->now_ns);
}

static void
stream_act(struct end *end, struct fuzz_input *in, uint8_t what)
{
	const struct stream_stats stats = stream_stats(end->stream);
	uint64_t index;

	switch (what & 7) {
	case 0:
		index = 1 + fuzz_u8(in) % (end->last_index + 1);
		stream_start(end->stream, index, end->now_ns);
		break;
	case 1:
		if (what > 200)
			stream_stop(end->stream);
		break;
	case 2:
		index = pick(in, stats.acked_index);
		stream_on_received(end->stream, index, end->now_ns);
		break;
	case 3:
		index = pick(in, stats.acked_index);
		stream_on_ack(end->stream, index, pick(in, 2 * index), end->now_ns);
		break;
	case 4:
		stream_hear_fetch(end, in);
		break;
	case 5:
		end->last_index = min_u64(BLOCKS, end->last_index + (what >> 3) % 4);
		break;
	default:
		stream_send(end, 1 + (what >> 3));
		break;
	}
}

/* ---- the receiver ---- */

static uint64_t
credit_end(const struct end *end)
{
	return end->next_page_lsn + RING_PAGES;
}

static void
take_blocks(struct end *end, bool is_good)
{
	struct assembly_block block;

	for (uint32_t i = 0; assembly_next(end->assembly, &block); i++) {
		REQUIRE(i < WINDOW_BLOCKS);
		REQUIRE(block.log_index == end->next_index);
		REQUIRE(block.page_lsn == end->next_page_lsn);
		REQUIRE(block.pages >= 1 && block.pages <= BLOCK_PAGES_MAX);
		REQUIRE(block.units > (block.pages - 1) * FRAGMENT_UNITS_PER_PAGE);
		REQUIRE(block.units <= block.pages * FRAGMENT_UNITS_PER_PAGE);
		if (!is_good) {
			assembly_reject(end->assembly, end->now_ns);
			return;
		}
		assembly_take(end->assembly);
		end->next_index++;
		end->next_page_lsn += block.pages;
	}
}

static void
assembly_hear(struct end *end, struct fuzz_input *in, bool is_good)
{
	const uint8_t shape = fuzz_u8(in);
	const uint32_t pages = (uint32_t)pick(in, 8) % 5,
		       units = pages * 3 - min_u32(pages, shape % 3);
	struct fragment_hdr fragment = {
		.log_index = pick(in, end->next_index + 6),
		.page_lsn = pick(in, end->next_page_lsn + 4),
		.block_pages = pages,
		.block_units = units,
		.unit_first = fuzz_u8(in) % 10,
		.unit_count = 1 + (shape >> 4) % 9,
		.last_unit_bytes = 1 + shape,
	};
	const struct fragment_hdr_le le = {
		.log_index = le64_make(fragment.log_index),
		.page_lsn = le64_make(fragment.page_lsn),
		.block_units = le32_make(fragment.block_units),
		.unit_first = le32_make(fragment.unit_first),
		.unit_count = le16_make((uint16_t)fragment.unit_count),
		.last_unit_bytes = le16_make((uint16_t)fragment.last_unit_bytes),
		.block_pages = le32_make(fragment.block_pages),
	};
	const uint32_t bytes = FRAGMENT_HDR_BYTES + fragment_payload_bytes(&fragment);

	if (shape % 16 == 15) { /* the block that is wanted, in one piece */
		assembly_accept(end->assembly, end->next_index, end->next_page_lsn);
		return;
	}
	if (fragment_decode((const uint8_t *)&le, bytes, &fragment) != TERN_OK ||
	    assembly_offer(end->assembly, &fragment, credit_end(end), end->now_ns) != ASSEMBLY_TAKE)
		return;
	REQUIRE(fragment.page_lsn >= end->next_page_lsn);
	REQUIRE(fragment.page_lsn + fragment.block_pages <= credit_end(end));
	for (uint32_t i = 0; i < fragment.unit_count; i++)
		(void)assembly_has_unit(end->assembly, fragment.log_index, fragment.unit_first + i);
	assembly_mark(end->assembly, &fragment);
	take_blocks(end, is_good);
}

static void
assembly_ask(struct end *end, uint64_t last_index)
{
	uint8_t body[FETCH_BYTES_MAX];
	struct fetch fetch, decoded;

	if (!assembly_fetch(end->assembly, last_index, end->now_ns, &fetch))
		return;
	REQUIRE(fetch_decode(body, fetch_encode(body, &fetch), &decoded) == TERN_OK);
	REQUIRE(decoded.ranges[0].log_index >= end->next_index);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct end end;
	const struct stream_config stream = { UNITS_PER_FRAME, 10 * MS, 8 * PAGE_BYTES };
	const struct assembly_config assembly = { BLOCK_PAGES_MAX, WINDOW_BLOCKS, MS };
	struct fuzz_input in = { data, bytes };

	make_log(&end);
	REQUIRE(stream_bytes() <= sizeof(end.stream_memory));
	REQUIRE(assembly_bytes(&assembly) <= sizeof(end.assembly_memory));
	stream_init(end.stream_memory, &stream, &end.stream);
	assembly_init(end.assembly_memory, &assembly, &end.assembly);
	end.now_ns = 1000 * MS;
	end.last_index = 4;
	end.next_index = 1;
	end.next_page_lsn = 0;
	stream_start(end.stream, 1, end.now_ns);
	assembly_accept(end.assembly, 1, 0);
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		const uint8_t what = fuzz_u8(&in);

		end.now_ns += (what & 3) * MS / 2;
		if ((what & 4) != 0)
			stream_act(&end, &in, fuzz_u8(&in));
		else
			assembly_hear(&end, &in, (what & 8) == 0);
		assembly_ask(&end, what >> 4);
	}
	return 0;
}
