/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/health.h"

uint32_t
core_health(const struct core *core)
{
	const uint64_t stall_ns = core->config.timers.stall_ns;
	uint32_t health = 0;

	if (core->is_storage_failed)
		health |= MSG_HEALTH_DISK_STALLED;
	if (core->durable_index < core->last_index &&
	    core->now_ns - core->disk_progress_ns > stall_ns)
		health |= MSG_HEALTH_DISK_STALLED;
	if (core->is_meta_pending && core->now_ns - core->meta_since_ns > stall_ns)
		health |= MSG_HEALTH_DISK_STALLED;
	if (core->applied_index < core->commit_index &&
	    core->now_ns - core->apply_progress_ns > stall_ns)
		health |= MSG_HEALTH_APPLY_STALLED;
	if (core->is_data_port_down)
		health |= MSG_HEALTH_DATA_PORT_DOWN;
	if (core->config.is_log_volatile)
		health |= MSG_HEALTH_VOLATILE;
	if (core->is_forgetful)
		health |= MSG_HEALTH_FORGETFUL;
	return health;
}

/* T_stall: blocks wait for the device, or committed blocks for the state machine, and nothing has
 * moved for that long. */
bool
core_is_stalled(const struct core *core)
{
	return (core_health(core) & (MSG_HEALTH_DISK_STALLED | MSG_HEALTH_APPLY_STALLED)) != 0;
}

/* A term is durable before it is acted on; a node whose storage failed promises nothing more. */
bool
core_is_deaf(const struct core *core)
{
	return core->is_meta_pending || core->is_storage_failed || core->is_leaving ||
	       core->is_superseded;
}
