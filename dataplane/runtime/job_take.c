/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/job.h"
#include "dataplane/runtime/runtime_internal.h"

#define KIB 1024u

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
	if (rt->is_storage_failed || !loss_is_settled(rt))
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
