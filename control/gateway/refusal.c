/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/refusal.h"

#include <stdarg.h>
#include <stdio.h>

#include "control/gateway/gateway_internal.h"
#include "control/gateway/info.h"
#include "dataplane/base/invariant.h"

#define TOO_LARGE "ERR the command is larger than this server's limit"

void
gateway_error(struct resp_writer *out, const char *format, ...)
{
	char text[GATEWAY_ERROR_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	resp_error(out, text);
}

void
gateway_printable(struct resp_arg arg, char *text, uint32_t room)
{
	uint32_t used = 0;

	INVARIANT(room > 0);
	for (uint32_t i = 0; i < arg.bytes && used + 1 < room; i++) {
		const uint8_t c = arg.data[i];
		text[used++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	text[used] = 0;
}

void
gateway_unknown_command(const struct command_call *call)
{
	char name[129], text[GATEWAY_ERROR_BYTES];
	size_t used;

	gateway_printable(call->args[0], name, sizeof(name));
	used = (size_t)snprintf(text, sizeof(text),
				"ERR unknown command '%s', with args beginning with: ", name);
	for (uint32_t i = 1; i < call->args_count && i <= 20 && used < 256; i++) {
		char arg[65];
		gateway_printable(call->args[i], arg, sizeof(arg));
		used += (size_t)snprintf(text + used, sizeof(text) - used, "'%s' ", arg);
	}
	INVARIANT(used < sizeof(text));
	resp_error(call->out, text);
}

void
gateway_wrong_arity(const struct command_call *call, const struct gateway_command *command)
{
	gateway_error(call->out, "ERR wrong number of arguments for '%s' command", command->name);
}

const char *
gateway_too_large(struct gateway *gateway, const struct write_plan *plan, bool is_forwarded)
{
	const uint64_t bytes = gateway_plan_bytes(plan);
	char *text = gateway->refusal;
	const size_t room = sizeof(gateway->refusal);

	if (is_forwarded)
		(void)snprintf(text, room,
			       TOO_LARGE ": as it is logged it has %llu bytes, and %u can be "
					 "forwarded; send it to the master",
			       (unsigned long long)bytes, FORWARD_COMMAND_BYTES);
	else if (bytes > gateway->write_bytes_max)
		(void)snprintf(text, room,
			       TOO_LARGE ": as it is logged it has %llu bytes, at most %u; split "
					 "it, or raise log.command_max",
			       (unsigned long long)bytes, gateway->write_bytes_max);
	else
		(void)snprintf(text, room,
			       TOO_LARGE ": it may return %llu bytes (state.value_max), a write "
					 "%llu at most; read the value by GET",
			       (unsigned long long)gateway_plan_reply_bytes(gateway, plan),
			       (unsigned long long)gateway->channel->reply_bytes_max);
	return text;
}

void
gateway_position_missing(struct resp_writer *out, uint64_t here, uint64_t position)
{
	gateway_error(out, "POSITION the state here is at %llu, %llu is asked for",
		      (unsigned long long)here, (unsigned long long)position);
}

void
gateway_snapshot_gone(struct resp_writer *out, uint64_t position)
{
	gateway_error(out, "SNAPSHOT position %llu is not kept here any more",
		      (unsigned long long)position);
}

static void
refuse_no_master(struct gateway *gateway, struct resp_writer *out, const struct slot *slot)
{
	if (slot->kind == SLOT_WRITE && slot->master_id == gateway->node_id) {
		/* Not yet, handing over, or short of copies: it passes, and the node is the right
		 * one.
		 */
		resp_error(out, "TRYAGAIN the master takes no writes just now, try again");
		return;
	}
	if (slot->kind == SLOT_WRITE) {
		resp_error(out, "READONLY You can't write against a read only replica.");
		return;
	}
	/* A master that does not serve, or not any more, may name itself: nowhere to go either. */
	const struct peer *master = slot->master_id != 0 && slot->master_id != gateway->node_id
					? info_peer_find(gateway, slot->master_id)
					: NULL;
	if (master != NULL)
		gateway_error(out, "MOVED 0 %s:%u", master->host, master->port);
	else
		resp_error(out, "MASTERDOWN Link with MASTER is down and no replica may answer.");
}

void
gateway_refusal(struct gateway *gateway, struct resp_writer *out, const struct slot *slot)
{
	switch ((enum submit_outcome)slot->outcome) {
	case SUBMIT_REFUSED_NOT_MASTER:
		refuse_no_master(gateway, out, slot);
		return;
	case SUBMIT_REFUSED_LOG_FULL:
		resp_error(out, "LOGFULL the command log is full (95 %): no writes until there is "
				"room again, reads are served");
		return;
	case SUBMIT_REFUSED_TOO_LARGE:
		gateway_error(out, TOO_LARGE ": split it, or raise log.command_max, %u bytes here",
			      gateway->limits.request_bytes_max);
		return;
	case SUBMIT_REFUSED_BUSY:
		resp_error(out,
			   "BUSY the server's queues are full, it was not executed: try again");
		return;
	case SUBMIT_REFUSED_MALFORMED:
		resp_error(out, "ERR the command was refused as malformed");
		return;
	case SUBMIT_REFUSED_CLASS:
		resp_error(out, slot->class_ == COMMAND_ASYNC
				    ? "CLASS this command needs its result, and async has none: "
				      "TERN.CLASS durable or memory"
				    : "CLASS the log is volatile here, nothing can be durable: "
				      "TERN.CLASS memory");
		return;
	case SUBMIT_REFUSED_CHANGE: /* only to who asks for changes */
	case SUBMIT_REFUSED_JOB:
	case SUBMIT_REFUSED_FORCE:
	case SUBMIT_DONE:
	case SUBMIT_ACCEPTED:
	case SUBMIT_UNKNOWN:
		break;
	}
	INVARIANT(slot->outcome != SUBMIT_ACCEPTED);
	INVARIANT(slot->outcome != SUBMIT_DONE && slot->outcome != SUBMIT_UNKNOWN);
}
