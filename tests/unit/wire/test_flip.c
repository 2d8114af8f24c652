/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips, and every single flipped bit of what a CRC covers is refused. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/wire/samples.h"

static void
test_round_trips(void **context)
{
	struct samples *samples = samples_make();
	(void)context;

	assert_in_range(samples->count, 25, SAMPLES_MAX);
	for (uint32_t i = 0; i < samples->count; i++) {
		struct sample copy = samples->list[i];
		assert_int_equal(copy.turn(copy.data, copy.bytes), TERN_OK);
		assert_memory_equal(copy.data, samples->list[i].data, copy.bytes);
	}
	free(samples);
}

/* With the CRC itself and, where there is one, the magic before it. */
static void
test_every_flipped_bit_is_refused(void **context)
{
	struct samples *samples = samples_make();
	static uint8_t data[SAMPLE_BYTES_MAX];
	uint64_t flips = 0;
	(void)context;

	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		memcpy(data, sample->data, sample->bytes);
		for (uint32_t bit = 0; bit < sample->covered_end * 8; bit++) {
			const uint8_t mask = (uint8_t)(1u << (bit % 8));
			data[bit / 8] ^= mask;
			if (sample->turn(data, sample->bytes) == TERN_OK)
				fail_msg("%s: flipped bit %u was not seen", sample->name, bit);
			data[bit / 8] ^= mask;
			flips++;
		}
		assert_memory_equal(data, sample->data, sample->bytes);
	}
	assert_in_range(flips, 40000, UINT32_MAX);
	free(samples);
}

/* Cut short at every length, a frame or a command is refused. */
static void
test_every_cut_is_refused(void **context)
{
	struct samples *samples = samples_make();
	(void)context;

	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		if (strncmp(sample->name, "frame_", 6) != 0 &&
		    strncmp(sample->name, "command_", 8) != 0 &&
		    strncmp(sample->name, "inet_", 5) != 0)
			continue;
		for (uint32_t bytes = 0; bytes < sample->bytes; bytes++) {
			/* Exactly as large, so that reading past the end is seen by the sanitizer;
			 * command_decode wants 4 bytes that say the length. */
			uint8_t *cut = malloc(bytes + 1);
			assert_non_null(cut);
			memcpy(cut, sample->data, bytes);
			assert_int_not_equal(sample->turn(cut, bytes), TERN_OK);
			free(cut);
		}
	}
	free(samples);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_every_cut_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
