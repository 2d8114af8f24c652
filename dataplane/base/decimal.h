/* SPDX-License-Identifier: Apache-2.0 */
/* A 64-bit integer as decimal text: the one form that reads back as the same integer. */
#ifndef TERN_BASE_DECIMAL_H
#define TERN_BASE_DECIMAL_H

#include <stdint.h>

#define DECIMAL_BYTES_MAX 20u /* "-9223372036854775808" */

/* Writes @value without an end mark; returns how many bytes, 1..DECIMAL_BYTES_MAX. */
static inline uint32_t
decimal_write(int64_t value, uint8_t out[DECIMAL_BYTES_MAX])
{
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	uint8_t digits[DECIMAL_BYTES_MAX];
	uint32_t count = 0, used = 0;

	do {
		digits[count++] = (uint8_t)('0' + rest % 10);
		rest /= 10;
	} while (rest != 0);
	if (value < 0)
		out[used++] = '-';
	while (count > 0)
		out[used++] = digits[--count];
	return used;
}

#endif
