/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/sentinel.h"

#include <stdio.h>
#include <string.h>

#include "control/config/node_config.h"
#include "dataplane/base/hash.h"

#define RUN_ID_BYTES 41u

void
sentinel_from_config(struct sentinel *sentinel, const struct node_config *config,
		     struct status_cell *status)
{
	*sentinel = (struct sentinel){ .self_id = config->id, .status = status };
	snprintf(sentinel->master_name, sizeof(sentinel->master_name), "%s",
		 config->sentinel.master_name);
	for (uint32_t i = 0; i < config->node_count && i < SENTINEL_NODES_MAX; i++) {
		const struct node_config_node *from = &config->nodes[i];
		struct sentinel_node *node = &sentinel->nodes[sentinel->nodes_count];

		if (from->resp.port == 0)
			continue;
		node->id = from->id;
		node->port = from->resp.port;
		node->is_witness = from->kind == NODE_WITNESS;
		snprintf(node->name, sizeof(node->name), "%s", from->name);
		snprintf(node->host, sizeof(node->host), "%s", from->resp.host);
		sentinel->nodes_count++;
	}
}

const struct sentinel_node *
sentinel_find(const struct sentinel *sentinel, uint16_t id)
{
	for (uint32_t i = 0; i < sentinel->nodes_count; i++) {
		if (sentinel->nodes[i].id == id)
			return &sentinel->nodes[i];
	}
	return NULL;
}

uint16_t
sentinel_master(const struct sentinel *sentinel, uint64_t now_ns, struct node_status *status)
{
	status_read(sentinel->status, status);
	if (status->master_id == 0 || now_ns >= status->view_until_ns)
		return 0;
	if (status->master_id == sentinel->self_id && !status->is_serving)
		return 0;
	return sentinel_find(sentinel, status->master_id) != NULL ? status->master_id : 0;
}

/* ---- what a node looks like ---- */

/* 40 hexadecimal digits that stay with a node of this cluster. */
static void
run_id(const struct node_status *status, uint16_t id, char text[RUN_ID_BYTES])
{
	const uint64_t facts[2] = { status->cluster_id, id };
	const struct hash128 hash = hash128(facts, sizeof(facts));

	snprintf(text, RUN_ID_BYTES, "%016llx%016llx%08llx", (unsigned long long)hash.low,
		 (unsigned long long)hash.high,
		 (unsigned long long)(hash64(facts, sizeof(facts)) & UINT32_MAX));
}

static void
pair(struct resp_writer *out, const char *name, const char *value)
{
	resp_text(out, name);
	resp_text(out, value);
}

static void
pair_i64(struct resp_writer *out, const char *name, int64_t value)
{
	resp_text(out, name);
	resp_bulk_i64(out, value);
}

#define COMMON_PAIRS 10u

static void
common_pairs(const struct node_status *status, const struct sentinel_node *node, const char *name,
	     const char *flags, struct resp_writer *out)
{
	char id[RUN_ID_BYTES];

	run_id(status, node->id, id);
	pair(out, "name", name);
	pair(out, "ip", node->host);
	pair_i64(out, "port", node->port);
	pair(out, "runid", id);
	pair(out, "flags", flags);
	pair_i64(out, "link-pending-commands", 0);
	pair_i64(out, "link-refcount", 1);
	pair_i64(out, "last-ok-ping-reply", 0);
	pair_i64(out, "last-ping-reply", 0);
	pair_i64(out, "down-after-milliseconds",
		 (int64_t)(status->effective_elect_min_ns / 1000000));
}

static uint32_t
count_nodes(const struct sentinel *sentinel, bool has_witness, uint16_t without_id)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sentinel->nodes_count; i++)
		count += sentinel->nodes[i].id != without_id &&
				 (has_witness || !sentinel->nodes[i].is_witness)
			     ? 1
			     : 0;
	return count;
}

/* Sentinels that must agree on a change of master: a majority of all voters. */
static uint32_t
quorum(const struct sentinel *sentinel)
{
	return sentinel->nodes_count / 2 + 1;
}

static void
master_entry(const struct sentinel *sentinel, const struct node_status *status, uint16_t master_id,
	     struct resp_writer *out)
{
	const struct sentinel_node *node = sentinel_find(sentinel, master_id);

	resp_map(out, COMMON_PAIRS + 7);
	common_pairs(status, node, sentinel->master_name, "master", out);
	pair(out, "role-reported", "master");
	pair_i64(out, "config-epoch", (int64_t)status->term);
	pair_i64(out, "num-slaves", count_nodes(sentinel, false, master_id));
	pair_i64(out, "num-other-sentinels", count_nodes(sentinel, true, sentinel->self_id));
	pair_i64(out, "quorum", quorum(sentinel));
	pair_i64(out, "failover-timeout", (int64_t)(status->effective_elect_min_ns / 1000000));
	pair_i64(out, "parallel-syncs", 1);
}

/* Whether @node is known to be out of the set that holds every commit: by the master itself, or of
 * itself. Others do not know, and say nothing against it. */
static bool
replica_is_out(const struct sentinel *sentinel, const struct node_status *status, uint16_t id)
{
	if (status->role == CORE_MASTER)
		return (status->rset & (1ull << (id & 63u))) == 0;
	return id == sentinel->self_id && status->mode != CORE_MODE_REPLICA;
}

static void
replica_entry(const struct sentinel *sentinel, const struct node_status *status,
	      const struct sentinel_node *node, const struct sentinel_node *master,
	      struct resp_writer *out)
{
	const bool is_out = replica_is_out(sentinel, status, node->id);
	char name[SENTINEL_HOST_BYTES + 8];

	snprintf(name, sizeof(name), "%s:%u", node->host, node->port);
	resp_map(out, COMMON_PAIRS + 7);
	common_pairs(status, node, name, is_out ? "s_down,slave,disconnected" : "slave", out);
	pair(out, "role-reported", "slave");
	pair(out, "master-link-status", is_out ? "err" : "ok");
	pair(out, "master-host", master->host);
	pair_i64(out, "master-port", master->port);
	pair_i64(out, "slave-priority", 100);
	pair_i64(out, "slave-repl-offset", (int64_t)status->commit_index);
	pair_i64(out, "replica-announced", 1);
}

/* ---- the calls ---- */

struct call {
	const struct sentinel *sentinel;
	struct node_status status;
	uint16_t master_id; /* 0: not known now */
	struct resp_writer *out;
};

static void
call_masters(struct call *call)
{
	resp_array(call->out, call->master_id != 0 ? 1 : 0);
	if (call->master_id != 0)
		master_entry(call->sentinel, &call->status, call->master_id, call->out);
}

static void
call_master(struct call *call)
{
	if (call->master_id != 0)
		master_entry(call->sentinel, &call->status, call->master_id, call->out);
	else
		resp_null_array(call->out);
}

static void
call_address(struct call *call)
{
	const struct sentinel_node *node = sentinel_find(call->sentinel, call->master_id);

	if (node == NULL) {
		resp_null_array(call->out);
		return;
	}
	resp_array(call->out, 2);
	resp_text(call->out, node->host);
	resp_bulk_i64(call->out, node->port);
}

static void
call_replicas(struct call *call)
{
	const struct sentinel *sentinel = call->sentinel;
	const struct sentinel_node *master = sentinel_find(sentinel, call->master_id);

	if (master == NULL) {
		resp_array(call->out, 0);
		return;
	}
	resp_array(call->out, count_nodes(sentinel, false, call->master_id));
	for (uint32_t i = 0; i < sentinel->nodes_count; i++) {
		const struct sentinel_node *node = &sentinel->nodes[i];
		if (!node->is_witness && node->id != call->master_id)
			replica_entry(sentinel, &call->status, node, master, call->out);
	}
}

/* The other nodes that answer these calls. They stand in the configuration: no view is needed. */
static void
call_sentinels(struct call *call)
{
	const struct sentinel *sentinel = call->sentinel;

	resp_array(call->out, count_nodes(sentinel, true, sentinel->self_id));
	for (uint32_t i = 0; i < sentinel->nodes_count; i++) {
		const struct sentinel_node *node = &sentinel->nodes[i];
		char id[RUN_ID_BYTES];
		if (node->id == sentinel->self_id)
			continue;
		run_id(&call->status, node->id, id);
		resp_map(call->out, COMMON_PAIRS + 3);
		common_pairs(&call->status, node, id, "sentinel", call->out);
		pair_i64(call->out, "last-hello-message", 0);
		pair(call->out, "voted-leader", "?");
		pair_i64(call->out, "voted-leader-epoch", 0);
	}
}

static void
call_ckquorum(struct call *call)
{
	char text[160];

	if (call->master_id == 0) {
		resp_error(call->out, "NOQUORUM this node hears no master now; see `tern status`");
		return;
	}
	snprintf(text, sizeof(text),
		 "OK %u usable Sentinels. Quorum and failover authorization can be reached",
		 call->sentinel->nodes_count);
	resp_simple(call->out, text);
}

static void
call_myid(struct call *call)
{
	char id[RUN_ID_BYTES];

	run_id(&call->status, call->sentinel->self_id, id);
	resp_text(call->out, id);
}

static void
call_managed(struct call *call)
{
	resp_error(call->out, "ERR the master is managed by tern: use `tern cluster switchover`");
}

static void
call_unknown_name(struct call *call)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "ERR No such master with that name: this cluster's is '%s' "
		 "(sentinel.master_name)",
		 call->sentinel->master_name);
	resp_error(call->out, text);
}

static const struct verb {
	const char *name;
	uint32_t args_count; /* 0: any */
	bool has_name;       /* args[2] must be the master's */
	void (*run)(struct call *call);
} verbs[] = {
	{ "masters", 2, false, call_masters },
	{ "master", 3, true, call_master },
	{ "get-master-addr-by-name", 3, false, call_address },
	{ "replicas", 3, true, call_replicas },
	{ "slaves", 3, true, call_replicas },
	{ "sentinels", 3, true, call_sentinels },
	{ "ckquorum", 3, true, call_ckquorum },
	{ "myid", 2, false, call_myid },
	{ "failover", 0, false, call_managed },
	{ "monitor", 0, false, call_managed },
	{ "remove", 0, false, call_managed },
	{ "reset", 0, false, call_managed },
	{ "set", 0, false, call_managed },
};

bool
sentinel_must_wait(const struct sentinel *sentinel, const struct resp_arg *args,
		   uint32_t args_count, uint64_t asked_ns, uint64_t now_ns)
{
	struct node_status status;
	const uint16_t master_id = sentinel_master(sentinel, now_ns, &status);
	const bool names_master =
	    args_count >= 2 && (resp_is(args[1], "master") || resp_is(args[1], "masters") ||
				resp_is(args[1], "get-master-addr-by-name"));

	if (!names_master || master_id == 0 || master_id == sentinel->self_id)
		return false;
	/* A view ends that long after what it rests on. */
	return status.view_until_ns - status.effective_elect_min_ns < asked_ns;
}

static bool
is_master_name(const struct sentinel *sentinel, struct resp_arg arg)
{
	const size_t bytes = strlen(sentinel->master_name);

	return arg.bytes == bytes && memcmp(arg.data, sentinel->master_name, bytes) == 0;
}

static void
run_verb(struct call *call, const struct verb *verb, const struct resp_arg *args,
	 uint32_t args_count)
{
	char text[128];

	if (verb->args_count != 0 && args_count != verb->args_count) {
		snprintf(text, sizeof(text),
			 "ERR wrong number of arguments for 'sentinel|%s' command", verb->name);
		resp_error(call->out, text);
		return;
	}
	if (args_count == 3 && !is_master_name(call->sentinel, args[2])) {
		if (verb->has_name) {
			call_unknown_name(call);
			return;
		}
		call->master_id = 0; /* of another name nothing is known */
	}
	verb->run(call);
}

void
sentinel_call(const struct sentinel *sentinel, const struct resp_arg *args, uint32_t args_count,
	      uint64_t now_ns, struct resp_writer *out)
{
	struct call call = { .sentinel = sentinel, .out = out };

	call.master_id = sentinel_master(sentinel, now_ns, &call.status);
	for (uint32_t i = 0; args_count >= 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (resp_is(args[1], verbs[i].name)) {
			run_verb(&call, &verbs[i], args, args_count);
			return;
		}
	}
	resp_error(out, "ERR unknown SENTINEL call; there are MASTERS, MASTER, "
			"GET-MASTER-ADDR-BY-NAME, REPLICAS, SLAVES, SENTINELS, CKQUORUM, MYID");
}

size_t
sentinel_info(const struct sentinel *sentinel, uint64_t now_ns, char *text, size_t room)
{
	struct node_status status;
	const uint16_t master_id = sentinel_master(sentinel, now_ns, &status);
	const struct sentinel_node *node = sentinel_find(sentinel, master_id);
	int bytes =
	    snprintf(text, room, "sentinel_masters:%d\r\nsentinel_tilt:0\r\n", node != NULL);

	if (node != NULL)
		bytes = snprintf(text, room,
				 "sentinel_masters:1\r\nsentinel_tilt:0\r\n"
				 "master0:name=%s,status=ok,address=%s:%u,slaves=%u,sentinels=%u"
				 "\r\n",
				 sentinel->master_name, node->host, node->port,
				 count_nodes(sentinel, false, master_id), sentinel->nodes_count);
	return bytes > 0 && (size_t)bytes < room ? (size_t)bytes : 0;
}

bool
sentinel_switched(const struct sentinel *sentinel, struct sentinel_watch *watch, uint64_t now_ns,
		  char text[SENTINEL_EVENT_BYTES])
{
	struct node_status status;
	const struct sentinel_node *from = sentinel_find(sentinel, watch->master_id);
	const uint16_t master_id = sentinel_master(sentinel, now_ns, &status);
	const struct sentinel_node *to = sentinel_find(sentinel, master_id);

	if (to == NULL || master_id == watch->master_id)
		return false;
	watch->master_id = master_id;
	if (from == NULL)
		return false;
	snprintf(text, SENTINEL_EVENT_BYTES, "%s %s %u %s %u", sentinel->master_name, from->host,
		 from->port, to->host, to->port);
	return true;
}
