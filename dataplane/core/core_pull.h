/* SPDX-License-Identifier: Apache-2.0 */
/* Of a block that a PULL effect named, when its bytes are there. */
#ifndef TERN_CORE_CORE_PULL_H
#define TERN_CORE_CORE_PULL_H

#include "dataplane/core/core.h"

/* It is the next of this log, and may become part of it at once: RECEIVED, with the flag, will be
 * taken if it follows the last block and there is room for it. */
bool core_takes_pulled(const struct core *core, uint64_t log_index, struct hash128 chain);

#endif
