/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/backup/backup.h"
#include "control/backup/pack.h"

struct unpacking {
	struct backup_stream stream;
	const struct backup_sink *sink;
	bool is_sinks; /* the error is the sink's, which has said why */
};

static enum tern_err
give_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	struct unpacking *u = context;
	const enum tern_err err = u->sink->checkpoint(u->sink->context, page, hdr);

	u->is_sinks = err != TERN_OK;
	return err;
}

static enum tern_err
give_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	struct unpacking *u = context;
	const enum tern_err err = u->sink->chunk(u->sink->context, bytes, pages, chunk);

	u->is_sinks = err != TERN_OK;
	return err;
}

static enum tern_err
give_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	struct unpacking *u = context;
	const enum tern_err err = u->sink->block(u->sink->context, bytes, hdr, chain);

	u->is_sinks = err != TERN_OK;
	return err;
}

static enum tern_err
stream_add(void *context, const uint8_t *bytes, size_t count)
{
	struct unpacking *u = context;

	return backup_stream_add(&u->stream, bytes, count);
}

static enum tern_err
run(struct unpacking *u, struct backup_reader *reader, struct backup_unpacker *unpacker, char *text,
    size_t text_bytes)
{
	const uint8_t *bytes = NULL;
	size_t count = 1;
	enum tern_err err = TERN_OK;

	while (err == TERN_OK && count != 0) {
		err = backup_reader_next(reader, &bytes, &count, text, text_bytes);
		if (err != TERN_OK)
			return err;
		err = backup_unpacker_add(unpacker, bytes, count);
	}
	if (err == TERN_OK)
		err = backup_unpacker_end(unpacker);
	if (err == TERN_OK)
		err = backup_stream_end(&u->stream);
	if (err != TERN_OK && !u->is_sinks)
		(void)snprintf(text, text_bytes,
			       "what it holds is not what its header says, behind block %llu: %s",
			       (unsigned long long)u->stream.last_index, tern_err_text(err));
	return err;
}

enum tern_err
backup_unpack(struct backup_reader *reader, const struct backup_sink *sink, char *text,
	      size_t text_bytes)
{
	const struct backup_hdr *hdr = backup_reader_hdr(reader);
	struct unpacking unpacking = { .sink = sink };
	const struct backup_sink between = { &unpacking, give_checkpoint, give_chunk, give_block };
	const struct backup_drain drain = { &unpacking, stream_add };
	void *buffer = aligned_alloc(PAGE_BYTES, backup_stream_bytes(hdr));
	struct backup_unpacker *unpacker = backup_unpacker_open(&drain);
	enum tern_err err = TERN_ERR_NO_MEMORY;

	(void)snprintf(text, text_bytes, "out of memory");
	if (buffer != NULL && unpacker != NULL) {
		backup_stream_begin(&unpacking.stream, hdr, &between, buffer);
		err = run(&unpacking, reader, unpacker, text, text_bytes);
	}
	backup_unpacker_close(unpacker);
	free(buffer);
	return err;
}

/* ---- verify ---- */

static enum tern_err
see_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	struct backup_verified *verified = context;

	(void)page;
	verified->has_checkpoint = true;
	verified->state = hdr->state;
	return TERN_OK;
}

static enum tern_err
see_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	(void)context;
	(void)bytes;
	(void)pages;
	(void)chunk;
	return TERN_OK;
}

static enum tern_err
see_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	struct backup_verified *verified = context;

	(void)bytes;
	(void)chain;
	verified->blocks++;
	verified->commands += hdr->command_count;
	return TERN_OK;
}

enum tern_err
backup_verify(struct backup_reader *reader, struct backup_verified *verified, char *text,
	      size_t text_bytes)
{
	const struct backup_sink sink = { verified, see_checkpoint, see_chunk, see_block };

	*verified = (struct backup_verified){ 0 };
	return backup_unpack(reader, &sink, text, text_bytes);
}
