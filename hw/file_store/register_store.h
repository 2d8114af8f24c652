/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness's register file, and small files that must be whole or absent.
 *
 * A register file is an array, one element of REGISTER_STORE_SHARD_BYTES a shard: the register of
 * shard s begins at s times that. An element is two pages of 4 KiB; each holds one slot of
 * WITNESS_REGISTER_BYTES. A write puts the register into both slots, one after the other, each
 * flushed before the next step, under the next two sequences; it counts when both are durable. The
 * good slot with the higher sequence is the register. The file is locked while it is open: one
 * process at a time. This version has one shard, number 0; a file may be longer, what lies behind
 * is left alone.
 *
 * Invariants: the register never goes back (I6), whichever one slot is damaged, by a torn write or
 * later: the other holds the same, or what was there before a write that never returned TERN_OK.
 * Both damaged: CORRUPT. After a failed write or flush every later write fails, because what the
 * device holds is not known.
 * Thread: one owner.
 */
#ifndef TERN_HW_FILE_STORE_REGISTER_STORE_H
#define TERN_HW_FILE_STORE_REGISTER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/witness_register.h"

#define REGISTER_STORE_SHARD_BYTES 8192u
#define REGISTER_STORE_SHARD       0u

struct register_store {
	int fd;            /* -1: closed */
	uint64_t sequence; /* of the newest durable slot */
	bool is_failed;
};

/* Birth: makes the file with @birth in it (sequence becomes 1), durable with its name.
 * BUSY: @path exists, it is left alone. IO: nothing is left behind. */
TERN_CHECKED enum tern_err
register_store_create(const char *path, const struct witness_register *birth);

/* Opens, locks and loads. NOT_FOUND; BUSY: another process has it; BLANK: the slots were never
 * written; CORRUPT: none is good, or the file is too short; VERSION; FOREIGN: not a register file;
 * IO. The caller compares cluster_id and witness_id, and writes before anything is answered: what a
 * crash between the two slots left, and files of versions that wrote one slot, hold it once. On
 * error nothing stays open. */
TERN_CHECKED enum tern_err
register_store_open(struct register_store *store, const char *path, struct witness_register *reg);

/* Writes @reg with the next two sequences (the last is set in @reg); takes two flushes. On TERN_OK
 * it is durable, twice. IO: now and for ever; it may be the register at the next start or not. */
TERN_CHECKED enum tern_err
register_store_write(struct register_store *store, struct witness_register *reg);
void register_store_close(struct register_store *store);

/* Replaces @path by a file of these bytes: it is the old or the new one whole, whatever happens.
 * Goes through `<path>.tmp`. IO; TOO_LARGE: path over 4000 bytes. */
TERN_CHECKED enum tern_err
file_store_write_atomic(const char *path, const void *bytes, size_t count);
/* Reads a whole file of at most @capacity bytes. NOT_FOUND, TOO_LARGE, IO. */
TERN_CHECKED enum tern_err
file_store_read(const char *path, void *bytes, size_t capacity, size_t *count);

#endif
