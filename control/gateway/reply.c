/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/reply.h"

#include "control/gateway/multi.h"
#include "control/gateway/refusal.h"
#include "control/gateway/resp_write.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/wire/reply.h"

#define MS_NS 1000000ll

void
gateway_write_reply(struct resp_writer *out, const struct reply *reply)
{
	switch (reply->kind) {
	case REPLY_OK:
		resp_simple(out, "OK");
		return;
	case REPLY_INTEGER:
	case REPLY_SESSION:
		resp_integer(out, reply->value);
		return;
	case REPLY_BOUND:
		gateway_error(out, "BOUND value %lld delta %lld %s %lld", (long long)reply->value,
			      (long long)reply->delta, reply->is_max ? "max" : "min",
			      (long long)reply->bound);
		return;
	case REPLY_NULL:
		resp_null(out);
		return;
	case REPLY_BYTES:
		resp_bulk(out, reply->data, reply->bytes);
		return;
	case REPLY_DECIMAL:
		resp_bulk_i64(out, reply->value);
		return;
	case REPLY_NOT_INTEGER:
		resp_error(out, "ERR value is not an integer or out of range");
		return;
	case REPLY_OVERFLOW:
		resp_error(out, "ERR increment or decrement would overflow");
		return;
	case REPLY_OUT_OF_MEMORY:
		resp_error(out, "OOM command not allowed when used memory > 'maxmemory'. Delete "
				"keys, or raise state.capacity on every node.");
		return;
	case REPLY_DONE:
		/* Its value is no longer kept. */
		resp_simple(out, "DONE");
		return;
	case REPLY_REFUSED:
		resp_error(out, "REFUSED it was refused before, why is no longer kept");
		return;
	case REPLY_SESSION_UNKNOWN:
		resp_error(out, "NOSESSION no such session: not executed now, what an "
				"earlier attempt did is unknown");
		return;
	case REPLY_CONFLICT:
		resp_null_array(out);
		return;
	case REPLY_TOO_LARGE:
		resp_error(out, "ERR the replies of the transaction are larger than this server's "
				"limit, this part was not executed");
		return;
	case REPLY_ARRAY: /* multi_reply writes these */
	case REPLY_EXPIRY:
		break;
	case REPLY_TOO_OLD:
		resp_error(out, "TOOOLD the number is below the session's window: not "
				"executed now, what an earlier attempt did is unknown");
		return;
	}
	INVARIANT(false && "a reply that stands for itself");
}

void
gateway_expiry_reply(struct resp_writer *out, uint8_t form, bool is_there, uint64_t expires_ns,
		     uint64_t now_ns)
{
	const uint64_t ms = MS_NS, left_ns = expires_ns > now_ns ? expires_ns - now_ns : 0;

	if (!is_there)
		resp_integer(out, -2);
	else if (expires_ns == 0)
		resp_integer(out, -1);
	else if (form == MULTI_TTL)
		resp_integer(out, (int64_t)((left_ns / ms + 500) / 1000));
	else if (form == MULTI_PTTL)
		resp_integer(out, (int64_t)div_up_u64(left_ns, ms));
	else if (form == MULTI_EXPIRETIME)
		resp_integer(out, (int64_t)((expires_ns / ms + 500) / 1000));
	else
		resp_integer(out, (int64_t)(expires_ns / ms));
}
