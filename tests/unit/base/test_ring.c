/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

static _Alignas(8) uint8_t memory[1024];

static bool
put(struct ring *ring, uint32_t bytes, uint8_t mark)
{
	uint8_t *record = ring_reserve(ring, bytes);

	if (record == NULL)
		return false;
	assert_int_equal((uintptr_t)record % 8, 0);
	assert_true(record >= ring->memory && record + bytes <= ring->memory + ring->size);
	memset(record, mark, bytes);
	ring_publish(ring);
	return true;
}

static void
take(struct ring *ring, uint32_t expected_bytes, uint8_t mark)
{
	uint32_t bytes = UINT32_MAX;
	const uint8_t *record = ring_peek(ring, &bytes);

	assert_non_null(record);
	assert_int_equal(bytes, expected_bytes);
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(record[i], mark);
	assert_ptr_equal(ring_peek(ring, &bytes), record); /* lent until it is consumed */
	ring_consume(ring);
}

static void
test_in_order(void **context)
{
	struct ring ring;
	uint32_t bytes;
	(void)context;

	ring_init(&ring, memory, 256);
	assert_true(ring_is_empty(&ring));
	assert_null(ring_peek(&ring, &bytes));
	assert_true(put(&ring, 0, 0));
	assert_true(put(&ring, 13, 1));
	assert_true(put(&ring, 100, 2));
	assert_false(ring_is_empty(&ring));
	take(&ring, 0, 0);
	take(&ring, 13, 1);
	take(&ring, 100, 2);
	assert_true(ring_is_empty(&ring));
	assert_null(ring_peek(&ring, &bytes));
}

static void
test_unpublished_is_invisible(void **context)
{
	struct ring ring;
	uint32_t bytes;
	(void)context;

	ring_init(&ring, memory, 256);
	memset(ring_reserve(&ring, 50), 1, 50);
	assert_null(ring_peek(&ring, &bytes));
	assert_int_equal(ring_bytes_waiting(&ring), 0);
	memset(ring_reserve(&ring, 8), 2, 8); /* takes the place of the first one */
	ring_publish(&ring);
	assert_int_equal(ring_bytes_waiting(&ring), 16);
	take(&ring, 8, 2);
	assert_int_equal(ring_bytes_waiting(&ring), 0);
	assert_null(ring_peek(&ring, &bytes));
}

static void
test_full(void **context)
{
	struct ring ring;
	(void)context;

	ring_init(&ring, memory, 128);
	for (uint8_t i = 0; i < 8; i++)
		assert_true(put(&ring, 8, i)); /* 16 bytes each, with its header */
	assert_int_equal(ring.full_count, 0);
	assert_false(put(&ring, 0, 0));
	assert_false(put(&ring, 8, 0));
	assert_int_equal(ring.full_count, 2);
	take(&ring, 8, 0);
	assert_true(put(&ring, 8, 8));
	assert_false(put(&ring, 0, 0));
	for (uint8_t i = 1; i < 9; i++)
		take(&ring, 8, i);
	assert_true(ring_is_empty(&ring));
}

/* The largest record fits at every offset of an empty ring, also where a filler comes first. */
static void
test_wrap_at_every_offset(void **context)
{
	(void)context;
	for (uint32_t lead = 0; lead < 64; lead++) {
		struct ring ring;
		ring_init(&ring, memory, 128);
		for (uint32_t i = 0; i < lead; i++) {
			assert_true(put(&ring, 0, 0));
			take(&ring, 0, 0);
		}
		assert_true(put(&ring, 56, 7)); /* 64 with its header: half the ring */
		take(&ring, 56, 7);
		assert_true(ring_is_empty(&ring));
		assert_int_equal(ring.full_count, 0);
	}
}

static void
test_random_against_a_list(void **context)
{
	static uint32_t lengths[1u << 16];
	uint32_t head = 0, tail = 0, full = 0;
	struct ring ring;
	struct prng prng;
	(void)context;

	prng_seed(&prng, 3);
	ring_init(&ring, memory, 1024);
	for (uint32_t step = 0; step < 60000; step++) {
		const uint32_t bytes = (uint32_t)prng_below(&prng, 200);
		if (prng_below(&prng, 2) == 0) {
			if (put(&ring, bytes, (uint8_t)head))
				lengths[head++] = bytes;
			else
				full++;
		} else if (tail != head) {
			take(&ring, lengths[tail], (uint8_t)tail);
			tail++;
		}
	}
	while (tail != head) {
		take(&ring, lengths[tail], (uint8_t)tail);
		tail++;
	}
	assert_int_equal(ring.full_count, full);
	assert_in_range(full, 1, 60000);
	assert_in_range(head, 10000, 60000);
}

static void
test_refusals(void **context)
{
	struct ring ring;
	(void)context;

	expect_assert_failure(ring_init(&ring, memory, 100));
	expect_assert_failure(ring_init(&ring, memory, 32));
	expect_assert_failure(ring_init(&ring, memory + 4, 128));
	ring_init(&ring, memory, 128);
	expect_assert_failure(ring_reserve(&ring, 57)); /* more than half */
	expect_assert_failure(ring_publish(&ring));
	expect_assert_failure(ring_consume(&ring));
}

#define RECORDS 300000u

static uint32_t
record_length(uint32_t i)
{
	return 4 + (i * 2654435761u >> 24) % 120;
}

static void *
producer_main(void *arg)
{
	struct ring *ring = arg;

	for (uint32_t i = 0; i < RECORDS; i++) {
		const uint32_t bytes = record_length(i);
		uint8_t *record = ring_reserve(ring, bytes);
		for (; record == NULL; record = ring_reserve(ring, bytes))
			sched_yield();
		memset(record, (int)(i & 0xff), bytes);
		memcpy(record, &i, sizeof(i));
		ring_publish(ring);
	}
	return NULL;
}

static void
test_two_threads(void **context)
{
	struct ring ring;
	pthread_t producer;
	uint32_t wrong = 0;
	(void)context;

	ring_init(&ring, memory, sizeof(memory));
	pthread_create(&producer, NULL, producer_main, &ring);
	for (uint32_t i = 0; i < RECORDS; i++) {
		uint32_t bytes = 0, number = 0;
		const uint8_t *record = ring_peek(&ring, &bytes);
		for (; record == NULL; record = ring_peek(&ring, &bytes))
			sched_yield();
		memcpy(&number, record, sizeof(number));
		wrong += number != i || bytes != record_length(i);
		for (uint32_t j = sizeof(number); j < bytes; j++)
			wrong += record[j] != (i & 0xff);
		ring_consume(&ring);
	}
	pthread_join(producer, NULL);
	assert_int_equal(wrong, 0);
	assert_true(ring_is_empty(&ring));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_unpublished_is_invisible),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_wrap_at_every_offset),
		cmocka_unit_test(test_random_against_a_list),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
