/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/job.h"

#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

#define NS_PER_S 1000000000u

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
