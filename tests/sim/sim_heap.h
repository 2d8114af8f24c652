/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a run. What a start takes and a crash gives back is kept for the next start, for a
 * run starts its nodes some thirty times, and memory that the kernel maps anew for each costs more
 * than what is done in it. A process that has given memory back must not fork and go on with it:
 * what it gives back after that would be cleared by its parent's map of pages. */
#ifndef TERN_TESTS_SIM_SIM_HEAP_H
#define TERN_TESTS_SIM_SIM_HEAP_H

#include <stdint.h>

/* @bytes of zeroes, page aligned, or the process ends. */
void *sim_take(uint64_t bytes);
/* Of memory that sim_take gave for as many @bytes: whoever touches it from now on is killed, until
 * it is taken again. */
void sim_give(void *memory, uint64_t bytes);
/* The same of memory that shows twice, see mirror_map. */
uint8_t *sim_take_mirror(uint64_t bytes);
void sim_give_mirror(uint8_t *memory, uint64_t bytes);

#endif
