/* SPDX-License-Identifier: Apache-2.0 */
/* What there is room for: of the arena, for a block; of the capacity, for a result of APPEND. */
#include "dataplane/base/bits.h"
#include "dataplane/state/state_internal.h"

/* The longest result of APPEND. A short command that makes a long version could use up the slack
 * of the arena within one block; the limit is taken from the capacity, which is equal on every
 * node, so that the answer is as well. state_has_room counts with it. */
uint32_t
state_append_bytes_max(const struct state *state)
{
	const uint64_t share = state->config.capacity_bytes / STATE_APPEND_SHARE;

	return min_u32((uint32_t)min_u64(share, UINT32_MAX), state->config.value_bytes_max);
}

bool
state_has_room(const struct state *state, uint64_t block_bytes)
{
	/* A command of many short keys takes about eight times its own length, and an APPEND as
	 * much as its result may have. */
	const uint64_t appends = block_bytes / (COMMAND_HDR_BYTES + 2 * sizeof(le32) + 8);
	const uint64_t bytes = 8 * block_bytes + appends * state_append_bytes_max(state);
	const uint64_t pages = bytes / ARENA_PAGE_BYTES + 64;

	return state->arena.pages_free >= min_u64(pages, state->arena.pages_count / 16);
}
