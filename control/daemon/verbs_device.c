/* SPDX-License-Identifier: Apache-2.0 */
/* Admin verbs of the node's devices. */
#include "control/daemon/ternd.h"

#include <string.h>

#include "hw/platform/platform.h"

static void
put(json_t *object, const char *key, uint64_t value)
{
	(void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *
io_json(const struct io_counts *io)
{
	json_t *object = json_object();

	put(object, "reads", io->reads.count);
	put(object, "read_bytes", io->reads.bytes);
	put(object, "read_errors", io->reads.errors);
	put(object, "read_ns", io->reads.ns);
	put(object, "writes", io->writes.count);
	put(object, "write_bytes", io->writes.bytes);
	put(object, "write_errors", io->writes.errors);
	put(object, "write_ns", io->writes.ns);
	put(object, "in_flight", io->in_flight);
	return object;
}

/* Why completions are not polled; "" where they are, or nobody asked for it. */
static const char *
unpolled_why(const struct ternd *node)
{
	if (node->config.disk.iopoll == DISK_IOPOLL_OFF)
		return "";
	if (node->config.poll.mode != POLL_BUSY)
		return "poll.mode is \"adaptive\": who sleeps has to be woken, and a polled device "
		       "wakes nobody";
	return atomic_load(&node->lcore.phase) == LCORE_RUNNING ? nvme_iopoll_why(node->nvme) : "";
}

/* The disk port's device at a position of the pool. */
static uint32_t
drive_of(const struct ternd *node, uint32_t device)
{
	struct node_status status;

	status_read(node->status, &status);
	return status.pool.k == 0 ? device : status.pool.drives[device];
}

void
ternd_device_io_add(const struct ternd *node, json_t *status)
{
	(void)json_object_set_new(json_object_get(status, "disk"), "polled_why_not",
				  json_string(unpolled_why(node)));
	(void)json_object_set_new(json_object_get(status, "disk"), "passthrough_why_not",
				  json_string(atomic_load(&node->lcore.phase) == LCORE_RUNNING
						  ? nvme_passthrough_why(node->nvme)
						  : ""));
	const json_t *devices = json_object_get(json_object_get(status, "pool"), "devices");
	struct io_counts io;

	for (uint32_t i = 0; i < json_array_size(devices); i++) {
		nvme_device_io(node->nvme, drive_of(node, i), &io);
		(void)json_object_set_new(json_array_get(devices, i), "io", io_json(&io));
	}
}

/* [[ns, count], ...]: requests that took at most ns, and more than the one before. */
static json_t *
buckets_json(const struct io_kind *kind)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < IO_BUCKETS; i++)
		if (kind->buckets[i] != 0)
			(void)json_array_append_new(list,
						    json_pack("[I,I]", (json_int_t)io_bucket_ns(i),
							      (json_int_t)kind->buckets[i]));
	return list;
}

/* {} -> what every device was asked since the start, with latencies. */
json_t *
ternd_verb_device_io(void *context, const json_t *request)
{
	const struct ternd *node = context;
	json_t *devices = json_array();
	struct io_counts io;

	(void)request;
	for (uint32_t i = 0; i < node->config.device_count; i++) {
		nvme_device_io(node->nvme, drive_of(node, i), &io);
		json_t *object = io_json(&io);
		put(object, "position", i);
		(void)json_object_set_new(object, "path",
					  json_string(node->config.devices[i].path));
		(void)json_object_set_new(object, "read_latency", buckets_json(&io.reads));
		(void)json_object_set_new(object, "write_latency", buckets_json(&io.writes));
		(void)json_array_append_new(devices, object);
	}
	return json_pack("{s:s,s:I,s:o}", "name", node->config.name, "time_ns",
			 (json_int_t)platform_monotonic_ns(), "devices", devices);
}

/* {"device":N}: it is out when this is answered, and recorded so on the others a moment later. */
json_t *
ternd_verb_device_fail(void *context, const json_t *request)
{
	struct ternd *node = context;
	const json_t *device = json_object_get(request, "device");
	const json_int_t position = json_integer_value(device);
	struct submit_completion completion;

	if (!json_is_integer(device) || position < 0 ||
	    position >= (json_int_t)node->config.device_count)
		return admin_refuse(ADMIN_EXIT_USAGE, "device: allowed 0 to %u",
				    node->config.device_count - 1);
	const struct submit_request wanted = {
		.tag = ++node->admin_tag,
		.kind = SUBMIT_JOB,
		.flags = SUBMIT_JOB_DEVICE_FAIL,
		.value = (uint32_t)position,
	};
	if (!ternd_submit_and_wait(node, &wanted, &completion))
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern device list`");
	if (completion.outcome == SUBMIT_DONE)
		return json_pack("{s:s,s:I}", "node", node->config.name, "device", position);
	if (completion.change == SUBMIT_JOB_NOT_BORNE)
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "%s would not bear the loss of device %d: it would stop "
				    "acknowledging; `tern device list` shows what it has left",
				    node->config.name, (int)position);
	return admin_refuse(ADMIN_EXIT_REFUSED,
			    "device %d of %s is out already; `tern device list`", (int)position,
			    node->config.name);
}
