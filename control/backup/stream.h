/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a backup, unpacked: a checkpoint as it lies on a device (header page, chunks; none
 * when the log begins with block 1), then the blocks of the log behind it, in order, each as whole
 * pages whose identity parts are zero. Pieces of any length go in; checked parts come out.
 *
 * Checked: the checkpoint's header, the hash of each chunk and their root; each page of each block,
 * the content hash, and the chain: each block goes on where the one before it ended, from the
 * checkpoint's block to the one that the backup's header names.
 *
 * Invariants: nothing is handed out that was not checked; blocks come out with rising log_index.
 * Thread: one owner. No I/O; memory is the caller's.
 */
#ifndef TERN_BACKUP_STREAM_H
#define TERN_BACKUP_STREAM_H

#include <stddef.h>

#include "control/backup/format.h"
#include "dataplane/wire/checkpoint.h"

/* Where parts go. What is handed over is lent until the call returns, and may be written to. */
struct backup_sink {
	void *context;
	enum tern_err (*checkpoint)(void *context, uint8_t *page, const struct checkpoint_hdr *hdr);
	enum tern_err (*chunk)(void *context, uint8_t *bytes, uint32_t pages,
			       const struct checkpoint_chunk *chunk);
	enum tern_err (*block)(void *context, uint8_t *bytes, const struct block_hdr *hdr,
			       struct hash128 chain);
};

enum backup_stream_phase {
	BACKUP_STREAM_CHECKPOINT = 1,
	BACKUP_STREAM_CHUNK,
	BACKUP_STREAM_BLOCK_HEAD, /* the first page of a block */
	BACKUP_STREAM_BLOCK,
	BACKUP_STREAM_END,
};

struct backup_stream {
	const struct backup_hdr *hdr;
	const struct backup_sink *sink;
	uint8_t *buffer;
	size_t have, need; /* bytes of the part that is gathered */
	enum backup_stream_phase phase;
	struct checkpoint_hdr checkpoint;
	uint32_t number; /* of the chunk */
	struct hash128 root;
	/* The last block of the log so far. */
	uint64_t last_index, page_end, time_ns, term;
	struct hash128 chain;
	uint64_t log_pages;
};

/* Bytes of memory for the largest part. */
size_t backup_stream_bytes(const struct backup_hdr *hdr);
/* @buffer: that many, page aligned. Borrows all three for ever. */
void backup_stream_begin(struct backup_stream *stream, const struct backup_hdr *hdr,
			 const struct backup_sink *sink, void *buffer);
/* CORRUPT: not what the header says, or damaged; or whatever the sink returned. Not again after an
 * error. */
TERN_CHECKED enum tern_err
backup_stream_add(struct backup_stream *stream, const uint8_t *bytes, size_t count);
/* CORRUPT: it is not whole. */
TERN_CHECKED enum tern_err backup_stream_end(const struct backup_stream *stream);

/* Checks the pages of a block that chains onto (@index, @page_end, @time_ns, @chain); fills @hdr
 * and
 * @block_chain. @bytes: hdr->pages of it, which is what its first page says. CORRUPT. VERSION. */
struct backup_position {
	uint64_t index, page_end, time_ns;
	struct hash128 chain;
};
TERN_CHECKED enum tern_err
backup_block_check(const uint8_t *bytes, uint32_t pages, uint64_t cluster_id, uint16_t shard,
		   const struct backup_position *before, struct block_hdr *hdr,
		   struct hash128 *block_chain);

#endif
