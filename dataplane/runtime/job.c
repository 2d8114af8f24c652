/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/job.h"

#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

#define NS_PER_S 1000000000u
#define KIB      1024u

static bool
is_under_way(const struct status_job *job)
{
	return job->state == STATUS_JOB_RUNNING || job->state == STATUS_JOB_PAUSED;
}

struct status_job *
job_begin(struct runtime *rt, enum status_job_kind kind, uint8_t device, uint64_t rate_max_bytes_s)
{
	struct status_job *job = NULL;

	for (uint32_t i = 0; i < STATUS_JOBS_MAX; i++) {
		struct status_job *one = &rt->jobs.list[i];
		if (!is_under_way(one) && (job == NULL || one->id < job->id))
			job = one;
	}
	INVARIANT(job != NULL);
	*job = (struct status_job){
		.id = (uint64_t)rt->superblock.boot_no * JOB_IDS_A_BOOT + ++rt->jobs.begun,
		.kind = (uint8_t)kind,
		.state = STATUS_JOB_RUNNING,
		.device = device,
		.rate_max_bytes_s = rate_max_bytes_s,
		.eta_ns = UINT64_MAX,
		.started_ns = rt->now_ns,
	};
	job_go_on(rt, job);
	return job;
}

void
job_go_on(struct runtime *rt, struct status_job *job)
{
	const ptrdiff_t at = job - rt->jobs.list;

	job->state = STATUS_JOB_RUNNING;
	rt->jobs.rate_since_ns[at] = rt->now_ns;
	rt->jobs.rate_from_pages[at] = job->done_pages;
}

void
job_progress(struct runtime *rt, struct status_job *job, uint64_t done_pages, uint64_t total_pages)
{
	const ptrdiff_t at = job - rt->jobs.list;
	const uint64_t ns = rt->now_ns - rt->jobs.rate_since_ns[at];

	job->done_pages = done_pages;
	job->total_pages = max_u64(done_pages, total_pages);
	const uint64_t pages = done_pages - min_u64(done_pages, rt->jobs.rate_from_pages[at]);
	if (ns == 0 || pages == 0)
		return;
	const double pages_a_ns = (double)pages / (double)ns;
	job->rate_bytes_s = (uint64_t)(pages_a_ns * PAGE_BYTES * NS_PER_S);
	job->eta_ns = (uint64_t)((double)(job->total_pages - done_pages) / pages_a_ns);
}

void
job_end(struct runtime *rt, struct status_job *job, enum status_job_state state)
{
	INVARIANT(is_under_way(job));
	job->state = (uint8_t)state;
	job->ended_ns = rt->now_ns;
	job->eta_ns = 0;
	if (state == STATUS_JOB_DONE)
		job->total_pages = job->done_pages;
}

/* An operator takes a device out; 0: it is. */
static enum submit_job_refusal
device_fail(struct runtime *rt, uint32_t device)
{
	const enum tern_err err = stripe_store_fail(rt->store, device);

	if (err == TERN_ERR_BUSY)
		return SUBMIT_JOB_NOT_BORNE;
	return err != TERN_OK ? SUBMIT_JOB_RANGE : 0;
}

static enum submit_job_refusal
replace_take(struct runtime *rt, const struct submit_request *request)
{
	if (request->node >= stripe_devices(runtime_geometry(rt)))
		return SUBMIT_JOB_RANGE;
	if (rt->is_storage_failed || !repair_may_take(rt))
		return SUBMIT_JOB_NOT_NOW;
	const enum tern_err err =
	    heal_replace(rt, request->node, request->flags >> 8, (uint64_t)request->value << 20);
	return err == TERN_OK           ? 0
	       : err == TERN_ERR_CONFIG ? SUBMIT_JOB_NOT_FAILED
	       : err == TERN_ERR_BUSY   ? SUBMIT_JOB_NOT_NOW
					: SUBMIT_JOB_SMALL;
}

struct submit_completion
job_take(struct runtime *rt, const struct submit_request *request)
{
	struct submit_completion completion = { .tag = request->tag, .outcome = SUBMIT_DONE };
	enum submit_job_refusal refusal = 0;

	switch ((enum submit_job)(request->flags & 0xff)) {
	case SUBMIT_JOB_REBUILD_RATE:
		if (request->value == 0)
			refusal = SUBMIT_JOB_RANGE;
		else
			heal_set_rate(&rt->heal.rebuild, (uint64_t)request->value * KIB);
		break;
	case SUBMIT_JOB_SCRUB_RATE:
		if (request->value == 0)
			refusal = SUBMIT_JOB_RANGE;
		else
			heal_set_rate(&rt->heal.scrub, (uint64_t)request->value * KIB);
		break;
	case SUBMIT_JOB_DEVICE_FAIL:
		refusal = device_fail(rt, request->value);
		break;
	case SUBMIT_JOB_SCRUB_START:
	case SUBMIT_JOB_SCRUB_PAUSE:
	case SUBMIT_JOB_SCRUB_RESUME:
	case SUBMIT_JOB_SCRUB_CANCEL:
		refusal =
		    heal_scrub_steer(rt, (enum submit_job)request->flags, &completion.log_index);
		break;
	case SUBMIT_JOB_REPLACE:
		refusal = replace_take(rt, request);
		break;
	}
	if (refusal != 0) {
		completion.outcome = SUBMIT_REFUSED_JOB;
		completion.change = (uint16_t)refusal;
	}
	return completion;
}
