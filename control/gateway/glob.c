/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/glob.h"

/* Matches @byte with the set that begins behind '[' at @at; moves @at behind the set. An unfinished
 * set ends with the pattern. */
static bool
set_match(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t *at, uint8_t byte)
{
	uint32_t i = *at;
	const bool is_negated = i < pattern_bytes && pattern[i] == '^';
	bool is_in = false;

	for (i += is_negated ? 1 : 0; i < pattern_bytes && pattern[i] != ']'; i++) {
		if (pattern[i] == '\\' && i + 1 < pattern_bytes)
			i++;
		uint8_t low = pattern[i], high = low;
		if (i + 2 < pattern_bytes && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
			high = pattern[i + 2];
			i += 2;
		}
		if (low > high) {
			const uint8_t swap = low;
			low = high;
			high = swap;
		}
		is_in |= byte >= low && byte <= high;
	}
	*at = i < pattern_bytes ? i + 1 : i;
	return is_in != is_negated;
}

/* Matches one byte with what is at @at, which is no '*'; moves @at behind it. */
static bool
one_match(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t *at, uint8_t byte)
{
	const uint8_t c = pattern[(*at)++];

	if (c == '?')
		return true;
	if (c == '[')
		return set_match(pattern, pattern_bytes, at, byte);
	if (c == '\\' && *at < pattern_bytes)
		return pattern[(*at)++] == byte;
	return c == byte;
}

bool
glob_match(const uint8_t *pattern, uint32_t pattern_bytes, const uint8_t *text, uint32_t text_bytes,
	   uint64_t *steps)
{
	uint32_t p = 0, t = 0, star_p = 0, star_t = 0;
	bool has_star = false;

	/* Going back to the last star is enough: what an earlier one took can stay as short. */
	while (t < text_bytes) {
		const uint32_t from = p;
		if (p < pattern_bytes && pattern[p] == '*') {
			*steps += 1;
			has_star = true;
			star_p = ++p;
			star_t = t;
			if (p == pattern_bytes)
				return true;
			continue;
		}
		const bool is_same =
		    p < pattern_bytes && one_match(pattern, pattern_bytes, &p, text[t]);
		*steps += p > from ? p - from : 1;
		if (is_same) {
			t++;
			continue;
		}
		if (!has_star)
			return false;
		p = star_p;
		t = ++star_t;
	}
	while (p < pattern_bytes && pattern[p] == '*')
		p++;
	return p == pattern_bytes;
}

uint32_t
glob_prefix(const uint8_t *pattern, uint32_t pattern_bytes)
{
	for (uint32_t i = 0; i < pattern_bytes; i++) {
		if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[' ||
		    pattern[i] == '\\')
			return i;
	}
	return pattern_bytes;
}
