/* SPDX-License-Identifier: Apache-2.0 */
/* One list of a node file is written anew; comments and order of all else stay. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config/config_reader.h"
#include "hw/platform/platform.h"

#define FILE_BYTES_MAX (1u << 20)
#define LOCK_TRIES_MAX 1000u

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
	char dir[PATH_MAX];
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
failed(const char *path, const char *what, char *text, size_t text_bytes)
{
	(void)snprintf(text, text_bytes, "%s: %s: %s", path, what, strerror(errno));
	return TERN_ERR_IO;
}

/* A new file at @path, which is as the one of @like: same owner, group and mode. */
static enum tern_err
file_make(const char *path, int like, FILE **stream, char *text, size_t text_bytes)
{
	struct stat facts;

	/* What an edit left that was ended half-way. */
	(void)unlink(path);
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(path, "cannot be made", text, text_bytes);
	enum tern_err err = TERN_OK;
	if (fstat(like, &facts) != 0 || fchown(fd, facts.st_uid, facts.st_gid) != 0)
		err = failed(path,
			     "owner and group of the node file cannot be kept: edit it as its "
			     "owner, or as root",
			     text, text_bytes);
	else if (fchmod(fd, facts.st_mode & 07777) != 0)
		err = failed(path, "the mode of the node file cannot be kept", text, text_bytes);
	*stream = err ? NULL : fdopen(fd, "w");
	if (!err && !*stream)
		err = failed(path, "cannot be made", text, text_bytes);
	if (err) {
		(void)close(fd);
		(void)unlink(path);
	}
	return err;
}

/* Closes @stream. */
static enum tern_err
file_write(FILE *stream, const char *path, const char *bytes, size_t count, const struct span *span,
	   const struct node_config *config, char *text, size_t text_bytes)
{
	const bool is_new = span->begin == span->end;
	const char *gap = is_new && count != 0 && bytes[count - 1] != '\n' ? "\n" : "";
	bool is_good = fwrite(bytes, 1, span->begin, stream) == span->begin &&
		       fputs(gap, stream) >= 0 && list_write(stream, config) &&
		       fputs(is_new ? ";\n" : "", stream) >= 0 &&
		       fwrite(bytes + span->end, 1, count - span->end, stream) == count - span->end;

	is_good = fflush(stream) == 0 && fsync(fileno(stream)) == 0 && is_good;
	is_good = fclose(stream) == 0 && is_good;
	return is_good ? TERN_OK : failed(path, "cannot be written", text, text_bytes);
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

/* Waits until nobody else edits it, also if another file took its place meanwhile. */
static enum tern_err
file_lock(const char *path, int *out, char *text, size_t text_bytes)
{
	for (uint32_t i = 0; i < LOCK_TRIES_MAX; i++) {
		struct stat mine, there;
		const int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		if (flock(fd, LOCK_EX) == 0 && fstat(fd, &mine) == 0 && stat(path, &there) == 0 &&
		    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino) {
			*out = fd;
			return TERN_OK;
		}
		(void)close(fd);
	}
	return failed(path, "cannot be locked", text, text_bytes);
}

/* False: there is no room for one more. What is as it shall be stays. */
static bool
list_edit(const struct node_config_spares_edit *edit, struct node_config *config)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < config->spare_count; i++)
		if (edit->remove == NULL || strcmp(config->spares[i].path, edit->remove) != 0)
			config->spares[kept++] = config->spares[i];
	config->spare_count = kept;
	return edit->add == NULL || node_config_append_spare(config, edit->add);
}

/* The file that shall take the place of the one at @path, which @lock is of. */
static enum tern_err
next_write(const char *path, const char *next, int lock, const struct node_config *config,
	   char *text, size_t text_bytes)
{
	char *bytes = malloc(FILE_BYTES_MAX + 1);
	FILE *stream = NULL;
	struct span span;
	size_t count;

	if (!bytes) {
		(void)snprintf(text, text_bytes, "out of memory");
		return TERN_ERR_NO_MEMORY;
	}
	enum tern_err err = file_read(path, bytes, &count, text, text_bytes);
	if (!err)
		err = place_find(path, bytes, count, &span, text, text_bytes);
	if (!err)
		err = file_make(next, lock, &stream, text, text_bytes);
	if (!err) {
		err = file_write(stream, next, bytes, count, &span, config, text, text_bytes);
		if (!err)
			err = file_check(next, config, text, text_bytes);
		if (err)
			(void)unlink(next);
	}
	free(bytes);
	return err;
}

enum tern_err
node_config_edit_spares(const char *path, const struct node_config_spares_edit *edit,
			struct node_config *config, char *text, size_t text_bytes)
{
	char real[PATH_MAX], next[PATH_MAX + 8];
	int lock;

	/* A link stays: what it leads to is edited, in its own directory. */
	if (!realpath(path, real))
		return failed(path, "cannot be found", text, text_bytes);
	(void)snprintf(next, sizeof(next), "%s.new", real);
	enum tern_err err = file_lock(real, &lock, text, text_bytes);
	if (err)
		return err;
	err = node_config_load(real, config, text, text_bytes);
	if (!err && !list_edit(edit, config)) {
		(void)snprintf(text, text_bytes, "%s: `spares` is full", path);
		err = TERN_ERR_CONFIG;
	}
	if (!err)
		err = next_write(real, next, lock, config, text, text_bytes);
	if (!err && edit->is_trial)
		(void)unlink(next);
	else if (!err && rename(next, real) != 0) {
		err = failed(real, "cannot be replaced", text, text_bytes);
		(void)unlink(next);
	} else if (!err && platform_directory_sync(real) != TERN_OK)
		err = failed(real, "its directory cannot be flushed", text, text_bytes);
	(void)flock(lock, LOCK_UN);
	(void)close(lock);
	return err;
}
