/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/load.h"

#include <poll.h>
#include <sched.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/state.h"
#include "hw/platform/platform.h"

#define KEY_BYTES        16u
#define PREFIX_BYTES     7u /* nine hexadecimal digits follow: more than LOAD_KEYS_MAX */
#define SET_OVERHEAD     (COMMAND_HDR_BYTES + 2u * sizeof(le32) + KEY_BYTES)
#define KEY_STEP         0x9e3779b1u /* odd: visits every number below a power of two */
#define SUBMIT_BATCH     64u         /* commands between two looks at the clock */
#define SPIN_NS          300000u     /* polls and yields so long before it sleeps */
#define SLEEP_MS         20
#define SESSION_COMMANDS (STATE_SESSION_WINDOW / 2)
#define NONE             UINT32_MAX

enum load_phase { LOAD_NONE = 0, LOAD_RUNS, LOAD_DONE };

/* ---- waiting ---- */

/* Until there is a completion, or @until_ns. False: there is none. */
static bool
await(struct load *load, uint64_t until_ns)
{
	struct submit_channel *channel = &load->channel;
	const uint64_t begin_ns = platform_monotonic_ns();
	uint64_t now_ns = begin_ns;

	while (ring_is_empty(&channel->completions)) {
		if (atomic_load(&load->is_stop_wanted) || now_ns >= until_ns)
			return false;
		if (now_ns - begin_ns < SPIN_NS) {
			(void)sched_yield();
		} else {
			struct pollfd fd = { .fd = channel->front_wake.fd, .events = POLLIN };
			wake_prepare(&channel->front_wake);
			if (ring_is_empty(&channel->completions))
				(void)poll(&fd, 1, SLEEP_MS);
			wake_done(&channel->front_wake);
		}
		now_ns = platform_monotonic_ns();
	}
	return true;
}

/* ---- commands ---- */

static void
make_key(uint64_t number, uint32_t command_bytes, uint8_t key[KEY_BYTES])
{
	/* Commands of another length have keys of their own; none is a user's by accident. */
	memcpy(key, command_bytes == LOAD_COMMAND_BYTES_MIN ? "bench:a" : "bench:b", PREFIX_BYTES);
	for (uint32_t i = KEY_BYTES - 1; i >= PREFIX_BYTES; i--) {
		key[i] = (uint8_t) "0123456789abcdef"[number & 15];
		number >>= 4;
	}
}

/* Hands one command over. False: there is no room at the lcore now. */
static bool
submit(struct load *load, uint32_t number, uint64_t now_ns)
{
	static const uint8_t zeros[LOAD_COMMAND_BYTES_MAX];
	struct load_session *session = &load->sessions[number];
	const uint32_t command_bytes = load->config.command_bytes;
	struct submit_request *request =
	    ring_reserve(&load->channel.requests, (uint32_t)sizeof(*request) + command_bytes);
	struct command_writer writer;
	uint8_t key[KEY_BYTES];
	uint32_t bytes = 0;

	if (request == NULL)
		return false;
	make_key(load->key_step * KEY_STEP & (load->config.keys - 1), command_bytes, key);
	command_begin(&writer, (uint8_t *)(request + 1), command_bytes);
	command_add_arg(&writer, key, KEY_BYTES);
	/* The value's end tells one write of a key from the next. */
	command_add_arg(&writer, zeros, command_bytes - (uint32_t)SET_OVERHEAD);
	memcpy((uint8_t *)(request + 1) + command_bytes - sizeof(load->key_step), &load->key_step,
	       sizeof(load->key_step));
	const enum tern_err err =
	    command_end(&writer, COMMAND_SET, 0, session->client_id, session->next_seq,
			(uint16_t)(session->next_seq - 1 - session->answered), &bytes);
	INVARIANT(err == TERN_OK && bytes == command_bytes);

	const uint32_t index = load->free_first;
	INVARIANT(index != NONE);
	load->free_first = load->flights[index].next_free;
	load->flights[index] = (struct load_flight){ .submitted_ns = now_ns, .session = number };
	load->in_flight++;
	load->key_step++;
	session->next_seq++;
	const bool closes =
	    load->config.block_commands != 0 && ++load->in_block % load->config.block_commands == 0;
	*request = (struct submit_request){ .tag = index,
					    .kind = SUBMIT_WRITE,
					    .command_bytes = bytes,
					    .flags = closes ? SUBMIT_CLOSES_BLOCK : 0 };
	ring_publish(&load->channel.requests);
	return true;
}

/* A session with room; NONE: all are full, for answers of one of them are late. */
static uint32_t
choose_session(struct load *load)
{
	for (uint32_t tried = 0; tried < load->session_count; tried++) {
		const uint32_t number = load->session_next;
		const struct load_session *session = &load->sessions[number];
		load->session_next = (number + 1) % load->session_count;
		if (session->next_seq - 1 - session->answered < SESSION_COMMANDS)
			return number;
	}
	return NONE;
}

/* Fills up to in_flight; true: something was handed over. */
static bool
submit_some(struct load *load, uint64_t until_key)
{
	const uint64_t now_ns = platform_monotonic_ns();
	uint32_t count = 0;

	while (count < SUBMIT_BATCH && load->in_flight < load->config.in_flight &&
	       load->key_step < until_key) {
		const uint32_t session = choose_session(load);
		if (session == NONE || !submit(load, session, now_ns))
			break;
		count++;
	}
	if (count != 0)
		wake_up(load->channel.lcore_wake);
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

static void
take_answers(struct load *load)
{
	const uint64_t now_ns = platform_monotonic_ns();

	for (uint32_t i = 0; i < LOAD_IN_FLIGHT_MAX; i++) {
		uint32_t bytes;
		const struct submit_completion *answer =
		    ring_peek(&load->channel.completions, &bytes);
		if (answer == NULL)
			return;
		count_answer(load, answer, now_ns);
		ring_consume(&load->channel.completions);
	}
}

/* ---- sessions ---- */

/* One command that opens (@client_id 0) or closes a session; its answer. False: none came. */
static bool
session_command(struct load *load, uint64_t client_id, struct submit_completion *answer)
{
	struct submit_request *request =
	    ring_reserve(&load->channel.requests, (uint32_t)sizeof(*request) + COMMAND_HDR_BYTES);
	struct command_writer writer;
	uint32_t bytes = 0;

	if (request == NULL)
		return false;
	command_begin(&writer, (uint8_t *)(request + 1), COMMAND_HDR_BYTES);
	const enum tern_err err =
	    command_end(&writer, client_id == 0 ? COMMAND_SESSION_OPEN : COMMAND_SESSION_CLOSE, 0,
			client_id, 0, 0, &bytes);
	INVARIANT(err == TERN_OK && bytes == COMMAND_HDR_BYTES);
	*request = (struct submit_request){ .kind = SUBMIT_WRITE, .command_bytes = bytes };
	ring_publish(&load->channel.requests);
	wake_up(load->channel.lcore_wake);
	if (!await(load, UINT64_MAX))
		return false;
	*answer = *(const struct submit_completion *)ring_peek(&load->channel.completions, &bytes);
	ring_consume(&load->channel.completions);
	return answer->outcome == SUBMIT_DONE;
}

static bool
open_sessions(struct load *load)
{
	const uint32_t count = (uint32_t)div_up_u64(load->config.in_flight, SESSION_COMMANDS);

	load->session_count = load->session_next = 0;
	INVARIANT(count <= LOAD_SESSIONS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct submit_completion answer;
		if (!session_command(load, 0, &answer) || answer.reply.kind != REPLY_SESSION)
			return false;
		load->sessions[i] =
		    (struct load_session){ .client_id = (uint64_t)answer.reply.value,
					   .next_seq = 1 };
		load->session_count++;
	}
	return true;
}

static void
close_sessions(struct load *load)
{
	for (uint32_t i = 0; i < load->session_count; i++) {
		struct submit_completion answer;
		if (!session_command(load, load->sessions[i].client_id, &answer))
			return;
		load->result.sessions++;
	}
}

/* ---- the thread ---- */

static void
run(struct load *load)
{
	const uint64_t begin_ns = platform_monotonic_ns();
	const uint64_t until_ns =
	    load->config.duration_ns == 0 ? UINT64_MAX : begin_ns + load->config.duration_ns;
	const uint64_t until_key =
	    load->config.duration_ns == 0 ? load->key_step + load->config.keys : UINT64_MAX;
	uint64_t now_ns = begin_ns;

	while (now_ns < until_ns && load->key_step < until_key && !load->is_over &&
	       !atomic_load(&load->is_stop_wanted)) {
		if (!submit_some(load, until_key))
			(void)await(load, until_ns);
		take_answers(load);
		now_ns = platform_monotonic_ns();
	}
	while (load->in_flight != 0 && await(load, UINT64_MAX))
		take_answers(load);
	load->result.elapsed_ns = platform_monotonic_ns() - begin_ns;
	count_block(load, 0);
}

static void *
load_main(void *context)
{
	struct load *load = context;

	if (open_sessions(load))
		run(load);
	else
		load->result.is_sessionless = true;
	if (load->in_flight == 0)
		close_sessions(load);
	atomic_store(&load->phase, LOAD_DONE);
	return NULL;
}

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
	if (atomic_load(&load->phase) != LOAD_NONE || load->in_flight != 0)
		return TERN_ERR_BUSY;
	if (!is_good_config(load, config))
		return TERN_ERR_CONFIG;
	load->config = *config;
	memset(&load->result, 0, sizeof(load->result));
	load->result.copies_min = UINT32_MAX;
	for (uint32_t i = 0; i < LOAD_IN_FLIGHT_MAX; i++)
		load->flights[i].next_free = i + 1 < LOAD_IN_FLIGHT_MAX ? i + 1 : NONE;
	load->free_first = 0;
	load->in_block = 0;
	load->block_index = load->block_commands = 0;
	load->is_over = false;
	atomic_store(&load->phase, LOAD_RUNS);
	if (pthread_create(&load->thread, NULL, load_main, load) == 0)
		return TERN_OK;
	atomic_store(&load->phase, LOAD_NONE);
	return TERN_ERR_IO;
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

json_t *
load_take_result(struct load *load)
{
	static const char *const names[LOAD_OUTCOMES] = { "other",     "done",      "not_master",
							  "log_full",  "too_large", "busy",
							  "malformed", "unknown" };
	const struct load_result *result = &load->result;
	json_t *outcomes = json_object();
	const int phase = atomic_load(&load->phase);

	if (phase != LOAD_DONE) {
		json_decref(outcomes);
		return phase == LOAD_RUNS ? json_pack("{s:b}", "running", 1) : NULL;
	}
	(void)pthread_join(load->thread, NULL);
	for (uint32_t i = 0; i < LOAD_OUTCOMES; i++)
		(void)json_object_set_new(outcomes, names[i],
					  json_integer((json_int_t)result->outcomes[i]));
	json_t *answer = json_pack(
	    "{s:b,s:o,s:I,s:I,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "running", 0, "outcomes",
	    outcomes, "sessions", (json_int_t)result->sessions, "bad_replies",
	    (json_int_t)result->bad_replies, "sessionless", result->is_sessionless, "elapsed_ns",
	    (json_int_t)result->elapsed_ns, "blocks", (json_int_t)result->blocks, "first_index",
	    (json_int_t)result->first_index, "last_index", (json_int_t)result->last_index,
	    "first_term", (json_int_t)result->first_term, "last_term",
	    (json_int_t)result->last_term, "copies_min", (json_int_t)result->copies_min, "latency",
	    histogram_json(&result->latency), "block_size", histogram_json(&result->block_size));
	atomic_store(&load->phase, LOAD_NONE);
	return answer;
}

void
load_stop(struct load *load)
{
	atomic_store(&load->is_stop_wanted, true);
	wake_up(&load->channel.front_wake);
	if (atomic_load(&load->phase) != LOAD_NONE)
		(void)pthread_join(load->thread, NULL);
	atomic_store(&load->phase, LOAD_NONE);
}
