/* SPDX-License-Identifier: Apache-2.0 */
/* Making a log: its sizes, and what it is configured with. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/cmdlog/cmdlog_internal.h"

uint32_t
cmdlog_block_pages_max(uint32_t command_bytes_max)
{
	return max_u32(block_pages(BLOCK_HDR_BYTES + command_bytes_max),
		       CMDLOG_BLOCK_BYTES_TARGET / PAGE_BYTES);
}

uint32_t
cmdlog_group_pages_max(uint32_t command_bytes_max)
{
	return max_u32(CMDLOG_GROUP_BYTES_MAX / PAGE_BYTES,
		       cmdlog_block_pages_max(command_bytes_max));
}

uint32_t
cmdlog_command_bytes_for(uint32_t pages)
{
	/* The least that fills its last page with one byte. */
	const uint64_t payload = (uint64_t)(pages - 1) * PAGE_PAYLOAD_BYTES + 1;

	INVARIANT(pages != 0 && pages <= UINT16_MAX);
	return payload <= BLOCK_HDR_BYTES ? 0 : (uint32_t)(payload - BLOCK_HDR_BYTES);
}

size_t
cmdlog_bytes(void)
{
	return sizeof(struct cmdlog);
}

size_t
cmdlog_entry_bytes(void)
{
	return sizeof(struct cmdlog_entry);
}

enum tern_err
cmdlog_init(void *memory, const struct cmdlog_config *config, struct cmdlog **out)
{
	struct cmdlog *log = memory;

	INVARIANT(((uintptr_t)memory & 63) == 0);
	INVARIANT(config->ring != NULL && config->entries != NULL);
	if (config->command_bytes_max > UINT32_MAX / 2 || config->ring_bytes % PAGE_BYTES != 0 ||
	    ((uintptr_t)config->ring & (PAGE_BYTES - 1)) != 0)
		return TERN_ERR_CONFIG;
	const uint32_t largest = cmdlog_block_pages_max(config->command_bytes_max);
	/* A group's page count is a 16-bit field. */
	if (largest > UINT16_MAX || config->ring_bytes / PAGE_BYTES < (uint64_t)largest * 8)
		return TERN_ERR_CONFIG;
	if (config->groups_in_flight_max < 1 || config->groups_in_flight_max > CMDLOG_GROUPS_MAX ||
	    config->area_cells == 0 || config->data_columns == 0 || config->blocks_max == 0 ||
	    config->boot_no == 0)
		return TERN_ERR_CONFIG;
	memset(log, 0, sizeof(*log));
	log->config = *config;
	log->ring_pages = config->ring_bytes / PAGE_BYTES;
	log->block_pages_max = largest;
	for (uint32_t i = 0; i < CMDLOG_TAILS_MAX; i++)
		log->tails[i] = PAGE_PAYLOAD_BYTES;
	log->room = config->area_cells;
	log->is_forked = true;
	log->group_pages_max = cmdlog_group_pages_max(config->command_bytes_max);
	*out = log;
	return TERN_OK;
}
