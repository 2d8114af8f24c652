/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With --spares: nodes with one or two devices besides. They are taken by the node, or given to it
 * while it runs; the node is crashed while one is filled, and right after one was taken; two
 * devices are swapped before a start, which has to be refused; one that stands in for another stays
 * away. Devices of the simulator are those of the port, so each place of the pool has one that
 * stands there. All of it is drawn from a generator of its own.
 */
#ifndef TERN_TESTS_SIM_SIM_SPARE_H
#define TERN_TESTS_SIM_SIM_SPARE_H

#include <stdbool.h>
#include <stdint.h>

struct sim_disk;
struct sim_node;

/* The device that stands at a place. */
uint32_t sim_spare_drive(const struct sim_disk *disk, uint32_t place);
/* Devices that stand somewhere: a mask. */
uint32_t sim_spare_standing(const struct sim_disk *disk);
/* The devices that stand at these places. */
uint32_t sim_spare_drives(const struct sim_disk *disk, uint32_t places);
/* Before a start. */
void sim_spare_start(struct sim_node *node);
/* How many bytes of a device the node is told of at a start; 0: it comes later. */
uint64_t sim_spare_bytes(const struct sim_disk *disk, uint32_t drive);
/* The node is down. */
void sim_spare_crash(struct sim_node *node);
/* After every turn. True: the node is to be crashed, and started at once. */
bool sim_spare_turn(struct sim_node *node);
/* It refused to start, as it had to. */
bool sim_spare_refused(struct sim_node *node);

#endif
