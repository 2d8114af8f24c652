/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The K + M files of a backup: bytes in, stripes out, and back from any K of them.
 *
 * Writing: every file is written under a name that ends with ".part", made durable, and then
 * renamed; a backup whose writer ended early leaves nothing that is taken for one. Which directory
 * holds which column is told by the pages alone, so the order of directories does not matter later.
 *
 * Reading: what does not verify, or is not there, is decoded row by row, as long as no row lacks
 * more than M columns; and counted, by directory.
 *
 * Thread: one owner.
 */
#ifndef TERN_BACKUP_COLUMNS_H
#define TERN_BACKUP_COLUMNS_H

#include <stddef.h>

#include "control/backup/format.h"
#include "dataplane/stripe/code.h"

#define BACKUP_DIRS_MAX   STRIPE_DEVICES_MAX
#define BACKUP_NAME_MAX   64u
#define BACKUP_SUFFIX     ".tern-backup"
#define BACKUP_ROWS_USUAL 16u /* 64 KiB of each column in a stripe */
#define BACKUP_FOUND_MAX  256u
#define BACKUP_PATH_MAX   1024u
#define BACKUP_TEXT_MAX   1536u /* of a sentence that names a path */

/* ---- writing ---- */

struct backup_writer; /* fields in column_write.c */

struct backup_writer_config {
	struct stripe_geometry geometry;
	const char *const *dirs; /* k + m, borrowed until the end */
	const char *name;        /* of the files, without the suffix */
	struct hash128 id;
	uint32_t rows;
};
/* Makes the files. False: @text says why; nothing is left of them. */
bool backup_writer_open(const struct backup_writer_config *config, struct backup_writer **writer,
			char *text, size_t text_bytes);
/* False: a directory failed, @text says which. */
bool backup_writer_add(struct backup_writer *writer, const uint8_t *bytes, size_t count, char *text,
		       size_t text_bytes);
/* Begins anew: all that was added is forgotten. */
void backup_writer_reset(struct backup_writer *writer);
/* Fills the numbers of the code in @hdr, writes it, and makes all files durable under their names.
 * False: nothing is left of them. */
bool backup_writer_finish(struct backup_writer *writer, struct backup_hdr *hdr, char *text,
			  size_t text_bytes);
/* Frees it; what was not finished is removed. NULL is allowed. */
void backup_writer_close(struct backup_writer *writer);

/* ---- finding ---- */

/* One backup of which some directory holds a part. */
struct backup_found {
	char name[BACKUP_NAME_MAX]; /* of its files, without the suffix */
	bool has_hdr;               /* false: only the name is known */
	struct backup_hdr hdr;
	uint32_t files; /* with its name */
};
/* Fills @found (BACKUP_FOUND_MAX), the newest first; returns how many. A directory that cannot be
 * read holds nothing. */
uint32_t backup_find(const char *const *dirs, uint32_t dir_count, struct backup_found *found);

/* ---- reading ---- */

enum backup_part_state {
	BACKUP_PART_OK = 0,
	BACKUP_PART_DAMAGED,   /* pages of it are not what they must be */
	BACKUP_PART_MISSING,   /* the directory has no file of this name, or cannot be read */
	BACKUP_PART_FOREIGN,   /* a file that is of another backup, or of none */
	BACKUP_PART_DUPLICATE, /* a column that another directory holds, too */
};

/* What a directory holds of the backup. */
struct backup_part {
	char path[BACKUP_PATH_MAX]; /* of its file, or where it should be */
	enum backup_part_state state;
	int column;         /* -1: none */
	uint64_t bad_pages; /* that were read and do not verify, or lie behind the file's end */
	bool is_short;      /* it ends too early */
	bool is_hdr_bad;    /* one of its two header pages */
};

struct backup_reader; /* fields in column_read.c */

struct backup_reader_config {
	const char *const *dirs;
	uint32_t dir_count; /* 1..BACKUP_DIRS_MAX; their order does not matter */
	const char *name;   /* NULL: the newest that any of them holds */
};
/* NOT_FOUND: no backup, or none of that name; CORRUPT: no header of it can be read; NO_MEMORY;
 * @text says so. */
TERN_CHECKED enum tern_err
backup_reader_open(const struct backup_reader_config *config, struct backup_reader **reader,
		   char *text, size_t text_bytes);
const struct backup_hdr *backup_reader_hdr(const struct backup_reader *reader);
const char *backup_reader_name(const struct backup_reader *reader);
/* One a directory, in the order in which they were given. Damage is known as far as was read. */
const struct backup_part *backup_reader_part(const struct backup_reader *reader, uint32_t dir);
/* Columns that no directory holds, as a mask. */
uint32_t backup_reader_missing(const struct backup_reader *reader);
/* The next stripe: @bytes and @count of the stream are lent until the next call; 0: that was all.
 * Checks parity, too, where all of a row is there. CORRUPT: more than m columns of a row are lost,
 * @text says which. */
TERN_CHECKED enum tern_err backup_reader_next(struct backup_reader *reader, const uint8_t **bytes,
					      size_t *count, char *text, size_t text_bytes);
void backup_reader_close(struct backup_reader *reader);

const char *backup_part_state_text(enum backup_part_state state);

#endif
