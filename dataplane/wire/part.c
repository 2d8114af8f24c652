/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/part.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

struct part_ask_le {
	le64 log_index;
	le64 chain[2];
	le32 part;
	le32 unit_first, unit_count;
	uint8_t reserved[12];
};
static_assert(sizeof(struct part_ask_le) == PART_ASK_BYTES, "frozen by format 1");

struct part_hdr_le {
	le64 log_index;
	le64 chain[2];
	le32 part;
	le32 pages, unit, bytes;
};
static_assert(sizeof(struct part_hdr_le) == PART_HDR_BYTES, "frozen by format 1");

uint64_t
part_first_page(uint32_t part)
{
	return part == 0 ? 0 : 1 + (uint64_t)(part - 1) * CHECKPOINT_CHUNK_PAGES;
}

uint32_t
part_pages(uint64_t pages, uint32_t part)
{
	const uint64_t first = part_first_page(part);

	if (first >= pages)
		return 0;
	return part == 0 ? 1 : (uint32_t)min_u64(CHECKPOINT_CHUNK_PAGES, pages - first);
}

void
part_ask_encode(uint8_t *body, const struct part_ask *ask)
{
	struct part_ask_le le = {
		.log_index = le64_make(ask->id.log_index),
		.part = le32_make(ask->id.part),
		.unit_first = le32_make(ask->unit_first),
		.unit_count = le32_make(ask->unit_count),
	};

	INVARIANT(ask->unit_count != 0);
	hash128_put(le.chain, ask->id.chain);
	memcpy(body, &le, sizeof(le));
}

enum tern_err
part_ask_decode(const uint8_t *body, uint32_t body_bytes, struct part_ask *ask)
{
	struct part_ask_le le;

	if (body_bytes != sizeof(le))
		return TERN_ERR_MALFORMED;
	memcpy(&le, body, sizeof(le));
	*ask = (struct part_ask){
		.id = { .log_index = le64_get(le.log_index),
			.chain = hash128_get(le.chain),
			.part = le32_get(le.part) },
		.unit_first = le32_get(le.unit_first),
		.unit_count = le32_get(le.unit_count),
	};
	const uint32_t units_max =
	    ask->id.part == PART_OF_BLOCK ? PART_BLOCK_UNITS_MAX : PART_UNITS_MAX;
	if (ask->id.log_index == 0 || ask->unit_count == 0 || ask->unit_first >= units_max ||
	    ask->unit_count > units_max - ask->unit_first ||
	    !bytes_are_zero(le.reserved, sizeof(le.reserved)))
		return TERN_ERR_MALFORMED;
	return TERN_OK;
}

void
part_hdr_encode(uint8_t *body, const struct part_hdr *hdr)
{
	struct part_hdr_le le = {
		.log_index = le64_make(hdr->id.log_index),
		.part = le32_make(hdr->id.part),
		.pages = le32_make(hdr->pages),
		.unit = le32_make(hdr->unit),
		.bytes = le32_make(hdr->bytes),
	};

	hash128_put(le.chain, hdr->id.chain);
	memcpy(body, &le, sizeof(le));
}

enum tern_err
part_hdr_decode(const uint8_t *body, uint32_t body_bytes, struct part_hdr *hdr)
{
	struct part_hdr_le le;

	if (body_bytes < sizeof(le))
		return TERN_ERR_MALFORMED;
	memcpy(&le, body, sizeof(le));
	*hdr = (struct part_hdr){
		.id = { .log_index = le64_get(le.log_index),
			.chain = hash128_get(le.chain),
			.part = le32_get(le.part) },
		.pages = le32_get(le.pages),
		.unit = le32_get(le.unit),
		.bytes = le32_get(le.bytes),
	};
	const uint32_t pages_max =
	    hdr->id.part == PART_OF_BLOCK ? PART_BLOCK_PAGES_MAX : PART_PAGES_MAX;
	if (hdr->id.log_index == 0 || hdr->pages == 0 || hdr->pages > pages_max ||
	    (hdr->id.part == 0 && hdr->pages != 1) || hdr->unit >= part_units(hdr->pages) ||
	    hdr->bytes != part_unit_bytes(hdr->pages, hdr->unit) ||
	    body_bytes != sizeof(le) + hdr->bytes)
		return TERN_ERR_MALFORMED;
	return TERN_OK;
}
