/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events into the core; private to this room. What follows from them is done by files that are
 * above this one, for most of what they do is to feed events: they are reached through a table that
 * create.c sets.
 */
#ifndef TERN_RUNTIME_DISPATCH_H
#define TERN_RUNTIME_DISPATCH_H

#include "dataplane/base/err.h"

struct core_effects;
struct core_event;
struct runtime;

struct dispatch_handlers {
	/* All effects of one step, in order. From inside it events are queued, never fed. */
	void (*effects)(struct runtime *rt, const struct core_effects *effects);
	/* A barrier is wanted, and no step is under way. It goes before anything else. */
	void (*barrier)(struct runtime *rt);
};

/* Feeds @event and everything that follows from it. QUEUE_FULL, BUSY, NOT_MASTER: refused. */
enum tern_err dispatch(struct runtime *rt, const struct core_event *event);
/* Queues an event from inside the handling of an effect. */
void dispatch_later(struct runtime *rt, const struct core_event *event);

#endif
