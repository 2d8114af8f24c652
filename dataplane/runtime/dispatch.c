/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"

void
dispatch_later(struct runtime *rt, const struct core_event *event)
{
	INVARIANT(rt->event_count < RUNTIME_EVENTS_MAX);
	rt->events[(rt->event_head + rt->event_count) % RUNTIME_EVENTS_MAX] = *event;
	rt->event_count++;
}

static enum tern_err
step(struct runtime *rt, const struct core_event *event)
{
	const enum tern_err err = core_step(rt->core, event, &rt->effects);

	INVARIANT(rt->effects.count <= CORE_EFFECTS_MAX);
	/* Before anybody hears what ends a lease. */
	if (rt->config.status != NULL)
		status_lease_set(rt->config.status, core_view(rt->core)->lease_until_ns);
	rt->is_stepping = true;
	rt->handlers->effects(rt, &rt->effects);
	rt->is_stepping = false;
	return err;
}

enum tern_err
dispatch(struct runtime *rt, const struct core_event *event)
{
	INVARIANT(!rt->is_stepping);
	const enum tern_err err = step(rt, event);

	for (uint32_t bound = 0; rt->event_count != 0; bound++) {
		const struct core_event next = rt->events[rt->event_head];
		rt->event_head = (rt->event_head + 1) % RUNTIME_EVENTS_MAX;
		rt->event_count--;
		INVARIANT(bound < 1000);
		if (step(rt, &next) != TERN_OK)
			rt->link.drops.core_refused++;
	}
	if (rt->is_barrier_wanted && event->kind != CORE_EVENT_APPENDED)
		rt->handlers->barrier(rt);
	return err;
}
