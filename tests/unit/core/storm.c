/* SPDX-License-Identifier: Apache-2.0 */
/* Random faults on a cluster under load, then healing. */
#include "tests/unit/core/checker.h"

static uint16_t
some_node(struct cluster *cluster)
{
	return (uint16_t)prng_between(&cluster->prng, NODE_A, NODE_W);
}

static uint16_t
some_data_node(struct cluster *cluster)
{
	return (uint16_t)prng_between(&cluster->prng, NODE_A, NODE_B);
}

static void
isolate(struct cluster *cluster, uint16_t node)
{
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		if (i != node)
			cluster_cut(cluster, i, node, true);
}

static void
cut_some(struct cluster *cluster)
{
	const uint16_t x = some_node(cluster);
	const uint16_t y = (uint16_t)(x % NODE_W + 1);

	switch (prng_below(&cluster->prng, 4)) {
	case 0: /* one way, all paths */
		for (uint32_t path = 0; path < PATHS; path++)
			cluster->cut[x][y][path] = true;
		break;
	case 1: /* the data path between the data nodes */
		cluster->cut[NODE_A][NODE_B][0] = cluster->cut[NODE_B][NODE_A][0] = true;
		break;
	case 2:
		cluster_cut(cluster, NODE_A, NODE_B, true);
		return;
	default:
		cluster_cut(cluster, x, y, true);
		return;
	}
	cluster->cuts++;
}

static void
start_all(struct cluster *cluster)
{
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_start(cluster, i);
}

static void
transfer_some(struct cluster *cluster)
{
	for (uint16_t i = NODE_A; i <= NODE_B; i++) {
		struct core_event event = { .kind = CORE_EVENT_TRANSFER,
					    .node = (uint16_t)(NODE_A + NODE_B - i) };

		if (cluster->nodes[i].is_up &&
		    cluster->nodes[i].paused_until_ns <= cluster->now_ns &&
		    cluster_event(cluster, i, &event) == TERN_OK)
			cluster->transfers++;
	}
}

static void
unhang_all(struct cluster *cluster)
{
	for (uint16_t i = NODE_A; i <= NODE_W; i++) {
		if (cluster->nodes[i].is_hung)
			cluster_hang(cluster, i, false);
		cluster->nodes[i].slow_factor = 1;
	}
}

/* A machine on its way out: its device crawls, the link to the other data node goes, then power. */
static void
brown_out(struct cluster *cluster)
{
	const uint16_t node = some_data_node(cluster);

	cluster->nodes[node].slow_factor = prng_between(&cluster->prng, 20, 200);
	cluster_cut(cluster, NODE_A, NODE_B, true);
	cluster_run(cluster, prng_between(&cluster->prng, 20 * MS, 180 * MS));
	cluster_crash(cluster, node);
}

static void
act(struct cluster *cluster)
{
	const uint16_t node = some_node(cluster);

	switch (prng_below(&cluster->prng, 17)) {
	case 0:
	case 1:
		cut_some(cluster);
		break;
	case 2:
		isolate(cluster, node);
		break;
	case 3:
	case 4:
	case 5:
		cluster_heal(cluster);
		break;
	case 6:
		cluster_crash(cluster, some_data_node(cluster));
		break;
	case 7:
		cluster_crash(cluster, node);
		break;
	case 8:
		for (uint16_t i = NODE_A; i <= NODE_W; i++)
			cluster_crash(cluster, i); /* the power of all */
		break;
	case 9:
	case 10:
	case 11:
		start_all(cluster);
		break;
	case 12:
		cluster_pause(cluster, node, prng_between(&cluster->prng, 10 * MS, 250 * MS));
		if (prng_below(&cluster->prng, 2) == 0)
			isolate(cluster, node); /* it wakes up and hears nobody */
		break;
	case 13:
		if (prng_below(&cluster->prng, 2) == 0)
			cluster_hang(cluster, node, true);
		else
			cluster->nodes[node].slow_factor = prng_between(&cluster->prng, 5, 40);
		break;
	case 14:
		unhang_all(cluster);
		break;
	case 15:
		brown_out(cluster);
		break;
	default:
		transfer_some(cluster);
		break;
	}
}

static void
calm(struct cluster *cluster)
{
	cluster_heal(cluster);
	cluster->loss_permille = cluster->duplicate_permille = 0;
	unhang_all(cluster);
	cluster->stream_window = 64;
}

/* I10: whatever was interrupted, one of the two data nodes and the witness can go on alone. */
static void
check_somebody_electable(struct cluster *cluster)
{
	for (uint16_t i = NODE_A; i <= NODE_W; i++)
		cluster_crash(cluster, i);
	calm(cluster);
	cluster_start(cluster, NODE_W);
	for (uint16_t i = NODE_A; i <= NODE_B; i++) {
		cluster_start(cluster, i);
		if (cluster_until(cluster, i, CORE_MODE_SOLO, 1000 * MS))
			return;
		cluster_crash(cluster, i);
	}
	cluster_breach(cluster, "I10: nobody is electable", 0, 0);
}

void
cluster_storm(struct cluster *cluster, uint64_t span_ns)
{
	const uint64_t until_ns = cluster->now_ns + span_ns;
	uint64_t committed;

	cluster->loss_permille = (uint32_t)prng_below(&cluster->prng, 30);
	cluster->duplicate_permille = (uint32_t)prng_below(&cluster->prng, 30);
	cluster->stream_window = prng_between(&cluster->prng, 1, 8);
	cluster_commands(cluster, prng_between(&cluster->prng, 1 * MS, 6 * MS));
	cluster_run(cluster, 200 * MS);
	while (cluster->now_ns < until_ns && cluster->breach[0] == 0) {
		act(cluster);
		for (uint64_t i = prng_between(&cluster->prng, 1, 6); i > 0; i--) {
			cluster_run(cluster, prng_between(&cluster->prng, 1 * MS, 25 * MS));
			cluster_offer_read(cluster, some_data_node(cluster));
		}
		check_logs(cluster);
	}
	if (cluster->breach[0] == 0 && prng_below(&cluster->prng, 2) == 0)
		check_somebody_electable(cluster);
	/* Whatever happened, a healed cluster goes on by itself. */
	calm(cluster);
	start_all(cluster);
	cluster_run(cluster, 1200 * MS);
	committed = cluster->commands_committed;
	cluster_run(cluster, 300 * MS);
	if (cluster->commands_committed == committed)
		cluster_breach(cluster, "I10: no progress after healing", committed, 0);
	cluster->command_period_ns = 0;
	cluster_run(cluster, 300 * MS);
	check_logs(cluster);
	if (cluster->breach[0] == 0)
		check_converged(cluster);
}
