/* SPDX-License-Identifier: Apache-2.0 */
/* What of this machine could hold Tern's storage. */
#include <stdlib.h>
#include <string.h>

#include "control/cli/device_look.h"
#include "control/config/node_config.h"

#define NAMES_MAX 256u

struct scan {
	struct cli *cli;
	json_t *list;
	struct cli_table table;
	uint32_t usable;
};

static void
scan_one(struct scan *scan, const char *path)
{
	struct device_look look;
	char size[32], use[CLI_CELL_MAX * 2];

	device_look(path, &look);
	device_facts_ask_controller(path, &look.facts);
	scan->usable += look.fit != DEVICE_FIT_NO;
	(void)json_array_append_new(scan->list, device_look_json(path, &look));
	device_size_text(look.facts.bytes, size);
	switch (look.fit) {
	case DEVICE_FIT_FREE:
		(void)snprintf(use, sizeof(use), "yes");
		break;
	case DEVICE_FIT_WIPE:
		(void)snprintf(use, sizeof(use), "only with --wipe %.80s", look.wipe_by);
		break;
	case DEVICE_FIT_NO:
		(void)snprintf(use, sizeof(use), "no: %.100s", look.why);
		break;
	}
	const char *id = look.facts.serial[0] != 0 ? look.facts.serial : look.facts.by_id;
	const char *const cells[] = { path, look.facts.kind == DEVICE_ABSENT ? "-" : size,
				      id[0] != 0 ? id : "-",
				      look.carries[0] != 0 ? look.carries : "nothing", use };
	cli_table_row(&scan->table, 5, cells);
}

/* The devices of the node file, and those of the machine. */
static void
scan_all(struct scan *scan, const struct node_config *config)
{
	static const char prefix[] = "/dev/";
	char names[NAMES_MAX][DEVICE_NAME_MAX], path[sizeof(prefix) + DEVICE_NAME_MAX];
	const uint32_t count = device_names("", names, NAMES_MAX);

	for (uint32_t i = 0; config && i < config->device_count; i++)
		scan_one(scan, config->devices[i].path);
	for (uint32_t i = 0; i < count; i++) {
		(void)snprintf(path, sizeof(path), "%s%.63s", prefix, names[i]);
		bool is_shown = false;
		for (uint32_t k = 0; config && k < config->device_count; k++)
			is_shown = is_shown || strcmp(config->devices[k].path, path) == 0;
		if (!is_shown)
			scan_one(scan, path);
	}
}

enum admin_exit
verb_device_scan(struct cli *cli)
{
	static const char *const heads[] = { "DEVICE", "SIZE", "SERIAL", "CARRIES", "USABLE" };
	struct node_config *config = NULL;
	struct scan *scan = calloc(1, sizeof(*scan));
	char text[NODE_CONFIG_PATH_MAX + 512];
	enum admin_exit code = ADMIN_EXIT_OK;

	if (!scan)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (cli->values[CLI_CONFIG]) {
		config = malloc(sizeof(*config));
		if (!config)
			code = cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
		else if (node_config_load(cli->values[CLI_CONFIG], config, text, sizeof(text)))
			code = cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
	}
	if (!code) {
		*scan = (struct scan){ .cli = cli, .list = json_array() };
		cli_table_row(&scan->table, 5, heads);
		if (cli->arguments[0])
			scan_one(scan, cli->arguments[0]);
		else
			scan_all(scan, config);
		if (cli->is_json)
			cli_print_json(cli, json_pack("{s:s,s:O}", "api", "device-scan/v1",
						      "devices", scan->list));
		else
			cli_table_print(&scan->table, cli->out);
		json_decref(scan->list);
	}
	/* Asked about one device, the exit code is the answer. */
	if (!code && cli->arguments[0] && scan->usable == 0)
		code = ADMIN_EXIT_REFUSED;
	free(config);
	free(scan);
	return code;
}
