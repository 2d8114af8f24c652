/* SPDX-License-Identifier: Apache-2.0 */
/* Who belongs to the cluster: `tern cluster add`, `remove`, `promote`, `demote`, `replace`,
 * `replace-witness`. */
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define CHANGE_TIMEOUT_MS 10000u

static json_int_t
integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Whether @master, an entry of status or NULL, has committed the configuration of block @index: 1;
 * has another one at or above it: -1; not yet: 0. */
static int
is_committed(const json_t *master, json_int_t index)
{
	const json_t *membership = json_object_get(master, "membership");

	if (!json_is_true(json_object_get(membership, "committed")) ||
	    integer(master, "commit_index") < index)
		return 0;
	return integer(membership, "config_index") == index ? 1 : -1;
}

static bool
is_decided(const json_t *status, const void *index)
{
	return is_committed(cluster_master(status), *(const json_int_t *)index) != 0;
}

/* Waits until the change of block @index is committed, or is known not to be. */
static int
wait_committed(const struct cluster *cluster, json_int_t index, uint32_t timeout_ms)
{
	json_t *status = cluster_wait(cluster, timeout_ms, is_decided, &index);
	const int verdict = is_committed(cluster_master(status), index);

	json_decref(status);
	return verdict;
}

struct wanted {
	const char *change; /* as the daemon calls it */
	const char *done;   /* said of the node when it is so; NULL: another step follows */
	bool is_patient;    /* what is refused is asked for again, for a while */
};

/* Asks the master, again while it still has to tell the witness. @index: of the CONFIG block. */
static enum admin_exit
ask(const char *socket, const char *name, const char *change, uint32_t timeout_ms,
    json_int_t *index, char *text, size_t text_bytes)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	enum admin_exit code = ADMIN_EXIT_OK;
	bool is_entering = true;

	for (uint32_t waited_ms = 0; is_entering && waited_ms <= timeout_ms; waited_ms += 20) {
		json_t *arguments = json_pack("{s:s,s:s}", "node", name, "change", change);
		json_t *result = NULL;
		code =
		    admin_call(socket, "change", arguments, timeout_ms, &result, text, text_bytes);
		is_entering = !code && json_is_true(json_object_get(result, "entering"));
		*index = integer(result, "config_index");
		json_decref(arguments);
		json_decref(result);
		if (is_entering)
			(void)nanosleep(&pause, NULL);
	}
	if (!is_entering)
		return code;
	(void)snprintf(text, text_bytes,
		       "the witness was not heard to take its new place: is it started, and does "
		       "`tern status` reach it? Then try again");
	return ADMIN_EXIT_REFUSED;
}

static enum admin_exit
change(struct cli *cli, const struct cluster *cluster, const char *master, const char *name,
       const struct wanted *wanted, json_int_t *config_index)
{
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : CHANGE_TIMEOUT_MS;
	const struct timespec pause = { .tv_nsec = 20000000 };
	json_int_t index = 0;
	char text[512];
	enum admin_exit code;

	for (uint32_t waited_ms = 0;; waited_ms += 20) {
		code = ask(cluster_named(cluster, master)->admin_socket, name, wanted->change,
			   timeout_ms, &index, text, sizeof(text));
		if (code != ADMIN_EXIT_REFUSED || !wanted->is_patient || waited_ms > timeout_ms)
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (code == ADMIN_EXIT_UNREACHABLE)
		return cli_fail(cli, ADMIN_EXIT_UNKNOWN,
				"the master did not answer (%s); see `tern status`", text);
	if (code)
		return cli_fail(cli, code, "%s", text);
	const int verdict = wait_committed(cluster, index, timeout_ms);
	if (verdict < 0)
		return cli_fail(cli, ADMIN_EXIT_UNKNOWN,
				"the master changed meanwhile and has another configuration; `tern "
				"status` shows it");
	if (verdict == 0)
		return cli_fail(
		    cli, ADMIN_EXIT_UNKNOWN,
		    "the change stands in the log, and its commit was not seen in time; "
		    "see `tern status`");
	*config_index = index;
	return ADMIN_EXIT_OK;
}

/* One after the other. What was done is told when all of it is. */
static enum admin_exit
change_all(struct cli *cli, const struct cluster *cluster, const char *master, const char *name,
	   const struct wanted *steps)
{
	enum admin_exit code = ADMIN_EXIT_OK;
	json_int_t index = 0;

	for (;; steps++) {
		code = change(cli, cluster, master, name, steps, &index);
		if (code || steps->done)
			break;
	}
	if (code)
		return code;
	if (cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:s,s:s,s:I}", "api", "cluster-change/v1", "node",
					 name, "change", steps->change, "config_index", index));
	else
		(void)fprintf(cli->out, "%s %s\n", name, steps->done);
	return ADMIN_EXIT_OK;
}

static const struct cluster_node *
find_witness(const struct cluster *cluster)
{
	for (uint32_t i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i].is_witness)
			return &cluster->nodes[i];
	return NULL;
}

/* @is_witness: of the witness; otherwise of the data node that the first argument names. */
static enum admin_exit
run_change(struct cli *cli, const struct wanted *steps, bool is_witness)
{
	struct cluster cluster;
	enum admin_exit health;
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	json_t *status = cluster_status(&cluster, 0, &health);
	const char *master = json_string_value(json_object_get(cluster_master(status), "name"));
	const struct cluster_node *target =
	    is_witness ? find_witness(&cluster) : cluster_named(&cluster, cli->arguments[0]);
	if (!master)
		code = cli_fail(cli, ADMIN_EXIT_CRITICAL,
				"no master serves, so nothing can be changed; see `tern status`");
	else if (!cluster_named(&cluster, master))
		code = cli_fail(cli, ADMIN_EXIT_FAILED,
				"the master \"%s\" is not in the list of nodes; the node files "
				"disagree",
				master);
	else if (is_witness && !target)
		code = cli_fail(cli, ADMIN_EXIT_REFUSED,
				"the node files name no witness: there is none to be replaced");
	else if (!target || target->is_witness != is_witness)
		code =
		    cli_fail(cli, ADMIN_EXIT_USAGE,
			     "\"%.32s\" is no data node of this cluster; a new node has to stand "
			     "in the node files first, as a spare one",
			     cli->arguments[0]);
	else
		code = change_all(cli, &cluster, master, target->name, steps);
	json_decref(status);
	return code;
}

enum admin_exit
verb_cluster_add(struct cli *cli)
{
	static const struct wanted add = { "add-learner", "is a learner now", false };

	if (!cli->values[CLI_LEARNER])
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--learner is missing: a node comes in as a learner, and `tern "
				"cluster promote` makes a voter of it");
	return run_change(cli, &add, false);
}

enum admin_exit
verb_cluster_remove(struct cli *cli)
{
	static const struct wanted gone = { "remove", "is no part of the cluster any more", false };

	return run_change(cli, &gone, false);
}

enum admin_exit
verb_cluster_promote(struct cli *cli)
{
	static const struct wanted promote = { "promote", "is a voter now", false };

	return run_change(cli, &promote, false);
}

enum admin_exit
verb_cluster_demote(struct cli *cli)
{
	static const struct wanted demote = { "demote", "is a learner now", false };

	return run_change(cli, &demote, false);
}

/* ---- a dead node of a pair, and another one ---- */

#define NEAR_BLOCKS 64

static bool
is_named(const json_t *status, const char *list, const char *name)
{
	const json_t *membership = json_object_get(cluster_master(status), "membership");
	const json_t *names = json_object_get(membership, list);

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *here = json_string_value(json_array_get(names, i));
		if (here && strcmp(here, name) == 0)
			return true;
	}
	return false;
}

/* Whether the node that @context names follows, and lacks next to nothing of the master's log. */
static bool
is_near(const json_t *status, const void *context)
{
	const char *name = context;
	const json_t *nodes = json_object_get(status, "nodes");
	const json_int_t commit = integer(cluster_master(status), "commit_index");

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		const char *here = json_string_value(json_object_get(entry, "name"));
		const char *mode = json_string_value(json_object_get(entry, "mode"));
		if (here && strcmp(here, name) == 0)
			return mode && strcmp(mode, "LEARNER") == 0 &&
			       integer(entry, "durable_index") + NEAR_BLOCKS >= commit;
	}
	return false;
}

static bool
wait_near(const struct cluster *cluster, const char *name, uint32_t timeout_ms)
{
	json_t *status = cluster_wait(cluster, timeout_ms, is_near, name);
	const bool is_there = status != NULL;

	json_decref(status);
	return is_there;
}

/* The new one first as a learner, so that one copy alone is the configuration for a moment only.
 * What was done in an earlier attempt is not done again. */
static enum admin_exit
replace_node(struct cli *cli, const struct cluster *cluster, const json_t *status,
	     const char *old_name, const char *new_name)
{
	static const struct wanted add = { "add-learner", NULL, false },
				   drop = { "drop", NULL, false };
	static const struct wanted promote = { "promote", "is a voter now", true };
	const char *master = json_string_value(json_object_get(cluster_master(status), "name"));
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : CHANGE_TIMEOUT_MS;
	enum admin_exit code = ADMIN_EXIT_OK;
	json_int_t index = 0;

	if (is_named(status, "voters", new_name))
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s is a voter already", new_name);
	if (!is_named(status, "learners", new_name))
		code = change(cli, cluster, master, new_name, &add, &index);
	if (!code && !wait_near(cluster, new_name, timeout_ms))
		code =
		    cli_fail(cli, ADMIN_EXIT_REFUSED,
			     "%s is a learner and does not hold all of the log yet; nothing else "
			     "was changed: ask again when `tern status` shows it near the master",
			     new_name);
	if (!code && is_named(status, "voters", old_name))
		code = change(cli, cluster, master, old_name, &drop, &index);
	return code ? code : change_all(cli, cluster, master, new_name, &promote);
}

enum admin_exit
verb_cluster_replace(struct cli *cli)
{
	const char *old_name = cli->arguments[0], *new_name = cli->arguments[1];
	struct cluster cluster;
	enum admin_exit health;
	enum admin_exit code = cluster_find(cli, &cluster);

	if (code)
		return code;
	json_t *status = cluster_status(&cluster, 0, &health);
	const char *master = json_string_value(json_object_get(cluster_master(status), "name"));
	const struct cluster_node *from = cluster_named(&cluster, old_name);
	const struct cluster_node *to = cluster_named(&cluster, new_name);
	if (!master || !cluster_named(&cluster, master))
		code = cli_fail(cli, ADMIN_EXIT_CRITICAL,
				"no master serves, so nothing can be changed; see `tern status`");
	else if (!from || !to || from->is_witness || to->is_witness || from == to)
		code =
		    cli_fail(cli, ADMIN_EXIT_USAGE,
			     "two data nodes are wanted: the one that is dead, and one that stands "
			     "in the node files as a spare one");
	else
		code = replace_node(cli, &cluster, status, from->name, to->name);
	json_decref(status);
	return code;
}

enum admin_exit
verb_cluster_replace_witness(struct cli *cli)
{
	static const struct wanted steps[] = {
		{ "witness-out", NULL, false },
		{ "witness-in", "is the witness now; no register of before counts any more",
		  false },
	};

	return run_change(cli, steps, true);
}
