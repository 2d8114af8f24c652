/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of reads: memory for what is read of a group or blob, and who reads into it. */
#ifndef TERN_STRIPE_STORE_SLOT_H
#define TERN_STRIPE_STORE_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stripe/heal.h"
#include "dataplane/stripe/store.h"

enum stripe_read_state {
	READ_FREE = 0,
	READ_PART,       /* the pages that are asked for, in the hope that they are good */
	READ_RUN,        /* cells of one device, into the caller's memory */
	READ_WHOLE,      /* all there is of the group, to decode what is lost */
	READ_REPAIR,     /* columns are written again */
	READ_QUARANTINE, /* nothing but requests of failed devices that were never completed */
};

struct stripe_read_slot {
	enum stripe_read_state state;
	struct stripe_group_read ask;
	bool is_repair, is_blob;
	bool is_refill;              /* a repair whose right pages are ask.bytes */
	struct page_identity refill; /* if it cannot be read */
	uint64_t blob_page;          /* first page on each device */
	uint32_t distrust;
	struct stripe_image image;
	uint32_t pending; /* devices */
	uint32_t orphans; /* requests of failed devices that may still write into image */
};

/* Whether one more read may begin now: counts it, and gives a slot with @ask in it. */
enum tern_err stripe_slot_admit(struct stripe_store *store, const struct stripe_group_read *ask,
				uint64_t now_ns, uint32_t *index);
/* A free slot with @ask in it; there is one, see stripe_store_bytes. */
uint32_t stripe_slot_take(struct stripe_store *store, const struct stripe_group_read *ask);
/* Asks for rows [row, end) of a column, into the slot's image. */
void stripe_slot_read_column(struct stripe_store *store, uint32_t index, uint32_t column,
			     uint32_t row, uint32_t end);
/* Reads the whole of what the slot asks for. */
void stripe_slot_read_whole(struct stripe_store *store, uint32_t index);
/* What of a column is written, or read, at @row of it. */
uint64_t stripe_slot_offset(const struct stripe_store *store, const struct stripe_read_slot *slot,
			    uint32_t column, uint32_t row);

#endif
