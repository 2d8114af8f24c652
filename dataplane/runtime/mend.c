/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/stripe/mend.h"

static const struct cmdlog_hole *
hole_of(const struct runtime *rt)
{
	return cmdlog_hole(rt->log, rt->mend.hole);
}

static bool
has_holes(const struct runtime *rt)
{
	return rt->is_damaged && !rt->repair.is_named && rt->stream_count != 0 &&
	       !runtime_has_bug(rt, CORE_BUG_NO_MEND) && rt->mend.hole < cmdlog_hole_count(rt->log);
}

/* Something came lately. */
static bool
is_answered(const struct runtime *rt)
{
	return rt->now_ns - rt->mend.heard_ns < RUNTIME_TRANSFER_PATIENCE * rt->config.resend_ns;
}

bool
mend_is_busy(const struct runtime *rt)
{
	return rt->mend.is_in_flight || rt->mend_source.is_reading || rt->mend_source.is_wanted;
}

bool
mend_is_hopeful(const struct runtime *rt)
{
	const struct mend *mend = &rt->mend;

	if (mend->is_in_flight || mend->filled != 0)
		return true;
	return has_holes(rt) && (!mend->is_begun || mend->is_written_to || is_answered(rt));
}

uint64_t
mend_deadline_ns(const struct runtime *rt)
{
	const struct mend *mend = &rt->mend;

	/* Otherwise nothing is waited for, or a completion is. */
	if (!has_holes(rt) || mend->asked_ns == 0 || mend->is_written_to || transfer_is_active(rt))
		return UINT64_MAX;
	return mend->asked_ns + rt->config.resend_ns;
}

/* ---- asking ---- */

static void
block_want(struct runtime *rt, uint64_t log_index, struct hash128 chain)
{
	struct mend *mend = &rt->mend;

	mend->index = log_index;
	mend->chain = chain;
	mend->pages = mend->have_count = mend->asked_end = 0;
	mend->asked_ns = 0;
	memset(mend->have, 0, sizeof(mend->have));
}

static void
hole_begin(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	const struct cmdlog_hole *hole = hole_of(rt);

	INVARIANT(hole->pages >= 1 && hole->pages <= CMDLOG_HOLE_PAGES_MAX);
	mend->is_begun = true;
	mend->heard_ns = rt->now_ns;
	mend->end_page = hole->pages;
	mend->is_written_to = false;
	block_want(rt, hole->last_index, hole->last_chain);
}

static void
hole_end(struct runtime *rt)
{
	rt->mend.hole++;
	rt->mend.is_begun = false;
}

static bool
has_unit(const struct mend *mend, uint32_t unit)
{
	return (mend->have[unit / 64] >> unit % 64 & 1) != 0;
}

/* Of a block of which nothing came yet the length is not known: it is at most what is missing. */
static uint32_t
units_max(const struct mend *mend)
{
	return part_units(mend->pages != 0 ? mend->pages
					   : min_u32(mend->end_page, PART_BLOCK_PAGES_MAX));
}

static bool
ask(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	uint32_t first = 0, end;
	struct net_frame frame;

	while (first < units_max(mend) && has_unit(mend, first))
		first++;
	const bool is_late =
	    mend->asked_ns != 0 && rt->now_ns - mend->asked_ns >= rt->config.resend_ns;
	if (rt->link.data.ops == NULL || first == units_max(mend) ||
	    (mend->asked_ns != 0 && first < mend->asked_end && !is_late))
		return false;
	/* Another one may have it. */
	if (is_late && mend->heard_ns < mend->asked_ns)
		mend->peer = (mend->peer + 1) % rt->stream_count;
	for (end = first; end < units_max(mend) && end - first < RUNTIME_TRANSFER_UNITS_MAX; end++)
		if (has_unit(mend, end))
			break;
	mend->asked_end = end;
	mend->asked_ns = rt->now_ns;
	if (!link_bulk_begin(&rt->link, rt->stream_nodes[mend->peer], &frame))
		return false; /* as good as lost */
	const struct part_ask what = {
		.id = { mend->index, mend->chain, PART_OF_BLOCK },
		.unit_first = first,
		.unit_count = end - first,
	};
	part_ask_encode(frame.bytes + FRAME_HDR_BYTES, &what);
	link_bulk_end(&rt->link, &frame, FRAME_PART_ASK, core_view(rt->core)->term, PART_ASK_BYTES,
		      PART_ASK_BYTES);
	link_bulk_flush(&rt->link);
	return true;
}

void
mend_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
	     const uint8_t *bytes)
{
	struct mend *mend = &rt->mend;

	if (!has_holes(rt) || !mend->is_begun || mend->is_written_to ||
	    hdr->sender != rt->stream_nodes[mend->peer] || part->id.log_index != mend->index ||
	    !hash128_equal(part->id.chain, mend->chain) || part->pages > mend->end_page ||
	    (mend->pages != 0 && part->pages != mend->pages) || has_unit(mend, part->unit)) {
		rt->link.drops.part_unwanted++;
		return;
	}
	mend->heard_ns = rt->now_ns;
	mend->pages = part->pages;
	memcpy(mend->buffer + (size_t)(mend->end_page - part->pages) * PAGE_BYTES +
		   (size_t)part->unit * PART_UNIT_BYTES,
	       bytes, part->bytes);
	mend->have[part->unit / 64] |= UINT64_C(1) << part->unit % 64;
	mend->have_count++;
}

/* ---- blocks ---- */

/* The block is whole. It says what comes before it, down to what can be read here. */
static void
block_take(struct runtime *rt)
{
	struct mend *mend = &rt->mend;
	const struct cmdlog_hole *hole = hole_of(rt);
	const uint8_t *bytes = mend->buffer + (size_t)(mend->end_page - mend->pages) * PAGE_BYTES;
	struct block_hdr hdr;

	if (cmdlog_check_block(rt->log, mend->index, mend->chain, bytes, mend->pages, &hdr) !=
	    TERN_OK) {
		mend->parts_bad++;
		mend->peer = (mend->peer + 1) % rt->stream_count;
		block_want(rt, mend->index, mend->chain);
		return;
	}
	mend->blocks_taken++;
	mend->end_page -= mend->pages;
	const bool is_first = mend->index == hole->after_index + 1;
	if (hdr.page_lsn != hole->page_lsn + mend->end_page || is_first != (mend->end_page == 0) ||
	    (is_first && !hash128_equal(hdr.prev_chain, hole->after_chain))) {
		/* Two histories: this hole is of a tail that did not begin here. */
		mend->hopeless++;
		hole_end(rt);
		return;
	}
	if (!is_first) {
		block_want(rt, mend->index - 1, hdr.prev_chain);
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
	if (rt->mend.filled == 0 || storage_is_busy(rt) || transfer_is_active(rt))
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
	if (rt->repair.is_accept_wanted && !mend_is_hopeful(rt)) {
		repair_accept(rt);
		return true;
	}
	if (!has_holes(rt) || transfer_is_active(rt))
		return end_turn(rt);
	if (!mend->is_begun)
		hole_begin(rt);
	if (mend->is_written_to)
		return piece_write(rt);
	if (mend->pages != 0 && mend->have_count == part_units(mend->pages)) {
		block_take(rt);
		return true;
	}
	/* What was filled lets others be helped that lack other blocks, and may be why nobody
	 * answers. */
	if (mend->filled != 0 && !is_answered(rt))
		return end_turn(rt);
	return ask(rt);
}
