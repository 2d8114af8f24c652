/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of a data node's admin socket. */
#include "control/daemon/ternd.h"

#include <string.h>

void
ternd_admin_begin(void *context)
{
	struct ternd *node = context;

	node->admin_reader = state_reader_open(node->state);
}

void
ternd_admin_end(void *context)
{
	struct ternd *node = context;

	if (node->admin_reader != NULL)
		state_reader_close(node->admin_reader);
	node->admin_reader = NULL;
}

static json_t *
client_port_json(const struct endpoint *endpoint)
{
	struct endpoint_stats s;

	endpoint_stats(endpoint, &s);
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "frames",
			 (json_int_t)s.frames, "malformed", (json_int_t)s.malformed, "foreign",
			 (json_int_t)s.foreign, "opens", (json_int_t)s.opens, "writes",
			 (json_int_t)s.writes, "reads", (json_int_t)s.reads, "local_reads",
			 (json_int_t)s.local_reads, "duplicates", (json_int_t)s.duplicates, "busy",
			 (json_int_t)s.busy, "send_drops", (json_int_t)s.send_drops);
}

static json_t *
verb_status(void *context, const json_t *request)
{
	struct ternd *node = context;
	struct node_status status;

	(void)request;
	status_read(node->status, &status);
	json_t *object = admin_status_json(&node->config, &status);
	ternd_device_io_add(node, object);
	(void)json_object_set_new(object, "stood_still", standstill_json(&node->lcore.standstill));
	if (node->endpoint != NULL)
		(void)json_object_set_new(object, "client_port", client_port_json(node->endpoint));
	return object;
}

/* The other data node, when there is exactly one. */
static const struct node_config_node *
other_data_node(const struct node_config *config)
{
	const struct node_config_node *other = NULL;

	for (uint32_t i = 0; i < config->node_count; i++) {
		if (config->nodes[i].kind != NODE_DATA || config->nodes[i].id == config->id)
			continue;
		if (other != NULL)
			return NULL;
		other = &config->nodes[i];
	}
	return other;
}

static json_t *
verb_switchover(void *context, const json_t *request)
{
	struct ternd *node = context;
	const char *to = json_string_value(json_object_get(request, "to"));
	const struct node_config_node *target =
	    to != NULL ? node_config_find_name(&node->config, to) : other_data_node(&node->config);
	struct submit_completion completion;

	if (target == NULL || target->kind != NODE_DATA)
		return admin_refuse(ADMIN_EXIT_USAGE,
				    "no data node \"%s\"; `tern status` lists them",
				    to == NULL ? "" : to);
	if (target->id == node->config.id)
		return json_pack("{s:s, s:b}", "to", target->name, "already_master", 1);
	const struct submit_request transfer = { .tag = ++node->admin_tag,
						 .kind = SUBMIT_TRANSFER,
						 .node = target->id };
	if (!ternd_submit_and_wait(node, &transfer, &completion))
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern status`");
	if (completion.outcome == SUBMIT_REFUSED_NOT_MASTER)
		return admin_refuse(ADMIN_EXIT_REFUSED, "this node is not the master");
	if (completion.outcome != SUBMIT_DONE)
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    __builtin_popcountll(node->config.data_nodes) == 2
			? "a hand-over needs both copies in sync (mode DUPLEX); wait until "
			  "`tern status` shows it"
			: "a hand-over needs a target that follows (mode REPLICA); wait until "
			  "`tern status` shows it");
	return json_pack("{s:s, s:b}", "to", target->name, "already_master", 0);
}

/* Why the configuration stays as it is, and what can be done. */
static json_t *
change_refusal(const struct node_config_node *target, enum submit_change_refusal refusal)
{
	switch (refusal) {
	case SUBMIT_CHANGE_IN_PROGRESS:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "an earlier change has not committed yet; wait until `tern "
				    "status` shows it, then try again");
	case SUBMIT_CHANGE_UNKNOWN:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "the master's node file does not name %s; add it there as a "
				    "spare node, and start the node again",
				    target->name);
	case SUBMIT_CHANGE_NOTHING:
		return admin_refuse(ADMIN_EXIT_REFUSED, "%s is so already; `tern status` shows it",
				    target->name);
	case SUBMIT_CHANGE_VOTER:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "%s is a voter: commits rest on its copy; `tern cluster demote "
				    "%s` makes it a learner first",
				    target->name, target->name);
	case SUBMIT_CHANGE_VOTERS:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "voters can become three of two with a witness, and two of "
				    "three that have a witness beside them; nothing else");
	case SUBMIT_CHANGE_NO_LEARNER:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "%s is no learner; `tern cluster add %s --learner` comes first",
				    target->name, target->name);
	case SUBMIT_CHANGE_DEGRADED:
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "a copy is away (mode SOLO): voters change only while both are in "
		    "sync; bring the other node back first");
	case SUBMIT_CHANGE_SELF:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "%s is the master; hand over first (`tern cluster switchover`)",
				    target->name);
	case SUBMIT_CHANGE_SILENT:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "a node that would be needed then does not answer or is not "
				    "well: without it there would be no quorum; see `tern status`");
	case SUBMIT_CHANGE_BEHIND:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "%s lacks too much of the log: commits would wait for it; try "
				    "again when `tern status` shows it near the master",
				    target->name);
	case SUBMIT_CHANGE_OUT:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "the witness is being replaced; `tern cluster replace-witness` "
				    "has to end that first");
	case SUBMIT_CHANGE_THERE:
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "%s is there: only a node that is lost, while the other one goes "
		    "on alone (mode SOLO), can be replaced so",
		    target->name);
	case SUBMIT_CHANGE_AGAIN:
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "the witness has its vote, or another master had begun to replace "
		    "it: begin again with `tern cluster replace-witness`");
	case SUBMIT_CHANGE_ENTERING:
		/* No refusal: whoever asks again finds it done. */
		return json_pack("{s:b}", "entering", 1);
	}
	return admin_refuse(ADMIN_EXIT_FAILED, "refused");
}

static json_t *
change_refused(const struct node_config_node *target, const struct submit_completion *completion)
{
	if (completion->outcome == SUBMIT_REFUSED_NOT_MASTER)
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "this node is not the master, or cannot take a change now: its "
				    "mode changes, or it hands over; try again");
	if (completion->outcome == SUBMIT_REFUSED_LOG_FULL)
		return admin_refuse(ADMIN_EXIT_REFUSED, "the log is full; see `tern log status`");
	if (completion->outcome != SUBMIT_REFUSED_CHANGE)
		return admin_refuse(ADMIN_EXIT_REFUSED, "the log ring is full; try again");
	return change_refusal(target, (enum submit_change_refusal)completion->change);
}

/* {"node":NAME,"change":...} -> the log_index of the block that says so, or "entering": the witness
 * is being told that it will have a vote, ask again. */
static json_t *
verb_change(void *context, const json_t *request)
{
	struct ternd *node = context;
	const char *name = json_string_value(json_object_get(request, "node"));
	const char *change = json_string_value(json_object_get(request, "change"));
	const struct node_config_node *target =
	    name != NULL ? node_config_find_name(&node->config, name) : NULL;
	struct submit_completion completion;

	if (target == NULL)
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "the master's node file has no data node \"%.32s\"; add it there "
		    "as a spare node, and start the node again",
		    name == NULL ? "" : name);
	static const char *const names[] = { [SUBMIT_CHANGE_ADD_LEARNER] = "add-learner",
					     [SUBMIT_CHANGE_REMOVE] = "remove",
					     [SUBMIT_CHANGE_PROMOTE] = "promote",
					     [SUBMIT_CHANGE_DEMOTE] = "demote",
					     [SUBMIT_CHANGE_DROP] = "drop",
					     [SUBMIT_CHANGE_WITNESS_OUT] = "witness-out",
					     [SUBMIT_CHANGE_WITNESS_IN] = "witness-in" };
	const bool is_witness = target->kind == NODE_WITNESS;
	uint16_t flags = 0;
	for (uint16_t i = SUBMIT_CHANGE_ADD_LEARNER; i <= SUBMIT_CHANGE_LAST; i++)
		if (is_witness == (i >= SUBMIT_CHANGE_WITNESS_OUT) && change != NULL &&
		    strcmp(change, names[i]) == 0)
			flags = i;
	if (flags == 0)
		return admin_refuse(ADMIN_EXIT_USAGE,
				    is_witness
					? "change: allowed of the witness witness-out, "
					  "witness-in"
					: "change: allowed of a data node add-learner, remove, "
					  "promote, demote");
	const struct submit_request wanted = {
		.tag = ++node->admin_tag,
		.kind = SUBMIT_CHANGE,
		.node = target->id,
		.flags = flags,
	};
	if (!ternd_submit_and_wait(node, &wanted, &completion))
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern status`");
	if (completion.outcome != SUBMIT_DONE)
		return change_refused(target, &completion);
	return json_pack("{s:s, s:I}", "node", target->name, "config_index",
			 (json_int_t)completion.log_index);
}

/* The state hash that apply keeps, and the one that a scan of all keys finds at the same index. */
static json_t *
verb_log_verify(void *context, const json_t *request)
{
	struct ternd *node = context;
	char kept[17], scanned[17];
	uint64_t index;

	(void)request;
	if (node->admin_reader == NULL)
		return admin_refuse(ADMIN_EXIT_FAILED, "no state reader is free");
	(void)state_read_begin(node->admin_reader);
	const uint64_t keys = state_read_key_count(node->admin_reader);
	const uint64_t hash = state_read_hash(node->admin_reader, &index);
	const uint64_t scan = state_hash_scan(node->admin_reader);
	const bool is_ended = state_read_is_ended(node->admin_reader);
	state_read_end(node->admin_reader);
	if (is_ended)
		return admin_refuse(
		    ADMIN_EXIT_FAILED,
		    "the scan held too many old versions; try again under less load");
	admin_hex64(hash, kept);
	admin_hex64(scan, scanned);
	return json_pack("{s:s, s:I, s:I, s:s, s:s, s:b}", "name", node->config.name, "index",
			 (json_int_t)index, "keys", (json_int_t)keys, "hash", kept, "scan", scanned,
			 "equal", hash == scan);
}

static uint64_t
positive(const json_t *request, const char *key)
{
	const json_int_t value = json_integer_value(json_object_get(request, key));

	return value > 0 ? (uint64_t)value : 0;
}

static json_t *
deep_json(const struct ternd *node, const struct status_deep *deep)
{
	static const char *const states[] = { [STATUS_DEEP_NONE] = "none",
					      [STATUS_DEEP_LOG] = "log",
					      [STATUS_DEEP_CHECKPOINT] = "checkpoint",
					      [STATUS_DEEP_DONE] = "done" };
	json_t *bad = json_array();
	char high[17], low[17], chain[33];

	for (uint32_t i = 0; i < deep->bad_count && i < STATUS_DEEP_BAD_MAX; i++)
		(void)json_array_append_new(bad, json_integer((json_int_t)deep->bad[i]));
	admin_hex64(deep->end_chain.high, high);
	admin_hex64(deep->end_chain.low, low);
	(void)snprintf(chain, sizeof(chain), "%s%s", high, low);
	return json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:b, s:I, s:o}",
			 "name", node->config.name, "number", (json_int_t)deep->number, "state",
			 states[deep->state], "first_index", (json_int_t)deep->first_index,
			 "next_index", (json_int_t)deep->next_index, "end_index",
			 (json_int_t)deep->end_index, "chain", chain, "blocks",
			 (json_int_t)deep->blocks, "bytes", (json_int_t)(deep->pages * PAGE_BYTES),
			 "checkpoint_index", (json_int_t)deep->checkpoint_index, "checkpoint_bad",
			 (int)deep->is_checkpoint_bad, "damaged", (json_int_t)deep->bad_count,
			 "damaged_blocks", bad);
}

/* {"end":N}: begins to read everything back, up to block N. Without: how it goes. */
static json_t *
verb_log_deep(void *context, const json_t *request)
{
	struct ternd *node = context;
	const uint64_t end_index = positive(request, "end");
	const struct submit_request wanted = {
		.tag = ++node->admin_tag,
		.kind = SUBMIT_DEEP,
		.command_bytes = sizeof(end_index),
	};
	struct submit_completion completion;
	struct node_status status;

	if (end_index == 0) {
		status_read(node->status, &status);
		return deep_json(node, &status.deep);
	}
	if (!ternd_submit_with_payload(node, &wanted, &end_index, &completion) ||
	    completion.outcome != SUBMIT_DONE)
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern status`");
	return json_pack("{s:s, s:I}", "name", node->config.name, "number",
			 (json_int_t)completion.log_index);
}

/* A number that does not fit becomes one that is out of every range. */
static uint32_t
positive_u32(const json_t *request, const char *key)
{
	return (uint32_t)min_u64(positive(request, key), UINT32_MAX);
}

static json_t *
verb_load_start(void *context, const json_t *request)
{
	struct ternd *node = context;
	const char *class_ = json_string_value(json_object_get(request, "class"));
	const struct load_config config = {
		.command_bytes = positive_u32(request, "command_bytes"),
		.block_commands = positive_u32(request, "block_commands"),
		.in_flight = positive_u32(request, "in_flight"),
		.duration_ns = 1000000ull * positive_u32(request, "duration_ms"),
		.keys = positive(request, "keys"),
		.class_ = class_ != NULL && strcmp(class_, "memory") == 0 ? COMMAND_MEMORY
									  : COMMAND_DURABLE,
	};
	struct node_status status;

	status_read(node->status, &status);
	if (status.role != CORE_MASTER || !status.is_serving)
		return admin_refuse(ADMIN_EXIT_REFUSED, "this node is not the master");
	const enum tern_err err = load_start(node->load, &config);
	if (err == TERN_ERR_BUSY)
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "a load runs already, or its result waits; ask for it");
	if (err != TERN_OK)
		return admin_refuse(
		    ADMIN_EXIT_USAGE,
		    "allowed: command_bytes %u to %u by 8, in_flight 1 to %u, duration_ms to %u, "
		    "keys a power of two",
		    LOAD_COMMAND_BYTES_MIN, LOAD_COMMAND_BYTES_MAX, LOAD_IN_FLIGHT_MAX,
		    LOAD_DURATION_MS_MAX);
	return json_pack("{s:b}", "running", 1);
}

static json_t *
verb_load_result(void *context, const json_t *request)
{
	struct ternd *node = context;
	json_t *result = load_take_result(node->load);

	(void)request;
	return result != NULL
		   ? result
		   : admin_refuse(ADMIN_EXIT_REFUSED, "no load was started; use load-start");
}

#ifdef TERN_TEST_STATE_FLIP
/* Flips one bit of the value of "key" in memory, behind the state machine's back. */
static json_t *
verb_state_flip(void *context, const json_t *request)
{
	struct ternd *node = context;
	const char *key = json_string_value(json_object_get(request, "key"));

	if (node->admin_reader == NULL || key == NULL)
		return admin_refuse(ADMIN_EXIT_USAGE, "a key is needed");
	(void)state_read_begin(node->admin_reader);
	const struct state_value value =
	    state_read_get(node->admin_reader, key, (uint32_t)strlen(key));
	if (value.type == STATE_BYTES && value.bytes != 0)
		*(uint8_t *)(uintptr_t)value.data ^= 1;
	state_read_end(node->admin_reader);
	return json_pack("{s:b}", "flipped", value.type == STATE_BYTES && value.bytes != 0);
}
#endif

const struct admin_verb ternd_verbs[] = {
	{ "status", verb_status },
	{ "switchover", verb_switchover },
	{ "log-verify", verb_log_verify },
	{ "load-start", verb_load_start },
	{ "load-result", verb_load_result },
	{ "change", verb_change },
	{ "force-promote", ternd_verb_force_promote },
	{ "scrub", ternd_verb_scrub },
	{ "rebuild-rate", ternd_verb_rebuild_rate },
	{ "device-io", ternd_verb_device_io },
	{ "device-fail", ternd_verb_device_fail },
	{ "device-replace", ternd_verb_device_replace },
	{ "log-deep", verb_log_deep },
#ifdef TERN_TEST_STATE_FLIP
	{ "state-flip", verb_state_flip },
#endif
};
const uint32_t ternd_verb_count = sizeof(ternd_verbs) / sizeof(ternd_verbs[0]);
