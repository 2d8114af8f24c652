/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a backup: docs/reference/backup-format.md.
 *
 * A backup is K + M files of equal length, one in each of as many directories. A file is a header
 * page, then its column of every stripe, then the header page again:
 *
 *	page     0        | 1 .. rows | rows + 1 .. 2 rows | ... | last
 *	         header   | stripe 0  | stripe 1           |     | header
 *
 * Every page says which backup, column, stripe and row it is of, under a checksum over all of it,
 *so a page that is damaged, cut off, or of another file is known for what it is. Stripes are coded
 *as write groups are (dataplane/stripe), over all but the first BACKUP_IDENTITY_BYTES of each page.
 *
 * Pure: no I/O, no allocation, no globals.
 */
#ifndef TERN_BACKUP_FORMAT_H
#define TERN_BACKUP_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/stripe/layout.h"
#include "dataplane/wire/page.h"

#define BACKUP_FORMAT         1u
#define BACKUP_IDENTITY_BYTES PAGE_IDENTITY_BYTES
#define BACKUP_PAYLOAD_BYTES  (PAGE_BYTES - BACKUP_IDENTITY_BYTES)
#define BACKUP_ROWS_MAX       64u
#define BACKUP_VERSION_BYTES  32u

enum backup_page_kind { BACKUP_PAGE_HEADER = 1, BACKUP_PAGE_STRIPE };

/* What a page says of itself. */
struct backup_page {
	struct hash128 id; /* of the backup: random */
	uint64_t stripe;   /* of a header: 0 in front, all stripes behind them */
	uint32_t row;      /* of the column in its stripe; 0 of a header */
	enum backup_page_kind kind;
	uint8_t k, m, column; /* columns as in write groups: parity first */
};

/* What a header page says of the backup: the same in every file. */
struct backup_hdr {
	struct hash128 id;
	struct stripe_geometry geometry;
	uint64_t cluster_id;
	uint16_t node_id, shard; /* where it was taken */
	uint32_t machine_version;
	uint64_t created_s; /* since 1970, by that machine's clock */
	/* It covers the positions [first_index, last_index]: first_index is the checkpoint's, 0
	 * when the log begins with block 1. Up to commit_index all was known to be committed. */
	uint64_t first_index, last_index, commit_index;
	uint64_t first_time_ns, last_time_ns; /* of these blocks, by the cluster's clock; 0: none */
	uint64_t last_term;
	struct hash128 chain;                 /* of block last_index */
	uint64_t checkpoint_pages, log_pages; /* of the stream, which is these two */
	uint32_t block_pages_max;             /* of the largest block */
	uint32_t rows;
	uint64_t stripe_count, stored_bytes; /* compressed */
	uint64_t capacity_bytes;             /* limits of the state machine */
	uint32_t value_bytes_max, sessions_max;
	char version[BACKUP_VERSION_BYTES]; /* of the tern that made it */
};

/* Writes the identity part, whose checksum covers the rest of @page. */
void backup_page_seal(uint8_t *page, const struct backup_page *what);
/* BLANK: all zero. FOREIGN: no page of a backup. CORRUPT. VERSION. */
TERN_CHECKED enum tern_err backup_page_open(const uint8_t *page, struct backup_page *what);

/* A header page for @column's file: in front of its stripes, or behind them. */
void backup_hdr_encode(uint8_t *page, const struct backup_hdr *hdr, uint8_t column, bool is_behind);
/* Errors of backup_page_open; FOREIGN also: another kind of page. CORRUPT also: ranges, or numbers
 * that contradict each other. */
TERN_CHECKED enum tern_err
backup_hdr_decode(const uint8_t *page, struct backup_hdr *hdr, uint8_t *column);
/* Whether two headers say the same. */
bool backup_hdr_equal(const struct backup_hdr *a, const struct backup_hdr *b);

/* Bytes of the stream that a stripe holds. */
static inline uint64_t
backup_stripe_bytes(const struct backup_hdr *hdr)
{
	return (uint64_t)hdr->geometry.k * hdr->rows * BACKUP_PAYLOAD_BYTES;
}

static inline uint64_t
backup_file_bytes(const struct backup_hdr *hdr)
{
	return (2 + hdr->stripe_count * hdr->rows) * PAGE_BYTES;
}

#endif
