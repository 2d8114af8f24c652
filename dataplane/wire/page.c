/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/page.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/bytes.h"

void
page_identity_encode(uint8_t *page, const struct page_identity *identity)
{
	struct page_identity_le le = {
		.format = PAGE_FORMAT,
		.k = identity->k,
		.m = identity->m,
		.column = identity->column,
		.cluster_id = le64_make(identity->cluster_id),
		.node_id = le16_make(identity->node_id),
		.group_pages = le16_make((uint16_t)identity->group_pages),
		.boot_no = le32_make(identity->boot_no),
		.group_seq = le64_make(identity->group_seq),
		.first_cell = le64_make(identity->first_cell),
		.own_cell = le64_make(identity->own_cell),
		.acked_floor = le64_make(identity->acked_floor),
		.pool_gen = le32_make(identity->pool_gen),
		.branch_group = le32_make(identity->branch_group),
	};

	INVARIANT(identity->group_pages >= 1 && identity->group_pages <= UINT16_MAX);
	INVARIANT(identity->own_cell >= identity->first_cell);
	le.crc32c = le32_make(crc32c(&le.format, sizeof(le) - 4));
	memcpy(page, &le, sizeof(le));
}

enum tern_err
page_identity_decode(const uint8_t *page, struct page_identity *identity)
{
	struct page_identity_le le;

	memcpy(&le, page, sizeof(le));
	if (le.format == 0 && bytes_are_zero(&le, sizeof(le)))
		return TERN_ERR_BLANK;
	if (le32_get(le.crc32c) != crc32c(&le.format, sizeof(le) - 4))
		return TERN_ERR_CORRUPT;
	if (le.format != PAGE_FORMAT)
		return TERN_ERR_VERSION;
	*identity = (struct page_identity){
		.cluster_id = le64_get(le.cluster_id),
		.group_seq = le64_get(le.group_seq),
		.first_cell = le64_get(le.first_cell),
		.own_cell = le64_get(le.own_cell),
		.acked_floor = le64_get(le.acked_floor),
		.boot_no = le32_get(le.boot_no),
		.pool_gen = le32_get(le.pool_gen),
		.branch_group = le32_get(le.branch_group),
		.group_pages = le16_get(le.group_pages),
		.node_id = le16_get(le.node_id),
		.k = le.k,
		.m = le.m,
		.column = le.column,
	};
	if (identity->group_pages == 0 || identity->k == 0 ||
	    identity->own_cell < identity->first_cell)
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}

void
page_content_seal(uint8_t *page, const struct page_content *content)
{
	struct page_content_le le = {
		.format = PAGE_FORMAT,
		.shard = le16_make(content->shard),
		.cluster_id = le64_make(content->cluster_id),
		.term = le64_make(content->term),
		.epoch = le32_make(content->epoch),
		.page_in_block = le32_make(content->page_in_block),
		.log_index = le64_make(content->log_index),
		.used_bytes = le32_make(content->used_bytes),
	};
	uint8_t *at = page + PAGE_IDENTITY_BYTES;

	INVARIANT(content->used_bytes >= 1 && content->used_bytes <= PAGE_PAYLOAD_BYTES);
	memcpy(at, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(at + 4, PAGE_CONTENT_HDR_BYTES - 4 + content->used_bytes));
	memcpy(at, &le.crc32c, sizeof(le.crc32c));
}

enum tern_err
page_content_open(const uint8_t *page, struct page_content *content)
{
	const uint8_t *at = page + PAGE_IDENTITY_BYTES;
	struct page_content_le le;

	memcpy(&le, at, sizeof(le));
	const uint32_t used = le32_get(le.used_bytes);
	if (used == 0 || used > PAGE_PAYLOAD_BYTES)
		return TERN_ERR_CORRUPT;
	if (le32_get(le.crc32c) != crc32c(at + 4, PAGE_CONTENT_HDR_BYTES - 4 + used))
		return TERN_ERR_CORRUPT;
	if (le.format != PAGE_FORMAT)
		return TERN_ERR_VERSION;
	if (le.reserved0 != 0 || !bytes_are_zero(le.reserved, sizeof(le.reserved)))
		return TERN_ERR_CORRUPT;
	*content = (struct page_content){
		.cluster_id = le64_get(le.cluster_id),
		.term = le64_get(le.term),
		.log_index = le64_get(le.log_index),
		.epoch = le32_get(le.epoch),
		.page_in_block = le32_get(le.page_in_block),
		.used_bytes = used,
		.shard = le16_get(le.shard),
	};
	return TERN_OK;
}

void
block_hdr_encode(uint8_t *payload, const struct block_hdr *hdr)
{
	struct block_hdr_le le = {
		.format = BLOCK_FORMAT,
		.kind = (uint8_t)hdr->kind,
		.class_ = hdr->class_,
		.log_index = le64_make(hdr->log_index),
		.term = le64_make(hdr->term),
		.epoch = le32_make(hdr->epoch),
		.command_count = le32_make(hdr->command_count),
		.payload_bytes = le32_make(hdr->payload_bytes),
		.pages = le32_make(hdr->pages),
		.page_lsn = le64_make(hdr->page_lsn),
		.time_ns = le64_make(hdr->time_ns),
		.commit_index = le64_make(hdr->commit_index),
		.common_index = le64_make(hdr->common_index),
		.shard = le16_make(hdr->shard),
		.machine_version = le16_make(hdr->machine_version),
	};

	INVARIANT(hdr->log_index != 0 && hdr->commit_index < hdr->log_index);
	INVARIANT(hdr->common_index <= hdr->commit_index);
	INVARIANT(hdr->pages == block_pages(hdr->payload_bytes));
	hash128_put(le.content_hash, hdr->content_hash);
	hash128_put(le.prev_chain, hdr->prev_chain);
	le.crc32c = le32_make(crc32c(&le.format, sizeof(le) - 4));
	memcpy(payload, &le, sizeof(le));
}

enum tern_err
block_hdr_decode(const uint8_t *payload, struct block_hdr *hdr)
{
	struct block_hdr_le le;

	memcpy(&le, payload, sizeof(le));
	if (le32_get(le.crc32c) != crc32c(&le.format, sizeof(le) - 4))
		return TERN_ERR_CORRUPT;
	if (le.format != BLOCK_FORMAT || le.kind < BLOCK_COMMANDS || le.kind > BLOCK_CONFIG)
		return TERN_ERR_VERSION;
	*hdr = (struct block_hdr){
		.kind = (enum block_kind)le.kind,
		.class_ = le.class_,
		.shard = le16_get(le.shard),
		.machine_version = le16_get(le.machine_version),
		.log_index = le64_get(le.log_index),
		.term = le64_get(le.term),
		.page_lsn = le64_get(le.page_lsn),
		.time_ns = le64_get(le.time_ns),
		.commit_index = le64_get(le.commit_index),
		.common_index = le64_get(le.common_index),
		.epoch = le32_get(le.epoch),
		.command_count = le32_get(le.command_count),
		.payload_bytes = le32_get(le.payload_bytes),
		.pages = le32_get(le.pages),
		.content_hash = hash128_get(le.content_hash),
		.prev_chain = hash128_get(le.prev_chain),
	};
	if (le.reserved0 != 0 || !bytes_are_zero(le.reserved, sizeof(le.reserved)) ||
	    hdr->log_index == 0 || hdr->commit_index >= hdr->log_index ||
	    hdr->common_index > hdr->commit_index || hdr->payload_bytes < BLOCK_HDR_BYTES ||
	    hdr->payload_bytes > UINT32_MAX - PAGE_PAYLOAD_BYTES ||
	    hdr->pages != block_pages(hdr->payload_bytes))
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}

struct hash128
block_chain(const uint8_t *payload)
{
	return hash128(payload + 4, BLOCK_HDR_BYTES - 4);
}

struct block_meta
block_meta_of(const struct block_hdr *hdr, struct hash128 chain)
{
	return (struct block_meta){
		.log_index = hdr->log_index,
		.term = hdr->term,
		.epoch = hdr->epoch,
		.kind = hdr->kind,
		.chain = chain,
	};
}

struct hash128
block_content_hash(const uint8_t *block, uint32_t payload_bytes)
{
	const uint8_t *first = block + PAGE_PAYLOAD_OFFSET + BLOCK_HDR_BYTES;
	struct hash128_stream stream;

	INVARIANT(payload_bytes >= BLOCK_HDR_BYTES);
	if (payload_bytes <= PAGE_PAYLOAD_BYTES)
		return hash128(first, payload_bytes - BLOCK_HDR_BYTES);
	hash128_begin(&stream);
	hash128_add(&stream, first, PAGE_PAYLOAD_BYTES - BLOCK_HDR_BYTES);
	uint32_t left = payload_bytes - PAGE_PAYLOAD_BYTES;
	for (const uint8_t *page = block + PAGE_BYTES; left != 0; page += PAGE_BYTES) {
		const uint32_t bytes = min_u32(left, PAGE_PAYLOAD_BYTES);
		hash128_add(&stream, page + PAGE_PAYLOAD_OFFSET, bytes);
		left -= bytes;
	}
	return hash128_end(&stream);
}
