/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/nvme_uring/faulty.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"
#include "hw/seam/disk_pass.h"

#define FAULTY_REQUESTS_MAX 1024u

struct faulty {
	struct disk_pass pass; /* first */
	const volatile uint8_t *cells;
	/* Requests of devices that hang, in order, and completions of those that fail. */
	struct disk_request held[FAULTY_REQUESTS_MAX];
	uint32_t held_count;
	struct disk_completion failed[FAULTY_REQUESTS_MAX];
	uint32_t failed_count;
	uint64_t errors;
};
static_assert(offsetof(struct faulty, pass) == 0, "a disk_pass to its functions");

enum tern_err
faulty_open(const volatile uint8_t *cells, struct disk_port inner, struct faulty **out)
{
	struct faulty *faulty = platform_arena_map(sizeof(*faulty));

	if (faulty == NULL)
		return TERN_ERR_NO_MEMORY;
	faulty->cells = cells;
	faulty->pass.inner = inner;
	*out = faulty;
	return TERN_OK;
}

void
faulty_close(struct faulty *faulty)
{
	if (faulty != NULL)
		platform_arena_unmap(faulty, sizeof(*faulty));
}

static uint8_t
kind_of(const struct faulty *faulty, uint32_t device)
{
	return device < FAULTY_DEVICES_MAX ? faulty->cells[device] : FAULTY_NONE;
}

static enum tern_err
port_queue(void *disk, const struct disk_request *request)
{
	struct faulty *faulty = disk;
	const uint8_t kind = kind_of(faulty, request->device);

	if (kind == FAULTY_HANG) {
		if (faulty->held_count == FAULTY_REQUESTS_MAX)
			return TERN_ERR_QUEUE_FULL;
		faulty->held[faulty->held_count++] = *request;
		return TERN_OK;
	}
	if (kind != FAULTY_EIO)
		return disk_pass_queue(&faulty->pass, request);
	if (faulty->failed_count == FAULTY_REQUESTS_MAX)
		return TERN_ERR_QUEUE_FULL;
	faulty->failed[faulty->failed_count++] = (struct disk_completion){
		.user = request->user,
		.device = request->device,
		.kind = request->kind,
		.err = TERN_ERR_IO,
		.length = request->length,
	};
	faulty->errors++;
	return TERN_OK;
}

/* What was held goes on as if it came now. */
static void
held_release(struct faulty *faulty)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < faulty->held_count; i++) {
		const struct disk_request request = faulty->held[i];
		if (kind_of(faulty, request.device) == FAULTY_HANG ||
		    port_queue(faulty, &request) != TERN_OK)
			faulty->held[kept++] = request;
	}
	faulty->held_count = kept;
}

static uint32_t
port_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct faulty *faulty = disk;

	if (faulty->held_count != 0)
		held_release(faulty);
	const uint32_t count = min_u32(max, faulty->failed_count);
	memcpy(completions, faulty->failed, count * sizeof(completions[0]));
	faulty->failed_count -= count;
	memmove(faulty->failed, faulty->failed + count,
		faulty->failed_count * sizeof(faulty->failed[0]));
	if (count == max)
		return count;
	return count + disk_pass_poll(&faulty->pass, completions + count, max - count);
}

static void
port_stats(void *disk, struct disk_stats *stats)
{
	const struct faulty *faulty = disk;

	disk_pass_stats(disk, stats);
	stats->errors += faulty->errors;
	stats->in_flight += faulty->held_count + faulty->failed_count;
}

static const struct disk_ops faulty_disk_ops = {
	.queue = port_queue,
	.submit = disk_pass_submit,
	.poll = port_poll,
	.wait_fd = disk_pass_wait_fd,
	.facts = disk_pass_facts,
	.stats = port_stats,
};

struct disk_port
faulty_port(struct faulty *faulty)
{
	return (struct disk_port){ .ops = &faulty_disk_ops, .disk = faulty };
}
