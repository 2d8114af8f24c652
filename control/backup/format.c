/* SPDX-License-Identifier: Apache-2.0 */
#include "control/backup/format.h"

#include <assert.h>
#include <string.h>

#include "dataplane/base/crc32c.h"
#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"
#include "dataplane/wire/bytes.h"

/* "TernBkup", read as a little-endian integer. */
#define BACKUP_MAGIC 0x70756b426e726554ULL
/* So many stripes that neither lengths nor offsets overflow. */
#define STRIPES_MAX (UINT64_C(1) << 36)

struct backup_page_le {
	le32 crc32c; /* bytes [4, 4096) of the page */
	uint8_t format, k, m, column;
	le64 magic;
	le64 id[2];
	le64 stripe;
	le32 row;
	uint8_t kind, reserved[19];
};
static_assert(sizeof(struct backup_page_le) == BACKUP_IDENTITY_BYTES, "frozen by format 1");

/* Behind the identity part of a header page; the rest of the page is zero. */
struct backup_hdr_le {
	le64 cluster_id;
	le16 node_id, shard;
	le32 machine_version;
	le64 created_s;
	le64 first_index, last_index, commit_index;
	le64 first_time_ns, last_time_ns;
	le64 last_term;
	le64 chain[2];
	le64 checkpoint_pages, log_pages;
	le32 block_pages_max, rows;
	le64 stripe_count, stored_bytes;
	le64 capacity_bytes;
	le32 value_bytes_max, sessions_max;
	uint8_t version[BACKUP_VERSION_BYTES];
	uint8_t reserved[80];
};
static_assert(sizeof(struct backup_hdr_le) == 256, "frozen by format 1");

void
backup_page_seal(uint8_t *page, const struct backup_page *what)
{
	struct backup_page_le le = {
		.format = BACKUP_FORMAT,
		.k = what->k,
		.m = what->m,
		.column = what->column,
		.magic = le64_make(BACKUP_MAGIC),
		.stripe = le64_make(what->stripe),
		.row = le32_make(what->row),
		.kind = (uint8_t)what->kind,
	};

	INVARIANT(what->column < what->k + what->m);
	hash128_put(le.id, what->id);
	memcpy(page, &le, sizeof(le));
	le.crc32c = le32_make(crc32c(page + sizeof(le.crc32c), PAGE_BYTES - sizeof(le.crc32c)));
	memcpy(page, &le.crc32c, sizeof(le.crc32c));
}

enum tern_err
backup_page_open(const uint8_t *page, struct backup_page *what)
{
	struct backup_page_le le;

	memcpy(&le, page, sizeof(le));
	if (le64_get(le.magic) != BACKUP_MAGIC)
		return bytes_are_zero(page, PAGE_BYTES) ? TERN_ERR_BLANK : TERN_ERR_FOREIGN;
	if (le32_get(le.crc32c) != crc32c(page + sizeof(le.crc32c), PAGE_BYTES - sizeof(le.crc32c)))
		return TERN_ERR_CORRUPT;
	if (le.format != BACKUP_FORMAT)
		return TERN_ERR_VERSION;
	*what = (struct backup_page){
		.id = hash128_get(le.id),
		.stripe = le64_get(le.stripe),
		.row = le32_get(le.row),
		.kind = (enum backup_page_kind)le.kind,
		.k = le.k,
		.m = le.m,
		.column = le.column,
	};
	const struct stripe_geometry geometry = { le.k, le.m };
	if (!stripe_geometry_is_valid(geometry) || le.column >= stripe_devices(geometry) ||
	    (le.kind != BACKUP_PAGE_HEADER && le.kind != BACKUP_PAGE_STRIPE) ||
	    what->row >= BACKUP_ROWS_MAX || what->stripe > STRIPES_MAX ||
	    !bytes_are_zero(le.reserved, sizeof(le.reserved)))
		return TERN_ERR_CORRUPT;
	return TERN_OK;
}

/* ---- header pages ---- */

static void
hdr_put(uint8_t *page, const struct backup_hdr *hdr)
{
	struct backup_hdr_le le = {
		.cluster_id = le64_make(hdr->cluster_id),
		.node_id = le16_make(hdr->node_id),
		.shard = le16_make(hdr->shard),
		.machine_version = le32_make(hdr->machine_version),
		.created_s = le64_make(hdr->created_s),
		.first_index = le64_make(hdr->first_index),
		.last_index = le64_make(hdr->last_index),
		.commit_index = le64_make(hdr->commit_index),
		.first_time_ns = le64_make(hdr->first_time_ns),
		.last_time_ns = le64_make(hdr->last_time_ns),
		.last_term = le64_make(hdr->last_term),
		.checkpoint_pages = le64_make(hdr->checkpoint_pages),
		.log_pages = le64_make(hdr->log_pages),
		.block_pages_max = le32_make(hdr->block_pages_max),
		.rows = le32_make(hdr->rows),
		.stripe_count = le64_make(hdr->stripe_count),
		.stored_bytes = le64_make(hdr->stored_bytes),
		.capacity_bytes = le64_make(hdr->capacity_bytes),
		.value_bytes_max = le32_make(hdr->value_bytes_max),
		.sessions_max = le32_make(hdr->sessions_max),
	};

	hash128_put(le.chain, hdr->chain);
	memcpy(le.version, hdr->version, sizeof(le.version));
	memset(page, 0, PAGE_BYTES);
	memcpy(page + BACKUP_IDENTITY_BYTES, &le, sizeof(le));
}

static bool
hdr_is_sound(const struct backup_hdr *hdr)
{
	const uint64_t pages = hdr->checkpoint_pages + hdr->log_pages;

	return hdr->cluster_id != 0 && hdr->rows >= 1 && hdr->rows <= BACKUP_ROWS_MAX &&
	       hdr->first_index <= hdr->last_index && hdr->commit_index <= hdr->last_index &&
	       (hdr->first_index == 0) == (hdr->checkpoint_pages == 0) &&
	       (hdr->first_index == hdr->last_index) == (hdr->log_pages == 0) &&
	       (hdr->log_pages == 0) == (hdr->block_pages_max == 0) &&
	       hdr->block_pages_max <= STRIPE_PAGES_MAX && hdr->block_pages_max <= hdr->log_pages &&
	       hdr->last_index - hdr->first_index <= hdr->log_pages &&
	       hdr->checkpoint_pages <= STRIPE_CELL_END && hdr->log_pages <= STRIPE_CELL_END &&
	       pages != 0 && hdr->stripe_count >= 1 && hdr->stripe_count <= STRIPES_MAX &&
	       hdr->stored_bytes <= hdr->stripe_count * backup_stripe_bytes(hdr) &&
	       hdr->stored_bytes > (hdr->stripe_count - 1) * backup_stripe_bytes(hdr) &&
	       hdr->version[BACKUP_VERSION_BYTES - 1] == 0;
}

void
backup_hdr_encode(uint8_t *page, const struct backup_hdr *hdr, uint8_t column, bool is_behind)
{
	const struct backup_page what = {
		.id = hdr->id,
		.stripe = is_behind ? hdr->stripe_count : 0,
		.kind = BACKUP_PAGE_HEADER,
		.k = (uint8_t)hdr->geometry.k,
		.m = (uint8_t)hdr->geometry.m,
		.column = column,
	};

	INVARIANT(hdr_is_sound(hdr));
	hdr_put(page, hdr);
	backup_page_seal(page, &what);
}

enum tern_err
backup_hdr_decode(const uint8_t *page, struct backup_hdr *hdr, uint8_t *column)
{
	uint8_t again[PAGE_BYTES];
	struct backup_hdr_le le;
	struct backup_page what;
	const enum tern_err err = backup_page_open(page, &what);

	if (err != TERN_OK)
		return err;
	if (what.kind != BACKUP_PAGE_HEADER)
		return TERN_ERR_FOREIGN;
	memcpy(&le, page + BACKUP_IDENTITY_BYTES, sizeof(le));
	*hdr = (struct backup_hdr){
		.id = what.id,
		.geometry = { what.k, what.m },
		.cluster_id = le64_get(le.cluster_id),
		.node_id = le16_get(le.node_id),
		.shard = le16_get(le.shard),
		.machine_version = le32_get(le.machine_version),
		.created_s = le64_get(le.created_s),
		.first_index = le64_get(le.first_index),
		.last_index = le64_get(le.last_index),
		.commit_index = le64_get(le.commit_index),
		.first_time_ns = le64_get(le.first_time_ns),
		.last_time_ns = le64_get(le.last_time_ns),
		.last_term = le64_get(le.last_term),
		.chain = hash128_get(le.chain),
		.checkpoint_pages = le64_get(le.checkpoint_pages),
		.log_pages = le64_get(le.log_pages),
		.block_pages_max = le32_get(le.block_pages_max),
		.rows = le32_get(le.rows),
		.stripe_count = le64_get(le.stripe_count),
		.stored_bytes = le64_get(le.stored_bytes),
		.capacity_bytes = le64_get(le.capacity_bytes),
		.value_bytes_max = le32_get(le.value_bytes_max),
		.sessions_max = le32_get(le.sessions_max),
	};
	memcpy(hdr->version, le.version, sizeof(hdr->version));
	*column = what.column;
	if (!hdr_is_sound(hdr) || what.row != 0 ||
	    (what.stripe != 0 && what.stripe != hdr->stripe_count))
		return TERN_ERR_CORRUPT;
	/* What the encoder writes no field to must be zero. */
	backup_hdr_encode(again, hdr, what.column, what.stripe != 0);
	return memcmp(again, page, PAGE_BYTES) == 0 ? TERN_OK : TERN_ERR_CORRUPT;
}

bool
backup_hdr_equal(const struct backup_hdr *a, const struct backup_hdr *b)
{
	uint8_t x[PAGE_BYTES], y[PAGE_BYTES];

	hdr_put(x, a);
	hdr_put(y, b);
	return hash128_equal(a->id, b->id) && a->geometry.k == b->geometry.k &&
	       a->geometry.m == b->geometry.m && memcmp(x, y, PAGE_BYTES) == 0;
}
