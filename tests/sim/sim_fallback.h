/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest checkpoint of a node that runs comes to harm at rest, and a scrub, or who reads all of
 * it, finds that. Only where the node could start without it: the older one is whole and the log
 * behind it is there, or all of the log is. So no check is relaxed: from when the node knows of it,
 * the node has to keep what it could start from, until another checkpoint is named. That takes
 * long, for the device is slow there meanwhile, and then the power goes, mostly. Before the node
 * knows, it may give that up: then nothing has happened. All of it is drawn from a generator of its
 * own.
 */
#ifndef TERN_TESTS_SIM_SIM_FALLBACK_H
#define TERN_TESTS_SIM_SIM_FALLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "hw/seam/disk_ops.h"

struct sim;
struct sim_node;

void sim_fallback_create(struct sim *sim);
/* After a turn of a data node that is up. True: its power goes now. */
bool sim_fallback_turn(struct sim_node *node);
/* Behind what a crash does to the device. */
void sim_fallback_crash(struct sim_node *node);
/* It is up again. */
void sim_fallback_started(struct sim_node *node);
/* The devices are new. */
void sim_fallback_forget(struct sim_node *node);
/* Nothing else may come to harm on its device that it would need. */
bool sim_fallback_is_on(const struct sim_node *node);
/* By how much a request takes longer. */
uint64_t sim_fallback_slow_ns(const struct sim_node *node, const struct disk_request *request);

#endif
