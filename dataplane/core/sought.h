/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The question that seek.c asks, where it comes in, and the answer, where that comes in (protocol
 * section 12): what is known here to be committed, and what follows for this log from what another
 * node knows. Why that is safe is said in seek.c. Private to this room.
 */
#ifndef TERN_CORE_SOUGHT_H
#define TERN_CORE_SOUGHT_H

#include "dataplane/core/core_internal.h"

/* MALFORMED: witnesses have no log to ask for. */
TERN_CHECKED enum tern_err
sought_asked(struct core *core, const struct core_peer *peer, const struct msg *msg);
/* Commits, cuts, or has blocks or a checkpoint fetched. MALFORMED: it contradicts itself. */
TERN_CHECKED enum tern_err
sought_answered(struct core *core, struct core_peer *peer, const struct msg *msg);

#endif
