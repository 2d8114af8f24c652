/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of KEYS and SCAN: '*' any bytes, '?' any one, [abc] [a-z] [^a-z] one of them or not,
 * '\\' takes the next byte as it is. Pure. */
#ifndef TERN_GATEWAY_GLOB_H
#define TERN_GATEWAY_GLOB_H

#include <stdbool.h>
#include <stdint.h>

#define GLOB_PATTERN_BYTES_MAX 1024u

/* Adds to *@steps what it costs: how many bytes of the pattern it looked at, those that it came
 * back to again. That is as many as the text has, or fewer, as a rule, and pattern_bytes *
 * text_bytes at worst. */
bool glob_match(const uint8_t *pattern, uint32_t pattern_bytes, const uint8_t *text,
		uint32_t text_bytes, uint64_t *steps);
/* How many bytes of @pattern every match begins with, as they are. */
uint32_t glob_prefix(const uint8_t *pattern, uint32_t pattern_bytes);

#endif
