/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tails that were rolled back, kept for people: one file a cut in <storage>/divergent, JSON lines.
 * The first line describes the tail, every further line one command, in log order:
 *
 *	{"api":"divergent/v1","node":"a","first_index":7,"last_index":9,"cut_term":4,
 *	 "blocks":3,"commands":3}
 *	{"log_index":7,"slot":0,"term":3,"epoch":1,"op":"ADD","flags":1,"client_id":0,"seq":0,
 *	 "args":["user:1",-100,0]}
 *
 * Each is one line in the file. Arguments of ADD: the key, then numbers: delta, MIN if flag 1, MAX
 * if flag 2. An argument that is not UTF-8 is written as {"hex":"..."}.
 */
#include "control/daemon/ternd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/cmdlog/cmdlog.h"
#include "hw/file_store/register_store.h"
#include "hw/platform/platform.h"

static const char *
op_name(enum command_op op)
{
	switch (op) {
	case COMMAND_SET:
		return "SET";
	case COMMAND_MSET:
		return "MSET";
	case COMMAND_DELETE:
		return "DELETE";
	case COMMAND_ADD:
		return "ADD";
	case COMMAND_SESSION_OPEN:
		return "SESSION_OPEN";
	case COMMAND_SESSION_CLOSE:
		return "SESSION_CLOSE";
	case COMMAND_APPEND:
		return "APPEND";
	}
	return "UNKNOWN";
}

static json_t *
arg_json(const struct command *command, uint32_t number, struct command_arg arg)
{
	char *hex;
	json_t *out;

	if (command->op == COMMAND_ADD && number > 0)
		return json_integer(command_arg_i64(arg));
	out = json_stringn((const char *)arg.data, arg.bytes);
	if (out != NULL)
		return out;
	hex = malloc(2 * (size_t)arg.bytes + 1);
	if (hex == NULL)
		return json_null();
	for (uint32_t i = 0; i < arg.bytes; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", arg.data[i]);
	out = json_pack("{s:s}", "hex", hex);
	free(hex);
	return out;
}

static json_t *
command_json(const struct block_hdr *hdr, uint32_t slot, const struct command *command)
{
	json_t *args = json_array();
	const uint8_t *cursor = command->args;
	struct command_arg arg;

	for (uint32_t i = 0; command_arg_next(command, &cursor, &arg); i++)
		json_array_append_new(args, arg_json(command, i, arg));
	return json_pack(
	    "{s:I, s:i, s:I, s:i, s:s, s:i, s:I, s:I, s:o}", "log_index",
	    (json_int_t)hdr->log_index, "slot", (int)slot, "term", (json_int_t)hdr->term, "epoch",
	    (int)hdr->epoch, "op", op_name(command->op), "flags", (int)command->flags, "client_id",
	    (json_int_t)command->client_id, "seq", (json_int_t)command->seq, "args", args);
}

static uint32_t
write_block(FILE *out, const uint8_t *block, uint8_t *scratch, uint32_t scratch_bytes)
{
	struct cmdlog_cursor cursor;
	struct block_hdr hdr;
	const uint8_t *bytes;
	uint32_t length, slot, count = 0;

	if (cmdlog_cursor_begin(&cursor, block, scratch, scratch_bytes, &hdr) != TERN_OK)
		return 0;
	while (cmdlog_cursor_next(&cursor, &bytes, &length, &slot)) {
		struct command command;
		char *text;

		if (command_decode(bytes, length, &command) != TERN_OK)
			break;
		json_t *json = command_json(&hdr, slot, &command);
		text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
		if (text != NULL)
			fprintf(out, "%s\n", text);
		free(text);
		json_decref(json);
		count++;
	}
	return count;
}

/* Reads the blocks that @record names and writes one line a command. Returns the commands. */
static uint32_t
write_commands(const struct ternd *node, const struct divergent_record *record, FILE *out)
{
	const struct divergent_cell *cells = (const struct divergent_cell *)(record + 1);
	const uint32_t scratch_bytes = (uint32_t)node->config.log.command_bytes_max;
	uint8_t *scratch = malloc(scratch_bytes);
	uint32_t commands = 0;

	for (uint32_t i = 0; scratch != NULL && i < record->count; i++) {
		const size_t bytes = (size_t)cells[i].pages * PAGE_BYTES;
		uint8_t *block = aligned_alloc(PAGE_BYTES, bytes);

		if (block != NULL &&
		    pread(nvme_device_fd(node->nvme, 0), block, bytes,
			  (off_t)(cells[i].device_page * PAGE_BYTES)) == (ssize_t)bytes)
			commands += write_block(out, block, scratch, scratch_bytes);
		else
			platform_diag(PLATFORM_ERROR, "divergent_unreadable node=%s log_index=%llu",
				      node->config.name, (unsigned long long)cells[i].log_index);
		free(block);
	}
	free(scratch);
	return commands;
}

static void
export_record(const struct ternd *node, const struct divergent_record *record)
{
	char path[NODE_CONFIG_PATH_MAX + 128], *body = NULL, *text = NULL;
	size_t body_bytes = 0;
	FILE *out = open_memstream(&body, &body_bytes);

	if (out == NULL)
		return;
	const uint32_t commands = write_commands(node, record, out);
	fclose(out);
	json_t *header = json_pack(
	    "{s:s, s:s, s:I, s:I, s:I, s:i, s:i}", "api", "divergent/v1", "node", node->config.name,
	    "first_index", (json_int_t)record->first_index, "last_index",
	    (json_int_t)record->last_index, "cut_term", (json_int_t)record->cut_term, "blocks",
	    (int)record->count, "commands", (int)commands);
	char *first = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	if (first != NULL && asprintf(&text, "%s\n%s", first, body) > 0) {
		(void)mkdir(node->config.divergent_dir, 0700);
		snprintf(path, sizeof(path), "%s/%llu-%llu-t%llu.tail", node->config.divergent_dir,
			 (unsigned long long)record->first_index,
			 (unsigned long long)record->last_index,
			 (unsigned long long)record->cut_term);
		if (file_store_write_atomic(path, text, strlen(text)) != TERN_OK)
			platform_diag(PLATFORM_ERROR, "divergent_not_saved node=%s path=%s",
				      node->config.name, path);
		else
			platform_diag(
			    PLATFORM_WARNING,
			    "divergent_saved node=%s term=%llu log_index=%llu commands=%u "
			    "path=%s",
			    node->config.name, (unsigned long long)record->cut_term,
			    (unsigned long long)record->first_index, commands, path);
	}
	free(text);
	free(first);
	free(body);
}

bool
divergent_turn(struct ternd *node)
{
	uint32_t bytes;
	const struct divergent_record *record = ring_peek(&node->divergent, &bytes);

	if (record == NULL)
		return false;
	export_record(node, record);
	ring_consume(&node->divergent);
	return true;
}
