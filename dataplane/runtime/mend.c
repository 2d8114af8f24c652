/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include "dataplane/base/invariant.h"
#include "dataplane/stripe/mend.h"

static const struct cmdlog_hole *
hole_of(const struct runtime *rt)
{
	return cmdlog_hole(rt->log, rt->mend.hole);
}

bool
mend_is_busy(const struct runtime *rt)
{
	return rt->mend.is_in_flight || rt->mend_source.is_reading || rt->mend_source.is_wanted;
}

/* What was filled lets others be helped that lack other blocks, and may be why nobody answers: the
 * incarnation ends once the devices have. */
static bool
is_ending(const struct runtime *rt)
{
	return rt->mend.filled != 0 && !want_is_answered(rt, &rt->mend.want);
}

uint64_t
mend_deadline_ns(const struct runtime *rt)
{
	const struct mend *mend = &rt->mend;

	/* Otherwise nothing is waited for, or a completion is. */
	if (!loss_has_holes(rt) || mend->is_written_to || hold_by_transfer(rt) ||
	    rt->is_storage_failed || is_ending(rt))
		return UINT64_MAX;
	return want_deadline_ns(rt, &mend->want);
}

/* ---- asking ---- */

/* The block that ends at end_page. It is at most what is missing. */
static void
block_want(struct mend *mend, uint64_t log_index, struct hash128 chain)
{
	want_begin(&mend->want, log_index, chain,
		   mend->buffer + (size_t)mend->end_page * PAGE_BYTES, mend->end_page);
}

static void
hole_begin(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	const struct cmdlog_hole *hole = hole_of(rt);

	INVARIANT(hole->pages >= 1 && hole->pages <= CMDLOG_HOLE_PAGES_MAX);
	mend->is_begun = true;
	mend->want.heard_ns = rt->now_ns;
	mend->end_page = hole->pages;
	mend->is_written_to = false;
	block_want(mend, hole->last_index, hole->last_chain);
}

static void
hole_end(struct runtime *rt)
{
	rt->mend.hole++;
	rt->mend.is_begun = false;
}

void
mend_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
	     const uint8_t *bytes)
{
	struct mend *mend = &rt->mend;

	if (!loss_has_holes(rt) || !mend->is_begun || mend->is_written_to ||
	    !want_take(rt, &mend->want, hdr, part, bytes))
		rt->link.drops.part_unwanted++;
}

/* ---- blocks ---- */

/* The block is whole. It says what comes before it, down to what can be read here. */
static void
block_take(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	const struct cmdlog_hole *hole = hole_of(rt);
	const struct block_want *want = &mend->want;
	const uint8_t *bytes = want->end - (size_t)want->pages * PAGE_BYTES;
	struct block_hdr hdr;

	if (cmdlog_check_block(rt->log, want->index, want->chain, bytes, want->pages, &hdr) !=
	    TERN_OK) {
		mend->parts_bad++;
		want_again(rt, &mend->want);
		return;
	}
	mend->blocks_taken++;
	mend->end_page -= want->pages;
	const bool is_first = want->index == hole->after_index + 1;
	if (hdr.page_lsn != hole->page_lsn + mend->end_page || is_first != (mend->end_page == 0) ||
	    (is_first && !hash128_equal(hdr.prev_chain, hole->after_chain))) {
		/* Two histories: this hole is of a tail that did not begin here. */
		mend->hopeless++;
		hole_end(rt);
		return;
	}
	if (!is_first) {
		block_want(mend, want->index - 1, hdr.prev_chain);
		return;
	}
	mend->is_written_to = true;
	mend->piece = mend->piece_page = 0;
}

static bool
piece_write(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	const struct cmdlog_piece *piece = &hole_of(rt)->pieces[mend->piece];
	const struct stripe_mend write = {
		.group = piece->group,
		.page = piece->page,
		.pages = piece->pages,
		.bytes = mend->buffer + (size_t)mend->piece_page * PAGE_BYTES,
		.user = storage_user_make(USER_MEND, 0, 0),
	};

	if (stripe_store_mend(rt->store, &write, rt->now_ns) != TERN_OK)
		return false;
	stripe_store_submit(rt->store);
	mend->is_in_flight = true;
	return true;
}

void
mend_on_written(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	const struct cmdlog_hole *hole = hole_of(rt);

	INVARIANT(mend->is_in_flight && mend->is_written_to);
	mend->is_in_flight = false;
	mend->piece_page += hole->pieces[mend->piece].pages;
	if (++mend->piece < hole->piece_count)
		return;
	INVARIANT(mend->piece_page == hole->pages);
	mend->filled++;
	hole_end(rt);
}

/* All that could be done is done. Nobody sees an incarnation end with writes under way. */
static bool
end_turn(struct runtime *rt)
{
	if (rt->mend.filled == 0 || hold_devices(rt) || hold_by_transfer(rt))
		return false;
	rt->is_over = true;
	return true;
}

bool
mend_turn(struct runtime *rt)
{
	struct mend *mend = &rt->mend;

	if (!rt->is_damaged || mend->is_in_flight || rt->is_storage_failed)
		return false;
	if (rt->repair.is_accept_wanted && !loss_is_mendable(rt)) {
		repair_accept(rt);
		return true;
	}
	if (!loss_has_holes(rt) || hold_by_transfer(rt))
		return end_turn(rt);
	if (!mend->is_begun)
		hole_begin(rt);
	if (mend->is_written_to)
		return piece_write(rt);
	if (want_is_whole(&mend->want)) {
		block_take(rt);
		return true;
	}
	if (is_ending(rt))
		return end_turn(rt);
	return want_ask(rt, &mend->want);
}
