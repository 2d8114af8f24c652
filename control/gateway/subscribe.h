/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SUBSCRIBE to the events of the Sentinel calls, of which +switch-master is the one that is sent.
 * There are no other channels: other names are refused, so that nobody waits for messages that
 * never come.
 */
#ifndef TERN_GATEWAY_SUBSCRIBE_H
#define TERN_GATEWAY_SUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/resp_parse.h"
#include "control/gateway/resp_write.h"

#define SUBSCRIPTIONS_MAX       12u
#define SUBSCRIPTION_NAME_BYTES 32u

struct subscriptions {
	uint32_t count, patterns_count; /* count: both kinds */
	struct subscription {
		bool is_pattern;
		char name[SUBSCRIPTION_NAME_BYTES];
	} list[SUBSCRIPTIONS_MAX];
};

/* SUBSCRIBE, PSUBSCRIBE, UNSUBSCRIBE, PUNSUBSCRIBE by args[0]. Writes one message for each name. */
void subscribe_call(struct subscriptions *subs, const struct resp_arg *args, uint32_t args_count,
		    struct resp_writer *out);
/* In RESP2 a connection that has subscribed takes few commands; this is none of them. */
bool subscribe_refuses(const struct subscriptions *subs, const struct resp_writer *out,
		       struct resp_arg name);
/* The event to every subscription of this connection that names it. */
void subscribe_publish(const struct subscriptions *subs, const char *channel, const char *text,
		       struct resp_writer *out);

#endif
