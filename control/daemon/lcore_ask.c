/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin thread asks the lcore for, one request at a time. */
#include "control/daemon/ternd.h"

#include <poll.h>
#include <string.h>

#include "hw/platform/platform.h"

#define COMPLETION_WAIT_NS 5000000000ull

bool
ternd_submit_with_payload(struct ternd *node, const struct submit_request *request,
			  const void *payload, struct submit_completion *completion)
{
	struct submit_channel *channel = &node->admin_channel;
	struct submit_request *out =
	    ring_reserve(&channel->requests, (uint32_t)sizeof(*out) + request->command_bytes);
	const uint64_t until_ns = platform_monotonic_ns() + COMPLETION_WAIT_NS;
	uint32_t bytes;

	if (out == NULL)
		return false;
	*out = *request;
	if (request->command_bytes != 0)
		memcpy(out + 1, payload, request->command_bytes);
	ring_publish(&channel->requests);
	wake_up(channel->lcore_wake);
	while (platform_monotonic_ns() < until_ns) {
		const struct submit_completion *in = ring_peek(&channel->completions, &bytes);
		if (in == NULL) {
			struct pollfd fd = { .fd = channel->front_wake.fd, .events = POLLIN };
			wake_prepare(&channel->front_wake);
			if (ring_is_empty(&channel->completions))
				(void)poll(&fd, 1, 100);
			wake_done(&channel->front_wake);
			continue;
		}
		*completion = *in;
		ring_consume(&channel->completions);
		if (completion->tag == request->tag)
			return true;
	}
	return false;
}

bool
ternd_submit_and_wait(struct ternd *node, const struct submit_request *request,
		      struct submit_completion *completion)
{
	return ternd_submit_with_payload(node, request, NULL, completion);
}
