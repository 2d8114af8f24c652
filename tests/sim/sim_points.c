/* SPDX-License-Identifier: Apache-2.0 */
/* One seed, once for each point at which a node makes something durable. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_shrink.h"

#define BATCH_MAX 64u

struct batch {
	struct sim_report reports[BATCH_MAX];
	pid_t pids[BATCH_MAX];
};

static uint64_t
crashes(const struct sim_report *report)
{
	uint64_t count = 0;

	for (uint32_t i = SIM_COUNT_crash_log_handed; i <= SIM_COUNT_crash_note_seen; i++)
		count += report->counts.of[i];
	return count;
}

int
sim_points_run(const struct sim_options *options, uint64_t seed, uint32_t jobs)
{
	struct batch *batch =
	    mmap(NULL, sizeof(*batch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sim_options own = *options;
	uint64_t points = 0, crashed = 0, failed = 0;
	bool is_more = true;

	if (batch == MAP_FAILED || jobs > BATCH_MAX)
		exit(1);
	while (is_more) {
		for (uint32_t i = 0; i < jobs; i++) {
			own.point = points + 1 + i;
			batch->pids[i] = sim_child_start(&batch->reports[i], &own, seed);
		}
		for (uint32_t i = 0; i < jobs; i++) {
			struct sim_report *report = &batch->reports[i];
			int status = 0;
			if (waitpid(batch->pids[i], &status, 0) != batch->pids[i])
				exit(1);
			sim_child_judge(report, status);
			own.point = points + 1;
			if (report->failure[0] != '\0') {
				failed++;
				printf("seed %llu: FAILED %s\n\ttern-sim ",
				       (unsigned long long)seed, report->failure);
				sim_options_print(&own, seed, stdout);
			}
			is_more = is_more && report->counts.of[SIM_COUNT_points] >= own.point;
			points += is_more;
			crashed += crashes(report);
		}
	}
	printf("seed %llu: %llu points, %llu crashes, %llu failed\n", (unsigned long long)seed,
	       (unsigned long long)points, (unsigned long long)crashed, (unsigned long long)failed);
	munmap(batch, sizeof(*batch));
	return failed != 0 || points == 0 || crashed != points ? 1 : 0;
}
