/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <string.h>

#include "control/cli/cli.h"

#define WORDS_MAX 10

struct parse_case {
	const char *words[WORDS_MAX];
	enum admin_exit code;
	const char *command; /* NULL: none */
	const char *text;    /* USAGE: what the message holds */
};

static const struct parse_case cases[] = {
	{ { "status" }, ADMIN_EXIT_OK, "status", NULL },
	{ { "status", "-o", "json" }, ADMIN_EXIT_OK, "status", NULL },
	{ { "status", "-ojson" }, ADMIN_EXIT_OK, "status", NULL },
	{ { "status", "--output=json" }, ADMIN_EXIT_OK, "status", NULL },
	{ { "--version" }, ADMIN_EXIT_OK, "version", NULL },
	{ { "dev", "cut", "a", "b", "--one-way" }, ADMIN_EXIT_OK, "dev cut", NULL },
	{ { "dev", "cut", "--one-way", "a", "b" }, ADMIN_EXIT_OK, "dev cut", NULL },
	{ { "log", "divergent", "export", "1" }, ADMIN_EXIT_OK, "log divergent export", NULL },
	{ { "log", "status" }, ADMIN_EXIT_OK, "log status", NULL },
	{ { "cluster", "switchover" }, ADMIN_EXIT_OK, "cluster switchover", NULL },
	{ { "cluster", "switchover", "b" }, ADMIN_EXIT_OK, "cluster switchover", NULL },
	{ { NULL }, ADMIN_EXIT_USAGE, NULL, "no command given" },
	{ { "dev" }, ADMIN_EXIT_USAGE, NULL, "`tern dev` needs a verb" },
	{ { "log", "divergent" }, ADMIN_EXIT_USAGE, NULL, "`tern log divergent` needs a verb" },
	{ { "statsu" }, ADMIN_EXIT_USAGE, NULL, "did you mean `tern status`?" },
	{ { "dev", "upp" }, ADMIN_EXIT_USAGE, NULL, "did you mean `tern dev up`?" },
	{ { "log", "verfy" }, ADMIN_EXIT_USAGE, NULL, "did you mean `tern log verify`?" },
	{ { "frobnicate" }, ADMIN_EXIT_USAGE, NULL, "`tern --help` lists all" },
	{ { "dev", "kill" }, ADMIN_EXIT_USAGE, NULL, "NODE (a, b, c or w) is missing" },
	{ { "dev", "cut", "a" }, ADMIN_EXIT_USAGE, NULL, "Y (another node) is missing" },
	{ { "dev", "kill", "a", "b" }, ADMIN_EXIT_USAGE, NULL, "one argument too many: \"b\"" },
	{ { "status", "x" }, ADMIN_EXIT_USAGE, NULL, "one argument too many: \"x\"" },
	{ { "status", "--topology", "2+w" }, ADMIN_EXIT_USAGE, NULL, "unknown option" },
	{ { "status", "--dir" }, ADMIN_EXIT_USAGE, NULL, "a value is missing after \"--dir\"" },
	{ { "status", "-x" }, ADMIN_EXIT_USAGE, NULL, "unknown option \"-x\"" },
	{ { "status", "-o", "xml" }, ADMIN_EXIT_USAGE, NULL, "-o \"xml\" is unknown" },
	{ { "status", "--timeout", "5" }, ADMIN_EXIT_USAGE, NULL, "--timeout \"5\" is no time" },
	{ { "status", "--timeout", "2h" }, ADMIN_EXIT_USAGE, NULL, "allowed 1ms to 3600s" },
	{ { "status", "--dir", "x", "--node-file", "y" }, ADMIN_EXIT_USAGE, NULL, "not both" },
};

static enum admin_exit
parse(const char *const *words, struct cli *cli, char *text, size_t text_bytes)
{
	static char storage[WORDS_MAX + 1][64];
	char *argv[WORDS_MAX + 2] = { (char *)"tern" };
	int argc = 1;

	for (int i = 0; i < WORDS_MAX && words[i]; i++) {
		(void)snprintf(storage[i], sizeof(storage[i]), "%s", words[i]);
		argv[argc++] = storage[i];
	}
	return cli_parse(argc, argv, cli, text, text_bytes);
}

static void
parsing(void **unused)
{
	struct cli cli;
	char text[512];

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct parse_case *c = &cases[i];
		text[0] = 0;
		const enum admin_exit code = parse(c->words, &cli, text, sizeof(text));
		if (code != c->code || (c->text && !strstr(text, c->text)))
			print_error("case %zu: %d \"%s\"\n", i, code, text);
		assert_int_equal(code, c->code);
		if (c->text)
			assert_non_null(strstr(text, c->text));
		if (c->command)
			assert_string_equal(cli.command->path, c->command);
	}
}

static void
values(void **unused)
{
	static const char *const words[] = { "dev", "cut",       "a",  "--dir", "d",
					     "b",   "--one-way", "-o", "json",  NULL };
	static const char *const times[] = { "status", "--timeout", "1.5s", NULL };
	struct cli cli;
	char text[512];

	(void)unused;
	assert_int_equal(parse(words, &cli, text, sizeof(text)), ADMIN_EXIT_OK);
	assert_string_equal(cli.arguments[0], "a");
	assert_string_equal(cli.arguments[1], "b");
	assert_string_equal(cli.values[CLI_DIR], "d");
	assert_non_null(cli.values[CLI_ONE_WAY]);
	assert_null(cli.values[CLI_TIMEOUT]);
	assert_true(cli.is_json);
	assert_int_equal(parse(times, &cli, text, sizeof(text)), ADMIN_EXIT_OK);
	assert_int_equal(cli.timeout_ms, 1500);
	assert_null(cli.arguments[0]);
}

static void
help(void **unused)
{
	static const char *const all[] = { "--help", NULL }, *const group[] = { "dev", "-h", NULL },
				 *const one[] = { "dev", "kill", "--help", NULL };
	struct cli cli;
	char text[512];

	(void)unused;
	assert_int_equal(parse(all, &cli, text, sizeof(text)), ADMIN_EXIT_OK);
	assert_true(cli.is_help);
	assert_null(cli.command);
	assert_string_equal(cli.help_prefix, "");
	assert_int_equal(parse(group, &cli, text, sizeof(text)), ADMIN_EXIT_OK);
	assert_true(cli.is_help);
	assert_string_equal(cli.help_prefix, "dev");
	assert_int_equal(parse(one, &cli, text, sizeof(text)), ADMIN_EXIT_OK);
	assert_true(cli.is_help);
	assert_string_equal(cli.command->path, "dev kill");
}

/* What the parser takes for granted of the table. */
static void
the_table_is_sound(void **unused)
{
	(void)unused;
	for (uint32_t i = 0; i < cli_command_count; i++) {
		const struct cli_command *c = &cli_commands[i];
		assert_non_null(c->run);
		assert_true(strlen(c->summary) > 0 && strlen(c->summary) < 70);
		assert_non_null(c->detail);
		assert_true(!c->arguments[0].is_optional || !c->arguments[1].name);
		for (uint32_t k = i + 1; k < cli_command_count; k++)
			assert_string_not_equal(c->path, cli_commands[k].path);
	}
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		assert_non_null(cli_options[id].name);
		assert_non_null(cli_options[id].help);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(values),
		cmocka_unit_test(help),
		cmocka_unit_test(the_table_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
