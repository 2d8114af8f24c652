/* SPDX-License-Identifier: Apache-2.0 */
/* The world: one queue of events until the run is over or a checker fails. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/invariant.h"

#define SAME_TIME_MAX 100000u
#define EVENTS_MAX    UINT64_C(60000000)

/* For tern_invariant_failed, which has no context. One world a process. */
static struct sim *sim_of_process;

static void
report_fill(struct sim *sim)
{
	sim->counts.virtual_ns = sim->now_ns;
	sim->report->counts = sim->counts;
	sim->report->trace = sim->trace;
}

void
sim_fail(struct sim *sim, const char *checker, const char *format, ...)
{
	char text[SIM_FAILURE_BYTES - 64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(sim->report->failure, SIM_FAILURE_BYTES, "%s at %llu us: %.400s", checker,
		 (unsigned long long)(sim->now_ns / SIM_US), text);
	sim_say(sim, "FAILED %s", sim->report->failure);
	report_fill(sim);
	fflush(NULL);
	_exit(SIM_EXIT_FAILED);
}

void
tern_invariant_failed(const char *text, const char *file, int line)
{
	if (sim_of_process == NULL) {
		fprintf(stderr, "INVARIANT %s:%d: %s\n", file, line, text);
		abort();
	}
	sim_fail(sim_of_process, "INVARIANT", "%s:%d: %s", file, line, text);
}

void
sim_say(const struct sim *sim, const char *format, ...)
{
	va_list args;

	if (!sim->options.is_verbose)
		return;
	fprintf(stderr, "%10llu.%03llu ", (unsigned long long)(sim->now_ns / SIM_US),
		(unsigned long long)(sim->now_ns % SIM_US));
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void
fault_run(struct sim *sim, struct sim_node *node, uint64_t token)
{
	if (token == SIM_FAULT_TOKEN_LOSE)
		sim_fault_lose(sim, node->index);
	else if (token == SIM_FAULT_TOKEN_RIVAL)
		sim_aim_rival(sim, node);
	else if (token == SIM_FAULT_TOKEN_LEASE)
		sim_lease_strike(sim, node);
	else if (token == SIM_FAULT_TOKEN_ASIDE)
		sim_aside_strike(sim, node);
	else if (token == SIM_FAULT_TOKEN_DEAD)
		sim_dead_strike(sim, node);
	else if (token == SIM_FAULT_TOKEN_NEXT)
		sim_fault_next(sim);
	else
		sim_fault_follow_up(sim, (uint32_t)token - SIM_FAULT_TOKEN_FOLLOW_UP);
}

static void
event_run(struct sim *sim, const struct sim_event *event)
{
	struct sim_node *node = &sim->nodes[event->node % SIM_NODES_MAX];

	switch (event->kind) {
	case SIM_EVENT_TURN:
		sim_node_turn(node);
		break;
	case SIM_EVENT_FRAME:
		sim_net_deliver(sim, event->token);
		break;
	case SIM_EVENT_DISK:
		if (event->token >> 32 == node->incarnation && node->life != SIM_NODE_DOWN)
			sim_disk_complete(&node->disk, (uint32_t)event->token);
		break;
	case SIM_EVENT_REGISTER:
		if (event->token == node->incarnation && node->life != SIM_NODE_DOWN)
			sim_register_complete(&node->reg);
		break;
	case SIM_EVENT_NOTE:
		if (event->token == node->incarnation && node->life != SIM_NODE_DOWN)
			sim_note_complete(&node->note);
		break;
	case SIM_EVENT_SLOT:
		sim_client_slot(sim, event->node, event->token);
		break;
	case SIM_EVENT_FAULT:
		fault_run(sim, node, event->token);
		break;
	case SIM_EVENT_HEAL:
		sim_fault_end(sim, event->token);
		break;
	case SIM_EVENT_REPEAT:
		sim_fault_repeat(sim, event->token);
		break;
	case SIM_EVENT_PHASE:
		sim_phase_turn(sim);
		sim_push(sim, sim->now_ns + sim->swarm.timer_ns / 8, SIM_EVENT_PHASE, 0, 0);
		break;
	case SIM_EVENT_FORCE:
		sim_force_crash(sim);
		break;
	case SIM_EVENT_POINT:
		sim_point_event(sim, event->node, event->token);
		break;
	case SIM_EVENT_ASIDE:
		sim_aside_end(sim);
		break;
	case SIM_EVENT_MEMBER:
		if (event->node == 0)
			sim_member_operate(sim);
		else if (event->node == 1)
			sim_member_again(sim, (uint16_t)event->token);
		else if (event->node == 2)
			sim_strike_now(sim, event->token);
		else
			sim_witness_lose_twice(sim, event->token);
		break;
	}
}

static void
world_create(struct sim *sim)
{
	sim_swarm_draw(sim);
	if (sim->options.limits.salt != 0)
		prng_seed(&sim->prng, sim->seed ^ sim->options.limits.salt << 48);
	sim_aim_draw(sim);
	sim_last_word_draw(sim);
	sim_lease_draw(sim);
	sim_net_create(sim);
	sim_check_create(sim);
	sim_memory_create(sim);
	sim_stale_create(sim);
	sim_member_create(sim);
	sim_witness_create(sim);
	sim_strike_create(sim);
	sim_votes_create(sim);
	sim_force_create(sim);
	sim_point_create(sim);
	sim_stranger_create(sim);
	sim_wrong_create(sim);
	sim_fallback_create(sim);
	sim_dead_create(sim);
	for (uint32_t i = 0; i < sim->node_count; i++)
		sim_node_birth(sim, i);
	sim_lease_clocks(sim);
	sim_client_create(sim);
	sim->phase = SIM_PHASE_FAULTS;
	for (uint32_t i = 0; i < sim->node_count; i++)
		sim_node_start(&sim->nodes[i]);
	sim_push(sim, prng_below(&sim->prng, 2 * sim->swarm.gap_ns), SIM_EVENT_FAULT, 0, 0);
	sim_push(sim, sim->swarm.timer_ns / 8, SIM_EVENT_PHASE, 0, 0);
}

void
sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options,
	struct sim_report *report)
{
	struct sim_event event;

	memset(sim, 0, sizeof(*sim));
	sim_of_process = sim;
	sim->seed = seed;
	sim->options = *options;
	sim->report = report;
	sim->trace = seed;
	prng_seed(&sim->prng, seed);
	world_create(sim);
	while (sim->phase != SIM_PHASE_OVER && sim_pop(sim, &event)) {
		if (event.at_ns / SIM_US >= options->limits.until_us)
			break;
		sim->same_time_events = event.at_ns == sim->now_ns ? sim->same_time_events + 1 : 0;
		if (sim->same_time_events > SAME_TIME_MAX)
			sim_fail(sim, "livelock", "time stands still");
		sim->now_ns = event.at_ns;
		sim_trace(sim,
			  event.at_ns ^ (uint64_t)event.kind << 56 ^ (uint64_t)event.node << 48);
		sim_count(sim, SIM_COUNT_events);
		if (sim->counts.of[SIM_COUNT_events] > EVENTS_MAX)
			sim_fail(sim, "livelock", "more events than any run needs");
		event_run(sim, &event);
	}
	report_fill(sim);
}
