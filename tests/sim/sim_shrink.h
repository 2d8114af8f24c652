/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of a seed in processes of their own, and the search for a smaller run that fails alike. */
#ifndef TERN_TESTS_SIM_SIM_SHRINK_H
#define TERN_TESTS_SIM_SIM_SHRINK_H

#include <sys/types.h>

#include "tests/sim/sim.h"

/* @report is shared with the child, which fills it. */
pid_t sim_child_start(struct sim_report *report, const struct sim_options *options, uint64_t seed);
/* The child has ended with @status: names what no checker has named. */
void sim_child_judge(struct sim_report *report, int status);
/* Whether @failure begins with the name of a checker of @list (names by commas) and " at ". A
 * crash, a hang or an exit of another kind has no such name. */
bool sim_failure_is_of(const char *failure, const char *list);

/* Leaves out of @seed what it can so that the same checker fails, and prints how to run the rest.
 * Returns the exit code: 0 if a smaller or equal case was found that fails twice alike. */
int sim_shrink(const struct sim_options *options, uint64_t seed);

#endif
