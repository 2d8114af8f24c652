/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One encoded sample of every format, every field with a value of its own, and for each a function
 * that decodes it and encodes what it got. Golden bytes, flipped bits and mutations share them.
 */
#ifndef TERN_TESTS_WIRE_SAMPLES_H
#define TERN_TESTS_WIRE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"

#define SAMPLE_BYTES_MAX 8192u
#define SAMPLES_MAX      80u

struct sample {
	const char *name; /* of its file in tests/vectors, without ".hex" */
	uint32_t bytes;
	/* Where the CRC lies and what it covers; covered_end 0: no CRC. */
	uint32_t crc_at, covered_first, covered_end;
	/* Decodes @data and, if that is TERN_OK, encodes the result over @data again. */
	enum tern_err (*turn)(uint8_t *data, uint32_t bytes);
	uint8_t data[SAMPLE_BYTES_MAX];
};

struct samples {
	uint32_t count;
	struct sample list[SAMPLES_MAX];
};

/* On the heap, for it is large; free() it. */
struct samples *samples_make(void);

#endif
