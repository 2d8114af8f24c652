/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole write group of a running node comes to harm, on all of its devices at once: more than
 * parity makes good. A scrub or a read finds it, and other nodes give what is lost. Such harm is
 * beyond what a crash may find (the node could not say what it had), so a crash, or a scrub which
 * found that nobody has it, puts the pages back.
 */
#ifndef TERN_TESTS_SIM_SIM_REFILL_H
#define TERN_TESTS_SIM_SIM_REFILL_H

#include <stdbool.h>
#include <stdint.h>

struct sim_node;

struct sim_hurt_page {
	uint64_t offset;
	uint32_t device;
	uint8_t *sound, *harmed;
};

struct sim_hurt {
	struct sim_hurt_page *pages;
	uint32_t count;      /* 0: none */
	uint64_t first_cell; /* of the group */
	uint64_t refilled_seen, unreadable_seen;
};

/* Does harm, maybe. */
void sim_refill_harm(struct sim_node *node);
/* A frame to this node: what others give for its blocks is wrong now and then, under a good sum. */
void sim_refill_bend(struct sim_node *node, uint8_t *frame, uint32_t bytes);
/* A scrub has ended: what it could not help is undone, if it said so, and false: what lies there is
 * for the next one. */
bool sim_refill_scrubbed(struct sim_node *node);
/* The node is down: all that still shows of it is undone. */
void sim_refill_crash(struct sim_node *node);

#endif
