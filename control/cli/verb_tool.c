/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about the tool itself. */
#include <string.h>

#include "control/cli/cli.h"

enum admin_exit
verb_version(struct cli *cli)
{
	if (cli->is_json)
		cli_print_json(
		    cli, json_pack("{s:s,s:s}", "api", "version/v1", "version", TERN_VERSION));
	else
		(void)fprintf(cli->out, "tern %s\n", TERN_VERSION);
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_commands(struct cli *cli)
{
	if (cli->is_json)
		cli_print_json(cli, cli_commands_json());
	else
		cli_write_help(cli->out, "");
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_completion(struct cli *cli)
{
	if (strcmp(cli->arguments[0], "bash") != 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE, "no completion for \"%.32s\", allowed bash",
				cli->arguments[0]);
	cli_write_completion_bash(cli->out);
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_man(struct cli *cli)
{
	cli_write_man(cli->out);
	return ADMIN_EXIT_OK;
}
