/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk: an image that outlives its node's crashes. A write is durable when it completes, as the
 * seam promises. At a crash each write in flight is lost, applied, or torn page by page, in an
 * order of its own. The lying disk completes writes that a crash then takes back.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/crc32c.h"
#include "dataplane/wire/superblock_update.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_hazard.h"
#include "tests/sim/sim_spare.h"

#define LOG_OFFSET ((uint64_t)SUPERBLOCK_AREA_PAGES * DISK_PAGE_BYTES)
#define LIE_NS     (50u * SIM_MS) /* a lying disk forgets writes this young */

static void
weak_draw(struct sim_disk *disk)
{
	struct sim *sim = disk->node->sim;

	disk->weak = 0;
	while ((uint32_t)__builtin_popcount(disk->weak) < sim->swarm.geometry.m)
		disk->weak |= 1u << disk->drives[prng_below(&sim->prng, disk->device_count)];
	disk->target = (uint32_t)__builtin_ctz(disk->weak);
}

void
sim_disk_init(struct sim_disk *disk, struct sim_node *node, uint64_t bytes)
{
	struct sim *sim = node->sim;
	const struct stripe_geometry geometry = sim->swarm.geometry;

	disk->node = node;
	disk->device_count = stripe_devices(geometry);
	disk->spare_count = sim->swarm.spare_count;
	prng_seed(&disk->spare_prng, sim->seed * 64 + 32 + node->id);
	for (uint32_t i = 0; i < disk->device_count; i++)
		disk->drives[i] = (uint8_t)i;
	disk->image = sim_take(bytes * sim_disk_drives(disk));
	disk->image_bytes = bytes;
	disk->slow_factor = 1;
	disk->weak = (1u << disk->device_count) - 1;
	if (geometry.m != 0)
		weak_draw(disk);
}

uint32_t
sim_disk_recorded_failed(const struct sim_disk *disk)
{
	struct superblock newest = { 0 }, one;
	uint32_t good;

	for (uint32_t i = 0; i < sim_disk_drives(disk); i++)
		if ((disk->gone >> i & 1) == 0 &&
		    superblock_choose(sim_disk_at(disk, i, 0), &one, &good) == TERN_OK &&
		    superblock_is_newer(&one, &newest))
			newest = one;
	return (uint32_t)newest.failed_devices;
}

/* Devices that are gone and count, for all that those know that are there. */
static uint32_t
unknown_gone(const struct sim_disk *disk)
{
	return disk->gone & sim_spare_drives(disk, ~sim_disk_recorded_failed(disk));
}

void
sim_disk_replace(struct sim_disk *disk)
{
	disk->rebuilt = 0;
	if (disk->gone == 0) /* a witness has none */
		return;
	struct sim *sim = disk->node->sim;
	if (unknown_gone(disk) != 0 || !sim_chance(sim, 500000))
		return;
	for (uint32_t i = 0; i < sim_disk_drives(disk); i++) {
		if ((disk->gone >> i & 1) == 0)
			continue;
		memset(sim_disk_at(disk, i, 0), 0, disk->written_bytes[i]);
		disk->written_bytes[i] = 0;
		sim_count(sim, SIM_COUNT_devices_replaced);
	}
	disk->gone = 0;
}

bool
sim_disk_return(struct sim_disk *disk)
{
	const uint32_t unknown = unknown_gone(disk);

	disk->gone &= ~unknown;
	return unknown != 0;
}

void
sim_disk_healed(struct sim_disk *disk, uint64_t rebuilt)
{
	struct sim *sim = disk->node->sim;
	const bool is_struck = sim_disk_is_hanging(disk) || disk->fail_next != 0 || disk->is_full ||
			       disk->has_bad_sectors ||
			       (disk->gone & sim_spare_standing(disk)) != 0;

	if (rebuilt == disk->rebuilt || is_struck)
		return;
	sim->counts.of[SIM_COUNT_devices_rebuilt] += rebuilt - disk->rebuilt;
	disk->rebuilt = rebuilt;
	weak_draw(disk);
}

uint8_t *
sim_disk_at(const struct sim_disk *disk, uint32_t device, uint64_t offset)
{
	return disk->image + device * disk->image_bytes + offset;
}

void
sim_disk_aim(struct sim_disk *disk)
{
	struct sim *sim = disk->node->sim;

	while (disk->device_count != 1) {
		disk->target = (uint32_t)prng_below(&sim->fault_prng, sim_disk_drives(disk));
		if ((disk->weak >> disk->target & 1) != 0)
			break;
	}
}

static void
undo_note(struct sim_disk *disk, uint32_t device, uint64_t offset, uint32_t length)
{
	if (disk->undo_count == disk->undo_capacity) {
		disk->undo_capacity = disk->undo_capacity == 0 ? 64 : 2 * disk->undo_capacity;
		disk->undo = realloc(disk->undo, disk->undo_capacity * sizeof(*disk->undo));
	}
	uint8_t *bytes = malloc(length);
	if (disk->undo == NULL || bytes == NULL)
		abort();
	memcpy(bytes, sim_disk_at(disk, device, offset), length);
	disk->undo[disk->undo_count++] = (struct sim_undo){
		.offset = offset,
		.device = device,
		.at_ns = disk->node->sim->now_ns,
		.length = length,
		.bytes = bytes,
	};
}

static void
undo_all(struct sim_disk *disk)
{
	struct sim *sim = disk->node->sim;

	while (disk->undo_count != 0) {
		const struct sim_undo undo = disk->undo[--disk->undo_count];
		if (undo.at_ns + LIE_NS > sim->now_ns) {
			memcpy(sim_disk_at(disk, undo.device, undo.offset), undo.bytes,
			       undo.length);
			sim_count(sim, SIM_COUNT_lied_writes_lost);
		}
		free(undo.bytes);
	}
}

static void
write_apply(struct sim_disk *disk, const struct disk_request *request, uint32_t first,
	    uint32_t length)
{
	if (disk->node->sim->options.is_lying_disk)
		undo_note(disk, request->device, request->offset + first, length);
	uint64_t *written = &disk->written_bytes[request->device];
	memcpy(sim_disk_at(disk, request->device, request->offset + first), request->bytes + first,
	       length);
	*written = max_u64(*written, request->offset + first + length);
}

/* The blank end of the image is not touched: most boots read little else. */
static void
read_apply(const struct sim_disk *disk, const struct disk_request *request)
{
	const uint64_t written = disk->written_bytes[request->device];
	const uint64_t left =
	    written > request->offset ? min_u64(written - request->offset, request->length) : 0;

	memcpy(request->bytes, sim_disk_at(disk, request->device, request->offset), left);
	memset(request->bytes + left, 0, request->length - left);
}

static enum tern_err
disk_queue(void *self, const struct disk_request *request)
{
	struct sim_disk *disk = self;
	struct sim *sim = disk->node->sim;

	if (sim_point_is_dying(disk->node))
		return TERN_OK;
	if (request->kind == DISK_WRITE && sim_wrong_is_on(disk->node))
		sim_fail(sim, "wrong-start", "node %u writes to storage that is not its own",
			 disk->node->id);
	if (request->length == 0 || request->length % DISK_PAGE_BYTES != 0 ||
	    request->offset % DISK_PAGE_BYTES != 0 || request->length > 2 * 1024 * 1024 ||
	    request->device >= sim_disk_drives(disk) ||
	    ((uintptr_t)request->bytes % DISK_PAGE_BYTES) != 0 ||
	    request->offset + request->length > disk->image_bytes)
		sim_fail(sim, "disk",
			 "node %u: a request against the contract: offset %llu length %u",
			 disk->node->id, (unsigned long long)request->offset, request->length);
	for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
		struct sim_disk_slot *slot = &disk->slots[i];
		if (slot->state != SIM_SLOT_FREE)
			continue;
		*slot = (struct sim_disk_slot){
			.request = *request,
			.state = SIM_SLOT_QUEUED,
		};
		if (request->kind == DISK_WRITE)
			slot->crc = crc32c(request->bytes, request->length);
		slot->floor = disk->node->durable.log_index;
		disk->queued++;
		disk->stats.in_flight++;
		disk->stats.in_flight_high =
		    max_u64(disk->stats.in_flight_high, disk->stats.in_flight);
		return TERN_OK;
	}
	return TERN_ERR_QUEUE_FULL;
}

static enum sim_point_kind
point_kind(const struct sim_disk *disk, const struct disk_request *request)
{
	const uint64_t log_end =
	    LOG_OFFSET + (uint64_t)disk->node->sim->swarm.log_pages * DISK_PAGE_BYTES;

	return request->offset < LOG_OFFSET ? SIM_POINT_SUPERBLOCK
	       : request->offset < log_end  ? SIM_POINT_LOG
					    : SIM_POINT_CHECKPOINT;
}

/* When a stuck disk may go on; one that is stuck until somebody heals it is looked at now and then.
 */
static uint64_t
unstuck_ns(const struct sim_disk *disk)
{
	const struct sim *sim = disk->node->sim;

	return disk->stuck_until_ns != UINT64_MAX ? disk->stuck_until_ns
						  : sim->now_ns + sim->swarm.timer_ns / 8;
}

bool
sim_disk_is_hanging(const struct sim_disk *disk)
{
	return disk->stuck_until_ns > disk->node->sim->now_ns || disk->slow_factor != 1;
}

/* Struck by what strikes one device. */
static bool
is_target(const struct sim_disk *disk, const struct disk_request *request)
{
	return request->device == disk->target;
}

static bool
is_to_fail(const struct sim_disk *disk, const struct disk_request *request)
{
	if ((disk->gone >> request->device & 1) != 0)
		return true;
	if (!is_target(disk, request))
		return false;
	return request->kind == DISK_WRITE ? disk->fail_next != 0 || disk->is_full
					   : disk->has_bad_sectors && request->offset >= LOG_OFFSET;
}

static void
slot_fail(struct sim_disk *disk, struct sim_disk_slot *slot)
{
	static const enum sim_count_kind counts[] = {
		[SIM_FAIL_NOTHING] = SIM_COUNT_disk_errors,
		[SIM_FAIL_WRITTEN] = SIM_COUNT_flush_errors,
		[SIM_FAIL_TORN] = SIM_COUNT_torn_writes,
	};

	disk->has_failed = true;
	slot->err = TERN_ERR_IO;
	if ((disk->gone >> slot->request.device & 1) != 0)
		return;
	if (slot->request.kind == DISK_READ) {
		sim_count(disk->node->sim, SIM_COUNT_read_errors);
	} else if (disk->fail_next == 0) {
		sim_count(disk->node->sim, SIM_COUNT_no_space);
	} else {
		disk->fail_next--;
		sim_count(disk->node->sim, counts[disk->fail_how]);
	}
}

static void
disk_submit(void *self)
{
	struct sim_disk *disk = self;
	struct sim *sim = disk->node->sim;
	const struct sim_swarm *swarm = &sim->swarm;

	for (uint32_t i = 0; i < SIM_DISK_REQUESTS && disk->queued != 0; i++) {
		struct sim_disk_slot *slot = &disk->slots[i];
		if (slot->state != SIM_SLOT_QUEUED)
			continue;
		if (sim_point_is_dying(disk->node)) { /* handed over behind its last one */
			slot->state = SIM_SLOT_FREE;
			disk->queued--;
			continue;
		}
		const bool is_write = slot->request.kind == DISK_WRITE;
		uint64_t ns = is_write ? swarm->write_ns : swarm->read_ns;
		ns += prng_below(&sim->prng, swarm->disk_jitter_ns) +
		      (uint64_t)(slot->request.length / DISK_PAGE_BYTES) * 700;
		const bool is_struck = is_target(disk, &slot->request);
		uint64_t at = sim->now_ns + ns * (is_struck ? disk->slow_factor : 1);
		if (is_struck && disk->stuck_until_ns > sim->now_ns)
			at += unstuck_ns(disk) - sim->now_ns;
		disk->has_hung |= is_struck && sim_disk_is_hanging(disk);
		at += sim_fallback_slow_ns(disk->node, &slot->request);
		slot->state = SIM_SLOT_FLYING;
		disk->queued--;
		if (is_to_fail(disk, &slot->request))
			slot_fail(disk, slot);
		sim_push(sim, at, SIM_EVENT_DISK, disk->node->index,
			 ((uint64_t)disk->node->incarnation << 32) | i);
		if (is_write)
			sim_point_at(disk->node, point_kind(disk, &slot->request),
				     SIM_POINT_HANDED);
	}
}

/* Whoever hears of the failure knows nothing of what is on the medium now. */
static void
write_fail(struct sim_disk *disk, const struct disk_request *request)
{
	if (disk->is_full || disk->fail_how == SIM_FAIL_NOTHING ||
	    (disk->gone >> request->device & 1) != 0)
		return;
	for (uint32_t at = 0; at < request->length; at += DISK_PAGE_BYTES)
		if (disk->fail_how == SIM_FAIL_WRITTEN || sim_chance(disk->node->sim, 500000))
			write_apply(disk, request, at, DISK_PAGE_BYTES);
}

static bool
is_misdirected(struct sim_disk *disk, const struct disk_request *request)
{
	if (disk->misdirect_next == 0 || !is_target(disk, request) ||
	    request->offset < LOG_OFFSET + request->length ||
	    request->length > disk->written_bytes[request->device] - LOG_OFFSET)
		return false;
	disk->misdirect_next--;
	return true;
}

static void
write_elsewhere(struct sim_disk *disk, const struct disk_request *request)
{
	struct sim *sim = disk->node->sim;
	struct disk_request elsewhere = *request;
	const uint64_t pages =
	    (disk->written_bytes[request->device] - LOG_OFFSET - request->length) / DISK_PAGE_BYTES;

	elsewhere.offset = LOG_OFFSET + prng_below(&sim->prng, pages + 1) * DISK_PAGE_BYTES;
	sim_count(sim, SIM_COUNT_misdirected_writes);
	write_apply(disk, &elsewhere, 0, elsewhere.length);
}

/* Of the log, by a node that runs: what a start reads amiss is damage to it. */
static bool
is_misread(struct sim_disk *disk, const struct disk_request *request)
{
	const uint64_t log_end =
	    LOG_OFFSET + (uint64_t)disk->node->sim->swarm.log_pages * DISK_PAGE_BYTES;

	if (disk->misread_next == 0 || disk->node->life != SIM_NODE_UP || disk->device_count != 1 ||
	    request->offset < LOG_OFFSET || request->offset + request->length > log_end ||
	    disk->written_bytes[0] < LOG_OFFSET + 2 * (uint64_t)request->length)
		return false;
	disk->misread_next--;
	return true;
}

static void
read_elsewhere(struct sim_disk *disk, const struct disk_request *request)
{
	struct sim *sim = disk->node->sim;
	struct disk_request elsewhere = *request;
	const uint64_t pages =
	    (disk->written_bytes[0] - LOG_OFFSET - request->length) / DISK_PAGE_BYTES;

	elsewhere.offset = LOG_OFFSET + prng_below(&sim->prng, pages + 1) * DISK_PAGE_BYTES;
	sim_count(sim, SIM_COUNT_misdirected_reads);
	read_apply(disk, &elsewhere);
}

/* A device that hangs, or failed another write, is given up: what it still takes does not matter.
 */
static bool
is_given_up(const struct sim_disk *disk, const struct disk_request *request)
{
	return disk->node->sim->swarm.geometry.m != 0 &&
	       ((disk->weak | ~sim_spare_standing(disk)) >> request->device & 1) != 0;
}

void
sim_disk_complete(struct sim_disk *disk, uint32_t index)
{
	struct sim_disk_slot *slot = &disk->slots[index];
	const struct disk_request *request = &slot->request;
	struct sim *sim = disk->node->sim;

	if (is_target(disk, request) && disk->stuck_until_ns > sim->now_ns) {
		disk->has_hung = true;
		sim_push(sim, unstuck_ns(disk) + prng_below(&sim->prng, 100 * SIM_US),
			 SIM_EVENT_DISK, disk->node->index,
			 ((uint64_t)disk->node->incarnation << 32) | index);
		return;
	}
	if (request->kind == DISK_WRITE) {
		if (!is_given_up(disk, request) &&
		    crc32c(request->bytes, request->length) != slot->crc)
			sim_fail(sim, "disk", "node %u: bytes at %llu changed while being written",
				 disk->node->id, (unsigned long long)request->offset);
		if (slot->err != TERN_OK)
			write_fail(disk, request);
		else if (is_misdirected(disk, request))
			write_elsewhere(disk, request);
		else
			write_apply(disk, request, 0, request->length);
		const bool is_behind_log = request->offset / DISK_PAGE_BYTES >=
					   SUPERBLOCK_AREA_PAGES + sim->swarm.log_pages;
		if (is_behind_log && disk->device_count == 1)
			sim_check_checkpoint(disk->node, request->bytes);
		else if (!is_behind_log && slot->err == TERN_OK && request->offset >= LOG_OFFSET)
			disk->floor = max_u64(disk->floor, slot->floor);
		disk->stats.writes++;
		disk->stats.durable_writes++;
		disk->stats.write_bytes += request->length;
	} else if (slot->err == TERN_OK) {
		if (is_misread(disk, request))
			read_elsewhere(disk, request);
		else
			read_apply(disk, request);
		disk->stats.reads++;
		disk->stats.read_bytes += request->length;
	}
	disk->stats.errors += slot->err != TERN_OK;
	slot->state = SIM_SLOT_DONE;
	disk->done[disk->done_count++] = index;
	if (request->kind == DISK_WRITE && slot->err == TERN_OK)
		sim_point_at(disk->node, point_kind(disk, request), SIM_POINT_DURABLE);
	if (!sim_point_is_dead(disk->node))
		sim_node_wake(disk->node, sim->now_ns);
}

void
sim_disk_cut(struct sim_disk *disk)
{
	const uint64_t durable_index = disk->node->durable.log_index;

	disk->floor = min_u64(disk->floor, durable_index);
	for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++)
		disk->slots[i].floor = min_u64(disk->slots[i].floor, durable_index);
}

static void
write_tear(struct sim_disk *disk, const struct disk_request *request)
{
	struct sim *sim = disk->node->sim;
	const uint64_t fate = prng_below(&sim->prng, 4); /* 0 lost, 1 and 2 torn, 3 kept */
	uint32_t kept = 0;

	for (uint32_t at = 0; at < request->length; at += DISK_PAGE_BYTES) {
		if (fate == 0 || (fate != 3 && sim_chance(sim, 500000)))
			continue;
		write_apply(disk, request, at, DISK_PAGE_BYTES);
		kept += DISK_PAGE_BYTES;
		if (disk->rots_in_flight && sim_chance(sim, 500000)) {
			sim_hazard_rot_page(
			    sim, sim_disk_at(disk, request->device, request->offset + at));
			sim_count(sim, SIM_COUNT_rot_above_floor);
		}
	}
	if (kept == 0)
		sim_count(sim, SIM_COUNT_crash_lost_writes);
	else if (kept < request->length)
		sim_count(sim, SIM_COUNT_crash_torn_writes);
	else
		sim_count(sim, SIM_COUNT_crash_kept_writes);
}

void
sim_disk_crash(struct sim_disk *disk)
{
	struct sim *sim = disk->node->sim;
	const uint32_t from = (uint32_t)prng_below(&sim->prng, SIM_DISK_REQUESTS);

	if (sim->options.is_lying_disk)
		undo_all(disk);
	for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
		struct sim_disk_slot *slot = &disk->slots[(from + i) % SIM_DISK_REQUESTS];
		if ((slot->state == SIM_SLOT_FLYING || slot->state == SIM_SLOT_QUEUED) &&
		    slot->request.kind == DISK_WRITE)
			write_tear(disk, &slot->request);
		slot->state = SIM_SLOT_FREE;
	}
	disk->done_count = 0;
	disk->queued = 0;
	disk->stats.in_flight = 0;
	if (!disk->node->is_log_volatile)
		return;
	/* The superblocks lie on a real device. */
	const uint64_t log = LOG_OFFSET;
	for (uint32_t i = 0; i < sim_disk_drives(disk); i++) {
		const uint64_t end = max_u64(disk->written_bytes[i], log);
		memset(sim_disk_at(disk, i, log), 0, end - log);
		disk->written_bytes[i] = min_u64(disk->written_bytes[i], log);
	}
}

static uint32_t
disk_poll(void *self, struct disk_completion *completions, uint32_t max)
{
	struct sim_disk *disk = self;
	const uint32_t count = min_u32(max, disk->done_count);
	uint32_t seen = 0; /* kinds of points: one each, however many completions there are */

	for (uint32_t i = 0; i < count; i++) {
		struct sim_disk_slot *slot = &disk->slots[disk->done[i]];
		completions[i] = (struct disk_completion){
			.user = slot->request.user,
			.device = slot->request.device,
			.kind = slot->request.kind,
			.err = slot->err,
			.length = slot->request.length,
		};
		if (slot->request.kind == DISK_WRITE && slot->err == TERN_OK)
			seen |= 1u << point_kind(disk, &slot->request);
		slot->state = SIM_SLOT_FREE;
	}
	for (; seen != 0; seen &= seen - 1)
		sim_point_at(disk->node, (enum sim_point_kind)__builtin_ctz(seen), SIM_POINT_SEEN);
	disk->done_count -= count;
	memmove(disk->done, disk->done + count, disk->done_count * sizeof(disk->done[0]));
	disk->stats.in_flight -= count;
	return count;
}

static int
disk_wait_fd(void *self)
{
	(void)self;
	return -1;
}

static void
disk_facts(void *self, struct disk_facts *facts)
{
	const struct sim_disk *disk = self;

	*facts = (struct disk_facts){
		.device_count = disk->device_count,
		.device_bytes = disk->image_bytes,
		.is_direct = true,
		.is_dsync = true,
		.mode = "simulated",
	};
}

static void
disk_stats(void *self, struct disk_stats *stats)
{
	const struct sim_disk *disk = self;

	*stats = disk->stats;
}

const struct disk_ops sim_disk_ops = {
	.queue = disk_queue,
	.submit = disk_submit,
	.poll = disk_poll,
	.wait_fd = disk_wait_fd,
	.facts = disk_facts,
	.stats = disk_stats,
};
