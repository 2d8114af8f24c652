/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/admin/admin_client.h"
#include "control/cli/cli.h"
#include "control/cli/device_look.h"

#define ASK_MS 1000u

static enum admin_exit
load(struct cli *cli, const char *file, struct node_config **config)
{
	char text[768];

	*config = malloc(sizeof(**config));
	if (!*config)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (node_config_load(file, *config, text, sizeof(text))) {
		free(*config);
		*config = NULL;
		return cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
	}
	return ADMIN_EXIT_OK;
}

/* The one that was given, that of the node file, or a new one. */
static enum admin_exit
choose_cluster_id(struct cli *cli, const struct node_config *config, const char *given,
		  uint64_t *cluster_id)
{
	if (given && config->cluster_id != 0 && *cluster_id != config->cluster_id)
		return cli_fail(cli, ADMIN_EXIT_CONFIG,
				"%s: node.cluster_id is %016" PRIx64
				", not %s; give the one that is "
				"right to both",
				config->file, config->cluster_id, given);
	if (given)
		return ADMIN_EXIT_OK;
	*cluster_id = config->cluster_id;
	if (*cluster_id == 0 && !node_birth_cluster_id(cluster_id))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "no randomness for a cluster id");
	return ADMIN_EXIT_OK;
}

/* The node file, and --cluster-id if it was given. */
static enum admin_exit
take_options(struct cli *cli, struct node_config **config, uint64_t *cluster_id)
{
	const char *given = cli->values[CLI_CLUSTER_ID];

	if (!cli->values[CLI_CONFIG])
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--config FILE is missing");
	if (given && !node_config_parse_cluster_id(given, cluster_id))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--cluster-id \"%.32s\": allowed 1 to 16 "
				"hexadecimal digits, not zero",
				given);
	return load(cli, cli->values[CLI_CONFIG], config);
}

/* That of birth, or --cluster-gen. */
static enum admin_exit
take_generation(struct cli *cli, struct generation *generation)
{
	const char *given = cli->values[CLI_CLUSTER_GEN];

	*generation = (struct generation){ 1, 0 };
	if (given && !generation_parse(given, generation))
		return cli_fail(
		    cli, ADMIN_EXIT_USAGE,
		    "--cluster-gen \"%.32s\": a generation is written as in \"2-0123abcd\"", given);
	return ADMIN_EXIT_OK;
}

/* What an earlier try left that did not end, and what --wipe names of the node's devices. */
static enum admin_exit
wipe(const struct cli *cli, const struct node_config *config, char *text, size_t text_bytes)
{
	const char *list = cli->values[CLI_WIPE];
	const enum admin_exit code = node_unfinished_clear(config, text, text_bytes);

	if (code)
		return code;
	return list ? device_wipe(config, 0, config->device_count, list, true, text, text_bytes)
		    : ADMIN_EXIT_OK;
}

enum admin_exit
verb_node_rejoin(struct cli *cli)
{
	const char *given = cli->values[CLI_CLUSTER_ID];
	struct node_config *config = NULL;
	struct generation generation;
	uint64_t cluster_id;
	char text[768], why[256];
	json_t *status = NULL;
	enum admin_exit code = take_generation(cli, &generation);

	if (!code)
		code = take_options(cli, &config, &cluster_id);

	if (!code && !given && config->cluster_id == 0)
		code =
		    cli_fail(cli, ADMIN_EXIT_USAGE,
			     "--cluster-id is missing: `tern status` of a node that runs says it");
	if (!code)
		code = choose_cluster_id(cli, config, given, &cluster_id);
	/* Its files may be gone and its process still be at work. */
	if (!code && admin_call(config->admin_socket, "status", NULL, ASK_MS, &status, why,
				sizeof(why)) != ADMIN_EXIT_UNREACHABLE)
		code = cli_fail(cli, ADMIN_EXIT_REFUSED, "a daemon of %s runs: stop it first",
				config->name);
	json_decref(status);
	if (code) {
		free(config);
		return code;
	}
	code = node_rejoin_refuse(config, text, sizeof(text));
	if (!code)
		code = wipe(cli, config, text, sizeof(text));
	if (!code)
		code = node_rejoin(config, cluster_id, &generation, text, sizeof(text));
	if (code)
		(void)cli_fail(cli, code, "%s", text);
	else if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:s}", "api", "node-rejoin/v1", "name",
					      config->name, "storage", config->storage_dir));
	else
		(void)fprintf(
		    cli->out,
		    config->kind == NODE_WITNESS
			? "a new register of %s created in %s, which grants nothing yet: "
			  "start tern-witness, then `tern cluster replace-witness`\n"
			: "new storage of %s created in %s: start ternd; all other voters "
			  "must be up\n",
		    config->name, config->storage_dir);
	free(config);
	return code;
}

enum admin_exit
verb_node_init(struct cli *cli)
{
	const char *given = cli->values[CLI_CLUSTER_ID];
	struct node_config *config = NULL;
	struct generation generation;
	uint64_t cluster_id;
	char text[768], id[17];
	enum admin_exit code = take_generation(cli, &generation);

	if (!code)
		code = take_options(cli, &config, &cluster_id);

	if (!code)
		code = choose_cluster_id(cli, config, given, &cluster_id);
	if (code) {
		free(config);
		return code;
	}
	code = node_spares_refuse(config, text, sizeof(text));
	if (!code)
		code = wipe(cli, config, text, sizeof(text));
	if (!code)
		code = node_birth(config, cluster_id, &generation, text, sizeof(text));
	admin_hex64(cluster_id, id);
	if (code)
		(void)cli_fail(cli, code, "%s", text);
	else if (cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:s,s:s,s:s}", "api", "node-init/v1", "cluster_id",
					 id, "name", config->name, "storage", config->storage_dir));
	else
		(void)fprintf(cli->out, "storage of %s created in %s\ncluster id %s%s\n",
			      config->name, config->storage_dir, id,
			      given || config->cluster_id != 0
				  ? ""
				  : ": give it to the other nodes with --cluster-id");
	free(config);
	return code;
}

enum admin_exit
verb_config_check(struct cli *cli)
{
	struct node_config *config = NULL;
	char text[NODE_CONFIG_PATH_MAX + 512];
	enum admin_exit code = load(cli, cli->arguments[0], &config);

	if (!code && node_config_check_machine(config, "", text, sizeof(text)) != TERN_OK) {
		code = cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
		free(config);
	}
	if (code)
		return code;
	if (cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:b,s:s,s:i,s:s,s:s}", "api", "config-check/v1",
					 "ok", 1, "name", config->name, "id", (int)config->id,
					 "kind", config->kind == NODE_WITNESS ? "witness" : "data",
					 "profile", config->profile));
	else
		(void)fprintf(cli->out, "%s: good: node %s (%u), %s, %u nodes, profile %s\n",
			      cli->arguments[0], config->name, config->id,
			      config->kind == NODE_WITNESS ? "witness" : "data", config->node_count,
			      config->profile[0] ? config->profile : "none");
	free(config);
	return ADMIN_EXIT_OK;
}
