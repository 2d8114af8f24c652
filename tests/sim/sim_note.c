/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_note.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/superblock_update.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_spare.h"

#define GONE_PPM    200000u /* of starts of a pool that is whole */
#define SPOILED_PPM 80000u  /* of starts */
#define FAILING_PPM 20000u
#define HALF_PPM    400000u /* of starts of a pool of which a part was left behind */
#define SLOW_PPM    500000u /* of writes */
#define CRASH_PPM   600000u /* right after a device was recorded as failed */
#define REPAIR_PPM  20000u  /* in each turn of a node that stopped for the disk */

static bool
chance(struct sim_note *note, uint32_t ppm)
{
	return prng_below(&note->prng, 1000000) < ppm;
}

static bool
is_needed(const struct sim_node *node)
{
	const struct stripe_geometry geometry = node->sim->swarm.geometry;

	return geometry.k <= geometry.m;
}

void
sim_note_init(struct sim_node *node)
{
	node->note = (struct sim_note){ .node = node, .err = TERN_ERR_NOT_FOUND };
	prng_seed(&node->note.prng, node->sim->seed * 64 + 48 + node->id);
}

/* ---- the disk ---- */

static void
note_apply(struct sim_note *note)
{
	/* Those of one start are one copy: what it began with. */
	struct pool_note *old = &note->old[note->flight.boot_no % SIM_NOTES_KEPT];

	if (old->boot_no != note->flight.boot_no)
		*old = note->flight;
	note->there = note->flight;
	note->err = TERN_OK;
	note->is_spoiled = false;
	sim_count(note->node->sim, SIM_COUNT_notes_written);
}

static void
note_write(void *self, const struct pool_note *written)
{
	struct sim_note *note = self;
	struct sim *sim = note->node->sim;
	uint8_t bytes[POOL_NOTE_BYTES];
	uint64_t ns = sim->swarm.write_ns + prng_below(&note->prng, sim->swarm.write_ns);

	if (sim_point_is_dying(note->node))
		return;
	if (sim_wrong_is_on(note->node))
		sim_fail(sim, "wrong-start", "node %u writes a note that is not its own",
			 note->node->id);
	if (note->state != SIM_NOTE_IDLE)
		sim_fail(sim, "note", "node %u: a second write before the first was polled",
			 note->node->id);
	pool_note_encode(bytes, written);
	if (pool_note_decode(bytes, sizeof(bytes), &note->flight) != TERN_OK)
		sim_fail(sim, "note", "node %u: a note that cannot be read", note->node->id);
	if (chance(note, SLOW_PPM))
		ns *= 1 + prng_below(&note->prng, 200);
	note->state = SIM_NOTE_FLYING;
	sim_push(sim, sim->now_ns + ns, SIM_EVENT_NOTE, note->node->index, note->node->incarnation);
	sim_point_at(note->node, SIM_POINT_NOTE, SIM_POINT_HANDED);
}

void
sim_note_complete(struct sim_note *note)
{
	note->state = SIM_NOTE_DONE;
	note->result = note->is_failing ? TERN_ERR_IO : TERN_OK;
	/* Whoever hears of the failure does not know which one is there. */
	if (!note->is_failing || chance(note, 500000))
		note_apply(note);
	if (note->is_failing) {
		note->is_spoiled = true;
		sim_count(note->node->sim, SIM_COUNT_notes_failed);
	}
	if (!note->is_failing)
		sim_point_at(note->node, SIM_POINT_NOTE, SIM_POINT_DURABLE);
	if (!sim_point_is_dead(note->node))
		sim_node_wake(note->node, note->node->sim->now_ns);
}

static enum tern_err
note_poll(void *self)
{
	struct sim_note *note = self;

	if (note->state != SIM_NOTE_DONE)
		return TERN_ERR_BUSY;
	note->state = SIM_NOTE_IDLE;
	if (note->result == TERN_OK)
		sim_point_at(note->node, SIM_POINT_NOTE, SIM_POINT_SEEN);
	return note->result;
}

const struct note_ops sim_note_ops = { .write = note_write, .poll = note_poll };

/* ---- starts ---- */

/* Everything that was hidden is there again. */
static void
half_end(struct sim_note *note)
{
	if (!note->is_half)
		return;
	note->is_half = false;
	note->node->disk.gone &= ~note->away;
	note->there = note->kept;
	note->err = note->kept_err;
}

void
sim_note_crash(struct sim_node *node)
{
	struct sim_note *note = &node->note;

	if (note->state == SIM_NOTE_FLYING && chance(note, 500000))
		note_apply(note);
	note->state = SIM_NOTE_IDLE;
	note->failed = 0;
	half_end(note);
}

void
sim_note_forget(struct sim_node *node)
{
	half_end(&node->note);
	node->note.err = TERN_ERR_NOT_FOUND;
}

/* Devices that the others went on without, and that still hold what they had. *boot_no: the least
 * that any of them knows. */
static uint32_t
left_behind(const struct sim_disk *disk, uint32_t *boot_no)
{
	const uint32_t out = sim_disk_recorded_failed(disk);
	uint32_t drives = 0;

	*boot_no = UINT32_MAX;
	for (uint32_t drive = 0; drive < sim_disk_drives(disk); drive++) {
		const bool is_standing = (sim_spare_standing(disk) >> drive & 1) != 0;
		const bool is_out = (sim_spare_drives(disk, out) >> drive & 1) != 0;
		struct superblock own;
		uint32_t good;
		if ((is_standing && !is_out) || (disk->late >> drive & 1) != 0 ||
		    superblock_choose(sim_disk_at(disk, drive, 0), &own, &good) != TERN_OK ||
		    own.node_id != disk->node->id)
			continue;
		drives |= 1u << drive;
		*boot_no = min_u32(*boot_no, own.boot_no);
	}
	return drives;
}

/* A copy that is older than @boot_no, as new as there is. */
static bool
old_take(struct sim_note *note, uint32_t boot_no)
{
	const struct pool_note *best = NULL;

	for (uint32_t i = 0; i < SIM_NOTES_KEPT; i++) {
		const struct pool_note *old = &note->old[i];
		if (old->boot_no != 0 && old->boot_no < boot_no &&
		    (best == NULL || old->boot_no > best->boot_no))
			best = old;
	}
	if (best == NULL)
		return false;
	note->there = *best;
	note->err = TERN_OK;
	return true;
}

/* Only what was left behind is there. The note is the right one, or an old copy. */
static void
half_begin(struct sim_note *note)
{
	struct sim_disk *disk = &note->node->disk;
	uint32_t boot_no;
	const uint32_t behind = left_behind(disk, &boot_no);

	note->wants_half = false;
	if (behind == 0)
		return;
	note->is_half = true;
	/* What is gone for good may be all that was left behind. */
	const uint32_t all = (1u << sim_disk_drives(disk)) - 1;
	note->away = all & ~behind & ~disk->gone;
	note->kept = note->there;
	note->kept_err = note->err;
	disk->gone |= note->away;
	if (chance(note, 500000) && old_take(note, boot_no))
		sim_count(note->node->sim, SIM_COUNT_notes_old);
	sim_count(note->node->sim, SIM_COUNT_halves_alone);
}

/* What the newest of the devices knows. */
static uint32_t
newest_boot(const struct sim_disk *disk)
{
	struct superblock own;
	uint32_t good, boot_no = 0;

	for (uint32_t drive = 0; drive < sim_disk_drives(disk); drive++)
		if (superblock_choose(sim_disk_at(disk, drive, 0), &own, &good) == TERN_OK)
			boot_no = max_u32(boot_no, own.boot_no);
	return boot_no;
}

static void
spoil(struct sim_note *note)
{
	static const enum tern_err errs[] = { TERN_ERR_NOT_FOUND, TERN_ERR_CORRUPT, TERN_ERR_IO };
	const uint64_t kind = prng_below(&note->prng, 4);

	if (kind < 3)
		note->err = errs[kind];
	else if (!old_take(note, newest_boot(&note->node->disk)))
		return;
	note->is_spoiled = true;
	sim_count(note->node->sim, SIM_COUNT_notes_spoiled);
}

/* Devices go for good while the node is stopped, as many as may. */
static void
go_missing(struct sim_note *note)
{
	struct sim_disk *disk = &note->node->disk;
	uint32_t lost = 0;

	for (uint32_t left = disk->weak; left != 0; left &= left - 1)
		if (lost == 0 || chance(note, 500000))
			lost |= left & -left;
	disk->gone |= lost;
	note->node->sim->counts.of[SIM_COUNT_devices_gone] += sim_bits(lost);
	sim_count(note->node->sim, SIM_COUNT_gone_while_stopped);
}

void
sim_note_start(struct sim_node *node)
{
	struct sim_note *note = &node->note;
	struct sim_disk *disk = &node->disk;
	const struct sim *sim = node->sim;
	const bool wants_half = note->wants_half;

	note->wants_half = false;
	if (!sim_node_is_data(node) || !is_needed(node) || node->is_log_volatile ||
	    node->is_restarting || sim->options.is_beyond || sim->options.is_lying_disk)
		return;
	const bool is_whole = disk->gone == 0 && sim_disk_recorded_failed(disk) == 0 &&
			      !disk->rot.is_on && !disk->is_swapped;
	const bool is_gone = chance(note, GONE_PPM), is_spoiled = chance(note, SPOILED_PPM);
	const bool is_half = chance(note, HALF_PPM) || wants_half;
	note->is_failing = chance(note, FAILING_PPM) && !sim->faults.is_healed;
	if (is_spoiled)
		spoil(note);
	if (is_half && !sim_disk_is_hanging(disk) && !disk->is_swapped)
		half_begin(note);
	else if (is_gone && is_whole && !sim->faults.is_healed)
		go_missing(note);
}

void
sim_note_configure(struct sim_node *node, struct runtime_config *config)
{
	config->notes = (struct note_port){ &sim_note_ops, &node->note };
	config->note_err = node->note.err;
	config->note = node->note.there;
}

bool
sim_note_refused(struct sim_node *node, bool is_ready)
{
	struct sim_note *note = &node->note;
	uint32_t device;
	const char *text = runtime_boot_store(node->runtime, &device);

	if (note->is_half) {
		if (is_ready)
			sim_fail(node->sim, "left-behind",
				 "node %u started on devices that the others went on without",
				 node->id);
		sim_count(node->sim, SIM_COUNT_halves_refused);
		return true;
	}
	if (!is_ready && text != NULL &&
	    strcmp(text, stripe_start_text(STRIPE_START_NOTE_IO)) == 0) {
		if (!note->is_failing)
			sim_fail(node->sim, "note", "node %u: no write of the note failed",
				 node->id);
		note->is_failing = false;
		return true;
	}
	return false;
}

bool
sim_note_is_stale(struct sim_node *node)
{
	static const enum stripe_start verdicts[] = { STRIPE_START_STALE, STRIPE_START_NOTE_CORRUPT,
						      STRIPE_START_NOTE_OLD,
						      STRIPE_START_LEFT_BEHIND };
	struct sim_note *note = &node->note;
	uint32_t device;
	const char *text = runtime_boot_store(node->runtime, &device);

	for (uint32_t i = 0; text != NULL && i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		if (strcmp(text, stripe_start_text(verdicts[i])) != 0)
			continue;
		/* One that is there, and right, is at most behind a device that came back. */
		if (is_needed(node) && !note->is_spoiled && note->err == TERN_OK &&
		    verdicts[i] != STRIPE_START_LEFT_BEHIND &&
		    note->there.boot_no != newest_boot(&node->disk))
			sim_fail(node->sim, "note", "node %u did not start with a good note: %s",
				 node->id, text);
		return true;
	}
	return false;
}

/* ---- while it runs ---- */

bool
sim_note_turn(struct sim_node *node)
{
	struct sim_note *note = &node->note;
	const struct status_pool *pool = &sim_node_status(node)->pool;

	if (!is_needed(node))
		return false;
	const uint32_t failed = runtime_healing(node->runtime).failed;
	const uint32_t added = failed & ~note->failed;
	note->failed = failed;
	if (node->sim->faults.is_healed)
		return false;
	if (note->is_failing && pool->is_note_failed && pool->is_stopped)
		return chance(note, REPAIR_PPM);
	if (added == 0 || node->is_log_volatile || !chance(note, CRASH_PPM))
		return false;
	note->wants_half = true;
	sim_count(node->sim, SIM_COUNT_heal_crashes);
	return true;
}

void
sim_note_heal(struct sim_node *node)
{
	node->note.is_failing = false;
	if (node->life == SIM_NODE_UP && sim_node_is_data(node) &&
	    sim_node_status(node)->pool.is_note_failed)
		sim_node_crash(node);
}
