/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of Redis' Sentinel, so that clients that know them find the master. They say what this
 * node knows now, and nothing when it knows nothing now: a client takes the first answer it gets,
 * so an old one would be worse than none. No Sentinel protocol runs between nodes.
 *
 * Needs a status cell and the parser and writer of RESP only: data nodes and the witness share it.
 * Thread: a struct sentinel does not change once it is filled; a watch has one owner.
 */
#ifndef TERN_GATEWAY_SENTINEL_H
#define TERN_GATEWAY_SENTINEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/gateway/resp_parse.h"
#include "control/gateway/resp_write.h"
#include "dataplane/runtime/status.h"

/* Clients parse it to choose their commands; ours is beside it as tern_version. */
#define INFO_REDIS_VERSION "7.0.15"

#define SENTINEL_NODES_MAX   16u
#define SENTINEL_NAME_BYTES  64u
#define SENTINEL_HOST_BYTES  256u
#define SENTINEL_EVENT_BYTES 640u

struct sentinel_node {
	uint16_t id, port; /* port 0: it answers no Sentinel calls */
	bool is_witness;
	char name[SENTINEL_NAME_BYTES];
	char host[SENTINEL_HOST_BYTES];
};

struct sentinel {
	char master_name[SENTINEL_NAME_BYTES];
	uint16_t self_id;
	uint32_t nodes_count;
	struct sentinel_node nodes[SENTINEL_NODES_MAX]; /* this one included */
	struct status_cell *status;
};

struct node_config;
/* Every node that has a RESP address. Borrows @config until return, @status for ever. */
void sentinel_from_config(struct sentinel *sentinel, const struct node_config *config,
			  struct status_cell *status);

/* The master as this node knows it at @now_ns, or 0; @status is what that rests on. */
uint16_t
sentinel_master(const struct sentinel *sentinel, uint64_t now_ns, struct node_status *status);
const struct sentinel_node *sentinel_find(const struct sentinel *sentinel, uint16_t id);

/* True: the answer would rest on what was heard of the master before @asked_ns. A client asks when
 * its connection broke, and until the silence has lasted the old view still stands: so an answer
 * that names another node as master waits for a sign of life from it, or for the end of the view.
 * Never longer than the shortest election timeout. */
bool sentinel_must_wait(const struct sentinel *sentinel, const struct resp_arg *args,
			uint32_t args_count, uint64_t asked_ns, uint64_t now_ns);

/* "SENTINEL verb ...": @args[0] is the word SENTINEL. Writes one reply. */
void sentinel_call(const struct sentinel *sentinel, const struct resp_arg *args,
		   uint32_t args_count, uint64_t now_ns, struct resp_writer *out);

/* INFO's section for tools that read it; the bytes written, cut off at the end of a line. */
size_t sentinel_info(const struct sentinel *sentinel, uint64_t now_ns, char *text, size_t room);

/* The last master that was seen: what tells that another one took over. */
struct sentinel_watch {
	uint16_t master_id;
};
/* True: the master changed since the call before; @text is the message of +switch-master. */
bool sentinel_switched(const struct sentinel *sentinel, struct sentinel_watch *watch,
		       uint64_t now_ns, char text[SENTINEL_EVENT_BYTES]);

#endif
