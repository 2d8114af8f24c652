/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/config_units.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base/bits.h"

__extension__ typedef unsigned __int128 u128;

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit byte_units[] = {
	{ "B", 1 },
	{ "KiB", 1ull << 10 },
	{ "MiB", 1ull << 20 },
	{ "GiB", 1ull << 30 },
	{ "TiB", 1ull << 40 },
};

static const struct unit time_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DIGITS_MAX   18

/* Reads digits[.digits] as number / scale, both exact. */
static bool
parse_decimal(const char **text, uint64_t *number, uint64_t *scale)
{
	const char *p = *text;
	uint32_t digits = 0;
	bool is_fraction = false;

	*number = 0;
	*scale = 1;
	for (; digits <= DIGITS_MAX; p++) {
		if (*p == '.' && !is_fraction && digits > 0) {
			is_fraction = true;
			if (p[1] < '0' || p[1] > '9')
				return false;
			continue;
		}
		if (*p < '0' || *p > '9')
			break;
		*number = *number * 10 + (uint64_t)(*p - '0');
		if (is_fraction)
			*scale *= 10;
		digits++;
	}
	*text = p;
	return digits > 0 && digits <= DIGITS_MAX;
}

static bool
parse_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
	uint64_t number, scale;

	if (!parse_decimal(&text, &number, &scale))
		return false;
	while (*text == ' ')
		text++;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].name) != 0)
			continue;
		const u128 product = (u128)number * units[i].factor;
		if (product % scale != 0 || product / scale > INT64_MAX)
			return false;
		*value = (uint64_t)(product / scale);
		return true;
	}
	return false;
}

bool
config_parse_bytes(const char *text, uint64_t *bytes)
{
	return parse_with_unit(text, byte_units, COUNT(byte_units), bytes);
}

bool
config_parse_ns(const char *text, uint64_t *ns)
{
	return parse_with_unit(text, time_units, COUNT(time_units), ns);
}

static bool
parse_small(const char **text, uint32_t *number)
{
	const char *p = *text;

	*number = 0;
	for (; *p >= '0' && *p <= '9' && p - *text < 2; p++)
		*number = *number * 10 + (uint32_t)(*p - '0');
	const bool has_digits = p != *text;
	*text = p;
	return has_digits;
}

bool
config_parse_geometry(const char *text, uint32_t *k, uint32_t *m)
{
	return parse_small(&text, k) && *text++ == '+' && parse_small(&text, m) && *text == '\0';
}

static void
format_with_unit(uint64_t value, const struct unit *units, size_t count, char *out)
{
	size_t best = 0;

	for (size_t i = 1; i < count; i++) {
		if (value != 0 && value % units[i].factor == 0)
			best = i;
	}
	(void)snprintf(out, CONFIG_UNITS_TEXT_MAX, "%llu%s",
		       (unsigned long long)(value / units[best].factor), units[best].name);
}

void
config_format_bytes(uint64_t bytes, char out[CONFIG_UNITS_TEXT_MAX])
{
	format_with_unit(bytes, byte_units, COUNT(byte_units), out);
}

void
config_format_ns(uint64_t ns, char out[CONFIG_UNITS_TEXT_MAX])
{
	format_with_unit(ns, time_units, COUNT(time_units), out);
}

#define WORD_MAX 48u

uint32_t
config_distance(const char *a, const char *b)
{
	uint32_t rows[3][WORD_MAX + 1];
	const size_t a_bytes = strlen(a), b_bytes = strlen(b);

	if (a_bytes > WORD_MAX || b_bytes > WORD_MAX)
		return 255;
	for (uint32_t j = 0; j <= b_bytes; j++)
		rows[0][j] = j;
	for (uint32_t i = 1; i <= a_bytes; i++) {
		uint32_t *row = rows[i % 3];
		const uint32_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
		row[0] = i;
		for (uint32_t j = 1; j <= b_bytes; j++) {
			const bool is_same = a[i - 1] == b[j - 1];
			row[j] = min_u32(above[j] + 1, row[j - 1] + 1);
			row[j] = min_u32(row[j], above[j - 1] + (is_same ? 0 : 1));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min_u32(row[j], above2[j - 2] + 1);
		}
	}
	return rows[a_bytes % 3][b_bytes];
}
