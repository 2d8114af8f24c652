/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/platform/platform.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define DIAG_TEXT_MAX 1000u

static const char *
level_text(enum platform_level level)
{
	switch (level) {
	case PLATFORM_ERROR:
		return "error";
	case PLATFORM_WARNING:
		return "warning";
	case PLATFORM_INFO:
		return "info";
	}
	return "unknown";
}

void
platform_diag(enum platform_level level, const char *format, ...)
{
	char line[DIAG_TEXT_MAX + 64];
	const uint64_t now_us = platform_monotonic_ns() / 1000;
	va_list args;

	int prefix = snprintf(line, 64, "%llu.%06llu %s ", (unsigned long long)(now_us / 1000000),
			      (unsigned long long)(now_us % 1000000), level_text(level));
	if (prefix < 0)
		return;
	va_start(args, format);
	int text = vsnprintf(line + prefix, DIAG_TEXT_MAX, format, args);
	va_end(args);
	if (text < 0)
		return;

	size_t length =
	    (size_t)prefix + ((size_t)text < DIAG_TEXT_MAX ? (size_t)text : DIAG_TEXT_MAX - 1);
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[length++] = '\n';
	/* One write, so that lines of several processes do not mix. Nobody can be told of a
	 * failure. */
	if (write(STDERR_FILENO, line, length) < 0)
		return;
}
