/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <isa-l/erasure_code.h>

#include "control/bench/ec.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/base/prng.h"
#include "dataplane/stripe/heal.h"

#define SLICE_NS    5000000u
#define CALLS_BATCH 16u /* between two looks at the clock */
#define TABLE_BYTES 32u

struct subject {
	struct stripe_geometry geometry;
	struct stripe_code *code;
	struct stripe_image image;
	uint32_t lost; /* data columns */
	/* ISA-L's own view of the same memory. */
	uint32_t sources, outputs;
	uint8_t tables[TABLE_BYTES * STRIPE_K_MAX * STRIPE_M_MAX];
	uint8_t *from[STRIPE_K_MAX], *to[STRIPE_M_MAX];
	int length;
	uint8_t *check; /* room for all outputs */
};

typedef void (*subject_run)(struct subject *subject);

static void
run_encode(struct subject *subject)
{
	stripe_encode(subject->code, &subject->image.layout, subject->image.data,
		      subject->image.parity);
}

static void
run_steps(struct subject *subject)
{
	const struct stripe_layout *layout = &subject->image.layout;
	const uint32_t m = subject->geometry.m;

	stripe_encode_begin(subject->code, layout, subject->image.parity);
	for (uint32_t column = m; column < stripe_devices(subject->geometry); column++) {
		if (stripe_column_pages(layout, column) != 0)
			stripe_encode_add(subject->code, layout, column, subject->image.data,
					  subject->image.parity);
	}
}

/* What a writer does to a group: parity, and the identity part of every page. */
static void
run_seal(struct subject *subject)
{
	run_encode(subject);
	stripe_image_identify(&subject->image, UINT32_MAX);
}

static void
run_decode(struct subject *subject)
{
	const struct stripe_decode decode = {
		.lost = subject->lost,
		.wanted = subject->lost,
		.end_row = subject->image.layout.rows,
	};
	const enum tern_err err = stripe_decode(subject->code, &subject->image.layout, &decode,
						subject->image.data, subject->image.parity);

	INVARIANT(err == TERN_OK);
}

static void
run_raw(struct subject *subject)
{
	ec_encode_data(subject->length, (int)subject->sources, (int)subject->outputs,
		       subject->tables, subject->from, subject->to);
}

/* ---- ISA-L by itself ---- */

static uint8_t *
column_memory(struct subject *subject, uint32_t column)
{
	return stripe_image_page(&subject->image, column, 0);
}

static void
raw_encode_make(struct subject *subject)
{
	const uint32_t k = subject->geometry.k, m = subject->geometry.m;
	uint8_t matrix[STRIPE_DEVICES_MAX * STRIPE_K_MAX], part[STRIPE_M_MAX * STRIPE_K_MAX];

	subject->sources = min_u32(k, subject->image.layout.pages);
	subject->outputs = m;
	subject->length = (int)(subject->image.layout.rows * PAGE_BYTES);
	gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
	for (uint32_t p = 0; p < m; p++) {
		memcpy(part + (size_t)p * subject->sources, matrix + (size_t)(k + p) * k,
		       subject->sources);
		subject->to[p] = column_memory(subject, p);
	}
	ec_init_tables((int)subject->sources, (int)m, part, subject->tables);
	for (uint32_t d = 0; d < subject->sources; d++)
		subject->from[d] = column_memory(subject, m + d);
}

/* The first @count data columns are lost. False: ISA-L cannot invert the matrix. */
static bool
raw_decode_make(struct subject *subject, uint32_t count)
{
	const uint32_t k = subject->geometry.k, m = subject->geometry.m;
	uint8_t matrix[STRIPE_DEVICES_MAX * STRIPE_K_MAX];
	uint8_t chosen[STRIPE_K_MAX * STRIPE_K_MAX], inverse[STRIPE_K_MAX * STRIPE_K_MAX];

	gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
	for (uint32_t s = 0; s < k; s++) {
		const uint32_t row = count + s; /* of the matrix: data columns, then parity */
		memcpy(chosen + (size_t)s * k, matrix + (size_t)row * k, k);
		subject->from[s] = column_memory(subject, row < k ? m + row : row - k);
	}
	if (gf_invert_matrix(chosen, inverse, (int)k) != 0)
		return false;
	for (uint32_t d = 0; d < count; d++)
		subject->to[d] = column_memory(subject, m + d);
	ec_init_tables((int)k, (int)count, inverse, subject->tables);
	subject->sources = k;
	subject->outputs = count;
	return true;
}

/* ---- measuring ---- */

/* Time of this thread on its core: others on a shared machine do not count. */
static uint64_t
cpu_ns(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Calls for at least SLICE_NS; adds to @calls and @ns. */
static void
slice(struct subject *subject, subject_run run, uint64_t *calls, uint64_t *ns)
{
	const uint64_t begin = cpu_ns();
	uint64_t now = begin;

	while (now - begin < SLICE_NS) {
		for (uint32_t i = 0; i < CALLS_BATCH; i++)
			run(subject);
		*calls += CALLS_BATCH;
		now = cpu_ns();
	}
	*ns += now - begin;
}

static void
measure(struct subject *subject, subject_run run, bool has_raw, uint64_t duration_ns,
	struct bench_ec_point *point)
{
	const double bytes = (double)subject->image.layout.pages * PAGE_BYTES;
	uint64_t calls = 0, ns = 0, raw_calls = 0, raw_ns = 0;

	while (ns < duration_ns) {
		slice(subject, run, &calls, &ns);
		if (has_raw)
			slice(subject, run_raw, &raw_calls, &raw_ns);
	}
	point->has_raw = has_raw;
	point->bytes_per_s = bytes * (double)calls * 1e9 / (double)ns;
	if (has_raw)
		point->raw_bytes_per_s = bytes * (double)raw_calls * 1e9 / (double)raw_ns;
}

static struct bench_ec_point *
point_add(struct bench_ec_result *result, const char *what, uint32_t number, uint32_t pages)
{
	struct bench_ec_point *point = &result->points[result->point_count++];
	const uint32_t kib = pages * PAGE_BYTES / 1024;

	INVARIANT(result->point_count <= BENCH_EC_POINTS_MAX);
	if (number != 0)
		(void)snprintf(point->name, sizeof(point->name), "%s %u lost, %u KiB", what, number,
			       kib);
	else
		(void)snprintf(point->name, sizeof(point->name), "%s, %u KiB", what, kib);
	return point;
}

/* Both ways give the same bytes, whatever was there before. */
static bool
is_equal(struct subject *subject, subject_run run)
{
	const size_t bytes = (size_t)subject->length;
	bool is_same = true;

	for (uint32_t i = 0; i < subject->outputs; i++)
		memset(subject->to[i], 0x55, bytes);
	run(subject);
	for (uint32_t i = 0; i < subject->outputs; i++) {
		memcpy(subject->check + i * bytes, subject->to[i], bytes);
		memset(subject->to[i], 0xaa, bytes);
	}
	run_raw(subject);
	for (uint32_t i = 0; i < subject->outputs; i++)
		is_same &= memcmp(subject->check + i * bytes, subject->to[i], bytes) == 0;
	return is_same;
}

static void
group_make(struct subject *subject, uint64_t first_cell, uint32_t pages, uint8_t *memory)
{
	const struct stripe_geometry geometry = subject->geometry;
	struct prng prng;

	prng_seed(&prng, pages);
	subject->image.layout = stripe_layout_make(geometry, first_cell, pages);
	subject->image.group = (struct page_identity){
		.cluster_id = 1,
		.node_id = 1,
		.boot_no = 1,
		.group_seq = 1,
		.first_cell = first_cell,
		.group_pages = pages,
		.k = (uint8_t)geometry.k,
		.m = (uint8_t)geometry.m,
	};
	subject->image.data = memory;
	subject->image.parity = memory + (size_t)pages * PAGE_BYTES;
	for (size_t at = 0; at < (size_t)pages * PAGE_BYTES; at += 8) {
		const uint64_t value = prng_next(&prng);
		memcpy(memory + at, &value, sizeof(value));
	}
}

/* Pages of the group that is nearest to @kib and fills its rows, or is one page. */
static uint32_t
size_pages(struct stripe_geometry geometry, uint32_t kib)
{
	const uint32_t pages = kib * 1024 / PAGE_BYTES;

	return pages < geometry.k ? 1 : (pages + geometry.k / 2) / geometry.k * geometry.k;
}

static bool
measure_all(struct subject *subject, uint8_t *memory, uint64_t duration_ns,
	    struct bench_ec_result *result)
{
	static const uint32_t sizes_kib[BENCH_EC_SIZES] = { 4, 64, 256 };
	const uint32_t m = subject->geometry.m, k = subject->geometry.k;

	for (uint32_t i = 0; i < BENCH_EC_SIZES; i++) {
		const uint32_t pages = size_pages(subject->geometry, i == 0 ? 0 : sizes_kib[i]);
		group_make(subject, 0, i == 0 ? 1 : pages, memory);
		raw_encode_make(subject);
		if (!is_equal(subject, run_encode) || !is_equal(subject, run_steps))
			return false;
		const uint32_t n = subject->image.layout.pages;
		measure(subject, run_encode, true, duration_ns, point_add(result, "encode", 0, n));
		measure(subject, run_steps, false, duration_ns,
			point_add(result, "encode by columns", 0, n));
		measure(subject, run_seal, false, duration_ns,
			point_add(result, "encode and identify", 0, n));
	}
	run_encode(subject); /* parity as it was encoded, without identity parts */
	for (uint32_t count = 1; count <= min_u32(m, k); count++) {
		subject->lost = (STRIPE_BIT(count) - 1) << m;
		if (!raw_decode_make(subject, count) || !is_equal(subject, run_decode))
			return false;
		measure(subject, run_decode, true, duration_ns,
			point_add(result, "decode", count, subject->image.layout.pages));
	}
	return true;
}

bool
bench_ec_measure(struct stripe_geometry geometry, uint64_t duration_ns,
		 struct bench_ec_result *result, char *text, size_t text_bytes)
{
	/* 256 KiB of data, rounded to whole rows, at most as much parity a column, and as much to
	 * check it. */
	const size_t data_bytes = (size_t)(64 + STRIPE_K_MAX) * PAGE_BYTES;
	const size_t bytes = data_bytes * (1 + 2 * STRIPE_M_MAX);
	const size_t code_bytes = align_up_u64(stripe_code_bytes(), PAGE_BYTES);
	struct subject *subject = calloc(1, sizeof(*subject));
	uint8_t *memory = aligned_alloc(PAGE_BYTES, code_bytes + bytes);
	bool is_good = subject != NULL && memory != NULL;

	INVARIANT(geometry.m >= 1);
	(void)snprintf(text, text_bytes, "out of memory");
	*result = (struct bench_ec_result){ 0 };
	if (is_good) {
		subject->geometry = geometry;
		subject->check = memory + code_bytes + data_bytes * (1 + STRIPE_M_MAX);
		is_good = stripe_code_init(memory, geometry, &subject->code) == TERN_OK &&
			  measure_all(subject, memory + code_bytes, duration_ns, result);
		(void)snprintf(text, text_bytes, "the encoder and ISA-L give different bytes");
	}
	free(subject);
	free(memory);
	return is_good;
}
