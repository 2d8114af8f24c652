/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/code.h"

#include <stdalign.h>
#include <string.h>

#include <isa-l/erasure_code.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

/* ISA-L expands a coefficient to this many bytes. */
#define TABLE_BYTES 32u
/* Tables of parity for the first 1, 2 .. k data columns, one after the other. */
#define PREFIX_TABLES (STRIPE_K_MAX * (STRIPE_K_MAX + 1) / 2)

/* What gives the lost columns back: of each, k coefficients for the sources. */
struct pattern {
	uint32_t lost; /* 0: unused */
	uint8_t sources[STRIPE_K_MAX];
	uint8_t tables[STRIPE_M_MAX * STRIPE_K_MAX * TABLE_BYTES];
};

struct stripe_code {
	struct stripe_geometry geometry;
	/* Row k + p is parity p; rows 0 .. k - 1 are the identity matrix. */
	uint8_t matrix[STRIPE_DEVICES_MAX * STRIPE_K_MAX];
	alignas(64) uint8_t tables[PREFIX_TABLES * STRIPE_M_MAX * TABLE_BYTES];
	uint64_t found, made;
	struct pattern patterns[STRIPE_PATTERNS_MAX];
};

static const alignas(64) uint8_t zero_page[PAGE_BYTES];

size_t
stripe_code_bytes(void)
{
	return sizeof(struct stripe_code);
}

/* Tables for a group whose rows have pages in the first @columns data columns only. */
static uint8_t *
prefix_tables(const struct stripe_code *code, uint32_t columns)
{
	const size_t before = (size_t)columns * (columns - 1) / 2;

	return (uint8_t *)(uintptr_t)code->tables + before * code->geometry.m * TABLE_BYTES;
}

enum tern_err
stripe_code_init(void *memory, struct stripe_geometry geometry, struct stripe_code **out)
{
	struct stripe_code *code = memory;
	uint8_t part[STRIPE_M_MAX * STRIPE_K_MAX];
	const uint32_t k = geometry.k, m = geometry.m;

	INVARIANT(((uintptr_t)memory & 63) == 0);
	if (!stripe_geometry_is_valid(geometry))
		return TERN_ERR_CONFIG;
	memset(code, 0, sizeof(*code));
	code->geometry = geometry;
	gf_gen_cauchy1_matrix(code->matrix, (int)(k + m), (int)k);
	for (uint32_t columns = 1; columns <= k && m != 0; columns++) {
		for (uint32_t p = 0; p < m; p++)
			memcpy(part + (size_t)p * columns, code->matrix + (size_t)(k + p) * k,
			       columns);
		ec_init_tables((int)columns, (int)m, part, prefix_tables(code, columns));
	}
	*out = code;
	return TERN_OK;
}

struct stripe_geometry
stripe_code_geometry(const struct stripe_code *code)
{
	return code->geometry;
}

void
stripe_code_patterns(const struct stripe_code *code, uint64_t *found, uint64_t *made)
{
	*found = code->found;
	*made = code->made;
}

static uint8_t *
data_at(const struct stripe_layout *layout, const uint8_t *data, uint32_t column, uint32_t row)
{
	/* ISA-L declares what it only reads as writable. */
	return (uint8_t *)(uintptr_t)data +
	       (size_t)(stripe_column_first(layout, column) + row) * PAGE_BYTES;
}

static uint8_t *
parity_at(const struct stripe_layout *layout, uint8_t *parity, uint32_t column, uint32_t row)
{
	return parity + ((size_t)column * layout->rows + row) * PAGE_BYTES;
}

void
stripe_encode(const struct stripe_code *code, const struct stripe_layout *layout,
	      const uint8_t *data, uint8_t *parity)
{
	const uint32_t k = code->geometry.k, m = code->geometry.m;
	uint8_t *from[STRIPE_K_MAX], *to[STRIPE_M_MAX];

	INVARIANT(layout->geometry.k == k && layout->geometry.m == m);
	if (m == 0)
		return;
	/* All full rows at once, then the last one, which only the long columns have. */
	for (uint32_t part = 0; part < 2; part++) {
		const uint32_t row = part == 0 ? 0 : layout->full_rows;
		const uint32_t rows = part == 0 ? layout->full_rows : layout->rows - row;
		const uint32_t columns = part == 0 ? k : layout->long_columns;
		if (rows == 0)
			continue;
		for (uint32_t d = 0; d < columns; d++)
			from[d] = data_at(layout, data, m + d, row);
		for (uint32_t p = 0; p < m; p++)
			to[p] = parity_at(layout, parity, p, row);
		ec_encode_data((int)(rows * PAGE_BYTES), (int)columns, (int)m,
			       prefix_tables(code, columns), from, to);
	}
}

void
stripe_encode_begin(const struct stripe_code *code, const struct stripe_layout *layout,
		    uint8_t *parity)
{
	memset(parity, 0, (size_t)code->geometry.m * layout->rows * PAGE_BYTES);
}

void
stripe_encode_add(const struct stripe_code *code, const struct stripe_layout *layout,
		  uint32_t column, const uint8_t *data, uint8_t *parity)
{
	const uint32_t k = code->geometry.k, m = code->geometry.m;
	const uint32_t pages = stripe_column_pages(layout, column);
	uint8_t *to[STRIPE_M_MAX];

	INVARIANT(column >= m && column < k + m && pages != 0);
	if (m == 0)
		return;
	for (uint32_t p = 0; p < m; p++)
		to[p] = parity_at(layout, parity, p, 0);
	ec_encode_data_update((int)(pages * PAGE_BYTES), (int)k, (int)m, (int)(column - m),
			      prefix_tables(code, k), data_at(layout, data, column, 0), to);
}

/* ---- decoding ---- */

/* The row of the matrix that makes a column out of the data. */
static const uint8_t *
matrix_row(const struct stripe_code *code, uint32_t column)
{
	const uint32_t k = code->geometry.k, m = code->geometry.m;

	return code->matrix + (size_t)(column < m ? k + column : column - m) * k;
}

/* Coefficients that make @column out of the sources whose inverted matrix is @inverse. */
static void
coefficients_make(const struct stripe_code *code, const uint8_t *inverse, uint32_t column,
		  uint8_t *out)
{
	const uint32_t k = code->geometry.k;
	const uint8_t *row = matrix_row(code, column);

	for (uint32_t s = 0; s < k; s++) {
		uint8_t sum = 0;
		for (uint32_t d = 0; d < k; d++)
			sum ^= gf_mul(row[d], inverse[(size_t)d * k + s]);
		out[s] = sum;
	}
}

static void
pattern_make(const struct stripe_code *code, uint32_t lost, struct pattern *pattern)
{
	const uint32_t k = code->geometry.k, m = code->geometry.m;
	uint8_t chosen[STRIPE_K_MAX * STRIPE_K_MAX], inverse[STRIPE_K_MAX * STRIPE_K_MAX];
	uint8_t coefficients[STRIPE_M_MAX * STRIPE_K_MAX];
	uint32_t count = 0, outputs = 0;

	/* Data columns first: their rows are those of the identity matrix. */
	for (uint32_t i = 0; i < k + m && count < k; i++) {
		const uint32_t column = (m + i) % (k + m);
		if ((lost & STRIPE_BIT(column)) != 0)
			continue;
		memcpy(chosen + (size_t)count * k, matrix_row(code, column), k);
		pattern->sources[count++] = (uint8_t)column;
	}
	INVARIANT(count == k);
	const int is_singular = gf_invert_matrix(chosen, inverse, (int)k);
	INVARIANT(is_singular == 0); /* a property of Cauchy matrices, tested for all patterns */
	for (uint32_t column = 0; column < k + m; column++) {
		if ((lost & STRIPE_BIT(column)) != 0)
			coefficients_make(code, inverse, column,
					  coefficients + (size_t)outputs++ * k);
	}
	INVARIANT(outputs <= m);
	ec_init_tables((int)k, (int)outputs, coefficients, pattern->tables);
	pattern->lost = lost;
}

static struct pattern *
pattern_find(struct stripe_code *code, uint32_t lost)
{
	for (uint32_t i = 0; i < STRIPE_PATTERNS_MAX; i++) {
		if (code->patterns[i].lost == lost) {
			code->found++;
			return &code->patterns[i];
		}
	}
	struct pattern *pattern = &code->patterns[code->made++ % STRIPE_PATTERNS_MAX];
	pattern_make(code, lost, pattern);
	return pattern;
}

/* Rows that all have pages in the same columns; what is lost has pages in them. */
static void
rows_decode(const struct stripe_code *code, const struct stripe_layout *layout,
	    const struct stripe_decode *decode, const struct pattern *pattern, uint8_t *data,
	    uint8_t *parity)
{
	const uint32_t k = code->geometry.k, m = code->geometry.m, row = decode->first_row;
	const uint32_t length = (decode->end_row - row) * PAGE_BYTES;
	uint8_t tables[STRIPE_M_MAX * STRIPE_K_MAX * TABLE_BYTES];
	uint8_t *from[STRIPE_K_MAX], *to[STRIPE_M_MAX];
	uint32_t outputs = 0, slot = 0;

	for (uint32_t s = 0; s < k; s++) {
		const uint32_t column = pattern->sources[s];
		if (row >= stripe_column_pages(layout, column))
			from[s] = (uint8_t *)(uintptr_t)zero_page; /* then it is one row */
		else
			from[s] = column < m ? parity_at(layout, parity, column, row)
					     : data_at(layout, data, column, row);
	}
	for (uint32_t column = 0; column < k + m; column++) {
		if ((decode->lost & STRIPE_BIT(column)) == 0)
			continue;
		if ((decode->wanted & STRIPE_BIT(column)) != 0) {
			memcpy(tables + (size_t)outputs * k * TABLE_BYTES,
			       pattern->tables + (size_t)slot * k * TABLE_BYTES, k * TABLE_BYTES);
			to[outputs++] = column < m ? parity_at(layout, parity, column, row)
						   : data_at(layout, data, column, row);
		}
		slot++;
	}
	if (outputs != 0)
		ec_encode_data((int)length, (int)k, (int)outputs, tables, from, to);
}

/* Columns without a page in @row: known to be zero there. */
static uint32_t
columns_without(const struct stripe_layout *layout, uint32_t row)
{
	const uint32_t m = layout->geometry.m, devices = stripe_devices(layout->geometry);
	const uint32_t used = row < layout->full_rows ? devices : m + layout->long_columns;

	return (STRIPE_BIT(devices) - 1) & ~(STRIPE_BIT(used) - 1);
}

enum tern_err
stripe_decode(struct stripe_code *code, const struct stripe_layout *layout,
	      const struct stripe_decode *decode, uint8_t *data, uint8_t *parity)
{
	struct stripe_decode parts[2] = { *decode, *decode };
	const uint32_t middle =
	    max_u32(decode->first_row, min_u32(decode->end_row, layout->full_rows));

	INVARIANT(layout->geometry.k == code->geometry.k && layout->geometry.m == code->geometry.m);
	INVARIANT(decode->first_row <= decode->end_row && decode->end_row <= layout->rows);
	INVARIANT((decode->wanted & ~decode->lost) == 0);
	/* All full rows, then the last one. */
	parts[0].end_row = middle;
	parts[1].first_row = middle;
	for (uint32_t i = 0; i < 2; i++) {
		if (parts[i].first_row == parts[i].end_row)
			continue;
		parts[i].lost &= ~columns_without(layout, parts[i].first_row);
		parts[i].wanted &= parts[i].lost;
		if ((uint32_t)__builtin_popcount(parts[i].lost) > code->geometry.m)
			return TERN_ERR_NOT_FOUND;
	}
	for (uint32_t i = 0; i < 2; i++) {
		if (parts[i].first_row != parts[i].end_row && parts[i].wanted != 0)
			rows_decode(code, layout, &parts[i], pattern_find(code, parts[i].lost),
				    data, parity);
	}
	return TERN_OK;
}
