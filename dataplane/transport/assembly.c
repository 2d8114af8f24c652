/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/transport/transport_internal.h"

static uint32_t
words_of(const struct assembly_config *config)
{
	return (config->block_pages_max * FRAGMENT_UNITS_PER_PAGE + 63) / 64;
}

size_t
assembly_bytes(const struct assembly_config *config)
{
	return sizeof(struct assembly) + (size_t)config->blocks_max * sizeof(struct assembly_slot) +
	       (size_t)config->blocks_max * words_of(config) * sizeof(uint64_t);
}

void
assembly_init(void *memory, const struct assembly_config *config, struct assembly **out)
{
	struct assembly *assembly = memory;
	uint8_t *bytes = memory;

	INVARIANT(is_pow2_u64(config->blocks_max));
	INVARIANT(config->block_pages_max != 0 && config->fetch_after_ns != 0);
	memset(assembly, 0, sizeof(*assembly));
	assembly->config = *config;
	assembly->words = words_of(config);
	assembly->slots = (struct assembly_slot *)(bytes + sizeof(*assembly));
	assembly->bits = (uint64_t *)(assembly->slots + config->blocks_max);
	assembly->deadline_ns = UINT64_MAX;
	*out = assembly;
}

void
assembly_accept(struct assembly *assembly, uint64_t log_index, uint64_t page_lsn)
{
	INVARIANT(log_index != 0);
	assembly->is_accepting = true;
	assembly->next_index = log_index;
	assembly->next_page_lsn = page_lsn;
	assembly->high_index = log_index - 1;
	assembly->idle_ns = 0;
	assembly->deadline_ns = UINT64_MAX;
}

void
assembly_stop(struct assembly *assembly)
{
	assembly->is_accepting = false;
	assembly->deadline_ns = UINT64_MAX;
}

static uint32_t
slot_index(const struct assembly *assembly, uint64_t log_index)
{
	return (uint32_t)(log_index & (assembly->config.blocks_max - 1));
}

static struct assembly_slot *
slot_of(const struct assembly *assembly, uint64_t log_index)
{
	INVARIANT(log_index >= assembly->next_index && log_index <= assembly->high_index);
	return &assembly->slots[slot_index(assembly, log_index)];
}

static uint64_t *
bits_of(const struct assembly *assembly, uint64_t log_index)
{
	return assembly->bits + (size_t)slot_index(assembly, log_index) * assembly->words;
}

static bool
is_in_window(const struct assembly *assembly, uint64_t log_index)
{
	return assembly->is_accepting && log_index >= assembly->next_index &&
	       log_index <= assembly->high_index;
}

static bool
has_bit(const uint64_t *bits, uint32_t unit)
{
	return (bits[unit / 64] >> (unit % 64) & 1) != 0;
}

static uint64_t
due_ns(const struct assembly *assembly, const struct assembly_slot *slot)
{
	const uint32_t tries = max_u32(slot->fetches, slot->deferrals);
	const uint32_t backoff = min_u32(tries, ASSEMBLY_BACKOFF_MAX);

	return slot->touched_ns + (assembly->config.fetch_after_ns << backoff);
}

static void
slot_forget(struct assembly *assembly, uint64_t log_index, uint64_t now_ns)
{
	struct assembly_slot *slot = slot_of(assembly, log_index);

	*slot = (struct assembly_slot){ .touched_ns = now_ns };
	assembly->deadline_ns = min_u64(assembly->deadline_ns, due_ns(assembly, slot));
}

static bool
is_sound(const struct assembly *assembly, const struct fragment_hdr *fragment)
{
	const uint32_t pages = fragment->block_pages;

	return pages != 0 && pages <= assembly->config.block_pages_max &&
	       fragment->block_units <= pages * FRAGMENT_UNITS_PER_PAGE &&
	       fragment->block_units > (pages - 1) * FRAGMENT_UNITS_PER_PAGE &&
	       fragment->last_unit_bytes != 0 && fragment->last_unit_bytes <= FRAGMENT_UNIT_BYTES &&
	       fragment->unit_count != 0 && fragment->unit_first < fragment->block_units &&
	       fragment->unit_count <= fragment->block_units - fragment->unit_first &&
	       fragment->page_lsn <= UINT64_MAX - pages;
}

/* Does the place that the fragment claims agree with what is known of its neighbours? That of the
 * next block is certain, for its predecessor was verified: it is measured against that alone. */
static bool
is_in_place(const struct assembly *assembly, const struct fragment_hdr *fragment)
{
	const uint64_t index = fragment->log_index;

	if (index == assembly->next_index)
		return fragment->page_lsn == assembly->next_page_lsn;
	if (fragment->page_lsn < assembly->next_page_lsn ||
	    fragment->page_lsn - assembly->next_page_lsn < index - assembly->next_index)
		return false;
	if (is_in_window(assembly, index - 1)) {
		const struct assembly_slot *before = slot_of(assembly, index - 1);
		if (before->is_known && before->page_lsn + before->pages != fragment->page_lsn)
			return false;
	}
	if (is_in_window(assembly, index + 1)) {
		const struct assembly_slot *after = slot_of(assembly, index + 1);
		if (after->is_known &&
		    fragment->page_lsn + fragment->block_pages != after->page_lsn)
			return false;
	}
	return true;
}

static bool
is_same_block(const struct assembly_slot *slot, const struct fragment_hdr *fragment)
{
	return slot->page_lsn == fragment->page_lsn && slot->pages == fragment->block_pages &&
	       slot->units == fragment->block_units &&
	       slot->last_unit_bytes == fragment->last_unit_bytes;
}

/* The window grows to @log_index; what is skipped is missing from now on. */
static void
window_grow(struct assembly *assembly, uint64_t log_index, uint64_t now_ns)
{
	while (assembly->high_index < log_index) {
		assembly->high_index++;
		slot_forget(assembly, assembly->high_index, now_ns);
	}
}

static void
slot_learn(struct assembly *assembly, struct assembly_slot *slot,
	   const struct fragment_hdr *fragment)
{
	slot->page_lsn = fragment->page_lsn;
	slot->pages = fragment->block_pages;
	slot->units = fragment->block_units;
	slot->last_unit_bytes = fragment->last_unit_bytes;
	slot->units_have = 0;
	slot->conflicts = 0;
	slot->is_known = true;
	memset(bits_of(assembly, fragment->log_index), 0, assembly->words * sizeof(uint64_t));
}

static enum assembly_verdict
offer_in_window(struct assembly *assembly, const struct fragment_hdr *fragment, uint64_t now_ns)
{
	struct assembly_slot *slot = slot_of(assembly, fragment->log_index);
	const uint64_t *bits = bits_of(assembly, fragment->log_index);

	if (!slot->is_known) {
		slot_learn(assembly, slot, fragment);
	} else if (!is_same_block(slot, fragment)) {
		/* One of the two is wrong. If it was the first, the block would never be whole. */
		if (++slot->conflicts == ASSEMBLY_CONFLICTS_MAX)
			slot_forget(assembly, fragment->log_index, now_ns);
		assembly->stats.refused++;
		return ASSEMBLY_REFUSED;
	}
	for (uint32_t i = 0; i < fragment->unit_count; i++)
		if (!has_bit(bits, fragment->unit_first + i)) {
			slot->touched_ns = now_ns;
			slot->fetches = 0; /* it is alive: no more patience than at first */
			assembly->deadline_ns =
			    min_u64(assembly->deadline_ns, due_ns(assembly, slot));
			return ASSEMBLY_TAKE;
		}
	assembly->stats.duplicates++;
	return ASSEMBLY_DUPLICATE;
}

enum assembly_verdict
assembly_offer(struct assembly *assembly, const struct fragment_hdr *fragment,
	       uint64_t credit_end_page, uint64_t now_ns)
{
	assembly->idle_ns = now_ns;
	if (!assembly->is_accepting || !is_sound(assembly, fragment)) {
		assembly->stats.refused++;
		return ASSEMBLY_REFUSED;
	}
	if (fragment->log_index < assembly->next_index) {
		assembly->stats.old++;
		return ASSEMBLY_OLD;
	}
	if (fragment->log_index - assembly->next_index >= assembly->config.blocks_max ||
	    fragment->page_lsn + fragment->block_pages > credit_end_page) {
		assembly->stats.ahead++;
		return ASSEMBLY_AHEAD;
	}
	if (!is_in_place(assembly, fragment)) {
		assembly->stats.refused++;
		return ASSEMBLY_REFUSED;
	}
	window_grow(assembly, fragment->log_index, now_ns);
	return offer_in_window(assembly, fragment, now_ns);
}

void
assembly_mark(struct assembly *assembly, const struct fragment_hdr *fragment)
{
	struct assembly_slot *slot = slot_of(assembly, fragment->log_index);
	uint64_t *bits = bits_of(assembly, fragment->log_index);

	INVARIANT(slot->is_known && is_same_block(slot, fragment));
	INVARIANT(fragment->unit_first + fragment->unit_count <= slot->units);
	for (uint32_t i = 0; i < fragment->unit_count; i++) {
		const uint32_t unit = fragment->unit_first + i;

		if (has_bit(bits, unit))
			continue;
		bits[unit / 64] |= 1ULL << (unit % 64);
		slot->units_have++;
	}
	INVARIANT(slot->units_have <= slot->units);
	assembly->stats.fragments_taken++;
}

bool
assembly_has_unit(const struct assembly *assembly, uint64_t log_index, uint32_t unit)
{
	if (!is_in_window(assembly, log_index))
		return false;
	const struct assembly_slot *slot = slot_of(assembly, log_index);
	return slot->is_known && unit < slot->units && has_bit(bits_of(assembly, log_index), unit);
}

bool
assembly_next(struct assembly *assembly, struct assembly_block *block)
{
	if (!is_in_window(assembly, assembly->next_index))
		return false;
	const struct assembly_slot *slot = slot_of(assembly, assembly->next_index);
	if (!slot->is_known || slot->units_have != slot->units)
		return false;
	INVARIANT(slot->page_lsn == assembly->next_page_lsn);
	*block = (struct assembly_block){
		.log_index = assembly->next_index,
		.page_lsn = slot->page_lsn,
		.pages = slot->pages,
		.units = slot->units,
		.last_unit_bytes = slot->last_unit_bytes,
	};
	return true;
}

void
assembly_take(struct assembly *assembly)
{
	const struct assembly_slot *slot = slot_of(assembly, assembly->next_index);

	INVARIANT(slot->is_known && slot->units_have == slot->units);
	const uint64_t touched_ns = slot->touched_ns;
	assembly->next_page_lsn += slot->pages;
	assembly->next_index++;
	assembly->stats.blocks_whole++;
	/* Now it is certain where the next one lies; what contradicts that was never right. */
	if (!is_in_window(assembly, assembly->next_index))
		return;
	slot = slot_of(assembly, assembly->next_index);
	if (slot->is_known && slot->page_lsn != assembly->next_page_lsn)
		slot_forget(assembly, assembly->next_index, touched_ns);
}

void
assembly_reject(struct assembly *assembly, uint64_t now_ns)
{
	INVARIANT(is_in_window(assembly, assembly->next_index));
	slot_forget(assembly, assembly->next_index, now_ns);
	assembly->stats.blocks_rejected++;
}

void
assembly_defer(struct assembly *assembly, uint64_t now_ns)
{
	INVARIANT(is_in_window(assembly, assembly->next_index));
	struct assembly_slot *slot = slot_of(assembly, assembly->next_index);
	const uint32_t deferrals = min_u32(slot->deferrals + 1u, UINT8_MAX);

	*slot = (struct assembly_slot){ .touched_ns = now_ns, .deferrals = (uint8_t)deferrals };
	assembly->deadline_ns = min_u64(assembly->deadline_ns, due_ns(assembly, slot));
	assembly->stats.blocks_deferred++;
}

/* Adds a range; false: no room. */
static bool
fetch_add(struct fetch *fetch, uint64_t log_index, uint32_t unit_first, uint32_t unit_count)
{
	if (fetch->range_count == FETCH_RANGES_MAX)
		return false;
	fetch->ranges[fetch->range_count++] = (struct fetch_range){ .log_index = log_index,
								    .unit_first = unit_first,
								    .unit_count = unit_count };
	return true;
}

/* Adds what a block lacks: the whole of it, or the runs of clear bits. */
static bool
fetch_add_slot(const struct assembly *assembly, struct fetch *fetch, uint64_t log_index)
{
	const struct assembly_slot *slot = slot_of(assembly, log_index);
	const uint64_t *bits = bits_of(assembly, log_index);

	if (!slot->is_known || slot->units_have == 0)
		return fetch_add(fetch, log_index, 0, 0);
	for (uint32_t unit = 0; unit < slot->units;) {
		const uint32_t first = unit;

		while (unit < slot->units && !has_bit(bits, unit))
			unit++;
		if (unit != first && !fetch_add(fetch, log_index, first, unit - first))
			return false;
		while (unit < slot->units && has_bit(bits, unit))
			unit++;
	}
	return true;
}

/* Looks at the whole window: fills @fetch with what is due and finds the next deadline. */
static void
fetch_scan(struct assembly *assembly, uint64_t now_ns, struct fetch *fetch)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (uint64_t index = assembly->next_index; index <= assembly->high_index; index++) {
		struct assembly_slot *slot = slot_of(assembly, index);

		if (slot->is_known && slot->units_have == slot->units)
			continue;
		if (now_ns >= due_ns(assembly, slot)) {
			const uint32_t before = fetch->range_count;
			const bool is_all = fetch_add_slot(assembly, fetch, index);

			/* A slot that found no room at all stays due: the next fetch is for it. */
			if (!is_all && before == fetch->range_count) {
				deadline_ns = now_ns;
				break;
			}
			slot->touched_ns = now_ns;
			if (slot->fetches < UINT8_MAX)
				slot->fetches++;
		}
		deadline_ns = min_u64(deadline_ns, due_ns(assembly, slot));
	}
	assembly->deadline_ns = deadline_ns;
}

bool
assembly_fetch(struct assembly *assembly, uint64_t last_index, uint64_t now_ns, struct fetch *fetch)
{
	fetch->range_count = 0;
	if (!assembly->is_accepting)
		return false;
	/* There is more, and nothing of it has come for a while: its first block is missing. */
	if (last_index >= assembly->next_index && assembly->high_index < assembly->next_index &&
	    now_ns - assembly->idle_ns >= assembly->config.fetch_after_ns) {
		if (assembly->idle_ns == 0)
			assembly->idle_ns = now_ns;
		else
			window_grow(assembly, assembly->next_index, assembly->idle_ns);
	}
	if (now_ns < assembly->deadline_ns)
		return false;
	fetch_scan(assembly, now_ns, fetch);
	if (fetch->range_count == 0)
		return false;
	assembly->stats.fetches_sent++;
	return true;
}

uint64_t
assembly_deadline_ns(const struct assembly *assembly)
{
	return assembly->deadline_ns;
}

struct assembly_stats
assembly_stats(const struct assembly *assembly)
{
	struct assembly_stats stats = assembly->stats;

	stats.next_index = assembly->next_index;
	return stats;
}
