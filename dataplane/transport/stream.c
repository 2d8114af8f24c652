/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/transport/transport_internal.h"
#include "dataplane/wire/page.h"

static_assert((STREAM_BLOCKS_MAX & (STREAM_BLOCKS_MAX - 1)) == 0, "indexed by a mask");

size_t
stream_bytes(void)
{
	return sizeof(struct stream);
}

void
stream_init(void *memory, const struct stream_config *config, struct stream **out)
{
	struct stream *stream = memory;

	INVARIANT(config->units_per_frame >= 1 && config->units_per_frame <= UINT16_MAX);
	INVARIANT(config->resend_ns != 0);
	memset(stream, 0, sizeof(*stream));
	stream->config = *config;
	*out = stream;
}

void
stream_start(struct stream *stream, uint64_t log_index, uint64_t now_ns)
{
	INVARIANT(log_index != 0);
	stream->is_active = true;
	stream->is_blocked = false;
	stream->is_credit_known = false;
	stream->is_repair = false;
	stream->start_index = log_index;
	stream->acked_index = log_index - 1;
	stream->next_index = log_index;
	stream->next_unit = 0;
	stream->low_reports = 0;
	stream->credit_end_page = 0;
	stream->acked_end_page = 0;
	stream->heard_ns = now_ns;
	stream->geometry.log_index = 0;
	stream->repair_first = 0;
	stream->repair_count = 0;
}

void
stream_stop(struct stream *stream)
{
	stream->is_active = false;
	stream->repair_count = 0;
}

bool
stream_is_active(const struct stream *stream)
{
	return stream->is_active;
}

static bool
is_under_way(const struct stream *stream)
{
	return stream->next_index > stream->acked_index + 1 || stream->next_unit != 0;
}

/* The peer says again and again that it holds less than it once acknowledged: believe it. */
static void
on_low_report(struct stream *stream, uint64_t received_index)
{
	if (received_index + 1 < stream->start_index || received_index >= stream->acked_index)
		return;
	if (++stream->low_reports < STREAM_LOW_REPORTS_MAX)
		return;
	stream->low_reports = 0;
	stream->acked_index = received_index;
	stream->next_index = received_index + 1;
	stream->next_unit = 0;
	stream->repair_count = 0;
	stream->is_blocked = false;
}

static void
take_progress(struct stream *stream, uint64_t received_index, uint64_t now_ns)
{
	stream->heard_ns = now_ns;
	stream->is_blocked = false;
	stream->acked_index = received_index;
	if (received_index >= stream->next_index) {
		/* It got them from somebody else, or before this stream began. */
		stream->next_index = received_index + 1;
		stream->next_unit = 0;
	} else {
		stream->acked_end_page = stream->end_pages[received_index % STREAM_BLOCKS_MAX];
	}
	INVARIANT(stream->acked_index < stream->next_index);
}

void
stream_on_received(struct stream *stream, uint64_t received_index, uint64_t now_ns)
{
	if (stream->is_active && received_index > stream->acked_index &&
	    received_index != UINT64_MAX)
		take_progress(stream, received_index, now_ns);
}

void
stream_on_ack(struct stream *stream, uint64_t received_index, uint64_t credit_end_page,
	      uint64_t now_ns)
{
	/* No log is that long: the peer is wrong about everything else as well. */
	if (!stream->is_active || received_index == UINT64_MAX)
		return;
	if (!stream->is_credit_known || credit_end_page > stream->credit_end_page) {
		stream->credit_end_page = credit_end_page;
		stream->is_credit_known = true;
		stream->is_blocked = false;
	}
	if (received_index < stream->acked_index) {
		on_low_report(stream, received_index);
		return;
	}
	stream->low_reports = 0;
	if (received_index > stream->acked_index)
		take_progress(stream, received_index, now_ns);
}

static bool
repair_push(struct stream *stream, const struct stream_repair *repair)
{
	for (uint32_t i = 0; i < stream->repair_count; i++) {
		const struct stream_repair *waiting =
		    &stream->repairs[(stream->repair_first + i) % STREAM_REPAIRS_MAX];
		if (waiting->log_index == repair->log_index &&
		    waiting->unit_first == repair->unit_first)
			return true;
	}
	if (stream->repair_count == STREAM_REPAIRS_MAX)
		return false;
	stream->repairs[(stream->repair_first + stream->repair_count) % STREAM_REPAIRS_MAX] =
	    *repair;
	stream->repair_count++;
	return true;
}

static struct stream_repair *
repair_head(struct stream *stream)
{
	return &stream->repairs[stream->repair_first];
}

static void
repair_pop(struct stream *stream)
{
	INVARIANT(stream->repair_count != 0);
	stream->repair_first = (stream->repair_first + 1) % STREAM_REPAIRS_MAX;
	stream->repair_count--;
}

void
stream_on_fetch(struct stream *stream, const struct fetch *fetch, uint64_t now_ns)
{
	if (!stream->is_active)
		return;
	INVARIANT(fetch->range_count <= FETCH_RANGES_MAX);
	stream->stats.fetches_received++;
	stream->heard_ns = now_ns;
	if (fetch->range_count != 0)
		on_low_report(stream, fetch->ranges[0].log_index - 1);
	for (uint32_t i = 0; i < fetch->range_count; i++) {
		struct stream_repair repair = { .log_index = fetch->ranges[i].log_index,
						.unit_first = fetch->ranges[i].unit_first,
						.unit_count = fetch->ranges[i].unit_count };

		/* Not ours to send, or not sent yet: it comes in its turn. */
		if (repair.log_index < stream->start_index || repair.log_index > stream->next_index)
			continue;
		if (repair.log_index == stream->next_index) {
			if (repair.unit_first >= stream->next_unit)
				continue;
			const uint32_t sent = stream->next_unit - repair.unit_first;
			if (repair.unit_count == 0 || repair.unit_count > sent)
				repair.unit_count = sent;
		}
		/* A full queue is no harm: what is still missing is asked for again. */
		if (!repair_push(stream, &repair))
			return;
	}
}

uint64_t
stream_deadline_ns(const struct stream *stream)
{
	if (!stream->is_active || (!is_under_way(stream) && !stream->is_blocked))
		return UINT64_MAX;
	return stream->heard_ns + stream->config.resend_ns;
}

/* Nothing was heard for long. The first fragment of the oldest block under way makes the peer
 * acknowledge it, or ask for the rest of it. With nothing under way and no credit, a fragment for
 * which there was none makes the peer say its credit again. */
static void
on_silence(struct stream *stream, uint64_t now_ns)
{
	struct stream_repair repair = { .log_index = stream->acked_index + 1,
					.unit_count = stream->config.units_per_frame };

	stream->heard_ns = now_ns;
	if (stream->repair_count != 0)
		return; /* what would be said waits for a buffer, or a port */
	stream->stats.timeouts++;
	if (repair.log_index == stream->next_index && stream->next_unit != 0)
		repair.unit_count = min_u32(repair.unit_count, stream->next_unit);
	(void)repair_push(stream, &repair);
}

bool
stream_next(struct stream *stream, uint64_t last_index, uint64_t now_ns, struct stream_want *want)
{
	if (!stream->is_active)
		return false;
	if (now_ns >= stream_deadline_ns(stream))
		on_silence(stream, now_ns);
	/* After an ack that says more than there is, repairs may too. What was acknowledged since
	 * it was asked for may be gone from the log. */
	while (stream->repair_count != 0 && (repair_head(stream)->log_index > last_index ||
					     repair_head(stream)->log_index <= stream->acked_index))
		repair_pop(stream);
	stream->is_repair = stream->repair_count != 0;
	if (stream->is_repair) {
		const struct stream_repair *repair = repair_head(stream);

		*want = (struct stream_want){ repair->log_index, repair->unit_first };
		return true;
	}
	if (stream->is_blocked || stream->next_index > last_index)
		return false;
	*want = (struct stream_want){ stream->next_index, stream->next_unit };
	return true;
}

/* Reads from the block's header how it is cut. */
static bool
geometry_read(struct stream_geometry *geometry, uint64_t log_index, const uint8_t *block)
{
	struct block_hdr hdr;

	if (geometry->log_index == log_index)
		return true;
	if (block_hdr_decode(block + PAGE_PAYLOAD_OFFSET, &hdr) != TERN_OK ||
	    hdr.log_index != log_index || hdr.pages != block_pages(hdr.payload_bytes))
		return false;
	const uint32_t tail =
	    PAGE_CONTENT_HDR_BYTES + hdr.payload_bytes - (hdr.pages - 1) * PAGE_PAYLOAD_BYTES;
	const uint32_t tail_units = (uint32_t)div_up_u64(tail, FRAGMENT_UNIT_BYTES);
	*geometry = (struct stream_geometry){
		.log_index = log_index,
		.page_lsn = hdr.page_lsn,
		.pages = hdr.pages,
		.units = (hdr.pages - 1) * FRAGMENT_UNITS_PER_PAGE + tail_units,
		.last_unit_bytes = tail - (tail_units - 1) * FRAGMENT_UNIT_BYTES,
	};
	return true;
}

/* May the block of stream->geometry, of which nothing was sent, be sent now? */
static bool
is_room(struct stream *stream)
{
	const uint64_t end_page = stream->geometry.page_lsn + stream->geometry.pages;

	if (stream->is_credit_known ? end_page > stream->credit_end_page
				    : stream->next_index != stream->start_index)
		return false;
	if (stream->next_index == stream->acked_index + 1) {
		stream->acked_end_page = stream->geometry.page_lsn;
		return true;
	}
	return stream->next_index - stream->acked_index <= STREAM_BLOCKS_MAX &&
	       (end_page - stream->acked_end_page) * PAGE_BYTES <=
		   stream->config.bytes_in_flight_max;
}

/* Advances over @count units of the block of stream->geometry. */
static void
advance(struct stream *stream, uint32_t count)
{
	if (stream->is_repair) {
		struct stream_repair *repair = repair_head(stream);

		stream->stats.fragments_resent++;
		repair->unit_first += count;
		bool is_done = repair->unit_first == stream->geometry.units;
		if (repair->unit_count != 0) {
			repair->unit_count -= count;
			is_done = is_done || repair->unit_count == 0;
		}
		if (is_done)
			repair_pop(stream);
		return;
	}
	if (stream->next_unit == 0)
		stream->end_pages[stream->next_index % STREAM_BLOCKS_MAX] =
		    stream->geometry.page_lsn + stream->geometry.pages;
	stream->next_unit += count;
	INVARIANT(stream->next_unit <= stream->geometry.units);
	if (stream->next_unit == stream->geometry.units) {
		stream->next_index++;
		stream->next_unit = 0;
	}
}

static uint32_t
copy_units(uint8_t *to, const uint8_t *block, const struct fragment_hdr *fragment)
{
	uint32_t left = fragment_payload_bytes(fragment);

	for (uint32_t i = 0; i < fragment->unit_count; i++) {
		const uint32_t unit = fragment->unit_first + i;
		const uint8_t *from =
		    block + (size_t)(unit / FRAGMENT_UNITS_PER_PAGE) * PAGE_BYTES +
		    PAGE_IDENTITY_BYTES + unit % FRAGMENT_UNITS_PER_PAGE * FRAGMENT_UNIT_BYTES;
		const uint32_t bytes = min_u32(left, FRAGMENT_UNIT_BYTES);

		memcpy(to + (size_t)i * FRAGMENT_UNIT_BYTES, from, bytes);
		left -= bytes;
	}
	INVARIANT(left == 0);
	return fragment_payload_bytes(fragment);
}

/* How many units the next fragment carries; 0: nothing can be sent. */
static uint32_t
fill_count(struct stream *stream, const struct stream_want *want)
{
	const struct stream_geometry *geometry = &stream->geometry;
	uint32_t limit = stream->config.units_per_frame;

	if (stream->is_repair) {
		const struct stream_repair *repair = repair_head(stream);

		if (repair->unit_first >= geometry->units) {
			repair_pop(stream); /* asked for what the block does not have */
			return 0;
		}
		if (repair->unit_count != 0)
			limit = min_u32(limit, repair->unit_count);
	} else if (stream->next_unit == 0 && !is_room(stream)) {
		/* The wait for credit begins now, unless the peer is being waited for already. */
		stream->is_blocked = true;
		return 0;
	}
	return min_u32(limit, geometry->units - want->unit_first);
}

uint32_t
stream_fill(struct stream *stream, const struct stream_want *want, const uint8_t *block,
	    uint64_t commit_index, uint64_t now_ns, uint8_t *body)
{
	const bool was_under_way = is_under_way(stream);

	INVARIANT(stream->is_active);
	INVARIANT(want->log_index ==
		  (stream->is_repair ? repair_head(stream)->log_index : stream->next_index));
	if (!geometry_read(&stream->geometry, want->log_index, block)) {
		/* A damaged copy of our own: it is not spread. */
		if (stream->is_repair)
			repair_pop(stream);
		return 0;
	}
	const uint32_t count = fill_count(stream, want);
	if (!was_under_way)
		stream->heard_ns = now_ns;
	if (count == 0)
		return 0;
	const struct fragment_hdr fragment = {
		.log_index = want->log_index,
		.page_lsn = stream->geometry.page_lsn,
		.commit_index = commit_index,
		.block_pages = stream->geometry.pages,
		.block_units = stream->geometry.units,
		.unit_first = want->unit_first,
		.unit_count = count,
		.last_unit_bytes = stream->geometry.last_unit_bytes,
	};
	fragment_encode(body, &fragment);
	const uint32_t bytes = copy_units(body + FRAGMENT_HDR_BYTES, block, &fragment);
	stream->stats.fragments_sent++;
	advance(stream, count);
	return FRAGMENT_HDR_BYTES + bytes;
}

struct stream_stats
stream_stats(const struct stream *stream)
{
	struct stream_stats stats = stream->stats;

	stats.next_index = stream->next_index;
	stats.acked_index = stream->acked_index;
	return stats;
}
