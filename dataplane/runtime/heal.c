/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/heal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/runtime/runtime_internal.h"

void
heal_open(struct runtime *rt)
{
	rt->heal.left = stripe_store_returned(rt->store);
	rt->heal.scrub_due_ns =
	    rt->now_ns + (rt->config.scrub_due_in_ns != 0 ? rt->config.scrub_due_in_ns
							  : rt->heal.scrub_interval_ns);
	rt->heal.is_scrub_wanted = rt->config.scrub_from != STATUS_SCRUB_NONE;
}

struct runtime_healing
runtime_healing(const struct runtime *rt)
{
	const struct stripe_store_stats stats = stripe_store_stats(rt->store);
	struct runtime_healing healing = {
		.is_under_way = rt->heal.rebuild.phase != HEAL_IDLE ||
				rt->heal.scrub.phase != HEAL_IDLE || rt->heal.busy != NULL ||
				rt->heal.hurt != NULL,
		.scrubs = rt->heal.scrubs,
		.rebuilt = rt->heal.rebuilt,
		.refilled = rt->refill.filled,
		.unreadable = rt->heal.unreadable,
		.out = stats.failed_devices | stats.suspect_devices | stats.rebuilding_devices,
		.failed = stats.failed_devices & ~stats.rebuilding_devices & ~rt->heal.left,
		.rebuilding = stats.rebuilding_devices,
		.spares_taken = rt->heal.spares_taken,
	};

	for (uint32_t i = 0; i < stripe_devices(runtime_geometry(rt)); i++)
		healing.drives[i] = (uint8_t)stripe_store_drive(rt->store, i);
	return healing;
}

enum tern_err
runtime_replace(struct runtime *rt, uint32_t device, uint32_t drive, uint64_t bytes)
{
	if (rt->is_storage_failed || !loss_is_settled(rt))
		return TERN_ERR_BUSY;
	return heal_replace(rt, device, drive, bytes);
}

/* ---- rebuild ---- */

static bool
is_device_lost(const struct runtime *rt)
{
	return (stripe_store_stats(rt->store).rebuilding_devices & STRIPE_BIT(rt->heal.device)) ==
	       0;
}

static void
rebuild_stop(struct runtime *rt, enum status_job_state state)
{
	rt->heal.left &= ~STRIPE_BIT(rt->heal.device);
	heal_walk_end(rt, &rt->heal.rebuild, state);
}

static bool
rebuild_begin(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	/* A damaged log stays as it is until a master has something to give. */
	if (!loss_is_settled(rt))
		return false;
	heal->device = (uint32_t)__builtin_ctz(heal->left);
	const enum tern_err err = stripe_store_rebuild_begin(rt->store, heal->device);
	if (err == TERN_ERR_BUSY)
		return false;
	if (err != TERN_OK) {
		rebuild_stop(rt, STATUS_JOB_FAILED);
		return true;
	}
	heal_walk_begin(rt, &heal->rebuild, STATUS_JOB_REBUILD, (uint8_t)heal->device);
	return true;
}

static bool
rebuild_end(struct runtime *rt)
{
	const enum tern_err err = stripe_store_rebuild_end(rt->store, rt->heal.device);

	if (err == TERN_ERR_BUSY)
		return false;
	rt->heal.rebuilt += err == TERN_OK;
	rebuild_stop(rt, err == TERN_OK ? STATUS_JOB_DONE : STATUS_JOB_FAILED);
	return true;
}

enum tern_err
heal_replace(struct runtime *rt, uint32_t device, uint32_t drive, uint64_t bytes)
{
	struct healer *heal = &rt->heal;
	const enum tern_err err = stripe_store_replace(rt->store, device, drive, bytes);

	if (err == TERN_OK) {
		heal->left |= STRIPE_BIT(device);
		heal->spares_taken++;
	}
	return err;
}

/* A spare for each device that is durably recorded as failed, and that nobody makes whole. */
static bool
spares_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;
	const uint32_t spares = stripe_store_spares(rt->store);

	if (spares == 0 || !loss_is_settled(rt))
		return false;
	const struct stripe_store_stats stats = stripe_store_stats(rt->store);
	const uint32_t out = stats.failed_devices & ~stats.rebuilding_devices & ~heal->left;
	if (out == 0)
		return false;
	const uint32_t drive = (uint32_t)__builtin_ctz(spares);
	return heal_replace(rt, (uint32_t)__builtin_ctz(out), drive,
			    rt->config.device_bytes[drive]) == TERN_OK;
}

static bool
rebuild_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	if (heal->rebuild.phase == HEAL_IDLE)
		return rebuild_begin(rt);
	/* The others know it as failed; the next start tries again. */
	if (is_device_lost(rt)) {
		rebuild_stop(rt, STATUS_JOB_FAILED);
		return true;
	}
	return heal->rebuild.phase == HEAL_END ? rebuild_end(rt)
					       : heal_walk_turn(rt, &heal->rebuild);
}

/* ---- scrub ---- */

static bool
is_paused(const struct heal_walk *walk)
{
	return walk->job != NULL && walk->job->state == STATUS_JOB_PAUSED;
}

static void
scrub_stop(struct runtime *rt, enum status_job_state state)
{
	struct healer *heal = &rt->heal;

	heal->scrub_unrepairable = heal->scrub.job->unrepairable;
	heal->scrubs += state == STATUS_JOB_DONE;
	heal->scrub_due_ns = rt->now_ns + heal->scrub_interval_ns;
	/* What is under way goes on to its end, and is nobody's. */
	const enum heal_phase phase = heal->scrub.phase;
	heal_walk_end(rt, &heal->scrub, state);
	heal->is_scrub_over = heal->busy == &heal->scrub;
	if (heal->is_scrub_over)
		heal->scrub.phase = phase;
}

/* Goes on where an earlier start's scrub was. What lies there now is as good as when it was seen.
 */
static void
scrub_go_on(struct runtime *rt)
{
	struct healer *heal = &rt->heal;
	struct heal_walk *scrub = &heal->scrub;

	heal->is_scrub_wanted = false;
	heal_walk_begin(rt, scrub, STATUS_JOB_SCRUB, STATUS_JOB_ALL_DEVICES);
	/* A note of another pool. */
	if (rt->config.scrub_from_cell > scrub->end_cell)
		return;
	for (uint64_t end = scrub->end; scrub->next < end;) {
		const uint64_t middle = scrub->next + (end - scrub->next) / 2;
		const struct heal_group *group = &heal->groups[middle % heal->groups_max];
		if (group->first_cell < rt->config.scrub_from_cell)
			scrub->next = middle + 1;
		else
			end = middle;
	}
	if (rt->config.scrub_from == STATUS_SCRUB_PAUSED)
		scrub->job->state = STATUS_JOB_PAUSED;
}

void
heal_scrub_status(const struct runtime *rt, struct status_pool *pool)
{
	const struct healer *heal = &rt->heal;
	const struct heal_walk *scrub = &heal->scrub;

	pool->scrub_due_ns = heal->scrub_interval_ns == 0 ? 0 : heal->scrub_due_ns;
	if (heal->is_scrub_wanted) {
		pool->scrub_state = (uint8_t)rt->config.scrub_from;
		pool->scrub_cell = rt->config.scrub_from_cell;
		return;
	}
	if (scrub->job == NULL)
		return;
	pool->scrub_state = is_paused(scrub) ? STATUS_SCRUB_PAUSED : STATUS_SCRUB_RUNNING;
	if (heal->hurt == scrub)
		pool->scrub_cell = heal->hurt_address.first_cell;
	else if (scrub->phase == HEAL_LOG && scrub->next < scrub->end)
		pool->scrub_cell =
		    heal->groups[max_u64(scrub->next, heal->tail) % heal->groups_max].first_cell;
	else
		pool->scrub_cell = scrub->end_cell;
}

static bool
is_scrub_due(const struct runtime *rt)
{
	const struct healer *heal = &rt->heal;

	return heal->scrub_interval_ns != 0 && rt->now_ns >= heal->scrub_due_ns &&
	       loss_is_settled(rt);
}

static bool
scrub_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	if (heal->scrub.phase == HEAL_IDLE) {
		if (heal->is_scrub_wanted && loss_is_settled(rt))
			scrub_go_on(rt);
		else if (is_scrub_due(rt))
			heal_walk_begin(rt, &heal->scrub, STATUS_JOB_SCRUB, STATUS_JOB_ALL_DEVICES);
		return false;
	}
	if (heal->scrub.phase == HEAL_END) {
		scrub_stop(rt, STATUS_JOB_DONE);
		return true;
	}
	return heal_walk_turn(rt, &heal->scrub);
}

enum submit_job_refusal
heal_scrub_steer(struct runtime *rt, enum submit_job what, uint64_t *id)
{
	struct healer *heal = &rt->heal;
	struct heal_walk *scrub = &heal->scrub;

	if (what == SUBMIT_JOB_SCRUB_START) {
		if (scrub->phase != HEAL_IDLE)
			return SUBMIT_JOB_RUNNING;
		if (rt->is_storage_failed || !loss_is_settled(rt))
			return SUBMIT_JOB_NOT_NOW;
		heal->is_scrub_wanted = false; /* begins anew */
		heal_walk_begin(rt, scrub, STATUS_JOB_SCRUB, STATUS_JOB_ALL_DEVICES);
	}
	if (scrub->job == NULL)
		return SUBMIT_JOB_NONE;
	*id = scrub->job->id;
	/* What is under way is finished first, and then nothing more is begun. */
	if (what == SUBMIT_JOB_SCRUB_PAUSE)
		scrub->job->state = STATUS_JOB_PAUSED;
	else if (what == SUBMIT_JOB_SCRUB_RESUME && is_paused(scrub))
		job_go_on(rt, scrub->job);
	else if (what == SUBMIT_JOB_SCRUB_CANCEL)
		scrub_stop(rt, STATUS_JOB_CANCELLED);
	return 0;
}

bool
runtime_scrub_begin(struct runtime *rt)
{
	uint64_t id;

	return heal_scrub_steer(rt, SUBMIT_JOB_SCRUB_START, &id) == 0;
}

/* ---- both ---- */

void
heal_set_rate(struct heal_walk *walk, uint64_t bytes_s)
{
	INVARIANT(bytes_s != 0);
	walk->rate_bytes_s = bytes_s;
	if (walk->job != NULL)
		walk->job->rate_max_bytes_s = bytes_s;
}

/* Whose turn it is: the rebuild's, but for an item that the scrub has in hand. */
static struct heal_walk *
walk_next(struct healer *heal)
{
	const bool is_rebuilding = heal->left != 0 || heal->rebuild.phase != HEAL_IDLE;

	if (is_rebuilding && !heal_walk_is_inside(&heal->scrub))
		return &heal->rebuild;
	return &heal->scrub;
}

/* Parity was not enough: others may have what is lost; if not, nobody may need it any more. */
static bool
hurt_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;
	struct cmdlog_group_blocks blocks;

	if (heal->is_refilling || rt->refill.phase != REFILL_IDLE)
		return false;
	heal->is_refilling = refill_begin(rt, heal->hurt_address);
	if (heal->is_refilling)
		return true;
	if (cmdlog_group_blocks(rt->log, heal->hurt_address.first_cell,
				heal->hurt_address.group_pages, &blocks))
		loss_note(rt, blocks.behind_index, false);
	heal_tally_hurt(rt, false);
	return true;
}

bool
heal_turn(struct runtime *rt)
{
	struct healer *heal = &rt->heal;

	if (heal->busy != NULL)
		return false;
	if (heal->hurt != NULL)
		return hurt_turn(rt);
	if (!rt->is_storage_failed && spares_turn(rt))
		return true;
	struct heal_walk *walk = walk_next(heal);
	if (heal->is_scrub_over) {
		heal->scrub.phase = HEAL_IDLE;
		heal->is_scrub_over = false;
	}
	if (rt->is_storage_failed || rt->now_ns < walk->pause_until_ns)
		return false;
	if (walk == &heal->rebuild)
		return rebuild_turn(rt);
	/* One that is paused lets go of the buffer first. */
	if (is_paused(walk) && !heal_walk_is_inside(walk))
		return false;
	return scrub_turn(rt);
}

uint64_t
heal_deadline_ns(const struct runtime *rt)
{
	const struct healer *heal = &rt->heal;

	const struct heal_walk *walk =
	    heal->rebuild.phase != HEAL_IDLE ? &heal->rebuild : &heal->scrub;

	if (heal->busy != NULL || heal->hurt != NULL || rt->is_storage_failed ||
	    walk->phase == HEAL_IDLE || is_paused(walk) || walk->pause_until_ns <= rt->now_ns)
		return UINT64_MAX; /* what it waits for wakes the loop */
	return walk->pause_until_ns;
}

void
heal_on_completion(struct runtime *rt, enum tern_err err)
{
	struct healer *heal = &rt->heal;
	struct heal_walk *walk = heal->busy;

	INVARIANT(walk != NULL);
	heal->busy = NULL;
	heal_walk_on_completion(rt, walk, err);
	groups_release_held(rt);
}
