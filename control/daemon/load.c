/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/load.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/state.h"
#include "hw/platform/platform.h"

#define KEY_BYTES        16u
#define PREFIX_BYTES     7u /* nine hexadecimal digits follow: more than LOAD_KEYS_MAX */
#define KEY_OFFSET       (COMMAND_HDR_BYTES + sizeof(le32))
#define SET_OVERHEAD     (COMMAND_HDR_BYTES + 2u * sizeof(le32) + KEY_BYTES)
#define KEY_STEP         0x9e3779b1u /* odd: visits every number below a power of two */
#define SUBMIT_BATCH     4096u       /* commands handed over in one turn */
#define CLOCK_COMMANDS   64u         /* of them between two looks at the clock */
#define SESSION_COMMANDS (STATE_SESSION_WINDOW / 2)
/* A session hands over as many commands in a row as a client's frame carries. */
#define FRAME_BYTES 1400u
#define NONE        UINT32_MAX

/* ---- commands ---- */

/* A whole command of which key, value's end, session and sequence number are filled in later. */
static void
make_template(struct load *load)
{
	static const uint8_t zeros[LOAD_COMMAND_BYTES_MAX];
	const uint32_t command_bytes = load->config.command_bytes;
	struct command_writer writer;
	uint8_t key[KEY_BYTES] = { 0 };
	uint32_t bytes = 0;

	/* Commands of another length have keys of their own; none is a user's by accident. */
	memcpy(key, command_bytes == LOAD_COMMAND_BYTES_MIN ? "bench:a" : "bench:b", PREFIX_BYTES);
	command_begin(&writer, load->command, command_bytes);
	command_add_arg(&writer, key, KEY_BYTES);
	command_add_arg(&writer, zeros, command_bytes - (uint32_t)SET_OVERHEAD);
	const enum tern_err err = command_end(&writer, COMMAND_SET, 0, 1, 1, 0, &bytes);
	INVARIANT(err == TERN_OK && bytes == command_bytes);
	command_set_class(load->command, load->config.class_);
}

static void
put_key(uint8_t *key, uint64_t number)
{
	for (uint32_t i = KEY_BYTES - 1; i >= PREFIX_BYTES; i--) {
		key[i] = (uint8_t) "0123456789abcdef"[number & 15];
		number >>= 4;
	}
}

static void
fill_command(struct load *load, uint8_t *command, const struct load_session *session)
{
	const uint32_t command_bytes = load->config.command_bytes;
	struct command_hdr_le hdr;

	memcpy(command, load->command, command_bytes);
	memcpy(&hdr, command, sizeof(hdr));
	hdr.client_id = le64_make(session->client_id);
	hdr.seq = le64_make(session->next_seq);
	hdr.open_window = le16_make((uint16_t)(session->next_seq - 1 - session->answered));
	memcpy(command, &hdr, sizeof(hdr));
	put_key(command + KEY_OFFSET, load->key_step * KEY_STEP & (load->config.keys - 1));
	/* The value's end tells one write of a key from the next. */
	memcpy(command + command_bytes - sizeof(load->key_step), &load->key_step,
	       sizeof(load->key_step));
}

/* Hands one command over. False: there is no room at the runtime now. */
static bool
submit(struct load *load, uint32_t number, uint64_t now_ns)
{
	struct load_session *session = &load->sessions[number];
	const uint32_t command_bytes = load->config.command_bytes;
	struct submit_request *request =
	    ring_reserve(&load->channel.requests, (uint32_t)sizeof(*request) + command_bytes);

	if (request == NULL)
		return false;
	fill_command(load, (uint8_t *)(request + 1), session);
	const uint32_t index = load->free_first;
	INVARIANT(index != NONE);
	load->free_first = load->flights[index].next_free;
	load->flights[index] = (struct load_flight){ .submitted_ns = now_ns, .session = number };
	load->in_flight++;
	load->key_step++;
	session->next_seq++;
	const bool closes =
	    load->config.block_commands != 0 && ++load->in_block == load->config.block_commands;
	if (closes)
		load->in_block = 0;
	*request = (struct submit_request){ .tag = index,
					    .kind = SUBMIT_WRITE,
					    .command_bytes = command_bytes,
					    .flags = closes ? SUBMIT_CLOSES_BLOCK : 0 };
	ring_publish(&load->channel.requests);
	return true;
}

/* A session with room; NONE: all are full, for answers of one of them are late. */
static uint32_t
choose_session(struct load *load)
{
	for (uint32_t tried = 0; tried <= load->session_count; tried++) {
		const uint32_t number = load->session_next;
		const struct load_session *session = &load->sessions[number];
		const bool has_room = session->next_seq - 1 - session->answered < SESSION_COMMANDS;

		if (has_room && load->frame_left != 0) {
			load->frame_left--;
			return number;
		}
		load->session_next = number + 1 == load->session_count ? 0 : number + 1;
		load->frame_left = max_u32(FRAME_BYTES / load->config.command_bytes, 1);
	}
	return NONE;
}

/* Fills up to in_flight; true: something was handed over. */
static bool
submit_some(struct load *load)
{
	uint64_t now_ns = 0;
	uint32_t count = 0;

	while (count < SUBMIT_BATCH && load->in_flight < load->config.in_flight &&
	       load->key_step < load->until_key) {
		const uint32_t session = choose_session(load);
		if (count % CLOCK_COMMANDS == 0)
			now_ns = platform_monotonic_ns();
		if (session == NONE || !submit(load, session, now_ns))
			break;
		count++;
	}
	return count != 0;
}

/* Answers come in the order of the log, so a block is whole when the next one begins. */
static void
count_block(struct load *load, uint64_t log_index)
{
	if (log_index == load->block_index) {
		load->block_commands++;
		return;
	}
	if (load->block_commands != 0) {
		histogram_add(&load->result.block_size, load->block_commands);
		load->result.blocks++;
	}
	load->block_index = log_index;
	load->block_commands = log_index != 0;
}

static void
count_answer(struct load *load, const struct submit_completion *answer, uint64_t now_ns)
{
	struct load_result *result = &load->result;
	const uint32_t index = (uint32_t)answer->tag;

	INVARIANT(index < LOAD_IN_FLIGHT_MAX && load->in_flight > 0);
	struct load_flight *flight = &load->flights[index];
	load->sessions[flight->session].answered++;
	result->outcomes[answer->outcome < LOAD_OUTCOMES ? answer->outcome : 0]++;
	if (answer->outcome == SUBMIT_DONE) {
		result->bad_replies += answer->reply.kind != REPLY_OK;
		result->durable += answer->class_ == COMMAND_DURABLE;
		histogram_add(&result->latency, now_ns - flight->submitted_ns);
		count_block(load, answer->log_index);
		if (result->first_index == 0) {
			result->first_index = answer->log_index;
			result->first_term = answer->term;
		}
		result->last_index = answer->log_index;
		result->last_term = answer->term;
		result->copies_min = min_u32(result->copies_min, answer->copies);
	} else if (answer->outcome != SUBMIT_REFUSED_BUSY) {
		load->is_over = true;
	}
	flight->next_free = load->free_first;
	load->free_first = index;
	load->in_flight--;
}

static bool
take_answers(struct load *load)
{
	const struct submit_completion *answer;
	uint64_t now_ns = 0;
	uint32_t bytes, count = 0;

	while (count < LOAD_IN_FLIGHT_MAX &&
	       (answer = ring_peek(&load->channel.completions, &bytes)) != NULL) {
		if (count++ == 0)
			now_ns = platform_monotonic_ns();
		count_answer(load, answer, now_ns);
		ring_consume(&load->channel.completions);
	}
	return count != 0;
}

/* ---- sessions ---- */

/* Asks for one session to be opened (@client_id 0) or closed. */
static void
session_ask(struct load *load, uint64_t client_id)
{
	struct submit_request *request =
	    ring_reserve(&load->channel.requests, (uint32_t)sizeof(*request) + COMMAND_HDR_BYTES);
	struct command_writer writer;
	uint32_t bytes = 0;

	INVARIANT(request != NULL); /* nothing else is in it */
	command_begin(&writer, (uint8_t *)(request + 1), COMMAND_HDR_BYTES);
	const enum tern_err err =
	    command_end(&writer, client_id == 0 ? COMMAND_SESSION_OPEN : COMMAND_SESSION_CLOSE, 0,
			client_id, 0, 0, &bytes);
	INVARIANT(err == TERN_OK && bytes == COMMAND_HDR_BYTES);
	command_set_class((uint8_t *)(request + 1), load->config.class_);
	*request = (struct submit_request){ .kind = SUBMIT_WRITE, .command_bytes = bytes };
	ring_publish(&load->channel.requests);
	load->is_asked = true;
}

/* False: no answer yet. */
static bool
session_answer(struct load *load, struct submit_completion *answer)
{
	uint32_t bytes;
	const struct submit_completion *waiting = ring_peek(&load->channel.completions, &bytes);

	if (waiting == NULL)
		return false;
	*answer = *waiting;
	ring_consume(&load->channel.completions);
	load->is_asked = false;
	return true;
}

static void
begin_run(struct load *load)
{
	const struct load_config *config = &load->config;

	load->begin_ns = platform_monotonic_ns();
	load->until_ns =
	    config->duration_ns == 0 ? UINT64_MAX : load->begin_ns + config->duration_ns;
	load->until_key = config->duration_ns == 0 ? load->key_step + config->keys : UINT64_MAX;
	load->session_next = load->frame_left = 0;
	atomic_store(&load->phase, LOAD_RUNS);
}

static bool
opens_turn(struct load *load)
{
	const uint32_t wanted = (uint32_t)div_up_u64(load->config.in_flight, SESSION_COMMANDS);
	struct submit_completion answer;

	INVARIANT(wanted <= LOAD_SESSIONS_MAX);
	if (load->session_count == wanted) {
		begin_run(load);
		return true;
	}
	if (!load->is_asked) {
		session_ask(load, 0);
		return true;
	}
	if (!session_answer(load, &answer))
		return false;
	if (answer.outcome != SUBMIT_DONE || answer.reply.kind != REPLY_SESSION) {
		load->result.is_sessionless = true;
		load->session_next = 0;
		atomic_store(&load->phase, LOAD_CLOSES);
		return true;
	}
	load->sessions[load->session_count++] =
	    (struct load_session){ .client_id = (uint64_t)answer.reply.value, .next_seq = 1 };
	return true;
}

static bool
closes_turn(struct load *load)
{
	struct submit_completion answer;

	if (load->is_asked) {
		if (!session_answer(load, &answer))
			return false;
		if (answer.outcome != SUBMIT_DONE)
			load->session_next = load->session_count; /* the others would fare alike */
		else
			load->result.sessions++;
	}
	if (load->session_next >= load->session_count)
		atomic_store(&load->phase, LOAD_DONE);
	else
		session_ask(load, load->sessions[load->session_next++].client_id);
	return true;
}

/* ---- turns ---- */

static bool
runs_turn(struct load *load)
{
	bool has_any = take_answers(load);

	if (!load->is_over && load->key_step < load->until_key &&
	    platform_monotonic_ns() < load->until_ns)
		has_any |= submit_some(load);
	else
		atomic_store(&load->phase, LOAD_DRAINS);
	return has_any;
}

static bool
drains_turn(struct load *load)
{
	const bool has_any = take_answers(load);

	if (load->in_flight == 0) {
		load->result.elapsed_ns = platform_monotonic_ns() - load->begin_ns;
		count_block(load, 0);
		load->session_next = 0;
		atomic_store(&load->phase, LOAD_CLOSES);
	}
	return has_any;
}

static bool
count_cycles(struct load *load, bool (*turn)(struct load *load))
{
	const uint64_t begin = platform_cycles();
	const bool has_any = turn(load);

	if (has_any)
		load->result.cycles += platform_cycles() - begin;
	return has_any;
}

bool
load_turn(struct load *load)
{
	const int phase = atomic_load_explicit(&load->phase, memory_order_acquire);

	switch ((enum load_phase)phase) {
	case LOAD_NONE:
	case LOAD_DONE:
		break;
	case LOAD_OPENS:
		return opens_turn(load);
	case LOAD_RUNS:
		return count_cycles(load, runs_turn);
	case LOAD_DRAINS:
		return count_cycles(load, drains_turn);
	case LOAD_CLOSES:
		return closes_turn(load);
	}
	return false;
}

/* ---- admin ---- */

static bool
is_good_config(const struct load *load, const struct load_config *config)
{
	return config->command_bytes >= LOAD_COMMAND_BYTES_MIN &&
	       config->command_bytes <= LOAD_COMMAND_BYTES_MAX && config->command_bytes % 8 == 0 &&
	       config->in_flight >= 1 && config->in_flight <= load->channel.in_flight_max &&
	       is_pow2_u64(config->keys) && config->keys <= LOAD_KEYS_MAX &&
	       config->duration_ns <= LOAD_DURATION_MS_MAX * 1000000ull;
}

enum tern_err
load_start(struct load *load, const struct load_config *config)
{
	if (atomic_load_explicit(&load->phase, memory_order_acquire) != LOAD_NONE)
		return TERN_ERR_BUSY;
	if (!is_good_config(load, config))
		return TERN_ERR_CONFIG;
	load->config = *config;
	memset(&load->result, 0, sizeof(load->result));
	load->result.copies_min = UINT32_MAX;
	for (uint32_t i = 0; i < LOAD_IN_FLIGHT_MAX; i++)
		load->flights[i].next_free = i + 1 < LOAD_IN_FLIGHT_MAX ? i + 1 : NONE;
	load->free_first = load->in_flight = 0;
	load->session_count = load->in_block = 0;
	load->block_index = load->block_commands = 0;
	load->is_asked = load->is_over = false;
	make_template(load);
	atomic_store(&load->phase, LOAD_OPENS);
	wake_up(load->channel.lcore_wake);
	return TERN_OK;
}

static json_t *
histogram_json(const struct histogram *histogram)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "count", (json_int_t)histogram->total_count,
			 "p50", (json_int_t)histogram_at(histogram, 500), "p90",
			 (json_int_t)histogram_at(histogram, 900), "p99",
			 (json_int_t)histogram_at(histogram, 990), "p999",
			 (json_int_t)histogram_at(histogram, 999), "max",
			 (json_int_t)histogram->max);
}

static const char *const outcome_names[LOAD_OUTCOMES] = {
	[0] = "other",
	[SUBMIT_DONE] = "done",
	[SUBMIT_ACCEPTED] = "accepted",
	[SUBMIT_REFUSED_NOT_MASTER] = "not_master",
	[SUBMIT_REFUSED_LOG_FULL] = "log_full",
	[SUBMIT_REFUSED_TOO_LARGE] = "too_large",
	[SUBMIT_REFUSED_BUSY] = "busy",
	[SUBMIT_REFUSED_MALFORMED] = "malformed",
	[SUBMIT_REFUSED_CLASS] = "class",
	[SUBMIT_REFUSED_CHANGE] = "change",
	[SUBMIT_REFUSED_JOB] = "job",
	[SUBMIT_REFUSED_FORCE] = "force",
	[SUBMIT_UNKNOWN] = "unknown",
};

json_t *
load_take_result(struct load *load)
{
	const struct load_result *result = &load->result;
	const int phase = atomic_load_explicit(&load->phase, memory_order_acquire);

	if (phase != LOAD_DONE)
		return phase != LOAD_NONE ? json_pack("{s:b}", "running", 1) : NULL;
	json_t *outcomes = json_object();
	for (uint32_t i = 0; i < LOAD_OUTCOMES; i++)
		(void)json_object_set_new(outcomes, outcome_names[i],
					  json_integer((json_int_t)result->outcomes[i]));
	json_t *answer = json_pack(
	    "{s:b,s:o,s:I,s:I,s:I,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "running", 0,
	    "outcomes", outcomes, "sessions", (json_int_t)result->sessions, "bad_replies",
	    (json_int_t)result->bad_replies, "durable", (json_int_t)result->durable, "sessionless",
	    result->is_sessionless, "elapsed_ns", (json_int_t)result->elapsed_ns, "cycles",
	    (json_int_t)result->cycles, "blocks", (json_int_t)result->blocks, "first_index",
	    (json_int_t)result->first_index, "last_index", (json_int_t)result->last_index,
	    "first_term", (json_int_t)result->first_term, "last_term",
	    (json_int_t)result->last_term, "copies_min", (json_int_t)result->copies_min, "latency",
	    histogram_json(&result->latency), "block_size", histogram_json(&result->block_size));
	atomic_store(&load->phase, LOAD_NONE);
	return answer;
}
