/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is written from the command table. */
#include <string.h>

#include "control/cli/cli.h"

static void
synopsis(const struct cli_command *command, char *out, size_t out_bytes)
{
	int used = snprintf(out, out_bytes, "tern %s", command->path);

	for (uint32_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++) {
		const struct cli_argument *a = &command->arguments[i];
		used += snprintf(out + used, out_bytes - (size_t)used,
				 a->is_optional ? " [%s]" : " %s", a->name);
	}
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *o = &cli_options[id];
		if (!(command->options & CLI_BIT(id)))
			continue;
		used += snprintf(out + used, out_bytes - (size_t)used, " [--%s%s%s]", o->name,
				 o->argument ? " " : "", o->argument ? o->argument : "");
	}
}

/* @text in lines of at most 92 characters behind @indent. */
static void
write_wrapped(FILE *out, const char *indent, const char *text)
{
	const size_t width = 92;

	while (*text != 0) {
		size_t bytes = strlen(text);
		if (bytes > width) {
			bytes = width;
			while (bytes > 1 && text[bytes] != ' ')
				bytes--;
		}
		(void)fprintf(out, "%s%.*s\n", indent, (int)bytes, text);
		text += bytes;
		while (*text == ' ')
			text++;
	}
}

void
cli_write_help(FILE *out, const char *prefix)
{
	const size_t bytes = strlen(prefix);

	(void)fprintf(out, "usage: tern %s%sVERB [options]\n\n", prefix, bytes ? " " : "");
	for (uint32_t i = 0; i < cli_command_count; i++) {
		if (strncmp(cli_commands[i].path, prefix, bytes) == 0)
			(void)fprintf(out, "  %-22s %s\n", cli_commands[i].path,
				      cli_commands[i].summary);
	}
	(void)fprintf(out, "\n`tern VERB --help` says more. Exit codes: 0 ok, 1 failed, 2 usage, 3 "
			   "degraded, 4 critical,\n5 refused by a safety check, 6 outcome unknown, "
			   "7 unreachable, 8 bad configuration.\n");
}

void
cli_write_command_help(FILE *out, const struct cli_command *command)
{
	char line[512], name[64];

	synopsis(command, line, sizeof(line));
	(void)fprintf(out, "tern %s: %s\n\nusage:\n", command->path, command->summary);
	write_wrapped(out, "  ", line);
	(void)fprintf(out, "\n");
	if (command->detail[0] != 0) {
		write_wrapped(out, "", command->detail);
		(void)fprintf(out, "\n");
	}
	for (uint32_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++)
		(void)fprintf(out, "  %-24s %s\n", command->arguments[i].name,
			      command->arguments[i].help);
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *o = &cli_options[id];
		if (!(command->options & CLI_BIT(id)))
			continue;
		const char letter[] = { '-', o->letter, ',', ' ', 0 };
		(void)snprintf(name, sizeof(name), "%s--%s%s%s", o->letter ? letter : "", o->name,
			       o->argument ? " " : "", o->argument ? o->argument : "");
		(void)fprintf(out, "  %-24s %s\n", name, o->help);
	}
	(void)fprintf(out, "  %-24s %s\n", "-h, --help", "this text");
}

/* ---- completion ---- */

static void
write_next_words(FILE *out, const char *prefix)
{
	const size_t bytes = strlen(prefix);
	const char *previous = "";
	size_t previous_bytes = 0;

	for (uint32_t i = 0; i < cli_command_count; i++) {
		const char *path = cli_commands[i].path;
		if (strncmp(path, prefix, bytes) != 0 || (bytes > 0 && path[bytes] != ' '))
			continue;
		const char *word = path + bytes + (bytes > 0 ? 1 : 0);
		const size_t word_bytes = strcspn(word, " ");
		/* Commands of a group stand together in the table. */
		if (word_bytes == previous_bytes && strncmp(word, previous, word_bytes) == 0)
			continue;
		(void)fprintf(out, "%s%.*s", previous_bytes ? " " : "", (int)word_bytes, word);
		previous = word;
		previous_bytes = word_bytes;
	}
}

static void
write_case(FILE *out, const char *prefix)
{
	(void)fprintf(out, "\t\"%s\") words=\"", prefix);
	write_next_words(out, prefix);
	(void)fprintf(out, "\" ;;\n");
}

void
cli_write_completion_bash(FILE *out)
{
	char group[64];

	(void)fprintf(out, "# bash completion for tern, made by `tern completion bash`\n_tern() {\n"
			   "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
			   "path= words= i\n\tcase $prev in\n");
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *o = &cli_options[id];
		if (!o->argument)
			continue;
		(void)fprintf(out, "\t--%s", o->name);
		if (o->letter)
			(void)fprintf(out, "|-%c", o->letter);
		if (o->choices)
			(void)fprintf(out,
				      ") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return "
				      ";;\n",
				      o->choices);
		else
			(void)fprintf(out, ") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
	}
	(void)fprintf(out, "\tesac\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
			   "\t\t[[ ${COMP_WORDS[i]} == -* ]] && break\n"
			   "\t\tpath+=${path:+ }${COMP_WORDS[i]}\n\tdone\n\tcase $path in\n");
	write_case(out, "");
	for (uint32_t i = 0; i < cli_command_count; i++) {
		const char *path = cli_commands[i].path;
		for (const char *blank = strchr(path, ' '); blank; blank = strchr(blank + 1, ' ')) {
			(void)snprintf(group, sizeof(group), "%.*s", (int)(blank - path), path);
			const size_t bytes = strlen(group);
			bool is_seen = false;
			for (uint32_t k = 0; k < i; k++)
				is_seen |= strncmp(cli_commands[k].path, group, bytes) == 0 &&
					   cli_commands[k].path[bytes] == ' ';
			if (!is_seen)
				write_case(out, group);
		}
	}
	for (uint32_t i = 0; i < cli_command_count; i++) {
		(void)fprintf(out, "\t\"%s\"*) words=\"--help", cli_commands[i].path);
		for (int id = 0; id < CLI_OPTION_COUNT; id++) {
			if (cli_commands[i].options & CLI_BIT(id))
				(void)fprintf(out, " --%s", cli_options[id].name);
		}
		(void)fprintf(out, "\" ;;\n");
	}
	(void)fprintf(out, "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
			   "complete -o default -F _tern tern\n");
}

/* ---- manual page and dump ---- */

/* scdoc takes _ and * as marks, and a word in capitals of ours may hold one. */
static void
write_scdoc(FILE *out, const char *text)
{
	for (const char *p = text; *p != 0; p++) {
		if (strchr("_*\\<>[]#+`", *p))
			(void)fputc('\\', out);
		(void)fputc(*p, out);
	}
}

void
cli_write_man(FILE *out)
{
	char line[512];

	(void)fprintf(out, "tern(1)\n\n# NAME\n\ntern - operate a Tern cluster\n\n# SYNOPSIS\n\n"
			   "*tern* _VERB_ [options]\n\n# COMMANDS\n");
	for (uint32_t i = 0; i < cli_command_count; i++) {
		const struct cli_command *command = &cli_commands[i];
		synopsis(command, line, sizeof(line));
		(void)fprintf(out, "\n*");
		write_scdoc(out, line);
		(void)fprintf(out, "*\n\t");
		write_scdoc(out, command->summary);
		(void)fprintf(out, ".");
		if (command->detail[0] != 0) {
			(void)fprintf(out, " ");
			write_scdoc(out, command->detail);
		}
		(void)fprintf(out, "\n");
	}
	(void)fprintf(out, "\n# OPTIONS\n");
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *o = &cli_options[id];
		(void)fprintf(out, "\n*");
		if (o->letter)
			(void)fprintf(out, "-%c*, *", o->letter);
		(void)fprintf(out, "--%s*%s%s%s\n\t", o->name, o->argument ? " _" : "",
			      o->argument ? o->argument : "", o->argument ? "_" : "");
		write_scdoc(out, o->help);
		(void)fprintf(out, "\n");
	}
	(void)fprintf(out, "\n# EXIT STATUS\n\n0 ok, 1 failed, 2 usage, 3 degraded, 4 critical, 5 "
			   "refused by a safety check, 6 outcome unknown, 7 unreachable, 8 bad "
			   "configuration.\n");
}

static json_t *
command_json(const struct cli_command *command)
{
	json_t *arguments = json_array(), *options = json_array();

	for (uint32_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++) {
		const struct cli_argument *a = &command->arguments[i];
		(void)json_array_append_new(arguments,
					    json_pack("{s:s,s:b,s:s}", "name", a->name, "optional",
						      (int)a->is_optional, "help", a->help));
	}
	for (int id = 0; id < CLI_OPTION_COUNT; id++) {
		const struct cli_option *o = &cli_options[id];
		const char letter[] = { o->letter, 0 };
		if (command->options & CLI_BIT(id))
			(void)json_array_append_new(
			    options, json_pack("{s:s,s:s,s:s?,s:s}", "name", o->name, "letter",
					       letter, "argument", o->argument, "help", o->help));
	}
	return json_pack("{s:s,s:s,s:s,s:o,s:o}", "command", command->path, "summary",
			 command->summary, "detail", command->detail, "arguments", arguments,
			 "options", options);
}

json_t *
cli_commands_json(void)
{
	json_t *commands = json_array();

	for (uint32_t i = 0; i < cli_command_count; i++)
		(void)json_array_append_new(commands, command_json(&cli_commands[i]));
	return json_pack("{s:s,s:o}", "api", "commands/v1", "commands", commands);
}
