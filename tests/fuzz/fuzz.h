/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: reading an input as a list of numbers, and ending a run. */
#ifndef TERN_TESTS_FUZZ_FUZZ_H
#define TERN_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"

/* A target states with it what must hold; a failure is a finding, as a failed INVARIANT is. */
#define REQUIRE(expr) INVARIANT(expr)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Takes numbers from the front of an input. Behind its end everything is zero. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t
fuzz_take(struct fuzz_input *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes && in->left != 0; i++, in->at++, in->left--)
		value |= (uint64_t)*in->at << (8 * i);
	return value;
}

static inline uint8_t
fuzz_u8(struct fuzz_input *in)
{
	return (uint8_t)fuzz_take(in, 1);
}

/* Writes the CRC32C of bytes [from, from + bytes) of @data at @at. */
static inline void
fuzz_put_crc(uint8_t *data, size_t at, size_t from, size_t bytes)
{
	const le32 crc = le32_make(crc32c(data + from, bytes));

	memcpy(data + at, &crc, sizeof(crc));
}

#endif
