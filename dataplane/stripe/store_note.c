/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool note of k <= m devices, of which two sets could each serve alone. It lies on the disk
 * that the node boots from, and says which devices are out, so that whichever set is found alone is
 * known for what it is (docs/decisions/half-of-a-mirror.md).
 *
 * One rule: what the note calls in is on the devices. A device is called out before the others
 * record it as failed, and therefore before anything counts that it does not hold; it is called in
 * after the superblocks that count it in are durable, and so after it holds everything. A crash in
 * between leaves a note that calls out too much, which keeps nobody from a start whose devices are
 * more than m, or say themselves that the others are out.
 *
 * The first note of a start has the number of that start, and is written before any superblock has
 * it: one whose number is less than that of the superblocks is an old copy.
 */
#include "dataplane/stripe/store_internal.h"

#include "dataplane/base/bits.h"

static uint32_t
bits_of(uint32_t mask)
{
	return (uint32_t)__builtin_popcount(mask);
}

uint32_t
stripe_losses_left(const struct stripe_store *store)
{
	const uint32_t failed = bits_of(store->failed);

	return failed > store->geometry.m || store->note.is_failed ? 0 : store->geometry.m - failed;
}

/* ---- at a start ---- */

/* READY: it is of this pool, and knows of all that the devices know. */
static enum stripe_start
note_check(const struct stripe_store *store, const struct superblock *newest)
{
	const struct pool_note *note = &store->config.note;

	if (!store->note.is_kept || store->config.note_err == TERN_ERR_NOT_FOUND)
		return STRIPE_START_STALE;
	if (store->config.note_err != TERN_OK)
		return store->config.note_err == TERN_ERR_FOREIGN ? STRIPE_START_NOTE_FOREIGN
								  : STRIPE_START_NOTE_CORRUPT;
	if (note->cluster_id != newest->cluster_id || note->node_id != newest->node_id ||
	    note->k != newest->k || note->m != newest->m)
		return STRIPE_START_NOTE_FOREIGN;
	const bool is_old = note->boot_no < newest->boot_no ||
			    (note->boot_no == newest->boot_no && note->pool_gen < newest->pool_gen);
	return is_old && !store->config.takes_old_note ? STRIPE_START_NOTE_OLD : STRIPE_START_READY;
}

enum stripe_start
stripe_note_judge(const struct stripe_store *store, uint32_t readable,
		  const struct superblock *newest, uint32_t *device)
{
	const struct pool_note *note = &store->config.note;
	const enum stripe_start checked = note_check(store, newest);
	uint32_t in = readable & ~note->out;

	if (checked != STRIPE_START_READY)
		return checked;
	/* What stood at this place before, or an old copy of it, is behind what was on all of them
	 * when the note was written. So is what has missed a start. */
	for (uint32_t i = 0; i < store->devices; i++)
		if (store->sequence[i] < note->sequence || note->boot_no > newest->boot_no + 1)
			in &= ~STRIPE_BIT(i);
	if (bits_of(in) >= store->geometry.k)
		return STRIPE_START_READY;
	*device = (uint32_t)__builtin_ctz(readable & ~in);
	return STRIPE_START_LEFT_BEHIND;
}

bool
stripe_note_lets_none(const struct stripe_store *store)
{
	return bits_of(stripe_all_devices(store) & ~store->config.note.out) < store->geometry.k;
}

/* ---- while it runs ---- */

/* Devices that are to be recorded as failed, and are not. */
static uint32_t
losses_of(const struct stripe_store *store)
{
	return (uint32_t)(store->super.wanted.failed_devices &
			  ~store->super.durable.failed_devices);
}

static void
note_end(struct stripe_store *store, enum tern_err err)
{
	struct stripe_note *note = &store->note;

	note->is_flying = false;
	if (err == TERN_OK) {
		note->durable = note->flight;
		return;
	}
	note->is_failed = true;
	/* Without it nothing may count that such a device does not hold. */
	if ((losses_of(store) & ~note->durable.out) != 0)
		store->is_stopped = true;
}

static void
note_begin(struct stripe_store *store)
{
	const struct superblock *wanted = &store->super.wanted;
	const struct superblock *durable = &store->super.durable;
	struct stripe_note *note = &store->note;

	note->flight = (struct pool_note){
		.cluster_id = wanted->cluster_id,
		.sequence = durable->sequence,
		.boot_no = max_u32(note->boot_no, durable->boot_no),
		.pool_gen = wanted->pool_gen,
		/* What is about to be called in is out until it is durable: more than m, if another
		 * one is lost in that moment. Then no set starts alone before the next note. */
		.out = (uint32_t)(wanted->failed_devices | durable->failed_devices) &
		       stripe_all_devices(store),
		.node_id = store->config.node_id,
		.k = (uint8_t)store->geometry.k,
		.m = (uint8_t)store->geometry.m,
	};
	note->is_flying = true;
	/* From now on either is there: what both call out is out for sure. */
	note->durable.out &= note->flight.out;
	store->config.notes.ops->write(store->config.notes.notes, &note->flight);
}

/* The superblocks say something else by now, all of them. */
static bool
is_behind(const struct stripe_store *store)
{
	const struct stripe_super *super = &store->super;
	const struct pool_note *note = &store->note.durable;

	return !super->is_dirty && !super->is_flying &&
	       (note->pool_gen != super->durable.pool_gen ||
		note->boot_no < super->durable.boot_no ||
		note->out != ((uint32_t)super->durable.failed_devices & stripe_all_devices(store)));
}

bool
stripe_note_turn(struct stripe_store *store)
{
	struct stripe_note *note = &store->note;

	if (!note->is_kept || store->is_stopped || store->phase < START_RECORD)
		return true;
	if (note->is_flying) {
		const enum tern_err err = store->config.notes.ops->poll(store->config.notes.notes);
		if (err != TERN_ERR_BUSY)
			note_end(store, err);
	}
	if (store->config.notes_late && store->phase == START_DONE) {
		if (!note->is_flying && !note->is_failed && is_behind(store))
			note_begin(store);
		return true;
	}
	const bool is_loss =
	    (losses_of(store) & stripe_all_devices(store) & ~note->durable.out) != 0;
	if (note->is_failed)
		return !store->is_stopped;
	if (!note->is_flying && (is_loss || note->durable.boot_no == 0 || is_behind(store)))
		note_begin(store);
	return !is_loss && note->durable.boot_no != 0;
}
