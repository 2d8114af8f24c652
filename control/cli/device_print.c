/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a device, for programs and for people. */
#include <inttypes.h>
#include <string.h>

#include "control/cli/device_look.h"

void
device_size_text(uint64_t bytes, char out[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	uint32_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(out, 32, unit == 0 || value >= 100 ? "%.0f%s" : "%.1f%s", value,
		       units[unit]);
}

static json_t *
answer_json(enum device_answer answer)
{
	return answer == DEVICE_UNKNOWN ? json_null() : json_boolean(answer == DEVICE_YES);
}

static const char *
answer_text(enum device_answer answer)
{
	return answer == DEVICE_UNKNOWN ? "not known" : answer == DEVICE_YES ? "yes" : "no";
}

static const char *
kind_name(const struct device_facts *facts)
{
	switch (facts->kind) {
	case DEVICE_FILE:
		return "file";
	case DEVICE_BLOCK:
		return facts->is_loop                         ? "loop"
		       : facts->is_partition                  ? "partition"
		       : strncmp(facts->disk, "nvme", 4) == 0 ? "nvme"
		       : facts->is_rotational == DEVICE_YES   ? "disk, rotating"
							      : "disk";
	case DEVICE_ABSENT:
		return "absent";
	case DEVICE_OTHER:
		return "other";
	}
	return "other";
}

static json_t *
number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *
formats_json(const struct nvme_page_namespace *name_space)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < name_space->format_count; i++) {
		const struct nvme_page_format *format = &name_space->formats[i];
		if (format->lba_bytes != 0)
			(void)json_array_append_new(
			    list, json_pack("{s:i,s:i,s:i,s:i,s:b}", "number", (int)i, "lba_bytes",
					    (int)format->lba_bytes, "metadata_bytes",
					    (int)format->metadata_bytes, "performance",
					    (int)format->performance, "in_use",
					    i == name_space->format_in_use));
	}
	return list;
}

static void
controller_json(json_t *object, const struct device_facts *facts)
{
	const struct nvme_page_smart *smart = &facts->smart;

	(void)json_object_set_new(object, "nvme_formats",
				  facts->has_namespace ? formats_json(&facts->name_space)
						       : json_null());
	(void)json_object_set_new(
	    object, "atomic_write_bytes",
	    facts->has_namespace && facts->has_controller
		? number(nvme_page_atomic_bytes(&facts->controller, &facts->name_space))
		: json_null());
	if (!facts->has_smart) {
		(void)json_object_set_new(object, "health", json_null());
		return;
	}
	(void)json_object_set_new(
	    object, "health",
	    json_pack("{s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o,s:o}", "critical_warning",
		      (int)smart->critical_warning, "wear_pct", (int)smart->wear_pct,
		      "temperature_c", (int)smart->temperature_c, "spare_pct",
		      (int)smart->spare_pct, "spare_threshold_pct", (int)smart->spare_threshold_pct,
		      "media_errors", number(smart->media_errors), "unsafe_shutdowns",
		      number(smart->unsafe_shutdowns), "power_on_hours",
		      number(smart->power_on_hours), "written_bytes",
		      number(smart->written_bytes)));
}

json_t *
device_facts_json(const struct device_facts *facts)
{
	char why[DEVICE_WHY_MAX];
	json_t *object = json_pack(
	    "{s:s,s:o,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:b,s:b}", "kind", kind_name(facts),
	    "bytes", number(facts->bytes), "name", facts->name, "by_id", facts->by_id, "serial",
	    facts->serial, "model", facts->model, "firmware", facts->firmware, "file_system",
	    facts->file_system, "logical_block_bytes", (int)facts->logical_bytes,
	    "physical_block_bytes", (int)facts->physical_bytes, "numa_node", (int)facts->numa_node,
	    "ram", (int)facts->is_ram, "read_only", (int)facts->is_read_only);

	(void)json_object_set_new(object, "rotational", answer_json(facts->is_rotational));
	(void)json_object_set_new(object, "volatile_cache", answer_json(facts->has_volatile_cache));
	(void)json_object_set_new(object, "flushed_by_kernel",
				  answer_json(facts->is_flushed_by_kernel));
	(void)json_object_set_new(object, "fua", answer_json(facts->has_fua));
	(void)json_object_set_new(object, "can_poll", answer_json(facts->can_poll));
	controller_json(object, facts);
	if (facts->kind != DEVICE_FILE && facts->kind != DEVICE_BLOCK)
		return object;
	const enum device_durable_by by = device_durability(facts, why, sizeof(why));
	(void)json_object_set_new(object, "durable_by", json_string(device_durable_name(by)));
	(void)json_object_set_new(object, "durable_why", json_string(why));
	return object;
}

static void
print_health(FILE *out, const struct nvme_page_smart *smart)
{
	(void)fprintf(out,
		      "  health       %u %% worn, %d C, spare %u %% (at least %u %%), %" PRIu64
		      " media errors, %" PRIu64 " unsafe shutdowns, %" PRIu64 " hours\n",
		      smart->wear_pct, smart->temperature_c, smart->spare_pct,
		      smart->spare_threshold_pct, smart->media_errors, smart->unsafe_shutdowns,
		      smart->power_on_hours);
	if (smart->critical_warning != 0)
		(void)fprintf(out,
			      "  WARNING      the device raises a critical warning (0x%02x): "
			      "replace it soon\n",
			      smart->critical_warning);
}

static void
print_line(FILE *out, const char *name, const char *text)
{
	if (text[0] != 0)
		(void)fprintf(out, "  %-12s %s\n", name, text);
}

void
device_facts_print(FILE *out, const struct device_facts *facts)
{
	char text[DEVICE_WHY_MAX];

	print_line(out, "kind", kind_name(facts));
	print_line(out, "stable id", facts->by_id);
	print_line(out, "serial", facts->serial);
	print_line(out, "model", facts->model);
	print_line(out, "firmware", facts->firmware);
	print_line(out, "shows", facts->loop_file);
	if (facts->kind == DEVICE_BLOCK)
		(void)fprintf(out,
			      "  blocks       %u bytes, %u inside\n"
			      "  caches       volatile: %s; the kernel flushes: %s; FUA: %s\n",
			      facts->logical_bytes, facts->physical_bytes,
			      answer_text(facts->has_volatile_cache),
			      answer_text(facts->is_flushed_by_kernel),
			      answer_text(facts->has_fua));
	if (facts->has_namespace && facts->has_controller)
		(void)fprintf(out,
			      "  atomic       writes of %" PRIu64 " bytes at a power failure\n",
			      nvme_page_atomic_bytes(&facts->controller, &facts->name_space));
	if (facts->has_smart)
		print_health(out, &facts->smart);
	else if (strncmp(facts->disk, "nvme", 4) == 0)
		print_line(out, "health", "not known: only root may ask the controller");
	if (facts->kind != DEVICE_FILE && facts->kind != DEVICE_BLOCK)
		return;
	const enum device_durable_by by = device_durability(facts, text, sizeof(text));
	(void)fprintf(out, "  durable by   %s: %s\n", device_durable_name(by), text);
}
