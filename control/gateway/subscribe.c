/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/subscribe.h"

#include <fnmatch.h>
#include <string.h>

#include "dataplane/base/invariant.h"

static int
find(const struct subscriptions *subs, bool is_pattern, struct resp_arg name)
{
	for (uint32_t i = 0; i < subs->count; i++) {
		const struct subscription *sub = &subs->list[i];
		if (sub->is_pattern == is_pattern && strlen(sub->name) == name.bytes &&
		    memcmp(sub->name, name.data, name.bytes) == 0)
			return (int)i;
	}
	return -1;
}

/* Events begin with + or -; patterns for them with that, a class, or a star. */
static bool
is_event(struct resp_arg name, bool is_pattern)
{
	if (name.bytes == 0 || name.bytes >= SUBSCRIPTION_NAME_BYTES ||
	    memchr(name.data, 0, name.bytes) != NULL)
		return false;
	/* node-redis asks for this one without its sign, and does not survive a refusal. */
	if (is_pattern && resp_is(name, "switch-master"))
		return true;
	return strchr(is_pattern ? "+-[*" : "+-", name.data[0]) != NULL;
}

static void
confirm(const struct subscriptions *subs, const char *kind, const struct resp_arg *name,
	struct resp_writer *out)
{
	resp_push(out, 3);
	resp_text(out, kind);
	if (name != NULL)
		resp_bulk(out, name->data, name->bytes);
	else
		resp_null(out);
	resp_integer(out, subs->count);
}

static void
add(struct subscriptions *subs, bool is_pattern, struct resp_arg name, struct resp_writer *out)
{
	if (!is_event(name, is_pattern)) {
		resp_error(out, "ERR there is no such channel: only Sentinel events, as "
				"+switch-master, can be subscribed to");
		return;
	}
	if (find(subs, is_pattern, name) < 0) {
		if (subs->count == SUBSCRIPTIONS_MAX) {
			resp_error(out, "ERR too many subscriptions of one connection, at most 12: "
					"use a pattern");
			return;
		}
		struct subscription *sub = &subs->list[subs->count++];
		*sub = (struct subscription){ .is_pattern = is_pattern };
		memcpy(sub->name, name.data, name.bytes);
		subs->patterns_count += is_pattern ? 1 : 0;
	}
	confirm(subs, is_pattern ? "psubscribe" : "subscribe", &name, out);
}

static void
drop(struct subscriptions *subs, bool is_pattern, struct resp_arg name, struct resp_writer *out)
{
	const int at = find(subs, is_pattern, name);

	if (at >= 0) {
		INVARIANT(subs->count > 0 && (!is_pattern || subs->patterns_count > 0));
		subs->list[at] = subs->list[--subs->count];
		subs->patterns_count -= is_pattern ? 1 : 0;
	}
	confirm(subs, is_pattern ? "punsubscribe" : "unsubscribe", &name, out);
}

static void
drop_all(struct subscriptions *subs, bool is_pattern, struct resp_writer *out)
{
	bool has_any = false;

	for (uint32_t i = subs->count; i > 0; i--) {
		struct subscription sub = subs->list[i - 1];
		if (sub.is_pattern != is_pattern)
			continue;
		has_any = true;
		drop(subs, is_pattern,
		     (struct resp_arg){ (const uint8_t *)sub.name, (uint32_t)strlen(sub.name) },
		     out);
	}
	if (!has_any)
		confirm(subs, is_pattern ? "punsubscribe" : "unsubscribe", NULL, out);
}

void
subscribe_call(struct subscriptions *subs, const struct resp_arg *args, uint32_t args_count,
	       struct resp_writer *out)
{
	const bool is_pattern = resp_is(args[0], "psubscribe") || resp_is(args[0], "punsubscribe");
	const bool is_adding = resp_is(args[0], "psubscribe") || resp_is(args[0], "subscribe");

	if (!is_adding && args_count == 1) {
		drop_all(subs, is_pattern, out);
		return;
	}
	for (uint32_t i = 1; i < args_count; i++) {
		if (is_adding)
			add(subs, is_pattern, args[i], out);
		else
			drop(subs, is_pattern, args[i], out);
	}
}

bool
subscribe_refuses(const struct subscriptions *subs, const struct resp_writer *out,
		  struct resp_arg name)
{
	static const char *const allowed[] = { "subscribe",    "psubscribe", "unsubscribe",
					       "punsubscribe", "ping",       "quit",
					       "reset" };

	if (subs->count == 0 || out->protocol >= 3)
		return false;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (resp_is(name, allowed[i]))
			return false;
	}
	return true;
}

void
subscribe_publish(const struct subscriptions *subs, const char *channel, const char *text,
		  struct resp_writer *out)
{
	for (uint32_t i = 0; i < subs->count; i++) {
		const struct subscription *sub = &subs->list[i];
		if (sub->is_pattern ? fnmatch(sub->name, channel, 0) != 0
				    : strcmp(sub->name, channel) != 0)
			continue;
		resp_push(out, sub->is_pattern ? 4 : 3);
		resp_text(out, sub->is_pattern ? "pmessage" : "message");
		if (sub->is_pattern)
			resp_text(out, sub->name);
		resp_text(out, channel);
		resp_text(out, text);
	}
}
