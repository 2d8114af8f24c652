/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of others on the links: copies of frames in flight under a right checksum, of another
 * cluster, for another receiver, from the receiver's own id (two nodes were given one), from an id
 * that nobody has, or from a start of the sender that is over. That one comes right behind the
 * frame that it was copied from: nothing that a node has not heard of can be old to it. All of them
 * are to be dropped, and counted as what they are (stranger); that they do no harm is what all the
 * other checkers say. Drawn from a generator of their own.
 */
#ifndef TERN_TESTS_SIM_SIM_STRANGER_H
#define TERN_TESTS_SIM_SIM_STRANGER_H

#include <stdint.h>

#include "tests/sim/sim_aim.h"

struct sim;
struct sim_node;

enum sim_stranger_kind {
	SIM_STRANGER_NONE = 0, /* a frame that was sent */
	SIM_STRANGER_CLUSTER,
	SIM_STRANGER_RECEIVER,
	SIM_STRANGER_SELF,
	SIM_STRANGER_UNKNOWN,
	SIM_STRANGER_OLD_BOOT,
	SIM_STRANGER_KINDS
};

struct sim_stranger_frame {
	enum sim_stranger_kind kind;
	uint32_t length;
	uint8_t path, from, to; /* node indexes */
	uint8_t bytes[SIM_LATE_BYTES_MAX];
};

void sim_stranger_create(struct sim *sim);
/* A frame leaves @from for @to, both by index. Borrows @bytes until return. */
void sim_stranger_sent(struct sim *sim, uint8_t path, uint8_t from, uint8_t to,
		       const uint8_t *bytes, uint32_t length);
/* The node takes such a frame from its port. */
void sim_stranger_taken(struct sim_node *node, enum sim_stranger_kind kind);
void sim_stranger_crashed(struct sim_node *node);
/* All is whole and quiet: what each node says that it dropped is what it was given. */
void sim_stranger_final(struct sim *sim);

#endif
