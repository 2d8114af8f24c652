/* SPDX-License-Identifier: Apache-2.0 */
/* One stream whose log goes on to be reclaimed: blocks of one page, without a receiver. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/transport/transport_internal.h"
#include "dataplane/wire/page.h"
#include "tests/support/check.h"

#define BLOCKS    9u
#define RESEND_NS 2000000u

static _Alignas(64) uint8_t stream_memory[sizeof(struct stream)];

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
				 .payload_bytes = 1000,
				 .pages = 1 };
	struct stream_want want;

	if (!stream_next(stream, BLOCKS, now_ns, &want))
		return 0;
	hdr.log_index = hdr.time_ns = want.log_index;
	hdr.page_lsn = want.log_index - 1;
	block_hdr_encode(block + PAGE_PAYLOAD_OFFSET, &hdr);
	return stream_fill(stream, &want, block, 0, now_ns, body) == 0 ? 0 : want.log_index;
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
		cmocka_unit_test(test_what_is_waiting_is_forgotten),
		cmocka_unit_test(test_late_ones_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
