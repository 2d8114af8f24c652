/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/runtime/runtime_internal.h"

#include <string.h>

#include "dataplane/base/invariant.h"

bool
want_send(struct runtime *rt, uint16_t node, const struct part_ask *what)
{
	struct net_frame frame;

	if (!link_bulk_begin(&rt->link, node, &frame))
		return false;
	part_ask_encode(frame.bytes + FRAME_HDR_BYTES, what);
	link_bulk_end(&rt->link, &frame, FRAME_PART_ASK, core_view(rt->core)->term, PART_ASK_BYTES,
		      PART_ASK_BYTES);
	link_bulk_flush(&rt->link);
	return true;
}

void
want_begin(struct block_want *want, uint64_t log_index, struct hash128 chain, uint8_t *end,
	   uint32_t pages_max)
{
	want->index = log_index;
	want->chain = chain;
	want->end = end;
	want->pages_max = pages_max;
	want->pages = want->have_count = want->asked_end = 0;
	want->asked_ns = 0;
	memset(want->have, 0, sizeof(want->have));
}

void
want_again(struct runtime *rt, struct block_want *want)
{
	INVARIANT(rt->stream_count != 0);
	want->peer = (want->peer + 1) % rt->stream_count;
	want_begin(want, want->index, want->chain, want->end, want->pages_max);
}

static bool
has_unit(const struct block_want *want, uint32_t unit)
{
	return (want->have[unit / 64] >> unit % 64 & 1) != 0;
}

/* Of a block of which nothing came yet the length is not known. */
static uint32_t
units_max(const struct block_want *want)
{
	return part_units(want->pages != 0 ? want->pages
					   : min_u32(want->pages_max, PART_BLOCK_PAGES_MAX));
}

bool
want_ask(struct runtime *rt, struct block_want *want)
{
	uint32_t first = 0, end;

	INVARIANT(rt->stream_count != 0);
	while (first < units_max(want) && has_unit(want, first))
		first++;
	const bool is_late =
	    want->asked_ns != 0 && rt->now_ns - want->asked_ns >= rt->config.resend_ns;
	if (rt->link.data.ops == NULL || first == units_max(want) ||
	    (want->asked_ns != 0 && first < want->asked_end && !is_late))
		return false;
	/* Another one may have it. */
	if (is_late && want->heard_ns < want->asked_ns)
		want->peer = (want->peer + 1) % rt->stream_count;
	for (end = first; end < units_max(want) && end - first < RUNTIME_TRANSFER_UNITS_MAX; end++)
		if (has_unit(want, end))
			break;
	want->asked_end = end;
	want->asked_ns = rt->now_ns;
	const struct part_ask what = {
		.id = { want->index, want->chain, PART_OF_BLOCK },
		.unit_first = first,
		.unit_count = end - first,
	};
	return want_send(rt, rt->stream_nodes[want->peer], &what);
}

bool
want_take(struct runtime *rt, struct block_want *want, const struct frame_hdr *hdr,
	  const struct part_hdr *part, const uint8_t *bytes)
{
	if (hdr->sender != rt->stream_nodes[want->peer] || part->id.log_index != want->index ||
	    !hash128_equal(part->id.chain, want->chain) || part->pages > want->pages_max ||
	    (want->pages != 0 && part->pages != want->pages) || has_unit(want, part->unit))
		return false;
	want->heard_ns = rt->now_ns;
	want->pages = part->pages;
	memcpy(want->end - (size_t)part->pages * PAGE_BYTES + (size_t)part->unit * PART_UNIT_BYTES,
	       bytes, part->bytes);
	want->have[part->unit / 64] |= UINT64_C(1) << part->unit % 64;
	want->have_count++;
	return true;
}

bool
want_is_whole(const struct block_want *want)
{
	return want->pages != 0 && want->have_count == part_units(want->pages);
}

bool
want_is_answered(const struct runtime *rt, const struct block_want *want)
{
	return rt->now_ns - want->heard_ns < RUNTIME_TRANSFER_PATIENCE * rt->config.resend_ns;
}

uint64_t
want_deadline_ns(const struct runtime *rt, const struct block_want *want)
{
	return want->asked_ns == 0 ? UINT64_MAX : want->asked_ns + rt->config.resend_ns;
}
