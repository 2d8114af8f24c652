/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the master: everybody is asked, and who says of itself that it serves is believed, unless
 * another says so of a higher term. */
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/client/engine.h"

#define PROBE_MIN_NS   10000000ull
#define PROBE_MAX_NS   200000000ull
#define TERM_FORGET_NS 3000000000ull /* a master of a higher term that was silent for so long */

void
engine_emit(struct engine *engine, uint32_t node, struct native_writer *writer,
	    enum native_kind kind)
{
	const struct native_hdr hdr = {
		.kind = kind,
		.cluster_id = engine->cluster_id,
		.token = engine->token,
	};

	INVARIANT(node < engine->node_count);
	const uint32_t bytes = native_seal(writer, &hdr);
	engine->stats.frames_sent++;
	engine->send(engine->context, &engine->nodes[node], writer->frame, bytes);
}

void
engine_probe(struct engine *engine, uint64_t now_ns)
{
	struct native_writer writer;

	for (uint32_t i = 0; i < engine->node_count; i++) {
		native_begin(&writer, engine->frame, sizeof(engine->frame));
		engine_emit(engine, i, &writer, NATIVE_WHO_IS_MASTER);
	}
	engine->probe_gap_ns =
	    min_u64(max_u64(engine->probe_gap_ns * 2, PROBE_MIN_NS), PROBE_MAX_NS);
	engine->probe_ns =
	    now_ns + engine->probe_gap_ns / 2 + prng_below(&engine->prng, engine->probe_gap_ns);
}

void
engine_lose_master(struct engine *engine, uint64_t now_ns)
{
	if (engine->master == ENGINE_NONE)
		return;
	engine->master = ENGINE_NONE;
	engine->probe_gap_ns = 0;
	/* Soon, but not at once each time: a node may claim and refuse in turns. */
	engine->probe_ns = now_ns + PROBE_MIN_NS / 4;
	engine->due_ns = 0;
}

static void
learn_nodes(struct engine *engine, const uint8_t *frame, const struct native_hdr *hdr)
{
	struct native_cursor cursor = native_items(frame, hdr);
	struct native_node node;

	while (native_next_node(&cursor, &node)) {
		uint32_t i = 0;
		while (i < engine->node_count &&
		       (!inet_addr_equal(&engine->nodes[i].ip, &node.ip) ||
			engine->nodes[i].port != node.port))
			i++;
		if (i == ENGINE_NODES_MAX || inet_addr_is_none(&node.ip) || node.port == 0)
			continue;
		if (i == engine->node_count)
			engine->nodes[engine->node_count++] =
			    (struct engine_node){ .ip = node.ip, .port = node.port };
		engine->nodes[i].node_id = node.node_id;
	}
}

static void
follow(struct engine *engine, uint32_t node, uint64_t term, uint64_t now_ns)
{
	engine->stats.masters++;
	engine->master = node;
	engine->master_term = term;
	engine->probe_gap_ns = 0;
	engine->open_send_ns = 0;
	engine->open_backoff = 0;
	engine->reader = ENGINE_NONE;
	engine->due_ns = 0;
	/* Whatever the last one was told, this one may not know. */
	for (uint32_t i = 0; i < ENGINE_CALLS; i++) {
		struct call *call = &engine->calls[i];
		if (call->state != CALL_OPEN || call->is_local)
			continue;
		call->send_ns = now_ns;
		call->backoff = 0;
	}
}

void
engine_heard_master(struct engine *engine, uint32_t node, const uint8_t *frame,
		    const struct native_hdr *hdr, uint64_t now_ns)
{
	if (hdr->kind == NATIVE_MASTER)
		learn_nodes(engine, frame, hdr);
	if (hdr->master == 0 || hdr->master != hdr->node) {
		if (node == engine->master)
			engine_lose_master(engine, now_ns);
		return;
	}
	if (node == engine->master && hdr->term >= engine->master_term) {
		engine->master_term = hdr->term;
		engine->heard_ns = now_ns;
		return;
	}
	if (hdr->term > engine->master_term ||
	    (engine->master == ENGINE_NONE && hdr->term == engine->master_term) ||
	    now_ns - engine->heard_ns > TERM_FORGET_NS) {
		engine->heard_ns = now_ns;
		follow(engine, node, hdr->term, now_ns);
	}
}
