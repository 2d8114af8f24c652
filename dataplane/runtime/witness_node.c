/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/witness_node.h"

#include <string.h>

#include "dataplane/base/invariant.h"

enum tern_err
witness_node_init(struct witness_node *node, const struct witness_node_config *config,
		  void *core_memory)
{
	const struct witness_register *reg = &config->reg;
	const struct core_config core = {
		.node_id = reg->witness_id,
		.is_witness = true,
		.data_nodes = config->data_nodes,
		.known_nodes = config->known_nodes,
		.witness_id = reg->witness_id,
		.witness_gen = reg->witness_gen,
		.timers = config->timers,
		.prng_seed = config->prng_seed,
		.bugs = config->core_bugs,
		.member_bugs = config->member_bugs,
		.now_ns = config->clock.ops->monotonic_ns(config->clock.clock),
		.boot_no = reg->boot_no,
		.is_first_boot = config->is_first_boot,
		.term = reg->term,
		.voted_for = reg->voted_for,
		.reg = *reg,
		.is_amnesiac = config->is_amnesiac,
		.generation = reg->generation,
		.is_superseded = reg->duty == WITNESS_SUPERSEDED,
	};

	memset(node, 0, sizeof(*node));
	node->clock = config->clock;
	node->store = config->store;
	node->status = config->status;
	node->link = (struct link){
		.cluster_id = reg->cluster_id,
		.generation = reg->generation,
		.is_superseded = reg->duty == WITNESS_SUPERSEDED,
		.takes_any_generation = (config->member_bugs & CORE_MEMBER_BUG_FORCE_OLD_GEN) != 0,
		.boot_no = reg->boot_no,
		.node_id = reg->witness_id,
		.shard = reg->shard,
		.peers = config->data_nodes | config->known_nodes,
		.mgmt = config->mgmt_net,
	};
	return core_init(core_memory, &core, &node->core);
}

static void
step(struct witness_node *node, const struct core_event *event)
{
	if (core_step(node->core, event, &node->effects) != TERN_OK)
		node->link.drops.core_refused++;
	for (uint32_t i = 0; i < node->effects.count; i++) {
		const struct core_effect *effect = &node->effects.list[i];

		if (effect->kind == CORE_EFFECT_SEND) {
			link_send(&node->link, effect->node, CORE_PATH_MGMT, effect->msg.term,
				  &effect->msg);
		} else if (effect->kind == CORE_EFFECT_PERSIST_REGISTER) {
			if (node->store.ops->store(node->store.store, &effect->reg,
						   effect->op_id) != TERN_OK)
				node->is_storage_failed = true;
		} else if (effect->kind == CORE_EFFECT_ALARM) {
			node->alarms[(uint32_t)effect->alarm % 8]++;
		} else {
			INVARIANT(effect->kind == CORE_EFFECT_ROLE);
		}
	}
}

static bool
poll_store(struct witness_node *node, uint64_t now_ns)
{
	uint64_t op_ids[8];
	const uint32_t count = node->store.ops->poll(node->store.store, op_ids, 8);

	for (uint32_t i = 0; i < count; i++) {
		const struct core_event event = { .kind = CORE_EVENT_META_DURABLE,
						  .now_ns = now_ns,
						  .op_id = op_ids[i] };
		step(node, &event);
	}
	return count != 0;
}

static void
on_frame(struct witness_node *node, const struct net_frame *frame, uint64_t now_ns)
{
	struct frame_hdr hdr;

	if (!link_accept(&node->link, frame, &hdr))
		return;
	struct msg msg = { .sender = hdr.sender, .boot_no = hdr.boot_no, .term = hdr.term };
	if (hdr.kind != FRAME_MESSAGE ||
	    msg_decode(frame->bytes + FRAME_HDR_BYTES, hdr.body_bytes, &msg) != TERN_OK) {
		node->link.drops.malformed++;
		return;
	}
	const struct core_event event = {
		.kind = CORE_EVENT_MESSAGE, .now_ns = now_ns, .msg = &msg, .path = CORE_PATH_MGMT
	};
	step(node, &event);
}

/* P13: the cluster goes on in a later generation. */
static void
meet_generation(struct witness_node *node, uint64_t now_ns)
{
	const struct core_event event = { .kind = CORE_EVENT_SUPERSEDED, .now_ns = now_ns };

	link_tell_strangers(&node->link, core_view(node->core)->term, now_ns);
	if (node->link.later.number == 0 || node->link.is_superseded)
		return;
	node->link.is_superseded = true;
	step(node, &event);
}

/* By which one it does not remember after a start. */
static struct generation
superseded_by(const struct witness_node *node)
{
	const struct generation *own = &node->link.generation;

	if (!node->link.is_superseded || node->link.later.number != 0)
		return node->link.later;
	return (struct generation){ own->number + 1, 0 };
}

static void
publish(struct witness_node *node)
{
	const struct core_view *view = core_view(node->core);
	const struct net_port *mgmt = &node->link.mgmt;
	struct node_status status = {
		.cluster_id = node->link.cluster_id,
		.generation = node->link.generation,
		.superseded_by = superseded_by(node),
		.boot_no = node->link.boot_no,
		.node_id = node->link.node_id,
		.witness_gen = view->members.witness_gen,
		.master_id = view->master_id,
		.role = (uint8_t)view->role,
		.mode = (uint8_t)view->mode,
		.is_storage_failed = node->is_storage_failed,
		.term = view->term,
		.rset = view->rset,
		.epoch = view->epoch,
		.farewells = view->farewells,
		.last_index = view->last_index,
		.last_chain = view->last_chain,
		.drops = node->link.drops,
		.effective_elect_min_ns = view->elect_min_ns,
		.effective_elect_max_ns = view->elect_max_ns,
		.effective_hear_ns = view->hear_ns,
		.view_until_ns = view->view_until_ns,
	};

	if (node->status == NULL)
		return;
	memcpy(status.alarms, node->alarms, sizeof(status.alarms));
	mgmt->ops->stats(mgmt->net, &status.mgmt_net);
	strncpy(status.mgmt_driver, mgmt->ops->driver(mgmt->net), sizeof(status.mgmt_driver) - 1);
	status_publish(node->status, &status);
}

bool
witness_node_turn(struct witness_node *node)
{
	const uint64_t now_ns = node->clock.ops->monotonic_ns(node->clock.clock);
	const struct net_port *mgmt = &node->link.mgmt;
	struct net_frame frames[NET_BURST_MAX];
	bool has_any = poll_store(node, now_ns);
	const uint32_t count = mgmt->ops->rx_burst(mgmt->net, frames, NET_BURST_MAX);

	for (uint32_t i = 0; i < count; i++) {
		on_frame(node, &frames[i], now_ns);
		has_any |= poll_store(node, now_ns);
	}
	if (count != 0)
		mgmt->ops->rx_release(mgmt->net, frames, count);
	meet_generation(node, now_ns);
	if (now_ns >= core_deadline_ns(node->core)) {
		const struct core_event tick = { .kind = CORE_EVENT_TICK, .now_ns = now_ns };
		step(node, &tick);
		has_any = true;
	}
	publish(node);
	/* Its owner waits for frames on a descriptor: only a full burst may have left some. */
	return has_any || count == NET_BURST_MAX;
}

uint64_t
witness_node_deadline_ns(const struct witness_node *node)
{
	return core_deadline_ns(node->core);
}
