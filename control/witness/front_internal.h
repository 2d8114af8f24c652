/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the witness's listener, and its requests. Owner: the listener's thread. */
#ifndef TERN_WITNESS_FRONT_INTERNAL_H
#define TERN_WITNESS_FRONT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/sentinel.h"
#include "control/gateway/subscribe.h"

#define FRONT_INPUT_BYTES  8192u
#define FRONT_OUTPUT_BYTES 32768u /* the longest reply with room for messages behind it */
#define FRONT_ARGS_MAX     64u

/* What all connections see. */
struct front_shared {
	const struct sentinel *sentinel;
	const char *tern_version;
	uint16_t port;
	uint64_t started_ns;
	int64_t next_client_id;
};

struct front_client {
	int fd;
	int64_t id;
	bool is_ending;    /* closed once its replies have left */
	uint64_t asked_ns; /* when its next request asked for the master; 0: nothing waits */
	struct resp_parser parser;
	struct resp_writer out; /* into out_bytes */
	size_t sent;
	struct subscriptions subs;
	uint32_t in_used;
	uint8_t in[FRONT_INPUT_BYTES];
	uint8_t out_bytes[FRONT_OUTPUT_BYTES];
};

/* Takes @fd. */
void front_client_open(struct front_shared *shared, struct front_client *client, int fd);
/* One request, one reply. False: it has to be made again a little later, see
 * sentinel_must_wait. */
bool front_request(const struct front_shared *shared, struct front_client *client,
		   const struct resp_arg *args, uint32_t args_count);

#endif
