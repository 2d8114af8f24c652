/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/bench/bench.h"

static bool
is_report(const json_t *report)
{
	const char *api = json_string_value(json_object_get(report, "api"));

	return api != NULL && strcmp(api, BENCH_API) == 0 &&
	       json_is_string(json_object_get(report, "kind")) &&
	       json_is_array(json_object_get(report, "measures"));
}

static const json_t *
find_measure(const json_t *report, const char *name)
{
	const json_t *measures = json_object_get(report, "measures");

	for (size_t i = 0; i < json_array_size(measures); i++) {
		const json_t *measure = json_array_get(measures, i);
		const char *here = json_string_value(json_object_get(measure, "name"));
		if (here != NULL && strcmp(here, name) == 0)
			return measure;
	}
	return NULL;
}

static void add_text(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void
add_text(json_t *list, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)json_array_append_new(list, json_string(text));
}

/* Fields of the object @key of both reports that are not equal. */
static void
compare_object(const json_t *a, const json_t *b, const char *key, json_t *differences)
{
	const json_t *from = json_object_get(a, key), *to = json_object_get(b, key), *value;
	const char *field;

	json_object_foreach((json_t *)(uintptr_t)from, field, value)
	{
		const json_t *other = json_object_get(to, field);
		if (strcmp(field, "date") == 0 || json_equal(value, other))
			continue;
		char *x = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		char *y = other ? json_dumps(other, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		add_text(differences, "%s.%s: %.200s and %.200s", key, field, x ? x : "?",
			 y ? y : "none");
		free(x);
		free(y);
	}
}

static void
compare_void(const json_t *report, const char *which, json_t *differences)
{
	const json_t *reasons = json_object_get(report, "void");

	for (size_t i = 0; i < json_array_size(reasons); i++)
		add_text(differences, "%s is void: %s", which,
			 json_string_value(json_array_get(reasons, i)));
}

static void
compare_measure(const json_t *measure, const json_t *b, json_t *rows, json_t *differences)
{
	const char *name = json_string_value(json_object_get(measure, "name"));
	const char *unit = json_string_value(json_object_get(measure, "unit"));
	const char *better = json_string_value(json_object_get(measure, "better"));
	const json_t *other = name != NULL ? find_measure(b, name) : NULL;

	if (name == NULL || unit == NULL || better == NULL)
		return;
	if (other == NULL) {
		add_text(differences, "measure \"%s\" is only in the first", name);
		return;
	}
	const double x = json_number_value(json_object_get(measure, "value"));
	const double y = json_number_value(json_object_get(other, "value"));
	json_t *row = json_pack("{s:s,s:s,s:s,s:f,s:f}", "name", name, "unit", unit, "better",
				better, "a", x, "b", y);
	if (x > 0 || x < 0)
		(void)json_object_set_new(row, "ratio", json_real(y / x));
	else
		(void)json_object_set_new(row, "ratio", json_null());
	(void)json_array_append_new(rows, row);
}

json_t *
bench_compare(const json_t *a, const json_t *b, char *text, size_t text_bytes)
{
	if (!is_report(a) || !is_report(b)) {
		(void)snprintf(text, text_bytes, "the %s file is no " BENCH_API " report",
			       is_report(a) ? "second" : "first");
		return NULL;
	}
	const char *kind = json_string_value(json_object_get(a, "kind"));
	const char *other = json_string_value(json_object_get(b, "kind"));
	if (strcmp(kind, other) != 0) {
		(void)snprintf(text, text_bytes,
			       "the reports are of kind \"%.32s\" and \"%.32s\"; compare two of "
			       "one kind",
			       kind, other);
		return NULL;
	}
	json_t *rows = json_array(), *differences = json_array();
	const json_t *measures = json_object_get(a, "measures");
	const json_t *theirs = json_object_get(b, "measures");
	for (size_t i = 0; i < json_array_size(measures); i++)
		compare_measure(json_array_get(measures, i), b, rows, differences);
	for (size_t i = 0; i < json_array_size(theirs); i++) {
		const char *name =
		    json_string_value(json_object_get(json_array_get(theirs, i), "name"));
		if (name != NULL && find_measure(a, name) == NULL)
			add_text(differences, "measure \"%s\" is only in the second", name);
	}
	compare_object(a, b, "machine", differences);
	compare_object(a, b, "config", differences);
	compare_void(a, "the first", differences);
	compare_void(b, "the second", differences);
	return json_pack("{s:s,s:s,s:s,s:o,s:o}", "api", BENCH_API, "kind", "compare", "of", kind,
			 "rows", rows, "differences", differences);
}
