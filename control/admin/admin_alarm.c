/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator has to know, by name and as a line where it happened. */
#include <assert.h>

#include "control/admin/admin.h"
#include "dataplane/core/core.h"
#include "hw/platform/platform.h"

const char *
admin_alarm_name(uint32_t core_alarm)
{
	static const char *const names[] = { "",
					     "ack_forgotten",
					     "cut_below_commit",
					     "witness_amnesia",
					     "storage_failed",
					     "stalled",
					     "memory_commits_lost",
					     "superseded" };

	static_assert(sizeof(names) / sizeof(names[0]) == CORE_ALARM_LAST + 1, "one name each");
	return core_alarm <= CORE_ALARM_LAST ? names[core_alarm] : "";
}

void
admin_alarms_tell(const char *node, const struct node_status *status,
		  uint64_t told[CORE_ALARM_LAST + 1])
{
	for (uint32_t i = 1; i <= CORE_ALARM_LAST; i++) {
		if (status->alarms[i] == told[i])
			continue;
		told[i] = status->alarms[i];
		platform_diag(PLATFORM_ERROR,
			      "alarm node=%s alarm=%s count=%llu term=%llu log_index=%llu "
			      "commit_index=%llu",
			      node, admin_alarm_name(i), (unsigned long long)told[i],
			      (unsigned long long)status->term,
			      (unsigned long long)status->last_index,
			      (unsigned long long)status->commit_index);
	}
}
