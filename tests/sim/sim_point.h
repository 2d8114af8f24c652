/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crashes at the points at which something becomes durable, or may. A point is a write of the log,
 * of a superblock, of a checkpoint, of the witness's register or of the pool note, in one of three
 * moments: it was handed over, and the node does nothing more; it is durable, and the node does not
 * know; the node has handled the completion, and its turn ends. (A write of this seam is durable
 * when it completes: a flush is a part of it.) What else is in flight is lost, torn or kept, as at
 * any crash.
 *
 * Drawn, as the class crash-at-write: an episode arms a node, and it crashes at its K-th point of
 * the kind and moment that the episode drew. Or, with --crash-point, nothing else is wrong, and the
 * N-th point of whoever is master, replica or witness by then is where it crashes; --crash-points
 * goes through all N.
 */
#ifndef TERN_TESTS_SIM_SIM_POINT_H
#define TERN_TESTS_SIM_SIM_POINT_H

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_episode;
struct sim_node;
struct sim_options;

enum sim_point_kind {
	SIM_POINT_LOG = 0,
	SIM_POINT_SUPERBLOCK,
	SIM_POINT_CHECKPOINT,
	SIM_POINT_REGISTER,
	SIM_POINT_NOTE,
	SIM_POINT_KINDS
};

enum sim_point_moment {
	SIM_POINT_HANDED = 0, /* in the middle of a turn: the rest of it reaches nobody */
	SIM_POINT_DURABLE,
	SIM_POINT_SEEN,
	SIM_POINT_MOMENTS
};

void sim_point_create(struct sim *sim);
void sim_point_event(struct sim *sim, uint32_t node, uint64_t token);
void sim_point_begin(struct sim *sim, struct sim_episode *episode);
void sim_point_end(struct sim *sim, struct sim_episode *episode);
/* The node is at a point. */
void sim_point_at(struct sim_node *node, enum sim_point_kind kind, enum sim_point_moment moment);
/* It has crashed in the middle of its turn: nothing that it does now happens. */
bool sim_point_is_dying(const struct sim_node *node);
/* Where a turn ends that may have been cut short, or what made something durable. True: the node
 * has crashed. */
bool sim_point_is_dead(struct sim_node *node);
/* Where a turn ends that was not. The same. */
bool sim_point_is_over(struct sim_node *node);
void sim_point_crashed(struct sim_node *node);

/* Runs @seed once for each point, each in a process of its own, @jobs at a time, until there is
 * none. Returns what the process exits with. */
int sim_points_run(const struct sim_options *options, uint64_t seed, uint32_t jobs);

#endif
