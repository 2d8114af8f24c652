/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>

#include "control/cli/cli.h"

enum admin_exit
cli_fail(struct cli *cli, enum admin_exit code, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)fprintf(cli->err, "tern: %s\n", text);
	if (cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:i}", "api", "error/v1", "error", text,
					      "exit", (int)code));
	return code;
}

void
cli_print_json(struct cli *cli, json_t *object)
{
	(void)json_dumpf(object, cli->out, JSON_INDENT(2));
	(void)fputc('\n', cli->out);
	json_decref(object);
}

void
cli_table_row(struct cli_table *table, uint32_t columns, const char *const *cells)
{
	if (table->rows == CLI_ROWS_MAX || columns > CLI_COLUMNS_MAX)
		return;
	table->columns = columns;
	for (uint32_t i = 0; i < columns; i++)
		(void)snprintf(table->cells[table->rows][i], CLI_CELL_MAX, "%s", cells[i]);
	table->rows++;
}

void
cli_table_print(const struct cli_table *table, FILE *out)
{
	size_t widths[CLI_COLUMNS_MAX] = { 0 };

	for (uint32_t r = 0; r < table->rows; r++) {
		for (uint32_t c = 0; c < table->columns; c++) {
			const size_t bytes = strlen(table->cells[r][c]);
			if (bytes > widths[c])
				widths[c] = bytes;
		}
	}
	for (uint32_t r = 0; r < table->rows; r++) {
		for (uint32_t c = 0; c < table->columns; c++) {
			const bool is_last = c + 1 == table->columns;
			(void)fprintf(out, "%-*s%s", is_last ? 0 : (int)widths[c],
				      table->cells[r][c], is_last ? "\n" : "  ");
		}
	}
}
