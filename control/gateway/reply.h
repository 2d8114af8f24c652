/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results of the state machine, as the replies that Redis clients expect. Each writes one reply
 * into @out, or leaves it full (resp_write.h). Pure. Borrows what it is passed until return.
 */
#ifndef TERN_GATEWAY_REPLY_H
#define TERN_GATEWAY_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/resp_write.h"

struct reply;

/* The reply to a write that was executed. ARRAY and EXPIRY are multi_reply's to write. */
void gateway_write_reply(struct resp_writer *out, const struct reply *reply);
/* @form: MULTI_TTL and its kind; @expires_ns: 0: never. Both are Unix times. */
void gateway_expiry_reply(struct resp_writer *out, uint8_t form, bool is_there, uint64_t expires_ns,
			  uint64_t now_ns);

#endif
