/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work in the background as people see it: the list of jobs in status, and what they ask of them;
 * private to this room. What a job does is elsewhere (heal.h).
 *
 * Invariant: at most two jobs are under way, a rebuild and a scrub.
 */
#ifndef TERN_RUNTIME_JOB_H
#define TERN_RUNTIME_JOB_H

#include "dataplane/runtime/status.h"
#include "dataplane/runtime/submit.h"

struct runtime;

#define JOB_IDS_A_BOOT 10000u /* an id is the number of the boot and a count */

struct jobs {
	struct status_job list[STATUS_JOBS_MAX];
	uint32_t begun;
	/* Since when, and from what on, the rate is measured: a pause is no slowness. */
	uint64_t rate_since_ns[STATUS_JOBS_MAX], rate_from_pages[STATUS_JOBS_MAX];
};

/* In the place of the oldest one that ended. Lends it until it ends. */
struct status_job *
job_begin(struct runtime *rt, enum status_job_kind kind, uint8_t device, uint64_t rate_max_bytes_s);
/* Went on after a pause. */
void job_go_on(struct runtime *rt, struct status_job *job);
/* What it did, and how long the rest will take. */
void
job_progress(struct runtime *rt, struct status_job *job, uint64_t done_pages, uint64_t total_pages);
void job_end(struct runtime *rt, struct status_job *job, enum status_job_state state);

/* ---- job_take.c ---- */

/* Answers a request of kind SUBMIT_JOB. */
struct submit_completion job_take(struct runtime *rt, const struct submit_request *request);

#endif
