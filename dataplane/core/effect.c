/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/effect.h"

#include <string.h>

/* Effects that the end of a step may still need: COMMIT, ROLE, and a margin. */
#define CORE_EFFECTS_RESERVED 8u

bool
core_has_room(const struct core *core, uint32_t effects)
{
	return core->out->count + effects + CORE_EFFECTS_RESERVED <= CORE_EFFECTS_MAX;
}

struct core_effect *
core_emit(struct core *core, enum core_effect_kind kind)
{
	struct core_effect *effect;

	INVARIANT(core->out != NULL);
	INVARIANT(core->out->count < CORE_EFFECTS_MAX);
	effect = &core->out->list[core->out->count++];
	memset(effect, 0, sizeof(*effect));
	effect->kind = kind;
	return effect;
}

struct msg *
core_send_early(struct core *core, const struct core_peer *peer, enum msg_kind kind)
{
	struct core_effect *effect = core_emit(core, CORE_EFFECT_SEND);
	const bool is_mgmt_only = peer->is_witness || core->config.is_witness;

	effect->node = peer->id;
	effect->paths = is_mgmt_only ? CORE_PATH_MGMT : CORE_PATH_DATA | CORE_PATH_MGMT;
	effect->msg.kind = kind;
	effect->msg.sender = core->config.node_id;
	effect->msg.boot_no = core->config.boot_no;
	effect->msg.term = core->durable_term;
	return &effect->msg;
}

struct msg *
core_send(struct core *core, const struct core_peer *peer, enum msg_kind kind)
{
	struct msg *msg = core_send_early(core, peer, kind);

	INVARIANT(!core->is_meta_pending);
	msg->term = core->term;
	return msg;
}

void
core_alarm(struct core *core, enum core_alarm alarm, uint16_t node)
{
	struct core_effect *effect = core_emit(core, CORE_EFFECT_ALARM);

	effect->alarm = alarm;
	effect->node = node;
	effect->term = core->term;
}
