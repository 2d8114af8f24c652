/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders survive anything: random bytes, and samples with changed bytes whose CRC was made right
 * again, as a peer with a defect would send them. What is accepted is what would be encoded: so
 * reserved bits, ranges and counts are checked, and nothing is read past the end.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/le.h"
#include "dataplane/base/prng.h"
#include "tests/support/check.h"
#include "tests/unit/wire/samples.h"

#define ROUNDS 30000u

/* Exactly as many bytes as the decoder is told of. */
static uint8_t *
exact_copy(const uint8_t *data, uint32_t bytes)
{
	uint8_t *copy = malloc(bytes);

	assert_non_null(copy);
	memcpy(copy, data, bytes);
	return copy;
}

static void
mutate(struct prng *prng, uint8_t *data, uint32_t bytes)
{
	const uint64_t count = prng_between(prng, 1, 3);

	for (uint64_t i = 0; i < count; i++) {
		/* Most of what can be wrong stands near the beginning. */
		const uint64_t range = prng_below(prng, 2) == 0 ? bytes : (bytes < 80 ? bytes : 80);
		uint8_t *at = &data[prng_below(prng, range)];
		switch (prng_below(prng, 4)) {
		case 0:
			*at = 0;
			break;
		case 1:
			*at = 0xff;
			break;
		case 2:
			*at ^= (uint8_t)(1u << prng_below(prng, 8));
			break;
		default:
			*at = (uint8_t)prng_next(prng);
			break;
		}
	}
}

static void
crc_repair(const struct sample *sample, uint8_t *data)
{
	if (sample->covered_end == 0)
		return;
	const le32 crc = le32_make(
	    crc32c(data + sample->covered_first, sample->covered_end - sample->covered_first));
	memcpy(data + sample->crc_at, &crc, sizeof(crc));
}

/* Bytes that are accepted and not kept: the tag of frames, the spare room of the storage formats,
 * and what the headers of other protocols say beside what we need. */
static bool
is_canonical(const char *name)
{
	return strncmp(name, "command_", 8) == 0 || strncmp(name, "page_", 5) == 0 ||
	       strncmp(name, "block_", 6) == 0;
}

static void
test_mutations(void **context)
{
	struct samples *samples = samples_make();
	struct prng prng;
	(void)context;

	prng_seed(&prng, 77);
	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		const uint32_t rounds = sample->bytes > 1000 ? ROUNDS / 20 : ROUNDS;
		uint32_t accepted = 0;
		for (uint32_t round = 0; round < rounds; round++) {
			uint8_t *data = exact_copy(sample->data, sample->bytes);
			mutate(&prng, data, sample->bytes);
			crc_repair(sample, data);
			uint8_t *before = exact_copy(data, sample->bytes);
			if (sample->turn(data, sample->bytes) == TERN_OK) {
				accepted++;
				if (is_canonical(sample->name) &&
				    memcmp(before, data, sample->bytes) != 0)
					fail_msg("%s: accepted what it would not write",
						 sample->name);
				/* Whatever it was read as, it is written as something that is read
				 * and written just so. */
				memcpy(before, data, sample->bytes);
				assert_int_equal(sample->turn(data, sample->bytes), TERN_OK);
				assert_memory_equal(before, data, sample->bytes);
			}
			free(before);
			free(data);
		}
		if (accepted == 0 && strcmp(sample->name, "command_session_open") != 0)
			fail_msg("%s: every mutation was refused, nothing was tested",
				 sample->name);
	}
	free(samples);
}

static void
test_random_bytes(void **context)
{
	struct samples *samples = samples_make();
	struct prng prng;
	(void)context;

	prng_seed(&prng, 78);
	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		const bool is_fixed = strncmp(sample->name, "page_", 5) == 0 ||
				      strncmp(sample->name, "checkpoint_", 11) == 0 ||
				      strncmp(sample->name, "block_", 6) == 0 ||
				      sample->crc_at != 0;
		for (uint32_t round = 0; round < 2000; round++) {
			const uint32_t bytes =
			    is_fixed ? sample->bytes : 4 + (uint32_t)prng_below(&prng, 300);
			uint8_t *data = malloc(bytes);
			assert_non_null(data);
			for (uint32_t b = 0; b < bytes; b++)
				data[b] = (uint8_t)prng_next(&prng);
			(void)sample->turn(data, bytes);
			free(data);
		}
	}
	free(samples);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
