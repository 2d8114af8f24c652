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

/* What differs between any two runs, and says nothing about whether they can be compared. */
static bool
is_of_one_run(const char *field)
{
	static const char *const fields[] = { "date",   "master",         "term",
					      "epoch",  "sent",           "ok",
					      "writes", "durable_writes", "gap_max_ns" };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(field, fields[i]) == 0)
			return true;
	return false;
}

static void
compare_field(const char *key, const char *field, const json_t *a, const json_t *b,
	      json_t *differences)
{
	char *x = a ? json_dumps(a, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	char *y = b ? json_dumps(b, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!is_of_one_run(field) && !json_equal(a, b))
		add_text(differences, "%s.%s: %.200s and %.200s", key, field, x ? x : "none",
			 y ? y : "none");
	free(x);
	free(y);
}

/* Fields that are not equal in both objects, or that one has. */
static void
compare_object(const json_t *a, const json_t *b, const char *key, json_t *differences)
{
	const json_t *value;
	const char *field;

	json_object_foreach((json_t *)(uintptr_t)a, field, value)
	    compare_field(key, field, value, json_object_get(b, field), differences);
	json_object_foreach((json_t *)(uintptr_t)b, field, value)
	{
		if (json_object_get(a, field) == NULL)
			compare_field(key, field, NULL, value, differences);
	}
}

static bool
is_durable(const json_t *report)
{
	const json_t *disk = json_object_get(report, "disk");

	return json_equal(json_object_get(disk, "writes"), json_object_get(disk, "durable_writes"));
}

/* Whatever stands beside the measures. */
static void
compare_rest(const json_t *a, const json_t *b, json_t *differences)
{
	static const char *const keys[] = { "machine", "config", "floor", "disk", "counts" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		compare_object(json_object_get(a, keys[i]), json_object_get(b, keys[i]), keys[i],
			       differences);
	/* That of a load has it twice, and is void if they differ. */
	const json_t *from = json_object_get(a, "cluster"), *to = json_object_get(b, "cluster");
	const json_t *from_after = json_object_get(from, "after");
	const json_t *to_after = json_object_get(to, "after");
	compare_object(from_after ? from_after : from, to_after ? to_after : to, "cluster",
		       differences);
	if (is_durable(a) != is_durable(b))
		add_text(differences, "disk: only in the %s were all writes durable",
			 is_durable(a) ? "first" : "second");
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
	compare_rest(a, b, differences);
	compare_void(a, "the first", differences);
	compare_void(b, "the second", differences);
	return json_pack("{s:s,s:s,s:s,s:o,s:o}", "api", BENCH_API, "kind", "compare", "of", kind,
			 "rows", rows, "differences", differences);
}
