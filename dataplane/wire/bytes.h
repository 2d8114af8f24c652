/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the encoders and decoders in this room. */
#ifndef TERN_WIRE_BYTES_H
#define TERN_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/hash.h"
#include "dataplane/base/le.h"

static inline bool
bytes_are_zero(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint8_t any = 0;

	for (size_t i = 0; i < bytes; i++)
		any |= p[i];
	return any == 0;
}

static inline void
hash128_put(le64 out[2], struct hash128 hash)
{
	out[0] = le64_make(hash.low);
	out[1] = le64_make(hash.high);
}

static inline struct hash128
hash128_get(const le64 in[2])
{
	return (struct hash128){ le64_get(in[0]), le64_get(in[1]) };
}

#endif
