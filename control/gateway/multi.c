/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/multi.h"

#include <stdio.h>
#include <string.h>

#include "control/gateway/gateway_internal.h"
#include "control/gateway/reply.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/reply.h"

#define PARTS_BYTES   512u /* first sizes */
#define ENTRIES_COUNT 16u
#define NO_MEMORY                                                                                  \
	"ERR no memory for the transaction: the buffers of all connections together are used up; " \
	"try again later, or with fewer and smaller commands"

void
multi_drop(struct connection *conn)
{
	struct multi *multi = &conn->multi;

	gateway_resize(conn->gateway, multi->parts, multi->parts_capacity, 0);
	gateway_resize(conn->gateway, multi->entries,
		       multi->entries_capacity * sizeof(*multi->entries), 0);
	*multi = (struct multi){ 0 };
}

void
multi_sent(struct connection *conn)
{
	struct multi *multi = &conn->multi;

	INVARIANT(multi->is_open && !multi->is_aborted);
	gateway_resize(conn->gateway, multi->parts, multi->parts_capacity, 0);
	multi->parts = NULL;
	multi->parts_used = multi->parts_capacity = multi->parts_count = 0;
	multi->is_open = false;
	multi->is_sent = true;
}

void
multi_read_sent(struct connection *conn)
{
	struct multi *multi = &conn->multi;

	INVARIANT(multi->is_open && !multi->is_aborted && !multi->has_write);
	multi->is_open = false;
	multi->is_sent = true;
}

bool
multi_takes(const struct command_call *call, const struct gateway_command *command)
{
	const bool is_exec_once = command != NULL && command->form == MULTI_ONCE &&
				  call->args_count == 4 && resp_is(call->args[3], "exec");

	return call->conn->multi.is_open && !is_exec_once &&
	       (command == NULL || command->form != MULTI_CONTROL);
}

/* Grows *@data, which has room for *@capacity of @size bytes, for @need of them. */
static bool
grow(struct connection *conn, void **data, uint32_t *capacity, uint32_t need, uint32_t first,
     size_t size)
{
	const uint32_t to = max_u32(max_u32(*capacity * 2, first), need);

	if (need <= *capacity)
		return true;
	void *grown = gateway_resize(conn->gateway, *data, *capacity * size, to * size);
	if (grown == NULL)
		return false;
	*data = grown;
	*capacity = to;
	return true;
}

/* Appends @plan as a part; NULL, or what is wrong. */
static const char *
part_add(struct connection *conn, const struct write_plan *plan)
{
	struct gateway *gateway = conn->gateway;
	struct multi *multi = &conn->multi;
	const uint64_t bytes = gateway_plan_bytes(plan);
	const uint64_t whole = multi->parts_used + sizeof(le32) + bytes;

	if (align_up_u64(COMMAND_HDR_BYTES + whole, 8) > gateway->write_bytes_max ||
	    multi->parts_count == COMMAND_ARGS_MAX) {
		(void)snprintf(gateway->refusal, sizeof(gateway->refusal),
			       "ERR the transaction is too large: at most %u bytes and %u parts",
			       gateway->write_bytes_max, COMMAND_ARGS_MAX);
		return gateway->refusal;
	}
	void *parts = multi->parts;
	if (!grow(conn, &parts, &multi->parts_capacity, (uint32_t)whole, PARTS_BYTES, 1))
		return NO_MEMORY;
	multi->parts = parts;
	const le32 length = le32_make((uint32_t)bytes);
	memcpy(multi->parts + multi->parts_used, &length, sizeof(length));
	gateway_plan_encode(plan, multi->parts + multi->parts_used + sizeof(length),
			    (uint32_t)bytes);
	multi->parts_used = (uint32_t)whole;
	multi->parts_count++;
	return NULL;
}

bool
multi_watch(struct connection *conn, const struct write_plan *check)
{
	INVARIANT(!conn->multi.is_open && !conn->multi.is_sent);
	return part_add(conn, check) == NULL;
}

/* ---- what a queued command becomes ---- */

static const char *
read_add(const struct command_call *call, enum command_op op, uint32_t first, uint32_t keys_count)
{
	const struct write_plan plan = { .op = op,
					 .args = call->args + first,
					 .args_count = keys_count };

	return part_add(call->conn, &plan);
}

static const char *
write_add(const struct command_call *call, const struct gateway_command *command)
{
	struct write_plan plan = { 0 };
	const char *wrong = command->plan(call, &plan);

	if (wrong != NULL)
		return wrong;
	call->conn->multi.has_write = true;
	call->conn->multi.reply_bytes += gateway_plan_reply_bytes(call->gateway, &plan);
	return part_add(call->conn, &plan);
}

static const char *
parts_add(const struct command_call *call, const struct gateway_command *command)
{
	const enum multi_form form = (enum multi_form)command->form;
	const char *wrong = command->check != NULL ? command->check(call) : NULL;
	const uint32_t keys = call->args_count - 1;

	if (wrong != NULL)
		return wrong;
	switch (form) {
	case MULTI_WRITE:
		return write_add(call, command);
	case MULTI_GET:
	case MULTI_MGET:
		for (uint32_t i = 1; i <= keys && wrong == NULL; i++)
			wrong = read_add(call, COMMAND_GET, i, 1);
		call->conn->multi.reply_bytes += (uint64_t)keys * call->gateway->value_bytes_max;
		return wrong;
	case MULTI_EXISTS:
	case MULTI_TYPE:
		return keys <= COMMAND_ARGS_MAX ? read_add(call, COMMAND_EXISTS, 1, keys)
						: "ERR too many arguments for one command";
	case MULTI_STRLEN:
		return read_add(call, COMMAND_LENGTH, 1, 1);
	case MULTI_TTL:
	case MULTI_PTTL:
	case MULTI_EXPIRETIME:
	case MULTI_PEXPIRETIME:
		return read_add(call, COMMAND_EXPIRY, 1, 1);
	case MULTI_NOTHING:
		return NULL;
	case MULTI_REFUSED:
	case MULTI_CONTROL:
	case MULTI_ONCE:
		break;
	}
	(void)snprintf(call->gateway->refusal, sizeof(call->gateway->refusal),
		       "ERR '%s' is not allowed in a transaction", command->name);
	return call->gateway->refusal;
}

void
multi_queue(struct command_call *call, const struct gateway_command *command)
{
	struct connection *conn = call->conn;
	struct multi *multi = &conn->multi;
	const uint32_t parts_before = multi->parts_count;
	void *entries = multi->entries;

	INVARIANT(multi->is_open);
	const char *wrong = parts_add(call, command);
	if (wrong == NULL &&
	    !grow(conn, &entries, &multi->entries_capacity, multi->entries_count + 1, ENTRIES_COUNT,
		  sizeof(*multi->entries)))
		wrong = NO_MEMORY;
	if (wrong != NULL) {
		multi->is_aborted = true;
		resp_error(call->out, wrong);
		return;
	}
	multi->entries = entries;
	multi->entries[multi->entries_count++] = (struct multi_entry){
		.form = command->form,
		.parts_count = (uint16_t)(multi->parts_count - parts_before),
	};
	multi->reply_bytes += (multi->parts_count - parts_before) * REPLY_ITEM_BYTES;
	resp_simple(call->out, "QUEUED");
}

/* ---- its answer ---- */

/* Where the replies of the parts come from: the lcore's list, or the parts as a view shows them. */
struct reply_source {
	struct reply_cursor list;
	struct state_reader *reader; /* NULL: the list */
	const uint8_t *part;
};

static struct reply
reply_next(struct reply_source *source)
{
	struct reply reply;

	if (source->reader != NULL)
		return multi_part_read(source->reader, &source->part);
	const bool is_there = reply_list_next(&source->list, &reply);
	INVARIANT(is_there);
	return reply;
}

static void
entry_reply(struct resp_writer *out, const struct multi_entry *entry, struct reply_source *source)
{
	const bool is_expiry = entry->form >= MULTI_TTL && entry->form <= MULTI_PEXPIRETIME;

	if (entry->form == MULTI_NOTHING) {
		resp_simple(out, "OK");
		return;
	}
	if (entry->form == MULTI_MGET)
		resp_array(out, entry->parts_count);
	for (uint32_t i = 0; i < entry->parts_count; i++) {
		const struct reply reply = reply_next(source);
		if (entry->form == MULTI_TYPE && reply.kind == REPLY_INTEGER)
			resp_simple(out, reply.value != 0 ? "string" : "none");
		else if (is_expiry && (reply.kind == REPLY_EXPIRY || reply.kind == REPLY_NULL))
			gateway_expiry_reply(out, entry->form, reply.kind == REPLY_EXPIRY,
					     (uint64_t)reply.value, (uint64_t)reply.delta);
		else
			gateway_write_reply(out, &reply);
	}
}

static void
entries_reply(const struct multi *multi, struct resp_writer *out, struct reply_source *source)
{
	resp_array(out, multi->entries_count);
	for (uint32_t i = 0; i < multi->entries_count && !out->is_full; i++)
		entry_reply(out, &multi->entries[i], source);
}

void
multi_reply(const struct connection *conn, struct resp_writer *out, const struct reply *reply)
{
	struct reply_source source = { 0 };

	INVARIANT(conn->multi.is_sent);
	if (reply->kind != REPLY_ARRAY) {
		gateway_write_reply(out, reply);
		return;
	}
	source.list = (struct reply_cursor){ reply->data, reply->data + reply->bytes };
	entries_reply(&conn->multi, out, &source);
	INVARIANT(out->is_full || source.list.at == source.list.end);
}

void
multi_read(struct command_call *call)
{
	const struct multi *multi = &call->conn->multi;
	struct reply_source source = { .reader = call->reader, .part = multi->parts };
	uint32_t watched = multi->parts_count;

	INVARIANT(multi->is_sent && !multi->has_write);
	for (uint32_t i = 0; i < multi->entries_count; i++)
		watched -= multi->entries[i].parts_count;
	if (multi_checks_hold(call->reader, &source.part, watched))
		entries_reply(multi, call->out, &source);
	else
		resp_null_array(call->out);
}

/* EXEC as the read that it is then; connection_read runs it. */
const struct gateway_command multi_exec_read = {
	.name = "exec",
	.name_bytes = 4,
	.arity = 1,
	.kind = GATEWAY_READ,
	.form = MULTI_CONTROL,
	.run = multi_read,
};
