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
 * The file is named <first_index>-<last_index>-t<term of the last block>, which says what is in it.
 * A tail is on the ring when it is cut and at every later start; what has been saved is not saved
 * again. It stays on the ring until it is in a file: an empty ring is the loop's leave to put a
 * checkpoint in the place of the log, after which nothing names the tail any more. If the ring is
 * full the next cut waits. What cannot be read of a tail is left out after some tries.
 *
 * Each is one line in the file. Arguments of ADD: the key, then numbers: delta, MIN if flag 1, MAX
 * if flag 2. An argument that is not UTF-8 is written as {"hex":"..."}.
 */
#include "control/daemon/ternd.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/daemon/patient.h"
#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/heal.h"
#include "hw/file_store/register_store.h"
#include "hw/platform/platform.h"

#define TRIES_MAX     10u /* for all of a tail to be readable; then it is tried less often */
#define RETRY_NS      1000000000u
#define RETRY_LATE_NS 10000000000u
#define DONE_SUFFIX   ".done"

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
	case COMMAND_MULTI:
		return "MULTI";
	case COMMAND_CHECK:
		return "CHECK";
	case COMMAND_GET:
		return "GET";
	case COMMAND_EXISTS:
		return "EXISTS";
	case COMMAND_LENGTH:
		return "LENGTH";
	case COMMAND_EXPIRE:
		return "EXPIRE";
	case COMMAND_PERSIST:
		return "PERSIST";
	case COMMAND_EXPIRY:
		return "EXPIRY";
	case COMMAND_TICK:
		return "TICK";
	}
	return "UNKNOWN";
}

static json_t *
arg_json(const struct command *command, uint32_t number, struct command_arg arg)
{
	char *hex;
	json_t *out;

	const bool is_number = command->op == COMMAND_ADD || command->op == COMMAND_CHECK ||
			       command->op == COMMAND_EXPIRE;

	if ((is_number && number > 0) || (command->op == COMMAND_SET && number > 1))
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

/* Of a command that is no MULTI. */
static json_t *
args_json(const struct command *command)
{
	json_t *args = json_array();
	const uint8_t *cursor = command->args;
	struct command_arg arg;

	for (uint32_t i = 0; command_arg_next(command, &cursor, &arg); i++)
		json_array_append_new(args, arg_json(command, i, arg));
	return args;
}

static json_t *
parts_json(const struct command *multi)
{
	json_t *parts = json_array();
	const uint8_t *cursor = multi->args;
	struct command_arg arg;
	struct command part;

	while (command_arg_next(multi, &cursor, &arg)) {
		command_part(arg, &part);
		json_array_append_new(parts,
				      json_pack("{s:s, s:i, s:o}", "op", op_name(part.op), "flags",
						(int)part.flags, "args", args_json(&part)));
	}
	return parts;
}

static json_t *
command_json(const struct block_hdr *hdr, uint32_t slot, const struct command *command)
{
	json_t *args = command->op == COMMAND_MULTI ? parts_json(command) : args_json(command);

	return json_pack(
	    "{s:I, s:i, s:I, s:i, s:s, s:i, s:I, s:I, s:o}", "log_index",
	    (json_int_t)hdr->log_index, "slot", (int)slot, "term", (json_int_t)hdr->term, "epoch",
	    (int)hdr->epoch, "op", op_name(command->op), "flags", (int)command->flags, "client_id",
	    (json_int_t)command->client_id, "seq", (json_int_t)command->seq, "args", args);
}

/* A block is named by its index and its term: equal ones hold equal commands. */
static void
block_key(uint64_t log_index, uint64_t term, char out[48])
{
	snprintf(out, 48, "%llu.%llu", (unsigned long long)log_index, (unsigned long long)term);
}

/* Adds the blocks of one saved tail that have commands. */
static void
known_read(const char *path, json_t *known)
{
	FILE *in = fopen(path, "re");
	char *line = NULL, key[48];
	size_t room = 0;

	while (in != NULL && getline(&line, &room, in) > 0) {
		/* Keys and values are byte strings: a zero is written as \u0000. */
		json_t *command = json_loads(line, JSON_ALLOW_NUL, NULL);
		const json_t *log_index = json_object_get(command, "log_index");
		const json_t *term = json_object_get(command, "term");
		if (json_is_integer(log_index) && json_is_integer(term)) {
			block_key((uint64_t)json_integer_value(log_index),
				  (uint64_t)json_integer_value(term), key);
			(void)json_object_set_new(known, key, json_true());
		}
		json_decref(command);
	}
	free(line);
	if (in != NULL)
		fclose(in);
}

/* "X.tail", or "X.tail.done": one that a person has dealt with. */
static bool
is_tail_name(const char *name)
{
	const char *suffix = strstr(name, ".tail");

	return suffix != NULL &&
	       (strcmp(suffix, ".tail") == 0 || strcmp(suffix, ".tail" DONE_SUFFIX) == 0);
}

/* The blocks that lie in saved tails already: a tail is named again at every start, and may then
 * come in other pieces than those in which it was cut. A command that stands in two files might be
 * submitted again twice. */
static json_t *
known_blocks(const struct ternd *node)
{
	char path[NODE_CONFIG_PATH_MAX + 300];
	const struct dirent *entry;
	json_t *known = json_object();
	DIR *dir = opendir(node->config.divergent_dir);

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (!is_tail_name(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%.255s", node->config.divergent_dir,
			 entry->d_name);
		known_read(path, known);
	}
	if (dir != NULL)
		closedir(dir);
	return known;
}

/* What was written of a tail. */
struct written {
	uint32_t commands;
	uint32_t known;      /* blocks left out: saved already */
	uint32_t unreadable; /* blocks */
};

/* Where the log was short of room the tail's cells may have been used again: what stands there now
 * is of later blocks, which may well be committed. */
static bool
is_of_tail(const struct divergent_record *record, const struct divergent_block *block,
	   const struct block_hdr *hdr)
{
	return hdr->log_index == block->log_index && hdr->term <= record->last_term;
}

/* What takes a record's blocks to a file. */
struct writer {
	FILE *out;
	const struct divergent_record *record;
	const json_t *known; /* what is saved already */
	uint8_t *scratch;    /* gathers a command */
	uint32_t scratch_bytes;
	struct written written;
};

static void
write_block(struct writer *writer, const struct divergent_block *place, const uint8_t *block)
{
	struct cmdlog_cursor cursor;
	struct block_hdr hdr;
	const uint8_t *bytes;
	uint32_t length, slot;
	char key[48];

	if (cmdlog_cursor_begin(&cursor, block, writer->scratch, writer->scratch_bytes, &hdr) !=
		TERN_OK ||
	    !is_of_tail(writer->record, place, &hdr)) {
		writer->written.unreadable++;
		return;
	}
	block_key(hdr.log_index, hdr.term, key);
	if (json_object_get(writer->known, key) != NULL) {
		writer->written.known++;
		return;
	}
	while (cmdlog_cursor_next(&cursor, &bytes, &length, &slot)) {
		struct command command;
		char *text;

		if (command_decode(bytes, length, &command) != TERN_OK)
			break;
		json_t *json = command_json(&hdr, slot, &command);
		text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
		if (text != NULL)
			fprintf(writer->out, "%s\n", text);
		free(text);
		json_decref(json);
		writer->written.commands++;
	}
}

/* ---- reading the devices beside the data thread ---- */

/* What decodes; of the geometry of the record. NULL: no memory. */
static struct stripe_code *
code_make(struct stripe_geometry geometry)
{
	struct stripe_code *code = NULL;
	const size_t bytes = align_up_u64(stripe_code_bytes(), PAGE_BYTES);
	void *memory = aligned_alloc(PAGE_BYTES, bytes);

	if (memory != NULL && stripe_code_init(memory, geometry, &code) != TERN_OK)
		free(memory);
	return code;
}

/* One column of a group. False: it is not to be had, or not in time. */
static bool
column_read(struct ternd *node, uint32_t drive, uint8_t *data, size_t bytes, off_t at)
{
	const bool is_silent = drive < NVME_DEVICES_MAX && (node->divergent_silent >> drive & 1);
	const uint64_t patience_ns =
	    node->config.parity == 0 ? PATIENT_FOR_EVER : node->config.disk.hang_ns;
	const int fd = is_silent ? -1 : nvme_device_fd(node->nvme, drive);

	if (fd < 0)
		return false;
	const enum tern_err err = patient_pread(fd, data, bytes, at, patience_ns);
	if (err == TERN_ERR_BUSY) {
		node->divergent_silent |= 1u << drive;
		platform_diag(PLATFORM_WARNING,
			      "device_silent node=%s drive=%u: a divergent tail is read without it",
			      node->config.name, drive);
	}
	return err == TERN_OK;
}

/* One read a column; what cannot be read is left to be decoded. A device that failed may be one
 * that hangs, and is not asked; one that is made whole need not have it yet. */
static void
columns_read(struct ternd *node, const struct divergent_record *record, struct stripe_image *image)
{
	const struct stripe_layout *layout = &image->layout;
	struct node_status status;

	status_read(node->status, &status);
	const uint32_t out = status.pool.failed | status.pool.suspect | status.pool.rebuilding;
	for (uint32_t column = 0; column < stripe_devices(record->geometry); column++) {
		const size_t bytes = (size_t)stripe_column_pages(layout, column) * PAGE_BYTES;
		if (bytes == 0)
			continue;
		const struct stripe_place place = stripe_cell_place(
		    record->geometry, stripe_cell_at(layout, column, 0), record->log_pages);
		const off_t at = (off_t)((record->log_first_page + place.page) * PAGE_BYTES);
		/* Before the first status a spare is not known to stand there: it is decoded. */
		const uint32_t drive =
		    status.pool.k == 0 ? place.device : status.pool.drives[place.device];
		if ((out & STRIPE_BIT(place.device)) != 0 ||
		    !column_read(node, drive, stripe_image_page(image, column, 0), bytes, at))
			image->absent |= STRIPE_BIT(column);
	}
}

/* The pages of @block, decoded where a device does not give them; with image->data to be freed.
 * NULL: its group cannot be read. What of the group is lost, in other rows, does not matter:
 * whoever reads the block sees whether it is whole. */
static const uint8_t *
block_read(struct ternd *node, const struct divergent_record *record,
	   const struct divergent_block *block, struct stripe_code *code,
	   struct stripe_image *image)
{
	struct stripe_healed healed;

	*image = (struct stripe_image){
		.layout =
		    stripe_layout_make(record->geometry, block->first_cell, block->group_pages),
	};
	image->data = aligned_alloc(PAGE_BYTES, (size_t)image->layout.cells * PAGE_BYTES);
	if (image->data == NULL)
		return NULL;
	image->parity = image->data + (size_t)image->layout.pages * PAGE_BYTES;
	columns_read(node, record, image);
	if (!stripe_image_find(image, record->cluster_id, node->config.id))
		return NULL;
	(void)!stripe_heal(code, image, &healed);
	return image->data + (size_t)block->page * PAGE_BYTES;
}

/* Reads the blocks that @record names and writes one line a command. */
static struct written
write_commands(struct ternd *node, const struct divergent_record *record, FILE *out)
{
	const struct divergent_block *blocks = (const struct divergent_block *)(record + 1);
	const uint32_t pages = cmdlog_block_pages_max((uint32_t)node->config.log.command_bytes_max);
	const uint32_t scratch_bytes = pages * PAGE_PAYLOAD_BYTES;
	struct stripe_code *code = code_make(record->geometry);
	json_t *known = known_blocks(node);
	struct writer writer = { .out = out,
				 .record = record,
				 .known = known,
				 .scratch = malloc(scratch_bytes),
				 .scratch_bytes = scratch_bytes };

	for (uint32_t i = 0; i < record->count; i++) {
		struct stripe_image image = { 0 };
		const uint8_t *block = writer.scratch == NULL || code == NULL
					   ? NULL
					   : block_read(node, record, &blocks[i], code, &image);

		if (block != NULL)
			write_block(&writer, &blocks[i], block);
		else
			writer.written.unreadable++;
		free(image.data);
	}
	json_decref(known);
	free(code);
	free(writer.scratch);
	return writer.written;
}

static bool
save(const struct ternd *node, const struct divergent_record *record, const struct written *written,
     const char *body, const char *path)
{
	char *text = NULL;
	json_t *header = json_pack(
	    "{s:s, s:s, s:I, s:I, s:I, s:i, s:i}", "api", "divergent/v1", "node", node->config.name,
	    "first_index", (json_int_t)record->first_index, "last_index",
	    (json_int_t)record->last_index, "cut_term", (json_int_t)record->cut_term, "blocks",
	    (int)record->count, "commands", (int)written->commands);

	if (record->committed_index >= record->first_index)
		(void)json_object_set_new(header, "committed_index",
					  json_integer((json_int_t)record->committed_index));
	if (written->unreadable != 0)
		(void)json_object_set_new(header, "unreadable",
					  json_integer((json_int_t)written->unreadable));
	char *first = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	(void)mkdir(node->config.divergent_dir, 0700);
	const bool is_good = first != NULL && asprintf(&text, "%s\n%s", first, body) > 0 &&
			     file_store_write_atomic(path, text, strlen(text)) == TERN_OK;
	free(text);
	free(first);
	return is_good;
}

/* True: the tail is in files, whole; with @takes_part, as much of it as can be read. */
static bool
export_record(struct ternd *node, const struct divergent_record *record, bool takes_part)
{
	char path[NODE_CONFIG_PATH_MAX + 128], done[sizeof(path) + sizeof(DONE_SUFFIX)];
	char *body = NULL;
	size_t body_bytes = 0;

	snprintf(path, sizeof(path), "%s/%llu-%llu-t%llu.tail", node->config.divergent_dir,
		 (unsigned long long)record->first_index, (unsigned long long)record->last_index,
		 (unsigned long long)record->last_term);
	snprintf(done, sizeof(done), "%s" DONE_SUFFIX, path);
	if (access(path, F_OK) == 0 || access(done, F_OK) == 0)
		return true;
	FILE *out = open_memstream(&body, &body_bytes);
	if (out == NULL)
		return false;
	const struct written written = write_commands(node, record, out);
	bool is_good = fclose(out) == 0 && (takes_part || written.unreadable == 0);
	/* Nothing that is not in other files already. */
	const bool is_needless = written.commands == 0 && written.known != 0;
	if (is_good && !is_needless) {
		is_good = save(node, record, &written, body, path);
		if (is_good)
			platform_diag(
			    PLATFORM_WARNING,
			    "divergent_saved node=%s term=%llu log_index=%llu commands=%u "
			    "unreadable=%u path=%s",
			    node->config.name, (unsigned long long)record->cut_term,
			    (unsigned long long)record->first_index, written.commands,
			    written.unreadable, path);
	}
	free(body);
	return is_good;
}

static void
tell_not_saved(const struct ternd *node, const struct divergent_record *record)
{
	platform_diag(PLATFORM_ERROR,
		      "divergent_not_saved node=%s dir=%s term=%llu log_index=%llu tries=%u: make "
		      "room there and let ternd write there; until this tail is saved the node "
		      "takes no checkpoint, and keeps the log that holds it",
		      node->config.name, node->config.divergent_dir,
		      (unsigned long long)record->cut_term, (unsigned long long)record->first_index,
		      node->divergent_tries);
}

bool
divergent_turn(struct ternd *node)
{
	uint32_t bytes;
	const struct divergent_record *record = ring_peek(&node->divergent, &bytes);
	const uint64_t now_ns = platform_monotonic_ns();

	if (record == NULL || (node->divergent_tries != 0 && now_ns < node->divergent_retry_ns))
		return false;
	if (!export_record(node, record, node->divergent_tries + 1 >= TRIES_MAX)) {
		node->divergent_tries++;
		node->divergent_retry_ns =
		    now_ns + (node->divergent_tries < TRIES_MAX ? RETRY_NS : RETRY_LATE_NS);
		if (node->divergent_tries == 1 || node->divergent_tries % TRIES_MAX == 0)
			tell_not_saved(node, record);
		return false;
	}
	node->divergent_tries = 0;
	ring_consume(&node->divergent);
	return true;
}
