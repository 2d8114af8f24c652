/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error replies: why a request was not executed, in the words that Redis clients look for. Each
 * writes one error into @out, or leaves it full (resp_write.h). Borrows what it is passed until
 * return.
 *
 * Owner: the gateway thread.
 */
#ifndef TERN_GATEWAY_REFUSAL_H
#define TERN_GATEWAY_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/resp_parse.h"
#include "control/gateway/resp_write.h"

struct command_call;
struct gateway;
struct gateway_command;
struct slot;
struct write_plan;

#define GATEWAY_ERROR_BYTES 512u
/* An error reply of at most GATEWAY_ERROR_BYTES. */
__attribute__((format(printf, 2, 3))) void
gateway_error(struct resp_writer *out, const char *format, ...);
/* Printable characters of @arg, at most @room - 1 of them. */
void gateway_printable(struct resp_arg arg, char *text, uint32_t room);

void gateway_unknown_command(const struct command_call *call);
void gateway_wrong_arity(const struct command_call *call, const struct gateway_command *command);
/* Why @plan was too large, to be written out; lent until the next refusal with numbers. */
const char *
gateway_too_large(struct gateway *gateway, const struct write_plan *plan, bool is_forwarded);
/* Errors of reads at a position. @here: what this node has committed. */
void gateway_position_missing(struct resp_writer *out, uint64_t here, uint64_t position);
void gateway_snapshot_gone(struct resp_writer *out, uint64_t position);
/* The reply to a request that the lcore refused. */
void gateway_refusal(struct gateway *gateway, struct resp_writer *out, const struct slot *slot);

#endif
