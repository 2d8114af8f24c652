/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/config/config_units.h"

#define HELP_CODE   1000
#define OPTION_CODE 1001

static enum admin_exit __attribute__((format(printf, 3, 4)))
usage(char *text, size_t text_bytes, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, text_bytes, format, arguments);
	va_end(arguments);
	return ADMIN_EXIT_USAGE;
}

/* How many words of @argv the path takes; 0: it does not begin with it. */
static int
path_match(const char *path, int argc, char **argv)
{
	int words = 0;

	while (*path != 0) {
		const size_t bytes = strcspn(path, " ");
		if (words >= argc || strlen(argv[words]) != bytes ||
		    strncmp(argv[words], path, bytes) != 0)
			return 0;
		words++;
		path += bytes;
		if (*path == ' ')
			path++;
	}
	return words;
}

/* True when some command's path begins with the words joined in @group and a blank. */
static bool
is_group(const char *group)
{
	const size_t bytes = strlen(group);

	for (uint32_t i = 0; i < cli_command_count; i++) {
		if (strncmp(cli_commands[i].path, group, bytes) == 0 &&
		    (bytes == 0 || cli_commands[i].path[bytes] == ' '))
			return true;
	}
	return false;
}

/* The longest group of commands that the words begin with goes to cli->group. Returns how many
 * words it has. */
static int
group_find(struct cli *cli, int argc, char **argv)
{
	char longer[CLI_GROUP_MAX];
	int words = 0;

	for (; words < argc && argv[words][0] != 0 && !strchr(argv[words], ' '); words++) {
		const int bytes = snprintf(longer, sizeof(longer), "%s%s%s", cli->group,
					   words > 0 ? " " : "", argv[words]);
		if (bytes >= (int)sizeof(longer) || !is_group(longer))
			break;
		memcpy(cli->group, longer, sizeof(longer));
	}
	return words;
}

static const char *
nearest_path(int argc, char **argv)
{
	char typed[64] = "";
	const char *nearest = NULL;
	uint32_t best = 4;

	for (int i = 0; i < argc && i < (int)CLI_WORDS_MAX && argv[i][0] != '-'; i++) {
		const size_t used = strlen(typed);
		(void)snprintf(typed + used, sizeof(typed) - used, "%s%s", used ? " " : "",
			       argv[i]);
		for (uint32_t k = 0; k < cli_command_count; k++) {
			const uint32_t d = config_distance(typed, cli_commands[k].path);
			/* A word of which no letter is left is near to nothing. */
			if (d < best && d < strlen(typed)) {
				best = d;
				nearest = cli_commands[k].path;
			}
		}
	}
	return nearest;
}

static enum admin_exit
no_command(int argc, char **argv, struct cli *cli, char *text, size_t text_bytes)
{
	const int words = group_find(cli, argc, argv);
	const char *group = cli->group;
	const char *next = words < argc ? argv[words] : NULL;

	if (!next && words == 0)
		return usage(text, text_bytes, "no command given; `tern --help` lists all of them");
	if (!next)
		return usage(text, text_bytes, "`tern %s` needs a verb; see `tern %s --help`",
			     group, group);
	if (strcmp(next, "--help") == 0 || strcmp(next, "-h") == 0 ||
	    (words == 0 && strcmp(next, "help") == 0)) {
		cli->is_help = true;
		cli->help_prefix = group;
		return ADMIN_EXIT_OK;
	}
	const char *nearest = nearest_path(argc, argv);
	if (nearest)
		return usage(text, text_bytes,
			     "unknown command \"%s%s%.64s\", did you mean "
			     "`tern %s`?",
			     group, words ? " " : "", next, nearest);
	return usage(text, text_bytes, "unknown command \"%s%s%.64s\"; `tern --help` lists all",
		     group, words ? " " : "", next);
}

static void
build_options(const struct cli_command *command, struct option *longs, char *shorts)
{
	uint32_t count = 0;
	size_t used = 0;

	shorts[used++] = ':';
	shorts[used++] = 'h';
	longs[count++] = (struct option){ "help", no_argument, NULL, HELP_CODE };
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *option = &cli_options[id];
		if (!(command->options & CLI_BIT(id)))
			continue;
		longs[count++] =
		    (struct option){ option->name,
				     option->argument ? required_argument : no_argument, NULL,
				     OPTION_CODE + id };
		if (option->letter) {
			shorts[used++] = option->letter;
			if (option->argument)
				shorts[used++] = ':';
		}
	}
	longs[count] = (struct option){ NULL, 0, NULL, 0 };
	shorts[used] = 0;
}

static int
option_of_letter(int code)
{
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		if (cli_options[id].letter == code)
			return id;
	}
	return -1;
}

/* @argv[0] is skipped, as getopt does. */
static enum admin_exit
parse_options(int argc, char **argv, struct cli *cli, char *text, size_t text_bytes)
{
	struct option longs[CLI_OPTION_COUNT + 2];
	char shorts[2 * CLI_OPTION_COUNT + 4];

	build_options(cli->command, longs, shorts);
	opterr = 0;
	optind = 0;
	for (int turn = 0; turn < argc; turn++) {
		const int code = getopt_long(argc, argv, shorts, longs, NULL);
		if (code == -1)
			break;
		if (code == HELP_CODE || code == 'h') {
			cli->is_help = true;
			return ADMIN_EXIT_OK;
		}
		if (code == '?' || code == ':')
			return usage(text, text_bytes, "%s \"%.64s\"; see `tern %s --help`",
				     code == ':' ? "a value is missing after" : "unknown option",
				     argv[optind - 1], cli->command->path);
		const int id = code >= OPTION_CODE ? code - OPTION_CODE : option_of_letter(code);
		cli->values[id] = cli_options[id].argument ? optarg : "";
	}
	return ADMIN_EXIT_OK;
}

static enum admin_exit
parse_arguments(int argc, char **argv, struct cli *cli, char *text, size_t text_bytes)
{
	const struct cli_command *command = cli->command;
	uint32_t max = 0;

	while (max < CLI_ARGUMENTS_MAX && command->arguments[max].name)
		max++;
	if (argc > (int)max)
		return usage(text, text_bytes,
			     "one argument too many: \"%.64s\"; see `tern %s "
			     "--help`",
			     argv[max], command->path);
	for (uint32_t i = 0; i < max; i++) {
		if ((int)i < argc)
			cli->arguments[i] = argv[i];
		else if (!command->arguments[i].is_optional)
			return usage(text, text_bytes, "%s (%s) is missing; see `tern %s --help`",
				     command->arguments[i].name, command->arguments[i].help,
				     command->path);
	}
	return ADMIN_EXIT_OK;
}

/* Options whose values every verb reads the same way. */
static enum admin_exit
parse_common(struct cli *cli, char *text, size_t text_bytes)
{
	const char *output = cli->values[CLI_OUTPUT], *timeout = cli->values[CLI_TIMEOUT];
	uint64_t ns;

	if (output && strcmp(output, "json") != 0 && strcmp(output, "text") != 0)
		return usage(text, text_bytes, "-o \"%.32s\" is unknown, allowed text, json",
			     output);
	cli->is_json = output && strcmp(output, "json") == 0;
	if (timeout) {
		if (!config_parse_ns(timeout, &ns) || ns < 1000000 || ns > 3600000000000ull)
			return usage(text, text_bytes,
				     "--timeout \"%.32s\" is no time, allowed 1ms to 3600s",
				     timeout);
		cli->timeout_ms = (uint32_t)(ns / 1000000);
	}
	if (cli->values[CLI_DIR] && cli->values[CLI_NODE_FILE])
		return usage(text, text_bytes, "give --dir or --node-file, not both");
	return ADMIN_EXIT_OK;
}

enum admin_exit
cli_parse(int argc, char **argv, struct cli *cli, char *text, size_t text_bytes)
{
	int words = 0;

	*cli = (struct cli){ .out = stdout, .err = stderr, .help_prefix = "" };
	for (uint32_t i = 0; i < cli_command_count; i++) {
		const int match = path_match(cli_commands[i].path, argc - 1, argv + 1);
		if (match > words) {
			words = match;
			cli->command = &cli_commands[i];
		}
	}
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		for (uint32_t i = 0; i < cli_command_count; i++) {
			if (strcmp(cli_commands[i].path, "version") == 0)
				cli->command = &cli_commands[i];
		}
		return ADMIN_EXIT_OK;
	}
	if (!cli->command)
		return no_command(argc - 1, argv + 1, cli, text, text_bytes);
	enum admin_exit code = parse_options(argc - words, argv + words, cli, text, text_bytes);
	if (code || cli->is_help)
		return code;
	code = parse_arguments(argc - words - optind, argv + words + optind, cli, text, text_bytes);
	return code ? code : parse_common(cli, text, text_bytes);
}
