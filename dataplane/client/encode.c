/* SPDX-License-Identifier: Apache-2.0 */
/* From requests to commands of the log. */
#include <errno.h>

#include "dataplane/client/engine.h"

static bool
key_fits(const void *key, uint32_t key_bytes)
{
	return key != NULL && key_bytes >= 1 && key_bytes <= TERN_KEY_BYTES_MAX;
}

static bool
value_fits(const void *value, uint32_t value_bytes)
{
	return value != NULL || value_bytes == 0;
}

static int
encode_pairs(struct command_writer *writer, const struct tern_request *request, bool has_values)
{
	const uint32_t args = request->pair_count * (has_values ? 2u : 1u);

	if (request->pairs == NULL || request->pair_count == 0)
		return -EINVAL;
	if (request->pair_count > COMMAND_ARGS_MAX || args > COMMAND_ARGS_MAX)
		return -EMSGSIZE;
	for (uint32_t i = 0; i < request->pair_count; i++) {
		const struct tern_pair *pair = &request->pairs[i];
		if (!key_fits(pair->key, pair->key_bytes) ||
		    (has_values && !value_fits(pair->value, pair->value_bytes)))
			return -EINVAL;
		command_add_arg(writer, pair->key, pair->key_bytes);
		if (has_values)
			command_add_arg(writer, pair->value, pair->value_bytes);
	}
	return 0;
}

static uint8_t
encode_add(struct command_writer *writer, const struct tern_request *request)
{
	uint8_t flags = 0;

	command_add_arg(writer, request->key, request->key_bytes);
	command_add_i64(writer, request->delta);
	if (request->has_min) {
		command_add_i64(writer, request->min);
		flags |= COMMAND_HAS_MIN;
	}
	if (request->has_max) {
		command_add_i64(writer, request->max);
		flags |= COMMAND_HAS_MAX;
	}
	return flags;
}

static int
encode_read(struct call *call, const struct tern_request *request)
{
	if (!key_fits(request->key, request->key_bytes))
		return -EINVAL;
	memcpy(call->memory, request->key, request->key_bytes);
	call->bytes = request->key_bytes;
	return 0;
}

int
engine_encode(struct call *call, const struct tern_request *request)
{
	const bool has_pairs = request->op == TERN_MSET || request->op == TERN_DELETE;
	enum command_op op = COMMAND_SET;
	struct command_writer writer;
	uint8_t flags = 0;
	int failed = 0;

	if (request->op == TERN_GET)
		return encode_read(call, request);
	if (!has_pairs && (!key_fits(request->key, request->key_bytes) ||
			   !value_fits(request->value, request->value_bytes)))
		return -EINVAL;
	command_begin(&writer, call->memory, TERN_REQUEST_BYTES_MAX / 8 * 8);
	switch (request->op) {
	case TERN_SET:
		command_add_arg(&writer, request->key, request->key_bytes);
		command_add_arg(&writer, request->value, request->value_bytes);
		break;
	case TERN_MSET:
		op = COMMAND_MSET;
		failed = encode_pairs(&writer, request, true);
		break;
	case TERN_DELETE:
		op = COMMAND_DELETE;
		failed = encode_pairs(&writer, request, false);
		break;
	case TERN_ADD:
		op = COMMAND_ADD;
		flags = encode_add(&writer, request);
		break;
	case TERN_GET:
	default: /* a number of the caller's that is no operation */
		return -EINVAL;
	}
	if (failed != 0)
		return failed;
	return command_end(&writer, op, flags, 0, 0, 0, &call->bytes) == TERN_OK ? 0 : -EMSGSIZE;
}
