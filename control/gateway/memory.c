/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of all connections together, within one budget. */
#include <stdlib.h>

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"

void *
gateway_resize(struct gateway *gateway, void *memory, size_t bytes_before, size_t bytes)
{
	const uint64_t used = gateway_counter(&gateway->counters.buffers_bytes);

	INVARIANT(used >= bytes_before);
	if (bytes == 0) {
		free(memory);
	} else {
		void *resized = NULL;
		if (used - bytes_before + bytes <= gateway->buffers_bytes_max)
			resized = realloc(memory, bytes);
		if (resized == NULL) {
			gateway_count(&gateway->counters.buffers_refused, 1);
			return NULL;
		}
		memory = resized;
	}
	atomic_store_explicit(&gateway->counters.buffers_bytes, used - bytes_before + bytes,
			      memory_order_relaxed);
	return bytes == 0 ? NULL : memory;
}
