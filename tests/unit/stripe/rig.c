/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/stripe/rig.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"

void *
rig_memory(size_t bytes)
{
	void *memory = aligned_alloc(PAGE_BYTES, align_up_u64(bytes + 1, PAGE_BYTES));

	assert_non_null(memory);
	return memory;
}

struct stripe_code *
rig_code(struct stripe_geometry geometry, void **memory)
{
	struct stripe_code *code;

	*memory = rig_memory(stripe_code_bytes());
	assert_int_equal(stripe_code_init(*memory, geometry, &code), TERN_OK);
	return code;
}

/* A page that verifies; some end early. */
static void
page_fill(uint8_t *page, uint32_t number, struct prng *prng)
{
	struct page_content content = {
		.cluster_id = RIG_CLUSTER,
		.term = 3,
		.log_index = 7 + number,
		.used_bytes = (uint32_t)prng_between(prng, 1, PAGE_PAYLOAD_BYTES),
	};

	if (prng_below(prng, 2) == 0)
		content.used_bytes = PAGE_PAYLOAD_BYTES;
	memset(page, 0, PAGE_BYTES);
	for (uint32_t i = 0; i < content.used_bytes; i++)
		page[PAGE_PAYLOAD_OFFSET + i] = (uint8_t)prng_next(prng);
	page_content_seal(page, &content);
}

void
rig_make(struct rig *rig, struct stripe_geometry geometry, uint64_t first_cell, uint32_t pages,
	 uint64_t seed)
{
	struct prng prng;

	memset(rig, 0, sizeof(*rig));
	prng_seed(&prng, seed);
	rig->code = rig_code(geometry, &rig->memory[0]);
	rig->image.layout = stripe_layout_make(geometry, first_cell, pages);
	rig->image.group = (struct page_identity){
		.cluster_id = RIG_CLUSTER,
		.node_id = RIG_NODE,
		.boot_no = 4,
		.pool_gen = 9,
		.group_seq = 100 + seed,
		.acked_floor = 5,
		.first_cell = first_cell,
		.group_pages = pages,
		.k = (uint8_t)geometry.k,
		.m = (uint8_t)geometry.m,
	};
	rig->pages = pages;
	rig->parity_pages = geometry.m * rig->image.layout.rows;
	const size_t bytes = (size_t)(pages + rig->parity_pages) * PAGE_BYTES;
	rig->memory[1] = rig_memory(bytes);
	rig->memory[2] = rig->good = rig_memory(bytes);
	rig->memory[3] = rig->scratch = rig_memory((size_t)rig->parity_pages * PAGE_BYTES);
	rig->image.data = rig->memory[1];
	rig->image.parity = rig->image.data + (size_t)pages * PAGE_BYTES;
	for (uint32_t i = 0; i < pages; i++)
		page_fill(rig->image.data + (size_t)i * PAGE_BYTES, i, &prng);
	stripe_encode(rig->code, &rig->image.layout, rig->image.data, rig->image.parity);
	stripe_image_identify(&rig->image, UINT32_MAX);
	memcpy(rig->good, rig->image.data, bytes);
}

void
rig_free(struct rig *rig)
{
	for (uint32_t i = 0; i < 4; i++)
		free(rig->memory[i]);
}

void
rig_lose(struct rig *rig, uint32_t columns)
{
	for (uint32_t column = 0; column < stripe_devices(rig->image.layout.geometry); column++) {
		const uint32_t rows = stripe_column_pages(&rig->image.layout, column);
		for (uint32_t row = 0; row < rows && (columns & STRIPE_BIT(column)) != 0; row++)
			memset(stripe_image_page(&rig->image, column, row), 0xa5, PAGE_BYTES);
	}
}

const uint8_t *
rig_good_page(const struct rig *rig, uint32_t column, uint32_t row)
{
	return rig->good + (stripe_image_page(&rig->image, column, row) - rig->image.data);
}

void
rig_check_data(const struct rig *rig)
{
	assert_memory_equal(rig->image.data, rig->good, (size_t)rig->pages * PAGE_BYTES);
}

void
rig_check(const struct rig *rig)
{
	assert_memory_equal(rig->image.data, rig->good,
			    (size_t)(rig->pages + rig->parity_pages) * PAGE_BYTES);
}
