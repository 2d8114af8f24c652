/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cli/cli.h"

int
main(int argc, char **argv)
{
	struct cli cli;
	char text[512];
	const enum admin_exit code = cli_parse(argc, argv, &cli, text, sizeof(text));

	if (code)
		return (int)cli_fail(&cli, code, "%s", text);
	if (cli.is_help) {
		if (cli.command)
			cli_write_command_help(cli.out, cli.command);
		else
			cli_write_help(cli.out, cli.help_prefix);
		return ADMIN_EXIT_OK;
	}
	const enum admin_exit result = cli.command->run(&cli);
	/* An answer that did not reach its reader is no success. */
	if (fflush(cli.out) != 0 && result == ADMIN_EXIT_OK)
		return ADMIN_EXIT_FAILED;
	return (int)result;
}
