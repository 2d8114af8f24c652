/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness's RESP listener: the Sentinel calls, and what client libraries send before them. No
 * data: it holds none. A thread of its own, so that no client can delay a vote.
 *
 * Bounds: FRONT_CONNECTIONS_MAX connections, each with one input and one output buffer; a request
 * is taken when the replies before it have left.
 */
#ifndef TERN_WITNESS_FRONT_H
#define TERN_WITNESS_FRONT_H

#include <stddef.h>
#include <stdint.h>

#include "control/gateway/sentinel.h"
#include "dataplane/base/err.h"
#include "dataplane/wire/inet_addr.h"

#define FRONT_CONNECTIONS_MAX 128u

struct front;

/* Listens on @ip and @port, or on @listen_fd if that is > 0, and starts the
 * thread. Borrows @sentinel until front_stop. IO: @why says what failed. */
TERN_CHECKED enum tern_err front_start(const struct sentinel *sentinel, const struct inet_addr *ip,
				       uint16_t port, int listen_fd, const char *tern_version,
				       struct front **front, char *why, size_t why_bytes);
void front_stop(struct front *front);

#endif
