/* SPDX-License-Identifier: Apache-2.0 */
/* What is written from the command table against golden files: a change of the table is seen as a
 * change of the interface. To accept one: tern completion bash > golden/tern.bash, tern man >
 * golden/tern.scd, tern commands -o json > golden/commands.json. */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

static const char *golden;

static char *
read_golden(const char *name)
{
	char path[512];
	char *text = calloc(1, 1u << 20);

	(void)snprintf(path, sizeof(path), "%s/%s", golden, name);
	FILE *stream = fopen(path, "r");
	assert_non_null(stream);
	assert_non_null(text);
	assert_true(fread(text, 1, (1u << 20) - 1, stream) > 0);
	(void)fclose(stream);
	return text;
}

static void
compare(const char *name, void (*write)(FILE *))
{
	char *written = NULL, *expected = read_golden(name);
	size_t bytes = 0;
	FILE *stream = open_memstream(&written, &bytes);

	assert_non_null(stream);
	write(stream);
	(void)fclose(stream);
	assert_string_equal(written, expected);
	free(written);
	free(expected);
}

static void
completion(void **unused)
{
	(void)unused;
	compare("tern.bash", cli_write_completion_bash);
}

static void
manual(void **unused)
{
	(void)unused;
	compare("tern.scd", cli_write_man);
}

static void
dump(void **unused)
{
	char *text = read_golden("commands.json");
	json_t *expected = json_loads(text, 0, NULL), *written = cli_commands_json();

	(void)unused;
	assert_non_null(expected);
	assert_int_equal(json_equal(expected, written), 1);
	json_decref(expected);
	json_decref(written);
	free(text);
}

static void
every_help_has_its_command(void **unused)
{
	(void)unused;
	for (uint32_t i = 0; i < cli_command_count; i++) {
		char *text = NULL;
		size_t bytes = 0;
		FILE *stream = open_memstream(&text, &bytes);
		assert_non_null(stream);
		cli_write_command_help(stream, &cli_commands[i]);
		(void)fclose(stream);
		assert_non_null(strstr(text, cli_commands[i].path));
		assert_non_null(strstr(text, cli_commands[i].summary));
		free(text);
	}
}

static void
tables_align(void **unused)
{
	static const char *const first[] = { "NODE", "X" }, *const second[] = { "a", "longer" };
	static struct cli_table table;
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);

	(void)unused;
	cli_table_row(&table, 2, first);
	cli_table_row(&table, 2, second);
	cli_table_print(&table, stream);
	(void)fclose(stream);
	assert_string_equal(text, "NODE  X\na     longer\n");
	free(text);
	for (uint32_t i = 0; i < 2 * CLI_ROWS_MAX; i++)
		cli_table_row(&table, 2, first);
	assert_int_equal(table.rows, CLI_ROWS_MAX);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(completion),   cmocka_unit_test(manual),
		cmocka_unit_test(dump),         cmocka_unit_test(every_help_has_its_command),
		cmocka_unit_test(tables_align),
	};

	golden = argc > 1 ? argv[1] : "golden";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
