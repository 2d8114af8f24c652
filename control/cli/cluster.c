/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes a verb speaks of, and what they say of themselves. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/dev.h"
#include "dataplane/wire/page.h"
#include "hw/platform/platform.h"

#define STATUS_TIMEOUT_MS 1000u
#define WAIT_STATUS_MS    500u
#define WAIT_PAUSE_NS     20000000

static enum admin_exit
find_by_file(struct cli *cli, struct cluster *cluster)
{
	struct node_config *config = malloc(sizeof(*config));
	char text[768];

	if (!config)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (node_config_load(cli->values[CLI_NODE_FILE], config, text, sizeof(text))) {
		free(config);
		return cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
	}
	cluster->node_count = config->node_count;
	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *from = &config->nodes[i];
		struct cluster_node *node = &cluster->nodes[i];
		memcpy(node->name, from->name, sizeof(node->name));
		node->id = from->id;
		node->is_witness = from->kind == NODE_WITNESS;
		memcpy(node->admin_socket, from->admin_socket, sizeof(node->admin_socket));
		if (from->id == config->id)
			memcpy(node->storage_dir, config->storage_dir, sizeof(node->storage_dir));
		if (!node->is_witness)
			(void)snprintf(node->resp, sizeof(node->resp), "%.63s", from->resp.text);
	}
	free(config);
	return ADMIN_EXIT_OK;
}

static enum admin_exit
find_by_dir(struct cli *cli, struct cluster *cluster)
{
	struct dev *dev = malloc(sizeof(*dev));
	enum admin_exit code = dev ? dev_dir(cli, dev) : ADMIN_EXIT_FAILED;

	if (!code && !dev_load(dev))
		code =
		    cli_fail(cli, ADMIN_EXIT_UNREACHABLE,
			     "no local cluster in %s; give --dir or --node-file, or start one with "
			     "`tern dev up`",
			     dev->dir);
	for (uint32_t i = 0; !code && i < dev->node_count; i++) {
		struct cluster_node *node = &cluster->nodes[i];
		memcpy(node->name, dev->nodes[i].name, sizeof(node->name));
		node->id = dev->nodes[i].id;
		node->is_witness = dev->nodes[i].is_witness;
		dev_admin_socket(dev, &dev->nodes[i], node->admin_socket);
		dev_path(dev, &dev->nodes[i], "storage", node->storage_dir);
		if (!node->is_witness)
			(void)snprintf(node->resp, sizeof(node->resp), "%s:%u",
				       dev_net_loopback(dev), dev->nodes[i].resp_port);
	}
	cluster->node_count = code ? 0 : dev->node_count;
	free(dev);
	return code;
}

enum admin_exit
cluster_find(struct cli *cli, struct cluster *cluster)
{
	memset(cluster, 0, sizeof(*cluster));
	return cli->values[CLI_NODE_FILE] ? find_by_file(cli, cluster) : find_by_dir(cli, cluster);
}

/* ---- status/v1 ---- */

static json_t *
down_json(const struct cluster_node *node, const char *why)
{
	static const char *const unknown[] = { "term",         "epoch",         "last_index",
					       "commit_index", "applied_index", "durable_index",
					       "chain",        "state_hash",    "copies",
					       "port_driver",  "disk_mode",     "log_used_bytes",
					       "drops" };
	json_t *entry = json_pack("{s:s,s:i,s:s,s:s,s:s,s:b,s:s}", "name", node->name, "id",
				  (int)node->id, "kind", node->is_witness ? "witness" : "data",
				  "role", "unknown", "mode", "DOWN", "serving", 0, "error", why);

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		(void)json_object_set_new(entry, unknown[i], json_null());
	return entry;
}

static json_t *
ask_node(const struct cluster_node *node, uint32_t timeout_ms)
{
	char text[512];
	json_t *entry = NULL;

	if (node->admin_socket[0] == 0)
		return down_json(node, node->storage_dir[0] != 0
					   ? "it was ended; start it with `tern dev up`"
					   : "its admin socket is not on this machine: ask there");
	if (admin_call(node->admin_socket, "status", NULL,
		       timeout_ms ? timeout_ms : STATUS_TIMEOUT_MS, &entry, text, sizeof(text)))
		return down_json(node, text);
	return entry;
}

static bool
is_text(const json_t *entry, const char *key, const char *value)
{
	const char *text = json_string_value(json_object_get(entry, key));

	return text && strcmp(text, value) == 0;
}

json_t *
cluster_master(const json_t *status)
{
	const json_t *nodes = json_object_get(status, "nodes");
	json_t *master = NULL;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		json_t *entry = json_array_get(nodes, i);
		if (!is_text(entry, "role", "master") ||
		    !json_is_true(json_object_get(entry, "serving")))
			continue;
		/* A paused old master may answer once more: the higher term is the truth. */
		if (!master || json_integer_value(json_object_get(entry, "term")) >
				   json_integer_value(json_object_get(master, "term")))
			master = entry;
	}
	return master;
}

static uint64_t
integer(const json_t *object, const char *key)
{
	const json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

/* Limits of the state machine that two data nodes do not share: sooner or later one of them refuses
 * what the other takes, and their states part. */
static json_t *
limit_warnings(const json_t *nodes)
{
	json_t *warnings = json_array(), *limits = NULL;
	const char *name = NULL, *key;
	const json_t *value;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		json_t *here = json_object_get(entry, "state_limits");
		if (!json_is_object(here))
			continue;
		if (!limits) {
			limits = here;
			name = json_string_value(json_object_get(entry, "name"));
			continue;
		}
		json_object_foreach(limits, key, value)
		{
			const json_t *other = json_object_get(here, key);
			if (json_equal(value, other))
				continue;
			(void)json_array_append_new(
			    warnings,
			    json_sprintf("state.%s is %lld on %s and %lld on %s: their states will "
					 "part; make it equal and start both again",
					 key, (long long)json_integer_value(value),
					 name ? name : "?", (long long)json_integer_value(other),
					 json_string_value(json_object_get(entry, "name"))));
		}
	}
	return warnings;
}

/* Alarms that a node raised since it started: what each means, and what to do. */
static void
alarm_warnings(const json_t *nodes, json_t *warnings)
{
	static const struct {
		const char *name, *text;
	} alarms[] = {
		{ "ack_forgotten", "saw its peer come back with less than it had acknowledged; the "
				   "master went on without it: check the peer's device" },
		{ "cut_below_commit",
		  "was told to drop what is committed here and refused: it follows nobody until an "
		  "operator has compared the nodes (tern log verify); keep its storage" },
		{ "witness_amnesia",
		  "has not the register that the cluster knows; it grants nothing: "
		  "replace it as a new witness" },
		{ "storage_failed", "had a failed write or flush; replace its device" },
		{ "stalled",
		  "gave up mastership because its disk or state machine stood still; check "
		  "its device" },
		{ "memory_commits_lost",
		  "rolled back commands that may have been acknowledged in class memory; look "
		  "through `tern log divergent list`" },
	};

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const json_t *counts = json_object_get(entry, "alarms");
		const char *name = json_string_value(json_object_get(entry, "name"));

		for (size_t k = 0; k < sizeof(alarms) / sizeof(alarms[0]); k++)
			if (json_integer_value(json_object_get(counts, alarms[k].name)) > 0)
				(void)json_array_append_new(
				    warnings,
				    json_sprintf("%s %s", name ? name : "?", alarms[k].text));
	}
}

/* What the last scrub could not repair: a state that lasts until one finds nothing. */
static void
scrub_warnings(const json_t *nodes, json_t *warnings)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		const uint64_t lost = integer(json_object_get(entry, "pool"), "scrub_unrepairable");
		if (lost != 0)
			(void)json_array_append_new(
			    warnings,
			    json_sprintf("the scrub of %s found %llu pages that it cannot repair; "
					 "tern device scrub status",
					 name ? name : "?", (unsigned long long)lost));
	}
}

/* A state, not an event: it lasts until somebody acts. */
static bool
has_alarm(const json_t *entry, const char *alarm)
{
	const json_t *counts = json_object_get(entry, "alarms");

	return json_integer_value(json_object_get(counts, alarm)) > 0;
}

/* Nodes of one list with storage of different clusters: they drop each other's frames. */
static void
add_cluster_warnings(const json_t *nodes, json_t *warnings)
{
	const char *first = NULL, *name = NULL;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *id = json_string_value(json_object_get(entry, "cluster_id"));
		const char *here = json_string_value(json_object_get(entry, "name"));
		if (id && first && strcmp(id, first) != 0)
			(void)json_array_append_new(
			    warnings,
			    json_sprintf(
				"%s has storage of cluster %s and %s of cluster %s: they "
				"do not hear each other; give the right one its storage, or "
				"make it anew by `tern node init --cluster-id`",
				name ? name : "?", first, here ? here : "?", id));
		if (id && !first) {
			first = id;
			name = here;
		}
	}
}

/* A log area that takes no more writes. Its last part is for the blocks of a change of master or
 * mode, and for what a master that has more room left sends. */
static void
log_warnings(const json_t *nodes, json_t *warnings)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		const uint64_t area = integer(entry, "log_area_bytes") / PAGE_BYTES;
		const uint64_t used = integer(entry, "log_used_bytes") / PAGE_BYTES;
		if (area == 0 || used < area - (area + 19) / 20)
			continue;
		(void)json_array_append_new(
		    warnings,
		    used < area
			? json_sprintf("the log of %s has %llu pages left: writes are refused, and "
				       "each change of master or mode takes one; %s",
				       name ? name : "?", (unsigned long long)(area - used),
				       json_is_true(json_object_get(entry, "has_checkpoints"))
					   ? "it goes on when the data node that is away has "
					     "returned: what that lacks is kept"
					   : "begin a new cluster with more room")
			: json_sprintf("the log of %s is full: no change of master or mode can be "
				       "written, so the next fault stops service",
				       name ? name : "?"));
	}
}

/* Checkpoints that do not come to be: the log before them is not used again, and fills up. */
static void
checkpoint_warnings(const json_t *nodes, json_t *warnings)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		const uint64_t failing = integer(entry, "checkpoints_failing");
		if (failing != 0)
			(void)json_array_append_new(
			    warnings,
			    json_sprintf(
				"%s has given up its last %llu checkpoints: memory for old "
				"versions "
				"is short (raise state.capacity on every node), or they outgrew "
				"their room on the device (begin a new cluster); its log is not "
				"used again before one is made, and fills up",
				name ? name : "?", (unsigned long long)failing));
	}
}

/* Data nodes with logs of two kinds: no commit that counts both is durable. */
static void
mixed_warnings(const json_t *nodes, json_t *warnings)
{
	const char *kept = NULL, *forgotten = NULL;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const json_t *is_volatile = json_object_get(entry, "log_volatile");
		const char *name = json_string_value(json_object_get(entry, "name"));
		if (!is_text(entry, "kind", "data") || !is_volatile)
			continue;
		if (json_is_true(is_volatile))
			forgotten = name;
		else
			kept = name;
	}
	if (kept && forgotten)
		(void)json_array_append_new(
		    warnings, json_sprintf("the log of %s is on its device and that of %s in RAM: "
					   "say `volatile` on all data nodes or on none, and make "
					   "the storage of the other kind anew",
					   kept, forgotten));
}

/* Devices that were lost: what the node still bears, and which to replace. */
static void
pool_warnings(const json_t *nodes, json_t *warnings)
{
	char lost[256];

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const json_t *pool = json_object_get(entry, "pool");
		const json_t *devices = json_object_get(pool, "devices");
		const char *name = json_string_value(json_object_get(entry, "name"));
		size_t at = 0;
		if (!json_is_true(json_object_get(pool, "degraded")) ||
		    json_array_size(devices) < 2)
			continue;
		lost[0] = 0;
		for (size_t k = 0; k < json_array_size(devices) && at < sizeof(lost); k++) {
			const json_t *device = json_array_get(devices, k);
			if (is_text(device, "state", "ok"))
				continue;
			const int bytes =
			    snprintf(lost + at, sizeof(lost) - at, "%s%zu (%s)", at ? ", " : "", k,
				     json_string_value(json_object_get(device, "state")));
			at += bytes > 0 ? (size_t)bytes : 0;
		}
		const json_int_t left = json_integer_value(json_object_get(pool, "losses_left"));
		(void)json_array_append_new(
		    warnings,
		    json_is_true(json_object_get(pool, "stopped"))
			? json_sprintf(
			      "the storage of %s has lost more devices than it bears (%s): "
			      "it acknowledges nothing",
			      name ? name : "?", lost)
			: json_sprintf("the storage of %s is DEGRADED: device %s; it bears %lld "
				       "more losses",
				       name ? name : "?", lost, (long long)left));
	}
}

/* Data nodes that may be voters: who does not answer is taken for one. */
static uint32_t
count_data(const json_t *nodes)
{
	uint32_t count = 0;

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		count += is_text(entry, "kind", "data") && !is_text(entry, "role", "spare") &&
			 !is_text(entry, "role", "learner");
	}
	return count;
}

static bool
has_name(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *here = json_string_value(json_array_get(list, i));
		if (here && name && strcmp(here, name) == 0)
			return true;
	}
	return false;
}

/* A node that was taken out is not told so: the master knows. */
static void
mark_removed(json_t *nodes, const json_t *master)
{
	const json_t *membership = json_object_get(master, "membership");

	for (size_t i = 0; membership && i < json_array_size(nodes); i++) {
		json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		if (!is_text(entry, "kind", "data") || is_text(entry, "mode", "DOWN") ||
		    is_text(entry, "mode", "SUPERSEDED") ||
		    has_name(json_object_get(membership, "voters"), name) ||
		    has_name(json_object_get(membership, "learners"), name))
			continue;
		(void)json_object_set_new(entry, "role", json_string("spare"));
		(void)json_object_set_new(entry, "mode", json_string("SPARE"));
	}
}

/* A learner that does not follow shows old state, and nobody else will say so. */
static void
learner_warnings(const json_t *nodes, json_t *warnings)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		if (is_text(entry, "role", "learner") && !is_text(entry, "mode", "LEARNER"))
			(void)json_array_append_new(
			    warnings,
			    json_sprintf(
				"%s, a learner, does not follow the master: it is cut off, "
				"or fetches a checkpoint; `tern cluster remove %s` takes it "
				"out",
				name ? name : "?", name ? name : "?"));
	}
}

/* Between the two steps of `tern cluster replace-witness`; and a register that nobody goes by.
 * True: there is nothing to say. */
static bool
witness_warnings(const json_t *nodes, const json_t *master, json_t *warnings)
{
	const json_t *membership = json_object_get(master, "membership");
	const json_t *gen = json_object_get(membership, "witness_gen");
	const bool is_out = json_is_true(json_object_get(membership, "witness_out"));
	bool is_good = !is_out;

	if (is_out)
		(void)json_array_append_new(
		    warnings, json_string("no witness has a vote: no fault of a data node is "
					  "survived until `tern cluster replace-witness` is done"));
	for (size_t i = 0; !is_out && gen && i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const json_t *own = json_object_get(entry, "witness_gen");
		if (!is_text(entry, "kind", "witness") || !own ||
		    json_integer_value(own) == json_integer_value(gen))
			continue;
		is_good = false;
		(void)json_array_append_new(
		    warnings,
		    json_string("the witness's register is not the one that the data nodes go by: "
				"it grants nothing; `tern cluster replace-witness` puts it in the "
				"other's place"));
	}
	return is_good;
}

/* What a person has to do for a node that was left behind. */
static void
generation_warnings(const json_t *nodes, json_t *warnings)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		const char *later = json_string_value(json_object_get(entry, "superseded_by"));
		const json_t *drops = json_object_get(entry, "drops");
		if (later)
			(void)json_array_append_new(
			    warnings,
			    json_sprintf(
				"%s was left out when the cluster went on as generation %s: it "
				"never "
				"serves again; look through `tern log divergent list`, move its "
				"storage away, then `tern node rejoin --cluster-gen`",
				name ? name : "?", later));
		if (integer(drops, "other_generation") != 0)
			(void)json_array_append_new(
			    warnings,
			    json_sprintf(
				"%s hears nodes of another branch of this cluster, forced "
				"elsewhere: they are two clusters for ever; switch one off",
				name ? name : "?"));
	}
}

/* Spare nodes and learners are not counted on. */
static bool
is_node_whole(const json_t *entry)
{
	if (is_text(entry, "role", "spare") || is_text(entry, "role", "learner"))
		return !json_is_true(json_object_get(entry, "storage_failed")) &&
		       !json_is_true(json_object_get(entry, "damaged"));
	return !is_text(entry, "mode", "DOWN") && !is_text(entry, "mode", "CATCHUP") &&
	       !is_text(entry, "mode", "SUPERSEDED") &&
	       !json_is_true(json_object_get(entry, "storage_failed")) &&
	       !json_is_true(json_object_get(entry, "damaged")) &&
	       !json_is_true(json_object_get(json_object_get(entry, "pool"), "degraded")) &&
	       integer(json_object_get(entry, "pool"), "scrub_unrepairable") == 0 &&
	       !has_alarm(entry, "witness_amnesia");
}

enum admin_exit
cluster_judge(json_t *status)
{
	json_t *nodes = json_object_get(status, "nodes");
	const json_t *master = cluster_master(status);
	json_t *warnings = limit_warnings(nodes);
	mark_removed(nodes, master);
	add_cluster_warnings(nodes, warnings);
	mixed_warnings(nodes, warnings);
	const bool has_witness = witness_warnings(nodes, master, warnings);
	bool is_whole =
	    json_array_size(warnings) == 0 && has_witness; /* limits, clusters, logs agree */
	log_warnings(nodes, warnings);
	checkpoint_warnings(nodes, warnings);
	const bool is_alone = count_data(nodes) == 1;
	enum admin_exit health = ADMIN_EXIT_DEGRADED;

	for (size_t i = 0; i < json_array_size(nodes); i++)
		is_whole = is_whole && is_node_whole(json_array_get(nodes, i));
	if (!master)
		health = ADMIN_EXIT_CRITICAL;
	else if (is_whole && (is_alone || is_text(master, "mode", "DUPLEX") ||
			      is_text(master, "mode", "MAJORITY")))
		health = ADMIN_EXIT_OK;
	alarm_warnings(nodes, warnings);
	pool_warnings(nodes, warnings);
	scrub_warnings(nodes, warnings);
	learner_warnings(nodes, warnings);
	generation_warnings(nodes, warnings);
	if (is_alone)
		(void)json_array_append_new(
		    warnings,
		    json_string("NO REDUNDANCY: one data node, one copy; its disk's end is "
				"the end of the data"));
	(void)json_object_set_new(status, "health",
				  json_string(health == ADMIN_EXIT_OK         ? "ok"
					      : health == ADMIN_EXIT_DEGRADED ? "degraded"
									      : "critical"));
	(void)json_object_set_new(status, "warnings", warnings);
	return health;
}

json_t *
cluster_status(const struct cluster *cluster, uint32_t timeout_ms, enum admin_exit *health)
{
	json_t *nodes = json_array(), *cluster_id = NULL;

	for (uint32_t i = 0; i < cluster->node_count; i++) {
		json_t *entry = ask_node(&cluster->nodes[i], timeout_ms);
		if (!cluster_id)
			cluster_id = json_object_get(entry, "cluster_id");
		(void)json_array_append_new(nodes, entry);
	}
	json_t *status = json_pack("{s:s,s:O?,s:o}", "api", "status/v1", "cluster_id", cluster_id,
				   "nodes", nodes);
	*health = cluster_judge(status);
	return status;
}

json_t *
cluster_wait(const struct cluster *cluster, uint32_t timeout_ms,
	     bool (*is_met)(const json_t *status, const void *context), const void *context)
{
	const struct timespec pause = { .tv_nsec = WAIT_PAUSE_NS };
	const uint64_t end_ns = platform_monotonic_ns() + timeout_ms * 1000000ull;
	enum admin_exit health;

	do {
		json_t *status = cluster_status(cluster, WAIT_STATUS_MS, &health);
		if (is_met(status, context))
			return status;
		json_decref(status);
		(void)nanosleep(&pause, NULL);
	} while (platform_monotonic_ns() < end_ns);
	return NULL;
}

const struct cluster_node *
cluster_named(const struct cluster *cluster, const char *name)
{
	for (uint32_t i = 0; i < cluster->node_count; i++)
		if (strcmp(cluster->nodes[i].name, name) == 0)
			return &cluster->nodes[i];
	return NULL;
}
