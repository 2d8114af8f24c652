/* SPDX-License-Identifier: Apache-2.0 */
/* `tern cluster force-promote`: one node goes on alone, by the word of a person. */
#include <inttypes.h>
#include <string.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"

#define FORCE_TIMEOUT_MS 15000u

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long
integer(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* What is known of what goes. */
static void
print_facts(FILE *out, const json_t *facts)
{
	const long long commit = integer(facts, "commit_index");
	const long long told = integer(facts, "told_commit_index");
	const long long last = integer(facts, "last_index");
	const json_t *peers = json_object_get(facts, "peers");

	(void)fprintf(out,
		      "%s holds blocks up to %lld (durable %lld); it knows block %lld as "
		      "committed, and has heard of %lld\n",
		      text_of(facts, "node"), last, integer(facts, "durable_index"), commit, told);
	if (told > last)
		(void)fprintf(out, "LOST: at least blocks %lld to %lld, which were committed\n",
			      last + 1, told);
	(void)fprintf(out,
		      "lost besides: whatever the others committed since %s heard no master, "
		      "%lld.%03lld s ago\n",
		      text_of(facts, "node"), integer(facts, "masterless_ms") / 1000,
		      integer(facts, "masterless_ms") % 1000);
	for (size_t i = 0; i < json_array_size(peers); i++) {
		const json_t *peer = json_array_get(peers, i);
		if (json_is_integer(json_object_get(peer, "silent_ms")))
			(void)fprintf(out, "%s: heard %lld.%03lld s ago\n", text_of(peer, "name"),
				      integer(peer, "silent_ms") / 1000,
				      integer(peer, "silent_ms") % 1000);
		else
			(void)fprintf(out, "%s: not heard since %s was started\n",
				      text_of(peer, "name"), text_of(facts, "node"));
	}
}

struct promotion {
	const char *name, *before; /* the generation that it is to leave */
};

/* The entry of the node in @status, if it serves in another generation. */
static const json_t *
find_promoted(const json_t *status, const struct promotion *promotion)
{
	const json_t *nodes = json_object_get(status, "nodes");

	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *entry = json_array_get(nodes, i);
		if (strcmp(text_of(entry, "name"), promotion->name) == 0 &&
		    json_is_true(json_object_get(entry, "serving")) &&
		    strcmp(text_of(entry, "cluster_gen"), promotion->before) != 0)
			return entry;
	}
	return NULL;
}

static bool
is_promoted(const json_t *status, const void *context)
{
	return find_promoted(status, context) != NULL;
}

static enum admin_exit
promote(struct cli *cli, const struct cluster *cluster, const struct cluster_node *target,
	const json_t *facts)
{
	const uint32_t timeout_ms = cli->timeout_ms ? cli->timeout_ms : FORCE_TIMEOUT_MS;
	json_t *arguments = json_pack("{s:s}", "confirm", cli->values[CLI_FORCE]), *result = NULL;
	char text[512];
	const enum admin_exit code = admin_call(target->admin_socket, "force-promote", arguments,
						timeout_ms, &result, text, sizeof(text));

	json_decref(arguments);
	json_decref(result);
	/* It may have ended its incarnation before it could answer. */
	if (code && code != ADMIN_EXIT_UNREACHABLE && code != ADMIN_EXIT_UNKNOWN)
		return cli_fail(cli, code, "%s: %s", target->name, text);
	const struct promotion promotion = { target->name, text_of(facts, "cluster_gen") };
	json_t *status = cluster_wait(cluster, timeout_ms, is_promoted, &promotion);
	if (!status)
		return cli_fail(cli, ADMIN_EXIT_UNKNOWN,
				"%s was not seen to serve in time; see `tern status`",
				target->name);
	const char *generation = text_of(find_promoted(status, &promotion), "cluster_gen");
	if (cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:s,s:s,s:O}", "api", "force-promote/v1", "node",
					 target->name, "cluster_gen", generation, "facts", facts));
	else
		(void)fprintf(cli->out,
			      "%s serves alone, in generation %s of the cluster; whoever was left "
			      "out comes back by `tern node rejoin --cluster-gen %s` only\n",
			      target->name, generation, generation);
	json_decref(status);
	return ADMIN_EXIT_OK;
}

static enum admin_exit
judge(struct cli *cli, const struct cluster *cluster, const struct cluster_node *target,
      const json_t *facts)
{
	char wanted[128];

	(void)snprintf(wanted, sizeof(wanted), "%s/%s", text_of(facts, "cluster_id"), target->name);
	print_facts(cli->is_json ? cli->err : cli->out, facts);
	if (strcmp(text_of(facts, "verdict"), "allowed") != 0)
		return cli_fail(cli, ADMIN_EXIT_REFUSED, "%s: %s", target->name,
				text_of(facts, "why"));
	if (!cli->values[CLI_FORCE])
		return cli_fail(cli, ADMIN_EXIT_REFUSED,
				"nothing was done. If all others are off, and stay off, and what "
				"they alone held may be lost: --i-know-what-may-be-lost %s",
				wanted);
	if (strcmp(cli->values[CLI_FORCE], wanted) != 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--i-know-what-may-be-lost \"%.80s\" names another cluster or "
				"node: this is %s",
				cli->values[CLI_FORCE], wanted);
	return promote(cli, cluster, target, facts);
}

/* CLUSTER/NODE, whichever they are. */
static bool
is_word(const char *word)
{
	return strspn(word, "0123456789abcdef") == 16 && word[16] == '/' && word[17] != 0;
}

enum admin_exit
verb_cluster_force_promote(struct cli *cli)
{
	struct cluster cluster;
	enum admin_exit health;
	json_t *facts = NULL;
	char text[512];

	if (cli->values[CLI_FORCE] && !is_word(cli->values[CLI_FORCE]))
		return cli_fail(
		    cli, ADMIN_EXIT_USAGE,
		    "--i-know-what-may-be-lost \"%.80s\": CLUSTER/NODE is wanted, as the "
		    "verb names it when it is typed without",
		    cli->values[CLI_FORCE]);
	enum admin_exit code = cluster_find(cli, &cluster);
	if (code)
		return code;
	const struct cluster_node *target = cluster_named(&cluster, cli->arguments[0]);
	if (!target || target->is_witness || target->admin_socket[0] == 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"\"%.32s\" is no data node of this machine; the verb is typed "
				"where the node runs",
				cli->arguments[0]);
	json_t *status = cluster_status(&cluster, 0, &health);
	const json_t *master = cluster_master(status);
	if (master)
		code = cli_fail(cli, ADMIN_EXIT_REFUSED,
				"%s serves: `tern cluster switchover` hands over without loss",
				text_of(master, "name"));
	json_decref(status);
	if (code)
		return code;
	code = admin_call(target->admin_socket, "force-promote", NULL, 2000, &facts, text,
			  sizeof(text));
	if (code)
		return cli_fail(cli, code, "%s does not answer (%s): start ternd there",
				target->name, text);
	code = judge(cli, &cluster, target, facts);
	json_decref(facts);
	return code;
}
