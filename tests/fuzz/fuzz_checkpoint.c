/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint as a node reads it back: the input is a header page, a chunk, and the stream of
 * records that a state machine is restored from; CRC and hash are put right in a second try. What
 * is accepted comes out the same when it is encoded again, and a machine that was restored can
 * write a checkpoint of itself that restores.
 */
#include "dataplane/state/checkpoint.h"
#include "tests/fuzz/fuzz.h"

#define ARENA_BYTES  (1536u << 10)
#define STREAM_BYTES 8192u

static _Alignas(4096) uint8_t arena[ARENA_BYTES];
static uint8_t stream[STREAM_BYTES];

static void
try_hdr(const uint8_t *page)
{
	uint8_t again[CHECKPOINT_HDR_BYTES];
	struct checkpoint_hdr hdr;

	if (checkpoint_hdr_decode(page, &hdr) != TERN_OK)
		return;
	REQUIRE(hdr.chunk_count == checkpoint_chunks(hdr.stream_bytes));
	checkpoint_hdr_encode(again, &hdr);
	REQUIRE(memcmp(again, page, sizeof(again)) == 0);
}

static void
try_chunk(const uint8_t *page)
{
	uint8_t again[PAGE_BYTES];
	struct checkpoint_chunk chunk;

	if (checkpoint_chunk_open(page, 1, &chunk) != TERN_OK)
		return;
	memcpy(again, page, sizeof(again));
	REQUIRE(checkpoint_chunk_seal(again, &chunk) == 1);
	REQUIRE(memcmp(again, page, sizeof(again)) == 0);
}

static struct state *
machine(void)
{
	const struct state_config config = {
		.arena = arena,
		.arena_bytes = ARENA_BYTES,
		.capacity_bytes = 300u << 10,
		.value_bytes_max = 64u << 10,
		.sessions_max = 8,
		.readers_max = 1,
	};
	struct state *state = NULL;

	memset(arena, 0, sizeof(arena));
	REQUIRE(state_init(&config, &state) == TERN_OK);
	return state;
}

static bool
is_restored(struct state *state, const struct checkpoint_state *image, const uint8_t *data,
	    size_t bytes)
{
	return state_restore_begin(state, 1000, image) == TERN_OK &&
	       state_restore_bytes(state, data, (uint32_t)bytes) == TERN_OK &&
	       state_restore_finish(state) == TERN_OK;
}

/* The numbers of the image are the input's, or those of an empty machine. */
static void
try_stream(const uint8_t *data, size_t bytes)
{
	struct fuzz_input in = { data, bytes };
	struct checkpoint_state image = { .capacity_bytes = 300u << 10,
					  .value_bytes_max = 64u << 10,
					  .sessions_max = 8 };
	struct checkpoint_state found;
	bool is_done = false;

	image.hash = fuzz_take(&in, 8);
	image.key_count = fuzz_u8(&in);
	image.session_count = fuzz_u8(&in);
	image.expiry_count = fuzz_u8(&in);
	image.logical_bytes = fuzz_take(&in, 2);
	image.client_id_next = 1 + fuzz_u8(&in);
	struct state *state = machine();
	if (!is_restored(state, &image, in.at, in.left))
		return;
	state_checkpoint_begin(state, &found);
	const uint32_t count =
	    state_checkpoint_next(state, stream, STREAM_BYTES, UINT32_MAX, &is_done);
	REQUIRE(is_done && found.hash == image.hash && count == in.left);
	REQUIRE(memcmp(stream, in.at, count) == 0);
	state = machine();
	REQUIRE(is_restored(state, &found, stream, count));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t page[PAGE_BYTES] = { 0 };

	memcpy(page, data, bytes < sizeof(page) ? bytes : sizeof(page));
	try_hdr(page);
	try_chunk(page);
	fuzz_put_crc(page, 8, 12, CHECKPOINT_HDR_BYTES - 12);
	try_hdr(page);
	fuzz_put_crc(page, 0, 4, CHECKPOINT_CHUNK_HDR_BYTES - 4);
	try_chunk(page);
	try_stream(data, bytes);
	return 0;
}
