/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/pull.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/core/core_pull.h"
#include "dataplane/runtime/runtime_internal.h"

static void
block_want(struct runtime *rt, uint64_t log_index)
{
	const uint32_t pages_max = cmdlog_block_pages_max(rt->config.command_bytes_max);

	INVARIANT(rt->pull.count != 0);
	want_begin(&rt->pull.want, log_index, rt->pull.chains[0],
		   rt->mend.buffer + (size_t)pages_max * PAGE_BYTES, pages_max);
}

void
pull_want(struct runtime *rt, const struct core_effect *effect)
{
	struct pull *pull = &rt->pull;
	const struct msg_sought *sought = &effect->msg.sought;
	const bool is_same = pull->count != 0 && pull->want.index == effect->index &&
			     hash128_equal(pull->chains[0], sought->next[0]);
	const uint32_t slot = peers_slot(rt, effect->node);

	INVARIANT(sought->next_count >= 1 && sought->next_count <= MSG_NEXT_MAX);
	INVARIANT(slot != UINT32_MAX);
	if (!loss_is_settled(rt) || rt->refill.phase != REFILL_IDLE)
		return; /* told again as long as it is wanted */
	pull->count = sought->next_count;
	memcpy(pull->chains, sought->next, sizeof(pull->chains));
	/* Whoever gives it goes on. */
	if (is_same && want_is_answered(rt, &pull->want))
		return;
	pull->want.peer = slot;
	pull->want.heard_ns = rt->now_ns;
	block_want(rt, effect->index);
}

void
pull_drop(struct runtime *rt)
{
	rt->pull.count = 0;
}

bool
pull_is_busy(const struct runtime *rt)
{
	return rt->pull.count != 0 && want_is_answered(rt, &rt->pull.want);
}

uint64_t
pull_deadline_ns(const struct runtime *rt)
{
	const struct pull *pull = &rt->pull;

	/* A whole one waits for room in the ring, which a completion or apply makes. */
	return pull->count == 0 || want_is_whole(&pull->want) ? UINT64_MAX
							      : want_deadline_ns(rt, &pull->want);
}

bool
pull_on_part(struct runtime *rt, const struct frame_hdr *hdr, const struct part_hdr *part,
	     const uint8_t *bytes)
{
	const struct block_want *want = &rt->pull.want;

	if (rt->pull.count == 0)
		return false;
	if (part->id.log_index == want->index && hash128_equal(part->id.chain, want->chain) &&
	    part->pages > want->pages_max)
		rt->link.drops.block_too_large++;
	return want_take(rt, &rt->pull.want, hdr, part, bytes);
}

/* ---- blocks ---- */

static const uint8_t *
block_bytes(const struct pull *pull)
{
	return pull->want.end - (size_t)pull->want.pages * PAGE_BYTES;
}

/* To the ring, but for the identity parts, which are the giver's. NULL: no room now. */
static const uint8_t *
block_place(struct runtime *rt)
{
	const uint32_t pages = rt->pull.want.pages;
	const uint8_t *from = block_bytes(&rt->pull);
	uint8_t *block = cmdlog_place(rt->log, cmdlog_next_page_lsn(rt->log), pages,
				      PAGE_BYTES - PAGE_IDENTITY_BYTES);

	for (uint32_t i = 0; i < pages && block != NULL; i++)
		memcpy(block + (size_t)i * PAGE_BYTES + PAGE_IDENTITY_BYTES,
		       from + (size_t)i * PAGE_BYTES + PAGE_IDENTITY_BYTES,
		       PAGE_BYTES - PAGE_IDENTITY_BYTES);
	return block;
}

static void
block_next(struct runtime *rt)
{
	struct pull *pull = &rt->pull;

	pull->blocks_taken++;
	if (--pull->count == 0)
		return;
	memmove(pull->chains, pull->chains + 1, pull->count * sizeof(pull->chains[0]));
	block_want(rt, pull->want.index + 1);
}

/* The block follows the last one, and nothing but the log's own state can refuse it. */
static bool
block_take(struct runtime *rt)
{
	struct pull *pull = &rt->pull;
	struct core_event event = { .kind = CORE_EVENT_RECEIVED,
				    .now_ns = rt->now_ns,
				    .flag = true };
	struct membership next, preceding;

	const uint8_t *bytes = block_place(rt);
	if (bytes == NULL)
		return false;
	const enum tern_err err =
	    cmdlog_accept(rt->log, pull->want.pages, core_view(rt->core)->term, &event.block);
	if (err != TERN_OK) {
		rt->link.drops.block_no_room += err == TERN_ERR_LOG_FULL;
		pull->parts_bad += err != TERN_ERR_LOG_FULL;
		pull_drop(rt);
		return true;
	}
	if (event.block.kind == BLOCK_CONFIG) {
		const enum tern_err read = membership_of_block(bytes, &next, &preceding);
		INVARIANT(read == TERN_OK);
		event.next = &next;
		event.before = &preceding;
	}
	block_next(rt);
	if (dispatch(rt, &event) != TERN_OK)
		rt->link.drops.core_refused++;
	return true;
}

bool
pull_turn(struct runtime *rt)
{
	struct pull *pull = &rt->pull;
	struct block_want *want = &pull->want;
	struct block_hdr hdr;

	if (pull->count == 0)
		return false;
	INVARIANT(rt->refill.phase == REFILL_IDLE);
	/* A master was found, or another answer came. */
	if (!core_takes_pulled(rt->core, want->index, want->chain) || rt->is_storage_failed ||
	    rt->cut.is_pending || !want_is_answered(rt, want)) {
		pull_drop(rt);
		return false;
	}
	if (!want_is_whole(want))
		return want_ask(rt, want);
	if (cmdlog_check_block(rt->log, want->index, want->chain, block_bytes(pull), want->pages,
			       &hdr) != TERN_OK) {
		pull->parts_bad++;
		want_again(rt, want);
		return true;
	}
	return block_take(rt);
}
