/* SPDX-License-Identifier: Apache-2.0 */
/* Admin verbs that steer work in the background. */
#include "control/daemon/ternd.h"

#include <string.h>

#define KIB 1024

json_t *
ternd_job_refused(const struct submit_completion *completion)
{
	if (completion->outcome != SUBMIT_REFUSED_JOB)
		return admin_refuse(ADMIN_EXIT_FAILED, "the data thread refused");
	switch ((enum submit_job_refusal)completion->change) {
	case SUBMIT_JOB_RUNNING:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "a scrub is under way already; `tern device scrub status`");
	case SUBMIT_JOB_NONE:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "no scrub is under way; `tern device scrub start` begins one");
	case SUBMIT_JOB_NOT_NOW:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "not while the storage of this node is as it is; see `tern "
				    "device list`");
	case SUBMIT_JOB_NOT_BORNE: /* only to who takes devices out: verbs_device.c */
	case SUBMIT_JOB_RANGE:
		return admin_refuse(ADMIN_EXIT_USAGE, "a rate is at least 1KiB a second");
	case SUBMIT_JOB_NOT_FAILED:
		return admin_refuse(ADMIN_EXIT_REFUSED,
				    "the device is not, or not yet, recorded as failed; see `tern "
				    "device list`");
	case SUBMIT_JOB_SMALL:
		return admin_refuse(
		    ADMIN_EXIT_REFUSED,
		    "the new device is too small for the log and the checkpoints of "
		    "the pool (no smaller than the others are), was not blank when "
		    "the node started, or is in use already; see `tern device "
		    "list`");
	}
	return admin_refuse(ADMIN_EXIT_FAILED, "refused");
}

static json_t *
job_ask(struct ternd *node, enum submit_job what, uint64_t bytes_s)
{
	const struct submit_request wanted = {
		.tag = ++node->admin_tag,
		.kind = SUBMIT_JOB,
		.flags = (uint16_t)what,
		.value = (uint32_t)min_u64(bytes_s / KIB, UINT32_MAX),
	};
	struct submit_completion completion;

	if (!ternd_submit_and_wait(node, &wanted, &completion))
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern status`");
	if (completion.outcome != SUBMIT_DONE)
		return ternd_job_refused(&completion);
	return json_pack("{s:s, s:I}", "node", node->config.name, "job",
			 (json_int_t)completion.log_index);
}

static json_t *
rate_ask(struct ternd *node, const json_t *request, enum submit_job what)
{
	const json_int_t value = json_integer_value(json_object_get(request, "bytes_per_second"));

	return job_ask(node, what, value > 0 ? (uint64_t)value : 0);
}

/* {"action":"start"|"pause"|"resume"|"cancel"|"rate","bytes_per_second":N} -> {"node","job"} */
json_t *
ternd_verb_scrub(void *context, const json_t *request)
{
	static const struct {
		const char *name;
		enum submit_job what;
	} actions[] = {
		{ "start", SUBMIT_JOB_SCRUB_START },
		{ "pause", SUBMIT_JOB_SCRUB_PAUSE },
		{ "resume", SUBMIT_JOB_SCRUB_RESUME },
		{ "cancel", SUBMIT_JOB_SCRUB_CANCEL },
	};
	const char *action = json_string_value(json_object_get(request, "action"));

	for (size_t i = 0; action != NULL && i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(action, actions[i].name) == 0)
			return job_ask(context, actions[i].what, 0);
	if (action != NULL && strcmp(action, "rate") == 0)
		return rate_ask(context, request, SUBMIT_JOB_SCRUB_RATE);
	return admin_refuse(ADMIN_EXIT_USAGE, "action: allowed start, pause, resume, cancel, rate");
}

/* {"bytes_per_second":N} */
json_t *
ternd_verb_rebuild_rate(void *context, const json_t *request)
{
	return rate_ask(context, request, SUBMIT_JOB_REBUILD_RATE);
}
