/* SPDX-License-Identifier: Apache-2.0 */
/* One stream whose log goes on to be reclaimed: blocks of one page, without a receiver but for the
 * last test. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/transport/transport_internal.h"
#include "dataplane/wire/page.h"
#include "tests/support/check.h"

#define BLOCKS    9u
#define RESEND_NS 2000000u

static _Alignas(64) uint8_t stream_memory[sizeof(struct stream)], assembly_memory[4096];
static struct fragment_hdr sent_fragment; /* the last one */

static struct stream *
stream_open(void)
{
	const struct stream_config config = { .units_per_frame = 6,
					      .resend_ns = RESEND_NS,
					      .bytes_in_flight_max = 256u * PAGE_BYTES };
	struct stream *stream;

	stream_init(stream_memory, &config, &stream);
	stream_start(stream, 1, 0);
	return stream;
}

/* What it sends next, 0: nothing. */
static uint64_t
send_one(struct stream *stream, uint64_t now_ns)
{
	uint8_t block[PAGE_BYTES] = { 0 }, body[FRAGMENT_HDR_BYTES + 6 * FRAGMENT_UNIT_BYTES];
	struct block_hdr hdr = { .kind = BLOCK_COMMANDS,
				 .machine_version = 1,
				 .term = 3,
				 .command_count = 1,
				 .payload_bytes = 3000,
				 .pages = 1 };
	struct stream_want want;

	if (!stream_next(stream, BLOCKS, now_ns, &want))
		return 0;
	hdr.log_index = hdr.time_ns = want.log_index;
	hdr.page_lsn = want.log_index - 1;
	block_hdr_encode(block + PAGE_PAYLOAD_OFFSET, &hdr);
	const uint32_t bytes = stream_fill(stream, &want, block, 0, now_ns, body);
	if (bytes == 0)
		return 0;
	assert_int_equal(fragment_decode(body, bytes, &sent_fragment), TERN_OK);
	return want.log_index;
}

/* Acknowledgements are lost, and heartbeats tell of what came: the log reclaims what lies before
 * that, so nothing of it may be waited for. */
static void
test_progress_without_acknowledgements(void **state)
{
	struct stream *stream = stream_open();
	uint64_t sent = 0, now_ns = 1000;

	(void)state;
	stream_on_ack(stream, 0, 5, now_ns);
	for (uint64_t index = send_one(stream, now_ns); index != 0;
	     index = send_one(stream, now_ns))
		sent = index;
	assert_int_equal(sent, 5);
	now_ns = stream_deadline_ns(stream);
	stream_on_received(stream, 4, now_ns);
	assert_int_equal(stream_stats(stream).acked_index, 4);
	/* It is not silent, and says nothing of credit. */
	assert_int_equal(send_one(stream, now_ns), 0);
	now_ns = stream_deadline_ns(stream);
	assert_int_equal(send_one(stream, now_ns), 5);
	/* All that was sent, and more, which came from elsewhere: what follows makes it speak. */
	stream_on_received(stream, 7, now_ns);
	assert_int_equal(send_one(stream, now_ns), 0);
	now_ns = stream_deadline_ns(stream);
	assert_int_equal(send_one(stream, now_ns), 8);
	stream_on_ack(stream, 7, 9, now_ns);
	assert_int_equal(send_one(stream, now_ns), 8);
	assert_int_equal(send_one(stream, now_ns), 9);
}

/* What is to be said again waits for a buffer: the time of the next look still moves on, or whoever
 * sleeps until then would not sleep at all. */
static void
test_silence_without_a_buffer(void **state)
{
	struct stream *stream = stream_open();
	struct stream_want want;
	uint64_t now_ns = 1000;

	(void)state;
	stream_on_ack(stream, 0, 5, now_ns);
	while (send_one(stream, now_ns) != 0)
		;
	for (uint32_t i = 0; i < 3; i++) {
		const uint64_t before_ns = now_ns;
		now_ns = stream_deadline_ns(stream);
		assert_true(now_ns > before_ns && now_ns != UINT64_MAX);
		assert_true(stream_next(stream, 5, now_ns, &want));
		assert_int_equal(want.log_index, 1);
	}
	assert_int_equal(stream_stats(stream).timeouts, 1);
	assert_int_equal(send_one(stream, now_ns), 1);
}

/* What a stream repeats when nothing is heard lies behind all of it. */
static void
test_what_is_waiting_is_forgotten(void **state)
{
	struct stream *stream = stream_open();
	uint64_t now_ns = 1000;

	(void)state;
	stream_on_ack(stream, 0, BLOCKS, now_ns);
	while (send_one(stream, now_ns) != 0)
		;
	const struct fetch fetch = { .range_count = 2,
				     .ranges = { { .log_index = 2 }, { .log_index = 6 } } };
	stream_on_fetch(stream, &fetch, now_ns);
	stream_on_received(stream, 5, now_ns);
	assert_int_equal(send_one(stream, now_ns), 6);
	/* With tiny limits there is room for a new one now. */
	const uint64_t next = send_one(stream, now_ns);
	assert_true(next == 0 || next > 6);
}

/* There is room, the acknowledgement that said so was lost, and heartbeats told of progress: what
 * the stream asks with is taken the first time, and has to be answered the second time. */
static void
test_credit_that_was_lost(void **state)
{
	const struct assembly_config config = { .block_pages_max = 1,
						.blocks_max = 4,
						.fetch_after_ns = RESEND_NS / 4 };
	struct stream *stream = stream_open();
	struct assembly *assembly;
	uint64_t now_ns = 1000;

	(void)state;
	assert_true(assembly_bytes(&config) <= sizeof(assembly_memory));
	assembly_init(assembly_memory, &config, &assembly);
	assembly_accept(assembly, 2, 1);
	stream->config.units_per_frame = 1;
	stream_on_ack(stream, 0, 1, now_ns);
	stream_on_received(stream, 1, now_ns);
	assert_int_equal(send_one(stream, now_ns), 0);
	for (uint32_t round = 0; round < 2; round++) {
		const struct fragment_hdr *fragment = &sent_fragment;

		now_ns = stream_deadline_ns(stream);
		assert_int_equal(send_one(stream, now_ns), 2);
		const enum assembly_verdict verdict =
		    assembly_offer(assembly, fragment, BLOCKS, now_ns);
		assert_int_equal(verdict, round == 0 ? ASSEMBLY_TAKE : ASSEMBLY_DUPLICATE);
		if (verdict == ASSEMBLY_TAKE)
			assembly_mark(assembly, fragment);
		else
			stream_on_ack(stream, 1, BLOCKS, now_ns);
		/* What is asked for was not sent by what the stream knows. */
		const struct fetch rest = { .range_count = 1,
					    .ranges = { { .log_index = 2, .unit_first = 1 } } };
		stream_on_fetch(stream, &rest, now_ns);
	}
	assert_int_equal(send_one(stream, now_ns), 2);
	assert_int_equal(sent_fragment.unit_first, 0);
	assert_int_equal(send_one(stream, now_ns), 2);
	assert_int_equal(sent_fragment.unit_first, 1);
}

/* Heartbeats come late, twice, and in any order; a stream that is stopped hears nothing. */
static void
test_late_ones_do_no_harm(void **state)
{
	struct stream *stream = stream_open();

	(void)state;
	stream_on_received(stream, 5, 1000);
	for (uint32_t i = 0; i < 2 * STREAM_LOW_REPORTS_MAX; i++)
		stream_on_received(stream, 2, 1000);
	stream_on_received(stream, UINT64_MAX, 1000);
	assert_int_equal(stream_stats(stream).acked_index, 5);
	assert_int_equal(stream_stats(stream).next_index, 6);
	stream_stop(stream);
	stream_on_received(stream, 7, 1000);
	assert_int_equal(stream_stats(stream).acked_index, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress_without_acknowledgements),
		cmocka_unit_test(test_silence_without_a_buffer),
		cmocka_unit_test(test_what_is_waiting_is_forgotten),
		cmocka_unit_test(test_credit_that_was_lost),
		cmocka_unit_test(test_late_ones_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
