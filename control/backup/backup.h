/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a data node: docs/reference/backup-format.md, docs/decisions/backup.md.
 *
 * Owns: what is in a backup and how it lies in its directories, reading a node's storage for it,
 *and filling new storage from it. Does not own: making storage (cli), what a node does with it.
 *
 *	format   pages and header          stream   what is in it, checked
 *	columns  K + M files, coded        pack     compression
 *	device   devices, only read        source   a node's storage, as a start reads it
 *
 * Promises: a backup is under its name only when all of its files are durable; what it holds is one
 * committed prefix of the log, checked against its own hashes on every way in and out; restoring
 * never touches storage that it did not make.
 *
 * Thread: one owner; everything blocks.
 */
#ifndef TERN_BACKUP_BACKUP_H
#define TERN_BACKUP_BACKUP_H

#include "control/backup/columns.h"
#include "control/backup/stream.h"
#include "control/config/node_config.h"

#define BACKUP_TRIES_MAX 8u /* of reading a node that runs */

/* ---- create ---- */

struct backup_create_config {
	const struct node_config *node;
	struct stripe_geometry geometry;
	const char *const *dirs; /* k + m */
	const char *version;
	uint32_t timeout_ms; /* of asking the node */
};

struct backup_created {
	char name[BACKUP_NAME_MAX];
	struct backup_hdr hdr;
	bool is_live;   /* the node ran */
	uint32_t tries; /* 1: nothing changed under the reader that was still needed */
};

/* UNSUPPORTED: a log in RAM; STALE_TERM: the node says of itself that it may lack what was
 * acknowledged; CORRUPT: its storage cannot be read whole, or changes faster than it is read; BUSY:
 * a process that does not answer has its devices; IO: a directory. Nothing is left. @text says
 * what. */
TERN_CHECKED enum tern_err
backup_create(const struct backup_create_config *config, struct backup_created *created, char *text,
	      size_t text_bytes);

/* ---- verify ---- */

/* Reads all of it and hands it to @sink, checked. CORRUPT: it cannot be restored, @text says why;
 * or what @sink returned. What each directory lacks is in the reader's parts. */
TERN_CHECKED enum tern_err
backup_unpack(struct backup_reader *reader, const struct backup_sink *sink, char *text,
	      size_t text_bytes);

/* What was found in it. */
struct backup_verified {
	bool has_checkpoint;
	struct checkpoint_state state; /* of the checkpoint */
	uint64_t blocks, commands;
};
TERN_CHECKED enum tern_err
backup_verify(struct backup_reader *reader, struct backup_verified *verified, char *text,
	      size_t text_bytes);

/* ---- restore ---- */

/* Whether a node that is configured so can be restored to @position. CONFIG, TOO_LARGE: it cannot;
 * NOT_FOUND: the backup does not cover @position. */
TERN_CHECKED enum tern_err
backup_restore_check(const struct backup_hdr *hdr, const struct node_config *config,
		     uint64_t position, char *text, size_t text_bytes);

struct backup_restored {
	uint64_t position, term;
	struct hash128 chain; /* of block @position */
	uint64_t time_ns;
};
/* Fills the node's storage, which was made for it just now as one that has lost its own
 * (SUPERBLOCK_REJOINING: what is half filled serves nobody), lets it be a member with the last
 * write, and reads all of it again as a start would. On errors it is of no use: remove it. */
TERN_CHECKED enum tern_err
backup_restore(struct backup_reader *reader, const struct node_config *config, uint64_t position,
	       struct backup_restored *restored, char *text, size_t text_bytes);

#endif
