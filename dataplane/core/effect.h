/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effects of the running step: each call appends one. They may be called within core_step only, and
 * what they return is filled in by the caller before the next effect, and gone with the step. There
 * is always room (INVARIANT): who makes as many as it likes asks first. Private to this room.
 */
#ifndef TERN_CORE_EFFECT_H
#define TERN_CORE_EFFECT_H

#include "dataplane/core/core_internal.h"

/* All zero but for @kind. */
struct core_effect *core_emit(struct core *core, enum core_effect_kind kind);
/* A SEND effect whose msg carries kind, sender, boot_no and term; the caller fills in the rest. */
struct msg *core_send(struct core *core, const struct core_peer *peer, enum msg_kind kind);
/* Under the durable term, at any time: for what is true whatever is being written. */
struct msg *core_send_early(struct core *core, const struct core_peer *peer, enum msg_kind kind);
/* @node: whom it is about. */
void core_alarm(struct core *core, enum core_alarm alarm, uint16_t node);
/* For so many @effects beside those that the end of a step may need. */
bool core_has_room(const struct core *core, uint32_t effects);

#endif
