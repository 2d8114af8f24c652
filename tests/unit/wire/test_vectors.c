/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden bytes: what each format looked like when it was frozen. A test that fails here has changed
 * a format: raise its version, or take the change back. `test_wire_vectors --write DIR` writes the
 * files anew.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/wire/samples.h"

static const char *vectors_dir;

static FILE *
vector_open(const char *name, const char *mode)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s.hex", vectors_dir, name);
	return fopen(path, mode);
}

static int
nibble(int c)
{
	return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

/* Lines that start with '#' are comments; white space does not count. */
static uint32_t
vector_read(FILE *file, uint8_t *out, uint32_t capacity)
{
	uint32_t count = 0;
	int high = -1;

	for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
		if (c == '#') {
			while (c != '\n' && c != EOF)
				c = fgetc(file);
		} else if (isxdigit(c) && high < 0) {
			high = nibble(c);
		} else if (isxdigit(c)) {
			assert_in_range(count, 0, capacity - 1);
			out[count++] = (uint8_t)(high << 4 | nibble(c));
			high = -1;
		} else {
			assert_true(isspace(c) && high < 0);
		}
	}
	assert_int_equal(high, -1);
	return count;
}

static void
test_golden_bytes(void **context)
{
	struct samples *samples = samples_make();
	static uint8_t golden[SAMPLE_BYTES_MAX];
	(void)context;

	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		FILE *file = vector_open(sample->name, "r");
		if (file == NULL)
			fail_msg("no file of golden bytes for %s", sample->name);
		const uint32_t bytes = vector_read(file, golden, sizeof(golden));
		fclose(file);
		if (bytes != sample->bytes || memcmp(golden, sample->data, bytes) != 0)
			fail_msg("%s is no longer encoded as it was frozen", sample->name);
	}
	free(samples);
}

/* What was frozen can still be read, and says the same when it is written again. */
static void
test_golden_bytes_decode(void **context)
{
	struct samples *samples = samples_make();
	static uint8_t golden[SAMPLE_BYTES_MAX], again[SAMPLE_BYTES_MAX];
	(void)context;

	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		FILE *file = vector_open(sample->name, "r");
		assert_non_null(file);
		const uint32_t bytes = vector_read(file, golden, sizeof(golden));
		fclose(file);
		memcpy(again, golden, bytes);
		if (sample->turn(again, bytes) != TERN_OK || memcmp(again, golden, bytes) != 0)
			fail_msg("%s cannot be read back as it was frozen", sample->name);
	}
	free(samples);
}

static int
vectors_write(void)
{
	struct samples *samples = samples_make();

	for (uint32_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		FILE *file = vector_open(sample->name, "w");
		if (file == NULL)
			return 1;
		fprintf(file, "# SPDX-License-Identifier: Apache-2.0\n# %s, %u bytes\n",
			sample->name, sample->bytes);
		for (uint32_t b = 0; b < sample->bytes; b++)
			fprintf(file, "%02x%c", sample->data[b],
				b % 32 == 31 || b + 1 == sample->bytes ? '\n' : ' ');
		fclose(file);
	}
	free(samples);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_golden_bytes_decode),
	};

	if (argc == 3 && strcmp(argv[1], "--write") == 0) {
		vectors_dir = argv[2];
		return vectors_write();
	}
	if (argc != 2) {
		fprintf(stderr, "usage: test_wire_vectors [--write] DIR\n");
		return 2;
	}
	vectors_dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
