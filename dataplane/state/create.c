/* SPDX-License-Identifier: Apache-2.0 */
/* Making a state: what it is configured with, and what it has of the arena. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/session.h"

/* Arena bytes for each 8-byte bucket: about one bucket for each key that fits the capacity. */
#define BYTES_PER_BUCKET 256u
#define HEAP_PAGES_MIN   128u

static bool
is_config_sound(const struct state_config *config)
{
	return config->arena != NULL && ((uintptr_t)config->arena & 63) == 0 &&
	       config->capacity_bytes > 0 && config->capacity_bytes <= config->arena_bytes / 2 &&
	       config->value_bytes_max < STATE_VALUE_BYTES_LIMIT && config->readers_max > 0 &&
	       config->readers_max <= 4096 &&
	       config->arena_bytes / ARENA_PAGE_BYTES < ARENA_NONE / 2;
}

static uint32_t
multi_bytes_max(const struct state_config *config)
{
	return (uint32_t)min_u64(config->capacity_bytes / 16, STATE_MULTI_BYTES_MAX);
}

uint32_t
state_multi_bytes_max(const struct state *state)
{
	return multi_bytes_max(&state->config);
}

/* Lends @bytes at the start of what is left. */
static void *
carve(uint8_t **next, size_t bytes, size_t align)
{
	uint8_t *start = (uint8_t *)align_up_u64((uintptr_t)*next, align);

	*next = start + bytes;
	return start;
}

enum tern_err
state_init(const struct state_config *config, struct state **out)
{
	if (!is_config_sound(config))
		return TERN_ERR_CONFIG;
	uint64_t buckets = 64;
	while (buckets * 2 * BYTES_PER_BUCKET <= config->arena_bytes)
		buckets *= 2;
	const uint64_t readers_bytes = config->readers_max * sizeof(struct state_reader);
	const uint64_t pages_limit = config->arena_bytes / ARENA_PAGE_BYTES;
	const uint32_t multi_bytes = multi_bytes_max(config);
	const uint64_t fixed = sizeof(struct state) + readers_bytes + buckets * sizeof(entry_link) +
			       arena_table_bytes((uint32_t)pages_limit) + multi_bytes +
			       2 * ARENA_PAGE_BYTES;
	if (config->arena_bytes < fixed + HEAP_PAGES_MIN * ARENA_PAGE_BYTES)
		return TERN_ERR_CONFIG;

	uint8_t *next = config->arena;
	struct state *state = carve(&next, sizeof(*state), 64);
	state->config = *config;
	room_init(state);
	state->readers = carve(&next, readers_bytes, 64);
	state->buckets = carve(&next, buckets * sizeof(entry_link), 64);
	state->bucket_mask = buckets - 1;
	void *table = carve(&next, arena_table_bytes((uint32_t)pages_limit), 64);
	state->multi_replies = carve(&next, multi_bytes, 64);
	uint8_t *heap = carve(&next, 0, ARENA_PAGE_BYTES);
	const size_t left = (size_t)((uint8_t *)config->arena + config->arena_bytes - heap);
	arena_init(&state->arena, table, heap, (uint32_t)(left / ARENA_PAGE_BYTES));
	/* Metadata and rounding took their share; what was promised has to fit what is left. */
	if (config->capacity_bytes > left)
		return TERN_ERR_CONFIG;
	for (uint32_t i = 0; i < config->readers_max; i++) {
		atomic_init(&state->readers[i].pin, UINT64_MAX);
		state->readers[i].state = state;
	}
	for (uint32_t i = 0; i < STATE_HOLDS_MAX; i++)
		atomic_init(&state->holds[i].pin, UINT64_MAX);
	atomic_init(&state->expiry_next_ns, UINT64_MAX);
	state->client_id_next = 1;
	state->has_readers = true;
	state->checkpoint.pin = UINT64_MAX;
	state->branch = 1; /* so that no stamp is 0 */
	publication_fill(state, 0);
	state->committed_stamp = state->published_stamp;
	atomic_store(&state->committed, state->committed_stamp);
	*out = state;
	return TERN_OK;
}
