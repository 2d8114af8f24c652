/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of write groups as this room uses it: where checkpoints lie on it, reads of a part of a
 * group, whose a request is, and what becomes of the node when it fails. Private to this room.
 */
#ifndef TERN_RUNTIME_STORAGE_H
#define TERN_RUNTIME_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stripe/store.h"

struct runtime;

/* What a completion of the store belongs to: its `user` is this and two numbers. */
enum storage_user {
	USER_GROUP = 1,
	USER_META,
	USER_READER,
	USER_BOOT,
	USER_CHECKPOINT,
	USER_TRANSFER,
	USER_SOURCE,
	USER_HEAL,
	USER_MEND,
	USER_MEND_SOURCE,
	USER_DEEP,
	USER_REFILL,
};
static inline uint64_t
storage_user_make(enum storage_user user, uint32_t a, uint32_t b)
{
	return (uint64_t)user | (uint64_t)a << 8 | (uint64_t)b << 32;
}

/* Of one write group; on one device it may be a run of groups. */
struct storage_part {
	uint64_t first_cell; /* of its first page's group */
	uint32_t page, pages;
};

/* Pages [page, page + pages) of the checkpoint at @first_page of every device: its header, or one
 * of its chunks. */
struct stripe_blob storage_blob(const struct runtime *rt, uint64_t first_page, uint64_t page,
				uint8_t *bytes, uint32_t pages);
/* Pages that the first @pages of a checkpoint take on each device. */
uint64_t storage_blob_end(const struct runtime *rt, uint64_t pages);
/* Pages of the log lie at consecutive cells, so that one read gets a run of groups. */
bool storage_is_one_device(const struct runtime *rt);
/* Reads what the part names, of the group at @at: one completion for @user. */
TERN_CHECKED enum tern_err
storage_part_read(struct runtime *rt, const struct storage_part *part, struct stripe_address at,
		  uint8_t *bytes, uint64_t user);
/* It has room for checkpoints, and the log that they are of does not end with the process. */
bool storage_has_checkpoints(const struct runtime *rt);
/* It cannot be relied on any more: the core hears of it, once. */
void storage_fail(struct runtime *rt);

#endif
