/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/nvme_uring/lossy.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "hw/platform/platform.h"
#include "hw/seam/disk_pass.h"

#define LOSSY_REQUESTS_MAX 1024u
#define LOSSY_HELD_MAX     8192u
#define LOSSY_BYTES_MIN    (4u * 1024u * 1024u)
#define LOSSY_USER_FLUSH \
	UINT64_MAX /* the inner request that writes the oldest held entry through */

/* A write that is kept. Its bytes lie at @at in the memory, contiguous. */
struct lossy_held {
	uint64_t offset, at, skipped; /* skipped: bytes left unused before it */
	uint64_t deadline_ns;
	uint32_t device, length;
	bool is_written; /* through to the inner port */
};

struct lossy {
	struct disk_pass pass; /* first */
	struct lossy_config config;
	size_t arena_bytes;

	uint64_t held_head, held_tail; /* entries added, entries dropped */
	uint64_t flush_next;           /* the entry that is written through next */
	bool is_flushing;
	uint64_t used, write_at; /* of the memory */
	struct lossy_held held[LOSSY_HELD_MAX];

	struct disk_request passed[LOSSY_REQUESTS_MAX]; /* requests at the inner port */
	uint32_t free_count, free_list[LOSSY_REQUESTS_MAX];
	uint32_t reads_in_flight;

	uint64_t done_head, done_tail;
	struct disk_completion done[LOSSY_REQUESTS_MAX]; /* of held writes */
	struct disk_stats stats;
	uint8_t *memory;
};
static_assert(offsetof(struct lossy, pass) == 0, "a disk_pass to its functions");

enum tern_err
lossy_open(const struct lossy_config *config, struct disk_port inner, struct lossy **out)
{
	if (config->held_bytes < LOSSY_BYTES_MIN || config->held_bytes % DISK_PAGE_BYTES != 0 ||
	    config->is_forced == NULL)
		return TERN_ERR_CONFIG;
	const size_t header = align_up_u64(sizeof(struct lossy), DISK_PAGE_BYTES);
	struct lossy *lossy = platform_arena_map(header + config->held_bytes);
	if (lossy == NULL)
		return TERN_ERR_NO_MEMORY;
	lossy->config = *config;
	lossy->pass.inner = inner;
	lossy->arena_bytes = header + config->held_bytes;
	lossy->memory = (uint8_t *)lossy + header;
	lossy->free_count = LOSSY_REQUESTS_MAX;
	for (uint32_t i = 0; i < LOSSY_REQUESTS_MAX; i++)
		lossy->free_list[i] = i;
	*out = lossy;
	return TERN_OK;
}

void
lossy_close(struct lossy *lossy)
{
	if (lossy != NULL)
		platform_arena_unmap(lossy, lossy->arena_bytes);
}

static uint64_t
now_ns(const struct lossy *lossy)
{
	return lossy->config.clock.ops->monotonic_ns(lossy->config.clock.clock);
}

static enum tern_err
pass_on(struct lossy *lossy, const struct disk_request *request)
{
	if (lossy->free_count == 0)
		return TERN_ERR_QUEUE_FULL;
	const uint32_t index = lossy->free_list[lossy->free_count - 1];
	struct disk_request inner = *request;
	inner.user = index;
	const enum tern_err err = disk_pass_queue(&lossy->pass, &inner);
	if (err != TERN_OK)
		return err;
	lossy->free_count--;
	lossy->passed[index] = *request;
	lossy->reads_in_flight += request->kind == DISK_READ;
	return TERN_OK;
}

/* Keeps a copy of the write and completes it at once. */
static enum tern_err
hold(struct lossy *lossy, const struct disk_request *request)
{
	const uint64_t to_end = lossy->config.held_bytes - lossy->write_at;
	const uint64_t skipped = request->length > to_end ? to_end : 0;

	if (lossy->held_head - lossy->held_tail == LOSSY_HELD_MAX ||
	    lossy->done_head - lossy->done_tail == LOSSY_REQUESTS_MAX ||
	    lossy->used + skipped + request->length > lossy->config.held_bytes)
		return TERN_ERR_QUEUE_FULL;
	const uint64_t at = skipped != 0 ? 0 : lossy->write_at;
	memcpy(lossy->memory + at, request->bytes, request->length);
	lossy->held[lossy->held_head++ % LOSSY_HELD_MAX] = (struct lossy_held){
		.offset = request->offset,
		.at = at,
		.skipped = skipped,
		.deadline_ns = lossy->config.hold_ns == UINT64_MAX
				   ? UINT64_MAX
				   : now_ns(lossy) + lossy->config.hold_ns,
		.device = request->device,
		.length = request->length,
	};
	lossy->used += skipped + request->length;
	lossy->write_at = (at + request->length) % lossy->config.held_bytes;
	lossy->done[lossy->done_head++ % LOSSY_REQUESTS_MAX] = (struct disk_completion){
		.user = request->user,
		.device = request->device,
		.kind = DISK_WRITE,
		.err = TERN_OK,
		.length = request->length,
	};
	lossy->stats.writes++;
	lossy->stats.write_bytes += request->length;
	lossy->stats.durable_writes += lossy->config.mode == LOSSY_LYING;
	return TERN_OK;
}

static enum tern_err
port_queue(void *disk, const struct disk_request *request)
{
	struct lossy *lossy = disk;

	INVARIANT(request->length % DISK_PAGE_BYTES == 0 && request->length != 0);
	INVARIANT(request->length <= LOSSY_BYTES_MIN / 2);
	if (request->kind == DISK_READ)
		return pass_on(lossy, request);
	if (lossy->config.mode == LOSSY_LOSE_UNFLUSHED &&
	    lossy->config.is_forced(lossy->pass.inner.disk, request))
		return pass_on(lossy, request);
	return hold(lossy, request);
}

/* Writes the oldest held entry through when its time has come or memory is short, one at a time, so
 * that later writes to the same place stay later. */
static void
flush_some(struct lossy *lossy)
{
	if (lossy->is_flushing || lossy->flush_next == lossy->held_head)
		return;
	const struct lossy_held *held = &lossy->held[lossy->flush_next % LOSSY_HELD_MAX];
	const bool is_short = lossy->config.held_bytes - lossy->used < LOSSY_BYTES_MIN / 2 ||
			      lossy->held_head - lossy->held_tail > LOSSY_HELD_MAX / 2;
	if (!is_short && (held->deadline_ns == UINT64_MAX || now_ns(lossy) < held->deadline_ns))
		return;
	const struct disk_request request = {
		.kind = DISK_WRITE,
		.device = held->device,
		.offset = held->offset,
		.bytes = lossy->memory + held->at,
		.length = held->length,
		.user = LOSSY_USER_FLUSH,
	};
	if (disk_pass_queue(&lossy->pass, &request) == TERN_OK)
		lossy->is_flushing = true;
}

/* Entries that were written through are dropped once no read that might have missed them is under
 * way. */
static void
drop_written(struct lossy *lossy)
{
	while (lossy->reads_in_flight == 0 && lossy->held_tail != lossy->held_head) {
		const struct lossy_held *oldest = &lossy->held[lossy->held_tail % LOSSY_HELD_MAX];
		if (!oldest->is_written)
			break;
		lossy->used -= oldest->skipped + oldest->length;
		lossy->held_tail++;
	}
}

static void
port_submit(void *disk)
{
	struct lossy *lossy = disk;

	drop_written(lossy);
	flush_some(lossy);
	disk_pass_submit(lossy);
}

/* Lays what is held over bytes that were read. */
static void
overlay(const struct lossy *lossy, const struct disk_request *read)
{
	const uint64_t read_end = read->offset + read->length;

	for (uint64_t i = lossy->held_tail; i != lossy->held_head; i++) {
		const struct lossy_held *held = &lossy->held[i % LOSSY_HELD_MAX];
		const uint64_t start = max_u64(held->offset, read->offset);
		const uint64_t end = min_u64(held->offset + held->length, read_end);
		if (held->device == read->device && start < end)
			memcpy(read->bytes + (start - read->offset),
			       lossy->memory + held->at + (start - held->offset), end - start);
	}
}

static struct disk_completion
passed_finish(struct lossy *lossy, const struct disk_completion *inner)
{
	const uint32_t index = (uint32_t)inner->user;
	const struct disk_request *request = &lossy->passed[index];
	struct disk_completion completion = *inner;

	INVARIANT(index < LOSSY_REQUESTS_MAX);
	completion.user = request->user;
	lossy->stats.errors += inner->err != TERN_OK;
	if (request->kind == DISK_READ) {
		lossy->reads_in_flight--;
		lossy->stats.reads++;
		lossy->stats.read_bytes += request->length;
		overlay(lossy, request);
	} else {
		lossy->stats.writes++;
		lossy->stats.write_bytes += request->length;
		lossy->stats.durable_writes++;
	}
	lossy->free_list[lossy->free_count++] = index;
	return completion;
}

static uint32_t
port_poll(void *disk, struct disk_completion *completions, uint32_t max)
{
	struct lossy *lossy = disk;
	struct disk_completion inner[64];
	uint32_t count = 0;

	while (count < max && lossy->done_tail != lossy->done_head)
		completions[count++] = lossy->done[lossy->done_tail++ % LOSSY_REQUESTS_MAX];
	const uint32_t want = min_u32(max - count, 64);
	const uint32_t got = want == 0 ? 0 : disk_pass_poll(&lossy->pass, inner, want);
	for (uint32_t i = 0; i < got; i++) {
		if (inner[i].user == LOSSY_USER_FLUSH) {
			/* A failure here has nobody to be told: the write was acknowledged long
			 * ago. */
			lossy->held[lossy->flush_next++ % LOSSY_HELD_MAX].is_written = true;
			lossy->is_flushing = false;
		} else {
			completions[count++] = passed_finish(lossy, &inner[i]);
		}
	}
	port_submit(lossy);
	return count;
}

static void
port_facts(void *disk, struct disk_facts *facts)
{
	struct lossy *lossy = disk;
	const char *suffix = lossy->config.mode == LOSSY_LYING ? " LYING" : " LOSSY";

	disk_pass_facts(disk, facts);
	const size_t have = strnlen(facts->mode, sizeof(facts->mode) - 1);
	const size_t room = sizeof(facts->mode) - 1 - have;
	const size_t part = min_u64(room, strlen(suffix));
	memcpy(facts->mode + have, suffix, part);
	facts->mode[have + part] = '\0';
}

static void
port_stats(void *disk, struct disk_stats *stats)
{
	const struct lossy *lossy = disk;

	*stats = lossy->stats;
	stats->in_flight =
	    LOSSY_REQUESTS_MAX - lossy->free_count + lossy->done_head - lossy->done_tail;
}

static const struct disk_ops lossy_disk_ops = {
	.queue = port_queue,
	.submit = port_submit,
	.poll = port_poll,
	.wait_fd = disk_pass_wait_fd,
	.facts = port_facts,
	.stats = port_stats,
};

struct disk_port
lossy_port(struct lossy *lossy)
{
	return (struct disk_port){ .ops = &lossy_disk_ops, .disk = lossy };
}
