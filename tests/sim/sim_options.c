/* SPDX-License-Identifier: Apache-2.0 */
/* Names of bugs, topologies and classes, both ways. */
#include "tests/sim/sim_options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/core.h"
#include "dataplane/runtime/runtime.h"

static const struct {
	const char *name;
	uint32_t bug;
} bugs[] = {
	{ "P1", CORE_BUG_P1_STALE_VOTE },         { "P2", CORE_BUG_P2_EARLY_SOLO },
	{ "P3", CORE_BUG_P3_NO_SUBSET },          { "P5", CORE_BUG_P5_EARLY_ACK },
	{ "P6", CORE_BUG_P6_REGISTER_FIRST },     { "P10", CORE_BUG_P10_NO_QUIET },
	{ "P12", CORE_BUG_P12_OLD_EPOCH },        { "READ", CORE_BUG_NO_READ_ROUND },
	{ "LOG", CORE_BUG_VOTE_DURABLE_LOG },     { "BOOT", CORE_BUG_ACK_NO_BOOT },
	{ "ROLLBACK", CORE_BUG_NO_ROLLBACK },     { "SOLO", CORE_BUG_SOLO_EARLY_MEMORY },
	{ "VOLATILE", CORE_BUG_VOLATILE_VOTE },   { "ARRIVAL", CORE_BUG_STALE_ARRIVAL },
	{ "EARLY", CORE_BUG_STALE_EARLY },        { "P4", CORE_BUG_P4_FORGETS_REGISTER },
	{ "VOTE", CORE_BUG_VOTE_FORGOTTEN },      { "CUT", CORE_BUG_CUT_UNPROVEN },
	{ "P15", CORE_BUG_P15_CUT_DAMAGED },      { "FLOOR", CORE_BUG_NO_FLOOR },
	{ "FLUSH", CORE_BUG_EARLY_DURABLE },      { "REPLY", CORE_BUG_EARLY_REPLY },
	{ "TWICE", CORE_BUG_APPLY_TWICE },        { "FRAGMENT", CORE_BUG_OLD_FRAGMENT },
	{ "SLOT", CORE_BUG_CHECKPOINT_ONE_SLOT }, { "BEHIND", CORE_BUG_CHECKPOINT_BEHIND },
	{ "TAIL", CORE_BUG_INSTALL_OVER_TAIL },   { "NAMED", CORE_BUG_INSTALL_EARLY },
	{ "CHUNK", CORE_BUG_INSTALL_UNCHECKED },  { "REJOIN", CORE_BUG_REJOIN_VOTES },
	{ "MEND", CORE_BUG_NO_MEND },
}, member_bugs[] = {
	{ "AHEAD", CORE_MEMBER_BUG_AHEAD },
	{ "LEARNER", CORE_MEMBER_BUG_COUNTS },
	{ "CONFIG", CORE_MEMBER_BUG_FORGOTTEN },
	{ "ONE_STEP", CORE_MEMBER_BUG_ONE_STEP },
	{ "COMMIT_ONLY", CORE_MEMBER_BUG_COMMIT_ONLY },
	{ "ELECTION_ONLY", CORE_MEMBER_BUG_ELECTION_ONLY },
	{ "NO_ANSWER", CORE_MEMBER_BUG_NO_ANSWER },
	{ "ANY_BLOCK", CORE_MEMBER_BUG_ANY_BLOCK },
	{ "NAMED_ONLY", CORE_MEMBER_BUG_NAMED_ONLY },
	{ "REGISTER_LATE", CORE_MEMBER_BUG_REGISTER_LATE },
	{ "EMPTY_VOTES", CORE_MEMBER_BUG_EMPTY_VOTES },
	{ "SCRUB_SKIPS", CORE_MEMBER_BUG_SCRUB_SKIPS },
	{ "REBUILD_SKIPS", CORE_MEMBER_BUG_REBUILD_SKIPS },
	{ "SPARE_FORGOTTEN", CORE_MEMBER_BUG_SPARE_FORGOTTEN },
	{ "REFILL_SKIPS", CORE_MEMBER_BUG_REFILL_SKIPS },
	{ "REFILL_UNCHECKED", CORE_MEMBER_BUG_REFILL_UNCHECKED },
	{ "NOTE_LATE", CORE_MEMBER_BUG_NOTE_LATE },
	{ "NOTE_OLD", CORE_MEMBER_BUG_NOTE_OLD },
	{ "ANY_WITNESS", CORE_MEMBER_BUG_ANY_WITNESS },
	{ "ANY_REGISTER", CORE_MEMBER_BUG_ANY_REGISTER },
	{ "FORCE_OLD_GEN", CORE_MEMBER_BUG_FORCE_OLD_GEN },
	{ "FORCE_NOT_DURABLE", CORE_MEMBER_BUG_FORCE_NOT_DURABLE },
	{ "FORCE_COMES_BACK", CORE_MEMBER_BUG_FORCE_COMES_BACK },
	{ "FORCE_ANY_TIME", CORE_MEMBER_BUG_FORCE_ANY_TIME },
	{ "SEEK_AHEAD", CORE_MEMBER_BUG_SEEK_AHEAD },
	{ "SEEK_ANY_CHAIN", CORE_MEMBER_BUG_SEEK_ANY_CHAIN },
	{ "SEEK_NOTHING", CORE_MEMBER_BUG_SEEK_NOTHING },
	{ "LEASE_FROM_ANSWER", CORE_MEMBER_BUG_LEASE_FROM_ANSWER },
	{ "LEASE_FULL", CORE_MEMBER_BUG_LEASE_FULL },
	{ "LEASE_HAND_OVER", CORE_MEMBER_BUG_LEASE_HAND_OVER },
	{ "LEASE_FORGOTTEN", CORE_MEMBER_BUG_LEASE_FORGOTTEN },
}, own_bugs[] = {
	{ "LEAK_FRAMES", RUNTIME_BUG_LEAK_FRAMES },
	{ "LEAK_VERSIONS", RUNTIME_BUG_LEAK_VERSIONS },
	{ "UNPACED", RUNTIME_BUG_UNPACED },
	{ "TURNS", RUNTIME_BUG_TURNS },
	{ "HURT", RUNTIME_BUG_HURT },
	{ "IDLE_FLOOR", RUNTIME_BUG_IDLE_FLOOR },
};

static const char *const topologies[] = {
	[SIM_TOPOLOGY_2W] = "2+w",
	[SIM_TOPOLOGY_3] = "3",
	[SIM_TOPOLOGY_1] = "1",
	[SIM_TOPOLOGY_2W_GUEST] = "2+w+1",
	[SIM_TOPOLOGY_JOINT] = "joint",
	[SIM_TOPOLOGY_WITNESS] = "witness",
	[SIM_TOPOLOGY_EXCHANGE] = "exchange",
	[SIM_TOPOLOGY_FORCE] = "force",
};

static const char *const point_nodes[] = {
	[SIM_POINT_OF_MASTER] = "master",
	[SIM_POINT_OF_REPLICA] = "replica",
	[SIM_POINT_OF_WITNESS] = "witness",
};

static const char *const classes[SIM_CLASSES] = {
#define X(name, text) [SIM_FAULT_##name] = (text),
	SIM_FAULTS(X)
#undef X
#define X(name, text) [SIM_HAZARD_##name] = (text),
	    SIM_HAZARDS(X)
#undef X
#define X(name, text) [SIM_NOISE_##name] = (text),
		SIM_NOISES(X)
#undef X
#define X(name, text) [SIM_AIM_##name] = (text),
		    SIM_AIMS(X)
#undef X
#define X(name, text) [SIM_OWN_##name] = (text),
			SIM_OWNS(X)
#undef X
};

_Static_assert(SIM_CLASSES < 64, "a set of classes is one mask");

void
sim_options_init(struct sim_options *options)
{
	*options = (struct sim_options){
		.limits = { .strength = SIM_STRENGTH_FULL,
			    .operations_max = UINT64_MAX,
			    .faults_us_max = UINT64_MAX,
			    .until_us = UINT64_MAX },
	};
}

const char *
sim_class_name(uint32_t class_)
{
	return classes[class_];
}

bool
sim_limits_skips(const struct sim_limits *limits, uint32_t episode)
{
	return episode / 64 < SIM_SKIP_WORDS &&
	       (limits->skipped[episode / 64] >> episode % 64 & 1) != 0;
}

bool
sim_options_bug(struct sim_options *options, const char *text)
{
	for (size_t i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++) {
		if (strcmp(bugs[i].name, text) == 0) {
			options->bugs |= bugs[i].bug;
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(own_bugs) / sizeof(own_bugs[0]); i++) {
		if (strcmp(own_bugs[i].name, text) == 0) {
			options->own_bugs |= own_bugs[i].bug;
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(member_bugs) / sizeof(member_bugs[0]); i++) {
		if (strcmp(member_bugs[i].name, text) == 0) {
			options->member_bugs |= member_bugs[i].bug;
			return true;
		}
	}
	return false;
}

bool
sim_options_topology(struct sim_options *options, const char *text)
{
	for (uint32_t i = 0; i < sizeof(topologies) / sizeof(topologies[0]); i++) {
		if (strcmp(topologies[i], text) == 0) {
			options->topology = (enum sim_topology)i;
			return true;
		}
	}
	return false;
}

/* The class whose name is the first @bytes of @text, or SIM_CLASSES. */
static uint32_t
class_of(const char *text, size_t bytes)
{
	for (uint32_t i = 0; i < SIM_CLASSES; i++)
		if (strlen(classes[i]) == bytes && strncmp(classes[i], text, bytes) == 0)
			return i;
	return SIM_CLASSES;
}

bool
sim_options_without(struct sim_options *options, const char *text)
{
	while (*text != '\0') {
		const size_t bytes = strcspn(text, ",");
		const uint32_t class_ = class_of(text, bytes);
		if (class_ == SIM_CLASSES)
			return false;
		options->limits.without |= UINT64_C(1) << class_;
		text += bytes + (text[bytes] == ',');
	}
	return true;
}

/* "3,7-9": calls for each number below @end. */
static bool
list_parse(const char *text, uint64_t *words, uint32_t end)
{
	while (*text != '\0') {
		char *rest;
		const unsigned long from = strtoul(text, &rest, 10);
		unsigned long to = from;
		if (rest == text)
			return false;
		if (*rest == '-') {
			text = rest + 1;
			to = strtoul(text, &rest, 10);
		}
		if (rest == text || to < from || to >= end || (*rest != ',' && *rest != '\0'))
			return false;
		for (unsigned long i = from; i <= to; i++)
			words[i / 64] |= UINT64_C(1) << i % 64;
		text = rest + (*rest == ',');
	}
	return true;
}

bool
sim_options_spare(struct sim_options *options, const char *text)
{
	uint64_t ids = 0;

	if (!list_parse(text, &ids, 64))
		return false;
	options->limits.spared |= ids >> 1;
	return true;
}

bool
sim_options_skip(struct sim_options *options, const char *text)
{
	return list_parse(text, options->limits.skipped, SIM_SKIP_WORDS * 64);
}

/* What follows the name of the node that @text begins with; NULL: it is none. */
static const char *
point_node(struct sim_options *options, const char *text)
{
	for (uint32_t i = SIM_POINT_OF_MASTER; i <= SIM_POINT_OF_WITNESS; i++) {
		const size_t bytes = strlen(point_nodes[i]);
		if (strncmp(point_nodes[i], text, bytes) != 0)
			continue;
		options->point_of = (enum sim_point_of)i;
		options->limits.without = (UINT64_C(1) << SIM_CLASSES) - 1;
		return text + bytes;
	}
	return NULL;
}

bool
sim_options_points(struct sim_options *options, const char *text)
{
	const char *rest = point_node(options, text);

	return rest != NULL && *rest == '\0';
}

bool
sim_options_point(struct sim_options *options, const char *text)
{
	const char *rest = point_node(options, text);
	char *end;

	if (rest == NULL || *rest != ':')
		return false;
	options->point = strtoull(rest + 1, &end, 10);
	return options->point != 0 && *end == '\0';
}

static void
list_print(const char *option, const uint64_t *words, uint32_t end, uint32_t shift, FILE *to)
{
	const char *before = option;

	for (uint32_t i = 0; i < end; i++) {
		uint32_t last = i;
		if ((words[i / 64] >> i % 64 & 1) == 0)
			continue;
		while (last + 1 < end && (words[(last + 1) / 64] >> (last + 1) % 64 & 1) != 0)
			last++;
		fprintf(to, "%s%u", before, i + shift);
		if (last != i)
			fprintf(to, "-%u", last + shift);
		before = ",";
		i = last;
	}
}

void
sim_options_print(const struct sim_options *options, uint64_t seed, FILE *to)
{
	const struct sim_limits *limits = &options->limits;
	const char *before = " --without ";

	fprintf(to, "--seed %" PRIu64, seed);
	for (size_t i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++)
		if ((options->bugs & bugs[i].bug) != 0)
			fprintf(to, " --bug %s", bugs[i].name);
	for (size_t i = 0; i < sizeof(own_bugs) / sizeof(own_bugs[0]); i++)
		if ((options->own_bugs & own_bugs[i].bug) != 0)
			fprintf(to, " --bug %s", own_bugs[i].name);
	for (size_t i = 0; i < sizeof(member_bugs) / sizeof(member_bugs[0]); i++)
		if ((options->member_bugs & member_bugs[i].bug) != 0)
			fprintf(to, " --bug %s", member_bugs[i].name);
	if (options->topology != SIM_TOPOLOGY_2W)
		fprintf(to, " --topology %s", topologies[options->topology]);
	if (options->is_beyond)
		fputs(" --beyond", to);
	if (options->has_spares)
		fputs(" --spares", to);
	else if (options->has_columns)
		fputs(" --ec", to);
	if (options->is_lying_disk)
		fputs(" --lying-disk", to);
	if (options->point_of != SIM_POINT_OF_NOBODY)
		fprintf(to, " --crash-point %s:%" PRIu64, point_nodes[options->point_of],
			options->point);
	for (uint32_t i = 0; i < SIM_CLASSES; i++) {
		if (!sim_limits_without(limits, i) || options->point_of != SIM_POINT_OF_NOBODY)
			continue;
		fprintf(to, "%s%s", before, classes[i]);
		before = ",";
	}
	list_print(" --spare ", &limits->spared, 63, 1, to);
	list_print(" --skip ", limits->skipped, SIM_SKIP_WORDS * 64, 0, to);
	if (limits->strength != SIM_STRENGTH_FULL)
		fprintf(to, " --strength %u", limits->strength);
	if (limits->operations_max != UINT64_MAX)
		fprintf(to, " --operations %" PRIu64, limits->operations_max);
	if (limits->faults_us_max != UINT64_MAX)
		fprintf(to, " --faults-us %" PRIu64, limits->faults_us_max);
	if (limits->until_us != UINT64_MAX)
		fprintf(to, " --until-us %" PRIu64, limits->until_us);
	if (limits->salt != 0)
		fprintf(to, " --salt %" PRIu64, limits->salt);
	fputc('\n', to);
}
