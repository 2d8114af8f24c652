/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What work under way keeps the rest from: slots of checkpoints, the log behind a block, cells, the
 * devices; private to this room. Questions only: each kind of work has its state in its own file,
 * and whoever would disturb it asks here.
 */
#ifndef TERN_RUNTIME_HOLD_H
#define TERN_RUNTIME_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

/* A checkpoint of another node is fetched or taken over (transfer.h): the checkpointer stands
 * aside, and no base is named. */
bool hold_by_transfer(const struct runtime *rt);
/* The slot has, or will have, another checkpoint than the superblock says: it is written to by
 * transfer.c, or by checkpoint.c. */
bool hold_slot_by_transfer(const struct runtime *rt, uint32_t slot);
bool hold_slot_by_checkpoint(const struct runtime *rt, uint32_t slot);
/* Somebody fetches a checkpoint from here, or did a moment ago and starts from it now. */
bool hold_by_source(const struct runtime *rt);
/* The slot is being read for it. */
bool hold_slot_by_source(const struct runtime *rt, uint32_t slot);
/* The log behind that block is kept for it; UINT64_MAX: nobody fetches one, or the log comes first.
 */
uint64_t hold_index(const struct runtime *rt);
/* What is being repaired is not written over: cells are released later. */
bool hold_cells(const struct runtime *rt);
/* A request to the devices is under way that has to come to its end before this incarnation does.
 */
bool hold_devices(const struct runtime *rt);

#endif
