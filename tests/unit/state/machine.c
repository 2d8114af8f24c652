/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/state/machine.h"

#include <stdlib.h>
#include <string.h>

#define COMMAND_BYTES_MAX (2u << 20)

void
machine_start(struct machine *machine, const struct machine_options *options)
{
	*machine = (struct machine){ .at = { .log_index = 1 }, .time_ns = 1 };
	machine->arena = aligned_alloc(4096, options->arena_bytes);
	assert_non_null(machine->arena);
	memset(machine->arena, 0, options->arena_bytes);
	machine->buffer = malloc(COMMAND_BYTES_MAX);
	assert_non_null(machine->buffer);
	const struct state_config config = {
		.arena = machine->arena,
		.arena_bytes = options->arena_bytes,
		.capacity_bytes = options->capacity_bytes,
		.value_bytes_max =
		    options->value_bytes_max != 0 ? options->value_bytes_max : 1u << 20,
		.sessions_max = options->sessions_max,
		.readers_max = 4,
		.hash_seed = options->hash_seed,
	};
	assert_int_equal(state_init(&config, &machine->state), TERN_OK);
	machine->reader = state_reader_open(machine->state);
	assert_non_null(machine->reader);
}

void
machine_stop(struct machine *machine)
{
	state_reader_close(machine->reader);
	free(machine->arena);
	free(machine->buffer);
}

struct reply
machine_apply(struct machine *machine, enum command_op op, uint8_t flags, uint64_t client_id,
	      uint64_t seq, uint16_t open_window, const struct command_arg *args,
	      uint32_t args_count)
{
	uint32_t need = COMMAND_HDR_BYTES + 8, bytes = 0;
	struct command_writer writer;
	struct command command;
	struct reply reply;

	for (uint32_t i = 0; i < args_count; i++)
		need += 4 + args[i].bytes;
	assert_in_range(need, 0, COMMAND_BYTES_MAX);
	uint8_t *buffer = machine->buffer;
	command_begin(&writer, buffer, need);
	for (uint32_t i = 0; i < args_count; i++)
		command_add_arg(&writer, args[i].data, args[i].bytes);
	assert_int_equal(command_end(&writer, op, flags, client_id, seq, open_window, &bytes),
			 TERN_OK);
	assert_int_equal(command_decode(buffer, bytes, &command), TERN_OK);
	state_prefetch(machine->state, &command);
	state_prefetch_batch(machine->state, &command, 1);
	machine->at.slot++;
	state_apply(machine->state, machine->at, machine->time_ns, &command, &reply);
	memset(buffer, 0xee, need); /* nothing may point into the command afterwards */
	return reply;
}

struct command_arg
machine_text(const char *text)
{
	return (struct command_arg){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

struct reply
machine_set(struct machine *machine, const char *key, const char *value)
{
	const struct command_arg args[] = { machine_text(key), machine_text(value) };

	return machine_apply(machine, COMMAND_SET, 0, 0, 0, 0, args, 2);
}

struct reply
machine_add(struct machine *machine, const char *key, int64_t delta)
{
	const le64 le = le64_make((uint64_t)delta);
	const struct command_arg args[] = { machine_text(key), { le.bytes, 8 } };

	return machine_apply(machine, COMMAND_ADD, 0, 0, 0, 0, args, 2);
}

struct reply
machine_delete(struct machine *machine, const char *key)
{
	const struct command_arg args[] = { machine_text(key) };

	return machine_apply(machine, COMMAND_DELETE, 0, 0, 0, 0, args, 1);
}

void
machine_publish(struct machine *machine)
{
	state_publish(machine->state, machine->at.log_index);
	machine->at = (struct state_position){ .log_index = machine->at.log_index + 1 };
}

void
machine_block(struct machine *machine)
{
	machine_publish(machine);
	state_commit(machine->state, machine->at.log_index - 1);
	state_reclaim_turn(machine->state, machine->has_readers);
}

void
machine_rollback(struct machine *machine, uint64_t log_index)
{
	state_rollback(machine->state, log_index);
	machine->at = (struct state_position){ .log_index = log_index + 1 };
}

void
machine_check_hash(struct machine *machine)
{
	uint64_t index = 0;
	const uint64_t view = state_read_begin(machine->reader);
	const uint64_t hash = state_read_hash(machine->reader, &index);

	assert_int_equal(index, view);
	assert_int_equal(index, state_applied_index(machine->state));
	assert_int_equal(hash, state_hash(machine->state));
	assert_int_equal(hash, state_hash_scan(machine->reader));
	state_read_end(machine->reader);
}

struct state_value
machine_get(struct machine *machine, const char *key, char *out)
{
	(void)state_read_begin(machine->reader);
	struct state_value value = state_read_get(machine->reader, key, (uint32_t)strlen(key));
	if (value.type == STATE_BYTES) {
		assert_in_range(value.bytes, 0, 63);
		memcpy(out, value.data, value.bytes);
		out[value.bytes] = '\0';
		value.data = NULL;
	}
	state_read_end(machine->reader);
	return value;
}
