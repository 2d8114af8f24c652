/* SPDX-License-Identifier: Apache-2.0 */
/* One list of a node file is written anew; comments and order of all else stay. */
#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config/config_reader.h"
#include "hw/platform/platform.h"

#define FILE_BYTES_MAX (1u << 20)

/* Where the list stands in the text. */
struct span {
	size_t begin, end;
};

static enum tern_err
file_read(const char *path, char *bytes, size_t *count, char *text, size_t text_bytes)
{
	FILE *stream = fopen(path, "re");

	*count = stream ? fread(bytes, 1, FILE_BYTES_MAX, stream) : 0;
	const bool is_good = stream && !ferror(stream) && *count < FILE_BYTES_MAX;
	if (!is_good)
		(void)snprintf(text, text_bytes, "%s: cannot be read: %s", path, strerror(errno));
	if (stream)
		(void)fclose(stream);
	bytes[*count] = 0;
	return is_good ? TERN_OK : TERN_ERR_IO;
}

/* Behind a comment or a string that begins at @at; @at itself: none does. */
static size_t
skip_quiet(const char *bytes, size_t at)
{
	const char *end = NULL;

	if (bytes[at] == '#' || strncmp(bytes + at, "//", 2) == 0)
		end = strchr(bytes + at, '\n');
	else if (strncmp(bytes + at, "/*", 2) == 0)
		end = strstr(bytes + at, "*/");
	else if (bytes[at] != '"')
		return at;
	else
		for (end = bytes + at + 1; *end != 0 && *end != '"'; end++)
			if (*end == '\\' && end[1] != 0)
				end++;
	if (!end || *end == 0)
		return strlen(bytes);
	return (size_t)(end - bytes) + (*end == '*' ? 2 : 1);
}

static bool
is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

/* The word begins here and ends with its last letter. */
static bool
is_word_at(const char *bytes, size_t at)
{
	static const char word[] = "spares";
	const size_t length = sizeof(word) - 1;

	return strncmp(bytes + at, word, length) == 0 && !is_word_byte(bytes[at + length]) &&
	       (at == 0 || !is_word_byte(bytes[at - 1]));
}

/* From the word to the list's closing parenthesis. */
static bool
span_find(const char *bytes, struct span *span)
{
	uint32_t depth = 0;
	size_t at = 0;

	while (bytes[at] != 0 && !is_word_at(bytes, at)) {
		const size_t behind = skip_quiet(bytes, at);
		at = behind == at ? at + 1 : behind;
	}
	span->begin = at;
	for (; bytes[at] != 0; at++) {
		const size_t behind = skip_quiet(bytes, at);
		if (behind != at) {
			at = behind - 1;
			continue;
		}
		depth += bytes[at] == '(';
		if (bytes[at] == ')' && (depth == 0 || --depth == 0)) {
			span->end = at + 1;
			return true;
		}
	}
	return false;
}

/* The place of the list in @bytes, which @path holds; at its end: there is none yet. */
static enum tern_err
place_find(const char *path, const char *bytes, size_t count, struct span *span, char *text,
	   size_t text_bytes)
{
	char dir[NODE_CONFIG_PATH_MAX];
	config_t file;
	bool is_good = true;

	*span = (struct span){ count, count };
	(void)snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	config_init(&file);
	if (slash) {
		slash[slash == dir ? 1 : 0] = 0;
		config_set_include_dir(&file, dir);
	}
	const bool is_read = config_read_file(&file, path) == CONFIG_TRUE;
	const config_setting_t *list = is_read ? config_lookup(&file, "spares") : NULL;
	if (list) {
		const char *where = config_setting_source_file(list);
		is_good = where && strcmp(where, path) == 0 && span_find(bytes, span);
		if (!is_good)
			(void)snprintf(
			    text, text_bytes,
			    "%s: `spares` cannot be edited where it stands (%s); edit it "
			    "by hand",
			    path, where ? where : "another file");
	}
	if (!is_read)
		(void)snprintf(text, text_bytes, "%s:%d: %s", path, config_error_line(&file),
			       config_error_text(&file));
	config_destroy(&file);
	return is_read && is_good ? TERN_OK : TERN_ERR_CONFIG;
}

static bool
list_write(FILE *stream, const struct node_config *config)
{
	bool is_good = fputs("spares = (", stream) >= 0;

	for (uint32_t i = 0; i < config->spare_count && is_good; i++) {
		is_good = fprintf(stream, "%s\n\t{ path = \"", i == 0 ? "" : ",") > 0;
		for (const char *c = config->spares[i].path; *c != 0 && is_good; c++)
			is_good = fprintf(stream, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c) > 0;
		is_good = is_good && fputs("\"; }", stream) >= 0;
	}
	return is_good && fputs(config->spare_count == 0 ? ")" : "\n)", stream) >= 0;
}

static enum tern_err
file_write(const char *path, const char *bytes, size_t count, const struct span *span,
	   const struct node_config *config, char *text, size_t text_bytes)
{
	const bool is_new = span->begin == span->end;
	const char *gap = is_new && count != 0 && bytes[count - 1] != '\n' ? "\n" : "";
	FILE *stream = fopen(path, "we");
	bool is_good = stream != NULL && fwrite(bytes, 1, span->begin, stream) == span->begin &&
		       fputs(gap, stream) >= 0 && list_write(stream, config) &&
		       fputs(is_new ? ";\n" : "", stream) >= 0 &&
		       fwrite(bytes + span->end, 1, count - span->end, stream) == count - span->end;

	if (stream) {
		is_good = fflush(stream) == 0 && fsync(fileno(stream)) == 0 && is_good;
		is_good = fclose(stream) == 0 && is_good;
	}
	if (!is_good)
		(void)snprintf(text, text_bytes, "%s: cannot be written: %s", path,
			       strerror(errno));
	return is_good ? TERN_OK : TERN_ERR_IO;
}

/* What a start would make of the new file. */
static enum tern_err
file_check(const char *path, const struct node_config *config, char *text, size_t text_bytes)
{
	struct node_config *found = malloc(sizeof(*found));
	enum tern_err err = TERN_ERR_NO_MEMORY;

	if (found)
		err = node_config_load(path, found, text, text_bytes);
	else
		(void)snprintf(text, text_bytes, "out of memory");
	if (!err && found->spare_count != config->spare_count) {
		(void)snprintf(text, text_bytes, "%s: `spares` cannot be edited; edit it by hand",
			       path);
		err = TERN_ERR_CONFIG;
	}
	free(found);
	return err;
}

enum tern_err
node_config_write_spares(const char *path, const struct node_config *config, char *text,
			 size_t text_bytes)
{
	char next[NODE_CONFIG_PATH_MAX + 8];
	char *bytes = malloc(FILE_BYTES_MAX + 1);
	struct stat facts;
	struct span span;
	size_t count;

	if (!bytes) {
		(void)snprintf(text, text_bytes, "out of memory");
		return TERN_ERR_NO_MEMORY;
	}
	(void)snprintf(next, sizeof(next), "%s.new", path);
	enum tern_err err = file_read(path, bytes, &count, text, text_bytes);
	if (!err)
		err = place_find(path, bytes, count, &span, text, text_bytes);
	if (!err) {
		err = file_write(next, bytes, count, &span, config, text, text_bytes);
		if (!err)
			err = file_check(next, config, text, text_bytes);
		if (!err && ((stat(path, &facts) == 0 && chmod(next, facts.st_mode & 07777) != 0) ||
			     rename(next, path) != 0)) {
			(void)snprintf(text, text_bytes, "%s: %s", path, strerror(errno));
			err = TERN_ERR_IO;
		}
		if (err)
			(void)unlink(next);
		else if (platform_directory_sync(path) != TERN_OK)
			err = TERN_ERR_IO;
	}
	free(bytes);
	return err;
}
