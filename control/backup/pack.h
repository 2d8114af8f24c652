/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression of a backup's stream: one zstd frame with a checksum over what went in. The only room
 * that includes zstd.h. Thread: one owner.
 */
#ifndef TERN_BACKUP_PACK_H
#define TERN_BACKUP_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"

struct backup_packer;   /* fields in pack.c */
struct backup_unpacker; /* the same */

/* Where bytes go. */
struct backup_drain {
	void *context;
	enum tern_err (*add)(void *context, const uint8_t *bytes, size_t count);
};

/* NULL: no memory. */
struct backup_packer *backup_packer_open(const struct backup_drain *drain);
/* Begins a new frame; what was not yet handed out is forgotten. */
void backup_packer_reset(struct backup_packer *packer);
/* What the drain returned; IO: the compressor failed. */
TERN_CHECKED enum tern_err
backup_packer_add(struct backup_packer *packer, const uint8_t *bytes, size_t count);
TERN_CHECKED enum tern_err backup_packer_end(struct backup_packer *packer);
void backup_packer_close(struct backup_packer *packer);

struct backup_unpacker *backup_unpacker_open(const struct backup_drain *drain);
/* CORRUPT: no frame, a bad checksum, or bytes behind its end; or what the drain returned. */
TERN_CHECKED enum tern_err
backup_unpacker_add(struct backup_unpacker *unpacker, const uint8_t *bytes, size_t count);
/* CORRUPT: the frame is not whole. */
TERN_CHECKED enum tern_err backup_unpacker_end(const struct backup_unpacker *unpacker);
void backup_unpacker_close(struct backup_unpacker *unpacker);

#endif
