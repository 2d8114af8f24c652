/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's storage, read as a start of the node would read it (superblocks, the newest whole
 * checkpoint, the recovery scan of the log), by another process, without writing a byte: for a node
 * that runs, or one that is stopped.
 *
 * While a node runs, its storage changes under the reader. That is told apart from damage by
 * nobody; both show as CORRUPT, for everything that is handed out is checked first: chunks by their
 * hashes and the root, blocks by their content hash and the chain. What was durable when the caller
 * asked the node for its position stays where it is until the node takes its cells or the
 * checkpoint's slot again, so whoever is fast enough finds it, and whoever is not tries again.
 *
 * Thread: one owner; blocks.
 */
#ifndef TERN_BACKUP_SOURCE_H
#define TERN_BACKUP_SOURCE_H

#include "control/backup/stream.h"
#include "control/config/node_config.h"

struct backup_source_limit {
	bool is_live;        /* the node runs; otherwise its devices are locked meanwhile */
	uint64_t cluster_id; /* 0: whatever the storage says */
	uint64_t index;      /* the last block that is wanted; UINT64_MAX: all there is */
	bool has_chain;
	struct hash128 chain; /* that this block has, as the node says */
};

/* What was handed out. */
struct backup_source_facts {
	uint64_t cluster_id;
	uint16_t shard;
	uint32_t machine_version;
	uint64_t first_index, last_index, commit_index; /* commit_index: what is known of it */
	uint64_t first_time_ns, last_time_ns, last_term;
	struct hash128 chain;
	uint64_t checkpoint_pages, log_pages;
	uint32_t block_pages_max;
};

/* Hands the checkpoint and then the blocks behind it to @sink, in the form that a backup's stream
 * has. CORRUPT: it is not whole, or changed meanwhile. BUSY: a process has the devices. FOREIGN:
 * the storage is not of this node or cluster. UNSUPPORTED: the log is in RAM. NOT_FOUND, NO_MEMORY;
 * or what @sink returned. @text says what and where. */
TERN_CHECKED enum tern_err
backup_source_read(const struct node_config *config, const struct backup_source_limit *limit,
		   const struct backup_sink *sink, struct backup_source_facts *facts, char *text,
		   size_t text_bytes);

#endif
