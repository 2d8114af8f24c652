/* SPDX-License-Identifier: Apache-2.0 */
/* Work in the background, as status/v1 lists it. */

#include "control/admin/admin.h"
#include "dataplane/base/bits.h"
#include "hw/platform/platform.h"

#define NS_PER_MS 1000000u

static const char *
kind_name(uint8_t kind)
{
	switch ((enum status_job_kind)kind) {
	case STATUS_JOB_REBUILD:
		return "rebuild";
	case STATUS_JOB_SCRUB:
		return "scrub";
	}
	return "unknown";
}

static const char *
state_name(uint8_t state)
{
	switch ((enum status_job_state)state) {
	case STATUS_JOB_RUNNING:
		return "running";
	case STATUS_JOB_PAUSED:
		return "paused";
	case STATUS_JOB_DONE:
		return "done";
	case STATUS_JOB_CANCELLED:
		return "cancelled";
	case STATUS_JOB_FAILED:
		return "failed";
	}
	return "unknown";
}

/* A time of the monotonic clock as milliseconds since 1970. */
static uint64_t
wall_ms(uint64_t monotonic_ns)
{
	const uint64_t now_ns = platform_monotonic_ns(), wall_ns = platform_wall_ns();

	return (wall_ns - (now_ns - min_u64(now_ns, monotonic_ns))) / NS_PER_MS;
}

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)min_u64(value, INT64_MAX));
}

static json_t *
job_json(const struct status_job *job)
{
	json_t *object = json_object();
	const bool has_eta = job->eta_ns != UINT64_MAX;

	(void)json_object_set_new(object, "id", number(job->id));
	(void)json_object_set_new(object, "kind", json_string(kind_name(job->kind)));
	(void)json_object_set_new(object, "device",
				  job->device == STATUS_JOB_ALL_DEVICES ? json_null()
									: number(job->device));
	(void)json_object_set_new(object, "state", json_string(state_name(job->state)));
	(void)json_object_set_new(object, "done_units", number(job->done_pages));
	(void)json_object_set_new(object, "total_units", number(job->total_pages));
	(void)json_object_set_new(object, "unit", json_string("pages"));
	(void)json_object_set_new(object, "rate_bytes_s", number(job->rate_bytes_s));
	(void)json_object_set_new(object, "rate_max_bytes_s", number(job->rate_max_bytes_s));
	(void)json_object_set_new(object, "eta_ms",
				  has_eta ? number(job->eta_ns / NS_PER_MS) : json_null());
	(void)json_object_set_new(object, "found", number(job->found));
	(void)json_object_set_new(object, "repaired", number(job->repaired));
	(void)json_object_set_new(object, "unrepairable", number(job->unrepairable));
	(void)json_object_set_new(object, "repaired_from_peer", number(job->refilled));
	(void)json_object_set_new(object, "replaced", number(job->replaced));
	(void)json_object_set_new(object, "started_ms", number(wall_ms(job->started_ns)));
	(void)json_object_set_new(
	    object, "ended_ms", job->ended_ns == 0 ? json_null() : number(wall_ms(job->ended_ns)));
	return object;
}

json_t *
admin_jobs_json(const struct node_status *status)
{
	json_t *jobs = json_array();
	uint64_t before = 0;

	/* In the order in which they began. */
	for (uint32_t i = 0; i < STATUS_JOBS_MAX; i++) {
		const struct status_job *next = NULL;
		for (uint32_t k = 0; k < STATUS_JOBS_MAX; k++) {
			const struct status_job *one = &status->jobs[k];
			if (one->id > before && (next == NULL || one->id < next->id))
				next = one;
		}
		if (next == NULL)
			break;
		before = next->id;
		(void)json_array_append_new(jobs, job_json(next));
	}
	return jobs;
}
