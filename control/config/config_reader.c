/* SPDX-License-Identifier: Apache-2.0 */
/* What every step of a load needs: where a setting stands, and the words of an error. */
#include "control/config/config_reader.h"

#include <stdarg.h>
#include <stdio.h>

enum tern_err
config_fail(struct config_reader *reader, const config_setting_t *setting, const char *key,
	    const char *format, ...)
{
	const char *file = setting ? config_setting_source_file(setting) : NULL;
	char what[768];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	if (setting)
		(void)snprintf(reader->text, reader->text_bytes, "%s:%u: %s: %s",
			       file ? file : reader->path,
			       (unsigned int)config_setting_source_line(setting), key, what);
	else
		(void)snprintf(reader->text, reader->text_bytes, "%s: %s: %s", reader->path, key,
			       what);
	return TERN_ERR_CONFIG;
}

const config_setting_t *
config_find(const struct config_reader *reader, const char *path)
{
	const config_setting_t *setting = config_lookup(&reader->node, path);

	if (!setting && reader->has_profile)
		setting = config_lookup(&reader->profile, path);
	return setting;
}
