/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run of a seed is given besides the seed: deliberate bugs, who there is, and limits, which
 * leave out a part of what the seed draws. A seed with its options is one run, whatever the
 * machine.
 *
 * Limits take things away and never add any. Every episode of faults has a number and draws from a
 * generator of its own, so one that is left out changes nothing of what the others were drawn as.
 */
#ifndef TERN_TESTS_SIM_SIM_OPTIONS_H
#define TERN_TESTS_SIM_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/sim_kinds.h"

/* Who there is. Three copies have a witness that only observes, if the seed says so. The guest is a
 * third data node that the birth does not name: see sim_member.c. */
enum sim_topology {
	SIM_TOPOLOGY_2W = 0,
	SIM_TOPOLOGY_3,
	SIM_TOPOLOGY_1,
	SIM_TOPOLOGY_2W_GUEST,
	SIM_TOPOLOGY_JOINT,    /* two voters or three, born as either, and back and forth */
	SIM_TOPOLOGY_WITNESS,  /* 2+w, and the witness's register is lost, and comes back */
	SIM_TOPOLOGY_EXCHANGE, /* 2+w, a lost voter is dropped and another node promoted */
	SIM_TOPOLOGY_FORCE,    /* 2+w, 3 or 3+w; in the end a person forces one: see sim_force.c */
};

/* Whose point of persistence ends it, see sim_point.h. */
enum sim_point_of {
	SIM_POINT_OF_NOBODY = 0,
	SIM_POINT_OF_MASTER,
	SIM_POINT_OF_REPLICA,
	SIM_POINT_OF_WITNESS,
};

#define SIM_EPISODES_MAX   256u /* numbers of scheduled episodes */
#define SIM_EPISODE_ROUNDS 4u   /* number + 256: what followed it, and so on */
#define SIM_SKIP_WORDS     (SIM_EPISODES_MAX * SIM_EPISODE_ROUNDS / 64u)
#define SIM_STRENGTH_FULL  100u

struct sim_limits {
	uint64_t without;  /* classes, by bit: enum sim_fault_kind, then enum sim_noise */
	uint64_t spared;   /* nodes, by index: no episode strikes them */
	uint32_t strength; /* percent of the drawn rates of noise and lengths of episodes */
	uint64_t operations_max, faults_us_max;
	uint64_t until_us;                /* the run ends there, whatever it found */
	uint64_t skipped[SIM_SKIP_WORDS]; /* episodes, by number */
	uint64_t salt; /* 0: none; another order of everything that is not a fault */
};

struct sim_options {
	uint32_t bugs;        /* enum core_bug */
	uint32_t member_bugs; /* enum core_member_bug */
	uint32_t own_bugs;    /* enum runtime_bug */
	enum sim_topology topology;
	bool is_lying_disk, is_beyond, is_verbose;
	bool has_columns; /* k + m devices a node */
	bool has_spares;  /* and others besides, and a matrix of geometries */
	enum sim_point_of point_of;
	uint64_t point; /* 1-based */
	struct sim_limits limits;
};

void sim_options_init(struct sim_options *options);
/* Each takes what follows its option's name; false: it is not understood. */
bool sim_options_bug(struct sim_options *options, const char *text);
bool sim_options_topology(struct sim_options *options, const char *text);
bool sim_options_without(struct sim_options *options, const char *text);
bool sim_options_spare(struct sim_options *options, const char *text);
bool sim_options_skip(struct sim_options *options, const char *text);
/* "master", and "master:17": nothing else is wrong then. */
bool sim_options_points(struct sim_options *options, const char *text);
bool sim_options_point(struct sim_options *options, const char *text);
/* Writes the options of a command line that runs this again. */
void sim_options_print(const struct sim_options *options, uint64_t seed, FILE *to);
const char *sim_class_name(uint32_t class_); /* of a bit of `without` */
bool sim_limits_skips(const struct sim_limits *limits, uint32_t episode);

static inline bool
sim_limits_without(const struct sim_limits *limits, uint32_t class_)
{
	return (limits->without >> class_ & 1) != 0;
}

#endif
