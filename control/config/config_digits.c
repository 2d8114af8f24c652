/* SPDX-License-Identifier: Apache-2.0 */
/* libconfig keeps the low 32 bits of a larger number and says nothing, so the file itself is looked
 * at once more, where a number was read from. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "control/config/config_reader.h"

#define TEXT_BYTES         4096u
#define DECIMAL_DIGITS_MAX 9u /* 999999999 < 2^31 */
#define HEX_DIGITS_MAX     8u /* what is above 2^31 reads as negative, and is out of range */

/* The text of @file from the start of @line on, without strings and comments. */
static bool
read_from_line(const char *file, unsigned int line, char text[TEXT_BYTES])
{
	FILE *stream = fopen(file, "re");
	unsigned int at = 1;
	bool is_quoted = false, is_comment = false;
	size_t used = 0;
	int c, before = 0;

	if (!stream)
		return false;
	while ((c = fgetc(stream)) != EOF && used + 1 < TEXT_BYTES) {
		if (at < line) {
			at += c == '\n';
			continue;
		}
		if (c == '\n')
			is_comment = false;
		else if (!is_quoted && (c == '#' || (c == '/' && before == '/')))
			is_comment = true;
		if (c == '"' && before != '\\' && !is_comment)
			is_quoted = !is_quoted;
		text[used++] = (char)(is_quoted || is_comment ? ' ' : c);
		before = c;
	}
	(void)fclose(stream);
	text[used] = 0;
	return true;
}

/* The number at @text, which begins with a digit, has more digits than 32 bits hold. */
static bool
is_long(const char *text, size_t *length)
{
	const bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	size_t at = is_hex ? 2 : 0, digits = 0;

	while (text[at] == '0')
		at++;
	while (is_hex ? isxdigit((unsigned char)text[at]) : isdigit((unsigned char)text[at])) {
		at++;
		digits++;
	}
	*length = at;
	return digits > (is_hex ? HEX_DIGITS_MAX : DECIMAL_DIGITS_MAX);
}

/* A number that is too long between @text and the end of the statement; of the line, when
 * @is_element. */
static bool
has_long_number(const char *text, bool is_element)
{
	const char *end = text + strcspn(text, is_element ? "\n" : ";}");

	while (text < end) {
		size_t length = 1;
		const bool is_number = isdigit((unsigned char)*text);
		const bool is_word = isalpha((unsigned char)*text) || *text == '_' || *text == '*';
		if (is_number && is_long(text, &length))
			return true;
		while (is_word && (isalnum((unsigned char)text[length]) || text[length] == '_' ||
				   text[length] == '-' || text[length] == '*'))
			length++;
		text += length;
	}
	return false;
}

bool
config_is_number_too_long(const config_setting_t *setting)
{
	const char *file = config_setting_source_file(setting);
	const char *name = config_setting_name(setting);
	char text[TEXT_BYTES];

	if (!file || !read_from_line(file, config_setting_source_line(setting), text))
		return false;
	if (!name)
		return has_long_number(text, true);
	/* Groups on one line may each have a setting of this name: all of them are looked at. */
	const size_t line_bytes = strcspn(text, "\n"), name_bytes = strlen(name);
	for (const char *at = strstr(text, name); at && at < text + line_bytes;
	     at = strstr(at + 1, name)) {
		const char *value = at + name_bytes + strspn(at + name_bytes, " \t\r\n");
		if ((*value == '=' || *value == ':') && has_long_number(value, false))
			return true;
	}
	return false;
}
