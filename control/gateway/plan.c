/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a write as one command of the log. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

uint64_t
gateway_plan_bytes(const struct write_plan *plan)
{
	uint64_t bytes = COMMAND_HDR_BYTES + (uint64_t)plan->encoded_bytes;

	for (uint32_t i = 0; i < plan->args_count; i++)
		bytes += sizeof(le32) + (uint64_t)plan->args[i].bytes;
	bytes += plan->integers_count * (sizeof(le32) + sizeof(int64_t));
	return align_up_u64(bytes, 8);
}

uint64_t
gateway_plan_reply_bytes(const struct gateway *gateway, const struct write_plan *plan)
{
	return (plan->flags & COMMAND_GET_OLD) != 0 ? gateway->value_bytes_max : plan->reply_bytes;
}

enum command_class
gateway_plan_class(const struct connection *conn, const struct write_plan *plan)
{
	if (plan->is_memory)
		return COMMAND_MEMORY;
	return conn == NULL ? COMMAND_DURABLE : (enum command_class)conn->class_;
}

void
gateway_plan_encode(const struct write_plan *plan, uint8_t *out, uint32_t bytes)
{
	struct command_writer writer;
	uint32_t written = 0;

	command_begin(&writer, out, bytes);
	for (uint32_t i = 0; i < plan->args_count; i++)
		command_add_arg(&writer, plan->args[i].data, plan->args[i].bytes);
	for (uint32_t i = 0; i < plan->integers_count; i++)
		command_add_i64(&writer, plan->integers[i]);
	command_add_encoded(&writer, plan->encoded, plan->encoded_bytes, plan->encoded_count);
	const enum tern_err err = command_end(&writer, plan->op, plan->flags, plan->client_id,
					      plan->seq, plan->open_window, &written);
	INVARIANT(err == TERN_OK && written == bytes);
}
