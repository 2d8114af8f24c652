/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_net.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/frame.h"
#include "tests/sim/sim.h"

#define FRAMES_MAX       4096u
#define FRAME_BYTES_MAX  8448u
#define MGMT_FRAME_BYTES 1472u
#define KIND_AT          5u  /* of struct frame_hdr_le */
#define OLD_FRAMES       64u /* kept, to be sent again some day */
#define OLD_KEEP_PPM     30000u
#define BURST_BEGIN_PPM  30000u /* in an episode of bursts, frame by frame */
#define BURST_END_PPM    60000u
#define STORM_MESSAGES   4000u /* from one node in STORM_NS: answers that breed answers */
#define STORM_NS         1000000u

enum frame_state { FRAME_FREE = 0, FRAME_LENT_TX, FRAME_FLYING, FRAME_WAITING, FRAME_LENT_RX };

struct frame {
	enum frame_state state;
	uint32_t length;
	uint8_t path, from, to; /* node indexes */
	bool is_late;           /* past every cut */
	enum sim_stranger_kind stranger;
	const struct sim_port *holder; /* LENT_*, WAITING */
};

struct old_frame { /* a copy, of a run of its sender that may be over */
	struct frame frame;
	uint32_t incarnation;
	uint8_t bytes[FRAME_BYTES_MAX];
};

struct sim_net {
	struct frame frames[FRAMES_MAX];
	uint32_t free[FRAMES_MAX], free_count;
	uint64_t last_at_ns[SIM_PATHS][SIM_NODES_MAX][SIM_NODES_MAX];
	uint64_t storm_ns[SIM_NODES_MAX], storm_count[SIM_NODES_MAX];
	int32_t cuts[SIM_PATHS][SIM_NODES_MAX][SIM_NODES_MAX];
	int32_t bursts[SIM_NODES_MAX][SIM_NODES_MAX];
	bool is_in_burst[SIM_PATHS][SIM_NODES_MAX][SIM_NODES_MAX];
	struct old_frame old[OLD_FRAMES];
	uint8_t *bytes;
};

void
sim_net_create(struct sim *sim)
{
	sim->net = sim_take(sizeof(*sim->net));
	sim->net->bytes = sim_take((uint64_t)FRAMES_MAX * FRAME_BYTES_MAX);
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		sim->net->free[i] = FRAMES_MAX - 1 - i;
	sim->net->free_count = FRAMES_MAX;
}

void
sim_net_cut(struct sim *sim, uint32_t path, uint32_t from, uint32_t to, int delta)
{
	sim->net->cuts[path][from][to] += delta;
}

void
sim_net_burst(struct sim *sim, uint32_t a, uint32_t b, int delta)
{
	sim->net->bursts[a][b] += delta;
	sim->net->bursts[b][a] += delta;
}

bool
sim_net_is_cut(const struct sim *sim, uint32_t path, uint32_t from, uint32_t to)
{
	return sim->net->cuts[path][from][to] != 0;
}

bool
sim_net_is_linked(const struct sim *sim, uint32_t a, uint32_t b)
{
	for (uint32_t path = 0; path < SIM_PATHS; path++)
		if (sim_net_is_cut(sim, path, a, b) || sim_net_is_cut(sim, path, b, a))
			return false;
	return true;
}

static uint8_t *
frame_bytes(const struct sim_net *net, uint32_t frame)
{
	return net->bytes + (uint64_t)frame * FRAME_BYTES_MAX;
}

static void
frame_free(struct sim_net *net, uint32_t frame)
{
	net->frames[frame].state = FRAME_FREE;
	net->free[net->free_count++] = frame;
}

static bool
is_reachable(const struct sim_port *port, uint16_t node)
{
	if (node == 0 || node > port->node->sim->node_count || node == port->node->id)
		return false;
	return port->path == 1 ||
	       (node - 1u < port->node->sim->data_count && sim_node_is_data(port->node));
}

static uint32_t
net_frame_bytes_max(void *net, uint16_t node)
{
	const struct sim_port *port = net;

	if (!is_reachable(port, node))
		return 0;
	if (port->path == 1)
		return MGMT_FRAME_BYTES;
	return FRAME_HDR_BYTES + FRAGMENT_HDR_BYTES +
	       port->node->sim->swarm.units_per_frame * FRAGMENT_UNIT_BYTES;
}

static uint32_t
net_tx_alloc(void *self, uint16_t node, struct net_frame *frames, uint32_t count)
{
	struct sim_port *port = self;
	struct sim_net *net = port->node->sim->net;
	uint32_t had = 0;

	if (!port->is_up || !is_reachable(port, node))
		return 0;
	for (; had < count && net->free_count != 0; had++) {
		const uint32_t at = net->free[--net->free_count];
		net->frames[at] = (struct frame){ .state = FRAME_LENT_TX, .holder = port };
		frames[had] = (struct net_frame){
			.bytes = frame_bytes(net, at),
			.capacity = net_frame_bytes_max(port, node),
			.node = node,
			.opaque = (void *)(uintptr_t)(at + 1),
		};
	}
	port->stats.tx_no_buffer += count - had;
	return had;
}

/* Puts one copy on its way. */
static void
frame_fly(struct sim *sim, uint32_t at)
{
	struct sim_net *net = sim->net;
	struct frame *frame = &net->frames[at];
	const struct sim_link *link = &sim->swarm.links[frame->path];
	uint64_t *last = &net->last_at_ns[frame->path][frame->from][frame->to];
	const bool is_good = sim->faults.is_healed;
	uint64_t arrives = sim->now_ns + link->latency_ns + prng_below(&sim->prng, link->jitter_ns);

	if (!is_good && sim_chance(sim, link->reorder_ppm))
		arrives += prng_below(&sim->prng, link->reorder_ns);
	else if (link->reorder_ppm == 0)
		arrives = max_u64(arrives, *last + 1); /* this seed's wires keep the order */
	if (arrives < *last)
		sim_count(sim, SIM_COUNT_frames_reordered);
	*last = max_u64(*last, arrives);
	frame->state = FRAME_FLYING;
	frame->holder = NULL;
	sim_push(sim, arrives, SIM_EVENT_FRAME, frame->to, at);
}

/* A few messages a turn are right; answers that breed answers are not. */
static void
check_storm(struct sim *sim, uint32_t at)
{
	struct sim_net *net = sim->net;
	const uint32_t from = net->frames[at].from;

	if (net->frames[at].length <= KIND_AT || frame_bytes(net, at)[KIND_AT] != FRAME_MESSAGE)
		return;
	if (sim->now_ns >= net->storm_ns[from] + STORM_NS) {
		net->storm_ns[from] = sim->now_ns;
		net->storm_count[from] = 0;
	}
	if (++net->storm_count[from] > STORM_MESSAGES)
		sim_fail(sim, "storm", "node %u sent %u messages within %u us", from + 1,
			 STORM_MESSAGES, STORM_NS / SIM_US);
}

static bool
is_lost_in_burst(struct sim *sim, const struct frame *frame)
{
	struct sim_net *net = sim->net;
	bool *is_in_burst = &net->is_in_burst[frame->path][frame->from][frame->to];

	if (net->bursts[frame->from][frame->to] == 0)
		return false;
	if (sim_chance(sim, *is_in_burst ? BURST_END_PPM : BURST_BEGIN_PPM))
		*is_in_burst = !*is_in_burst;
	return *is_in_burst;
}

/* What the frame's CRC does not see: bytes of a block, or a request that was wrong before it was
 * sealed. Messages have nothing else that guards them: a node that lies is outside the model. */
static void
corrupt_inside(struct sim *sim, uint32_t at)
{
	uint8_t *bytes = frame_bytes(sim->net, at);
	const uint32_t length = sim->net->frames[at].length;
	const bool is_block = bytes[KIND_AT] == FRAME_BLOCK;
	const uint32_t from = FRAME_HDR_BYTES + (is_block ? FRAGMENT_HDR_BYTES : 0);
	struct frame_hdr hdr;

	if (bytes[KIND_AT] == FRAME_MESSAGE || bytes[KIND_AT] == FRAME_GENERATION || length <= from)
		return;
	if (!is_block && frame_open(bytes, length, &hdr) != TERN_OK)
		return;
	bytes[from + prng_below(&sim->prng, length - from)] ^=
	    (uint8_t)prng_between(&sim->prng, 1, 255);
	if (!is_block)
		frame_seal(bytes, &hdr, hdr.body_bytes);
	sim_count(sim, SIM_COUNT_frames_corrupted_inside);
}

/* Now and then a frame is kept, and one that was kept is sent once more, however old it is. */
static void
replay(struct sim *sim, uint32_t at)
{
	struct sim_net *net = sim->net;
	struct old_frame *old = &net->old[prng_below(&sim->prng, OLD_FRAMES)];
	const struct sim_link *link = &sim->swarm.links[net->frames[at].path];

	if (sim_chance(sim, OLD_KEEP_PPM)) {
		old->frame = net->frames[at];
		old->incarnation = sim->nodes[net->frames[at].from].incarnation;
		memcpy(old->bytes, frame_bytes(net, at), old->frame.length);
	}
	if (!sim_chance(sim, link->replay_ppm) || net->free_count == 0 || old->frame.length == 0 ||
	    sim_net_is_cut(sim, old->frame.path, old->frame.from, old->frame.to))
		return;
	const uint32_t copy = net->free[--net->free_count];
	net->frames[copy] = old->frame;
	memcpy(frame_bytes(net, copy), old->bytes, old->frame.length);
	sim_count(sim, SIM_COUNT_frames_replayed);
	if (old->incarnation != sim->nodes[old->frame.from].incarnation)
		sim_count(sim, SIM_COUNT_frames_of_old_runs);
	frame_fly(sim, copy);
}

static void
frame_send(struct sim *sim, uint32_t at)
{
	struct sim_net *net = sim->net;
	struct frame *frame = &net->frames[at];
	const struct sim_link *link = &sim->swarm.links[frame->path];
	const bool is_good = sim->faults.is_healed;

	sim_count(sim, SIM_COUNT_frames_sent);
	check_storm(sim, at);
	sim_lease_sent(&sim->nodes[frame->from], frame_bytes(net, at), frame->length);
	sim_promise_sent(&sim->nodes[frame->from], frame_bytes(net, at), frame->length);
	sim_votes_sent(sim, frame->from, frame->to, frame_bytes(net, at), frame->length);
	sim_witness_sent(sim, frame->path, frame->from, frame->to, frame_bytes(net, at),
			 frame->length);
	if (sim_net_is_cut(sim, frame->path, frame->from, frame->to)) {
		sim_count(sim, SIM_COUNT_frames_cut);
		sim_aim_cut(sim, frame->path, frame->from, frame->to, frame_bytes(net, at),
			    frame->length);
		frame_free(net, at);
		return;
	}
	if (!is_good && sim_chance(sim, link->loss_ppm)) {
		sim_count(sim, SIM_COUNT_frames_lost);
		frame_free(net, at);
		return;
	}
	if (!is_good && is_lost_in_burst(sim, frame)) {
		sim_count(sim, SIM_COUNT_frames_lost_in_bursts);
		frame_free(net, at);
		return;
	}
	if (!is_good && link->replay_ppm != 0)
		replay(sim, at);
	if (!is_good && sim_chance(sim, link->corrupt_before_ppm))
		corrupt_inside(sim, at);
	sim_stranger_sent(sim, frame->path, frame->from, frame->to, frame_bytes(net, at),
			  frame->length);
	if (sim_node_is_data(&sim->nodes[frame->to]))
		sim_refill_bend(&sim->nodes[frame->to], frame_bytes(net, at), frame->length);
	if (!is_good && sim_chance(sim, link->duplicate_ppm) && net->free_count != 0) {
		const uint32_t copy = net->free[--net->free_count];
		net->frames[copy] = *frame;
		memcpy(frame_bytes(net, copy), frame_bytes(net, at), frame->length);
		sim_count(sim, SIM_COUNT_frames_duplicated);
		frame_fly(sim, copy);
	}
	if (!is_good && sim_chance(sim, link->corrupt_ppm)) {
		frame_bytes(net, at)[prng_below(&sim->prng, frame->length)] ^=
		    (uint8_t)prng_between(&sim->prng, 1, 255);
		sim_count(sim, SIM_COUNT_frames_corrupted);
	}
	frame_fly(sim, at);
}

void
sim_net_late(struct sim *sim, const struct sim_late *late, uint8_t to)
{
	struct sim_net *net = sim->net;

	if (net->free_count == 0)
		return;
	const uint32_t at = net->free[--net->free_count];
	net->frames[at] = (struct frame){
		.state = FRAME_FLYING,
		.length = late->length,
		.path = late->path,
		.from = late->from,
		.to = to,
		.is_late = true,
	};
	memcpy(frame_bytes(net, at), late->bytes, late->length);
	sim_push(sim, sim->now_ns, SIM_EVENT_FRAME, to, at);
}

bool
sim_net_inject(struct sim *sim, const struct sim_stranger_frame *frame, uint64_t at_ns)
{
	struct sim_net *net = sim->net;

	if (net->free_count < FRAMES_MAX / 4)
		return false;
	const uint32_t at = net->free[--net->free_count];
	net->frames[at] = (struct frame){
		.state = FRAME_FLYING,
		.length = frame->length,
		.path = frame->path,
		.from = frame->from,
		.to = frame->to,
		.stranger = frame->kind,
	};
	memcpy(frame_bytes(net, at), frame->bytes, frame->length);
	sim_push(sim, at_ns, SIM_EVENT_FRAME, frame->to, at);
	return true;
}

static uint32_t
net_tx_burst(void *self, struct net_frame *frames, uint32_t count)
{
	struct sim_port *port = self;
	struct sim *sim = port->node->sim;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t at = (uint32_t)(uintptr_t)frames[i].opaque - 1;
		struct frame *frame = &sim->net->frames[at];
		if (frame->state != FRAME_LENT_TX || frame->holder != port)
			sim_fail(sim, "net", "node %u sends a buffer that is not its own",
				 port->node->id);
		if (frames[i].length > frames[i].capacity)
			sim_fail(sim, "net", "node %u sends %u bytes in a buffer of %u",
				 port->node->id, frames[i].length, frames[i].capacity);
		if (frames[i].length == 0 || sim_point_is_dying(port->node)) { /* given up */
			frame_free(sim->net, at);
			continue;
		}
		frame->length = frames[i].length;
		frame->path = (uint8_t)port->path;
		frame->from = (uint8_t)port->node->index;
		frame->to = (uint8_t)(frames[i].node - 1);
		port->stats.nodes[frames[i].node].tx_frames++;
		port->stats.nodes[frames[i].node].tx_bytes += frames[i].length;
		frame_send(sim, at);
	}
	return count;
}

void
sim_net_deliver(struct sim *sim, uint64_t at)
{
	struct frame *frame = &sim->net->frames[at];
	struct sim_node *node = &sim->nodes[frame->to];
	struct sim_port *port = &node->ports[frame->path];

	if (node->life == SIM_NODE_DOWN || !port->is_up || port->rx_count == SIM_RX_MAX ||
	    node->deaf_until_ns > sim->now_ns ||
	    (!frame->is_late && sim_net_is_cut(sim, frame->path, frame->from, frame->to))) {
		if (port->rx_count == SIM_RX_MAX)
			sim_count(sim, SIM_COUNT_frames_rx_overflow);
		port->stats.drops.rx_not_ours++;
		frame_free(sim->net, (uint32_t)at);
		return;
	}
	frame->state = FRAME_WAITING;
	frame->holder = port;
	port->rx[(port->rx_head + port->rx_count++) % SIM_RX_MAX] = (uint32_t)at;
	sim_node_wake(node, sim->now_ns);
}

static uint32_t
net_rx_burst(void *self, struct net_frame *frames, uint32_t max)
{
	struct sim_port *port = self;
	struct sim_net *net = port->node->sim->net;
	uint32_t count = 0;

	for (; count < max && port->rx_count != 0; count++) {
		const uint32_t at = port->rx[port->rx_head];
		struct frame *frame = &net->frames[at];
		port->rx_head = (port->rx_head + 1) % SIM_RX_MAX;
		port->rx_count--;
		frame->state = FRAME_LENT_RX;
		sim_stranger_taken(port->node, frame->stranger);
		frames[count] = (struct net_frame){
			.bytes = frame_bytes(net, at),
			.length = frame->length,
			.capacity = FRAME_BYTES_MAX,
			.node = (uint16_t)(frame->from + 1),
			.opaque = (void *)(uintptr_t)(at + 1),
		};
		port->stats.nodes[frame->from + 1].rx_frames++;
		port->stats.nodes[frame->from + 1].rx_bytes += frame->length;
	}
	return count;
}

static void
net_rx_release(void *self, struct net_frame *frames, uint32_t count)
{
	struct sim_port *port = self;
	struct sim *sim = port->node->sim;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t at = (uint32_t)(uintptr_t)frames[i].opaque - 1;
		struct frame *frame = &sim->net->frames[at];
		if (frame->state != FRAME_LENT_RX || frame->holder != port)
			sim_fail(sim, "net", "node %u gives a buffer back that it does not hold",
				 port->node->id);
		frame_free(sim->net, at);
	}
}

uint32_t
sim_net_lent(const struct sim_port *port, bool is_tx)
{
	const struct sim_net *net = port->node->sim->net;
	uint32_t count = 0;

	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		count += net->frames[i].holder == port &&
			 net->frames[i].state == (is_tx ? FRAME_LENT_TX : FRAME_LENT_RX);
	return count;
}

void
sim_net_crash(struct sim_port *port)
{
	struct sim_net *net = port->node->sim->net;

	for (uint32_t i = 0; i < FRAMES_MAX; i++) {
		const struct frame *frame = &net->frames[i];
		if (frame->holder == port && frame->state != FRAME_FREE &&
		    frame->state != FRAME_FLYING)
			frame_free(net, i);
	}
	port->rx_count = 0;
	port->rx_head = 0;
}

static bool
net_is_up(void *net, uint16_t node)
{
	const struct sim_port *port = net;

	return port->is_up && is_reachable(port, node);
}

static int
net_wait_fd(void *net)
{
	(void)net;
	return -1;
}

static void
net_stats(void *net, struct net_stats *stats)
{
	const struct sim_port *port = net;

	*stats = port->stats;
}

static const char *
net_driver(void *net)
{
	(void)net;
	return "simulated";
}

const struct net_ops sim_net_ops = {
	.rx_burst = net_rx_burst,
	.rx_release = net_rx_release,
	.tx_alloc = net_tx_alloc,
	.tx_burst = net_tx_burst,
	.frame_bytes_max = net_frame_bytes_max,
	.is_up = net_is_up,
	.wait_fd = net_wait_fd,
	.stats = net_stats,
	.driver = net_driver,
};
