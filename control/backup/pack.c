/* SPDX-License-Identifier: Apache-2.0 */
#include "control/backup/pack.h"

#include <stdlib.h>

#include <zstd.h>

#define LEVEL      1  /* a node that runs does not wait: fast comes before small */
#define WINDOW_LOG 23 /* 8 MiB; a frame that wants more memory than that is refused */

struct backup_packer {
	struct backup_drain drain;
	ZSTD_CCtx *context;
	size_t room;
	uint8_t *out;
};

struct backup_unpacker {
	struct backup_drain drain;
	ZSTD_DCtx *context;
	size_t room;
	uint8_t *out;
	bool is_ended;
};

struct backup_packer *
backup_packer_open(const struct backup_drain *drain)
{
	struct backup_packer *packer = calloc(1, sizeof(*packer));

	if (packer == NULL)
		return NULL;
	packer->drain = *drain;
	packer->context = ZSTD_createCCtx();
	packer->room = ZSTD_CStreamOutSize();
	packer->out = malloc(packer->room);
	if (packer->context == NULL || packer->out == NULL ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(packer->context, ZSTD_c_checksumFlag, 1))) {
		backup_packer_close(packer);
		return NULL;
	}
	return packer;
}

void
backup_packer_reset(struct backup_packer *packer)
{
	(void)ZSTD_CCtx_reset(packer->context, ZSTD_reset_session_only);
}

static enum tern_err
pack(struct backup_packer *packer, const uint8_t *bytes, size_t count, ZSTD_EndDirective directive)
{
	ZSTD_inBuffer in = { bytes, count, 0 };
	enum tern_err err = TERN_OK;
	bool is_done = false;

	/* Each round takes input or gives output. */
	while (!is_done && err == TERN_OK) {
		ZSTD_outBuffer out = { packer->out, packer->room, 0 };
		const size_t left = ZSTD_compressStream2(packer->context, &out, &in, directive);
		if (ZSTD_isError(left))
			return TERN_ERR_IO;
		if (out.pos != 0)
			err = packer->drain.add(packer->drain.context, packer->out, out.pos);
		is_done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
	}
	return err;
}

enum tern_err
backup_packer_add(struct backup_packer *packer, const uint8_t *bytes, size_t count)
{
	return pack(packer, bytes, count, ZSTD_e_continue);
}

enum tern_err
backup_packer_end(struct backup_packer *packer)
{
	return pack(packer, NULL, 0, ZSTD_e_end);
}

void
backup_packer_close(struct backup_packer *packer)
{
	if (packer == NULL)
		return;
	(void)ZSTD_freeCCtx(packer->context);
	free(packer->out);
	free(packer);
}

struct backup_unpacker *
backup_unpacker_open(const struct backup_drain *drain)
{
	struct backup_unpacker *unpacker = calloc(1, sizeof(*unpacker));

	if (unpacker == NULL)
		return NULL;
	unpacker->drain = *drain;
	unpacker->context = ZSTD_createDCtx();
	unpacker->room = ZSTD_DStreamOutSize();
	unpacker->out = malloc(unpacker->room);
	if (unpacker->context == NULL || unpacker->out == NULL ||
	    ZSTD_isError(
		ZSTD_DCtx_setParameter(unpacker->context, ZSTD_d_windowLogMax, WINDOW_LOG))) {
		backup_unpacker_close(unpacker);
		return NULL;
	}
	return unpacker;
}

enum tern_err
backup_unpacker_add(struct backup_unpacker *unpacker, const uint8_t *bytes, size_t count)
{
	ZSTD_inBuffer in = { bytes, count, 0 };
	bool is_full = true;

	if (unpacker->is_ended)
		return count == 0 ? TERN_OK : TERN_ERR_CORRUPT;
	/* Each round takes input or gives output; a full output may have left some behind. */
	while (in.pos < in.size || is_full) {
		ZSTD_outBuffer out = { unpacker->out, unpacker->room, 0 };
		const size_t left = ZSTD_decompressStream(unpacker->context, &out, &in);
		if (ZSTD_isError(left))
			return TERN_ERR_CORRUPT;
		if (out.pos != 0) {
			const enum tern_err err =
			    unpacker->drain.add(unpacker->drain.context, unpacker->out, out.pos);
			if (err != TERN_OK)
				return err;
		}
		if (left == 0) {
			unpacker->is_ended = true;
			return in.pos == in.size ? TERN_OK : TERN_ERR_CORRUPT;
		}
		is_full = out.pos == out.size;
	}
	return TERN_OK;
}

enum tern_err
backup_unpacker_end(const struct backup_unpacker *unpacker)
{
	return unpacker->is_ended ? TERN_OK : TERN_ERR_CORRUPT;
}

void
backup_unpacker_close(struct backup_unpacker *unpacker)
{
	if (unpacker == NULL)
		return;
	(void)ZSTD_freeDCtx(unpacker->context);
	free(unpacker->out);
	free(unpacker);
}
