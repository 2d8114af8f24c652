/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is room for: of the arena, for a block; of the capacity, for a result of APPEND.
 *
 * No block needs more pages than room_pages says, whatever its commands are. It has at most
 * COMMAND_ARGS_MAX commands, or is one command, of which a MULTI has at most COMMAND_ARGS_MAX
 * parts, and those that fit into the rest of its last page: STATE_BLOCK_COMMANDS_MAX in all. With a
 * note of 8 bytes for each version, in shares of slabs, it makes:
 *
 * - results of APPEND, one for each 48 bytes; and images of sessions, one for each 32 bytes. Of
 *   both no more than a block has of the commands that make them.
 *
 * - tombstones of keys that have expired and that no command names: STATE_EXPIRE_BLOCK_MAX, within
 *   PAGES_BESIDES. So are the first slabs of classes up to 256 bytes, and of the undo record.
 *
 * - all else, within COST_PER_BYTE times its own bytes. Keys and values take 1.5 times theirs, and
 *   the first of its class, with its slab, 16 times. Short ones cost most by what comes with them.
 *   A pair of MSET has 9 bytes at least: on a key that has expired it makes a tombstone and a
 *   version, 113 bytes or 12.5 times; on a new key an entry and a version, 106 with the mean tower.
 *   A key of DELETE or EXISTS, 5 bytes: a tombstone, 57. SET, ADD, EXPIRE, PERSIST, 40 bytes and
 *   more: up to two versions, an entry and a place among the expiries, 220; a version that shares
 *   its bytes is a short one. SESSION_OPEN, 32 bytes: besides the image an entry, and the tombstone
 *   of another session, 150.
 *
 * It is counted in pages, not in runs of them. tests/unit/state/test_room.c measures it.
 */
#include "dataplane/base/bits.h"
#include "dataplane/state/session_image.h"

#define APPEND_BYTES_MIN (COMMAND_HDR_BYTES + 2 * sizeof(le32) + 8) /* with a key, padded */
#define COST_PER_BYTE    16u
#define PAGES_BESIDES    96u
/* Of the arena, beside twice the capacity: what its tables take, and the largest block of commands
 * up to SLACK_COMMAND_BYTES. */
#define SLACK_BYTES         (64u << 20)
#define SLACK_COMMAND_BYTES (2u << 20)

/* The longest result of APPEND. A short command that makes a long version could use up the slack
 * of the arena within one block; the limit is taken from the capacity, which is equal on every
 * node, so that the answer is as well. state_has_room counts with it. */
uint32_t
state_append_bytes_max(const struct state *state)
{
	const uint64_t share = state->config.capacity_bytes / STATE_APPEND_SHARE;

	return min_u32((uint32_t)min_u64(share, UINT32_MAX), state->config.value_bytes_max);
}

/* What one of many objects of @bytes takes, rounded up; all together take another slab. */
static uint64_t
share_of(uint64_t bytes)
{
	const uint64_t many = UINT64_C(1) << 20;

	return div_up_u64(arena_pages_for(bytes, many) * ARENA_PAGE_BYTES, many);
}

void
room_init(struct state *state)
{
	const uint64_t result_bytes = version_size(8 + state_append_bytes_max(state));
	const uint64_t image_bytes = version_size(sizeof(struct session_image));

	state->room.result_share = share_of(result_bytes);
	state->room.image_share = share_of(image_bytes);
	state->room.pages_besides =
	    PAGES_BESIDES + arena_pages_for(result_bytes, 1) + arena_pages_for(image_bytes, 1);
}

/* Asked for each command: it divides by constants only. */
uint64_t
room_pages(const struct state *state, uint64_t block_bytes)
{
	const struct room *room = &state->room;
	const uint64_t appends = min_u64(block_bytes / APPEND_BYTES_MIN, STATE_BLOCK_COMMANDS_MAX);
	const uint64_t commands =
	    min_u64(block_bytes / COMMAND_HDR_BYTES, STATE_BLOCK_COMMANDS_MAX);

	return div_up_u64(appends * room->result_share + commands * room->image_share +
			      COST_PER_BYTE * block_bytes,
			  ARENA_PAGE_BYTES) +
	       room->pages_besides;
}

/* What is live takes 1.5 times its charge at most: a value of 2001 bytes that has had an expiry, in
 * a slab for 2560, of which 4 lie in 3 pages, and its key. Besides, one slab of each class. */
bool
state_fits_block(const struct state *state, uint64_t block_bytes)
{
	const uint64_t live_bytes = state->config.capacity_bytes / 2 * 3;

	return live_bytes / ARENA_PAGE_BYTES + ARENA_SLABS_PAGES + room_pages(state, block_bytes) <=
	       state->arena.pages_count;
}

uint64_t
state_arena_bytes(uint64_t capacity_bytes, uint64_t command_bytes_max)
{
	const uint64_t beyond = max_u64(command_bytes_max, SLACK_COMMAND_BYTES);

	return 2 * capacity_bytes + SLACK_BYTES +
	       (COST_PER_BYTE + 1) * (beyond - SLACK_COMMAND_BYTES);
}

bool
room_is_enough(const struct state *state, uint64_t pages)
{
	return state->arena.pages_free >= pages || !reclaim_is_due(state);
}

bool
state_has_room(struct state *state, uint64_t block_bytes)
{
	const uint64_t pages = room_pages(state, block_bytes);

	state->room.pages_wanted = max_u64(state->room.pages_wanted, pages);
	return room_is_enough(state, pages);
}
