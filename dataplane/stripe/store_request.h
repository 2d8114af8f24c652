/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to devices: queued, handed to the port, asked again page by page where a read failed,
 * and given up when their device is. */
#ifndef TERN_STRIPE_STORE_REQUEST_H
#define TERN_STRIPE_STORE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stripe/store.h"

#define STRIPE_NONE UINT32_MAX

/* Whose a request is. An orphan is of a failed device: it was sent, and what it was for goes on
 * without it. */
enum stripe_owner {
	OWNER_FREE = 0,
	OWNER_ORPHAN,
	OWNER_SUPER,
	OWNER_SCAN,
	OWNER_GROUP,
	OWNER_READ,
	OWNER_CHECK
};

struct stripe_request {
	struct disk_request disk;
	uint64_t since_ns;   /* it was handed to the port, by the time that devices had */
	uint32_t drive;      /* the port's device; disk.device is a position */
	uint32_t index;      /* of the group or read slot */
	uint32_t next;       /* in the list of free or of waiting ones */
	uint32_t left_bytes; /* of a read that failed and is done again page by page: behind this
			      * page */
	bool has_good_page;
	uint32_t bad_run; /* pages of it that failed in a row */
	enum stripe_owner owner;
	bool is_sent;
};

/* Who is told of requests: functions of those who asked. */
struct stripe_owners {
	/* One came back, or never will (@err not TERN_OK). @index: of the group or read slot. */
	void (*request_done)(struct stripe_store *store, enum stripe_owner owner, uint32_t index,
			     uint32_t device, enum tern_err err);
	/* A page of the scan's window that cannot be read. */
	void (*page_unread)(struct stripe_store *store, const struct stripe_request *request);
};

/* Queues a request; it is handed to the port at the end of the poll. */
void stripe_request(struct stripe_store *store, enum stripe_owner owner, uint32_t index,
		    const struct disk_request *disk);
/* Collects completions, and looks for devices that hang. */
void stripe_requests_poll(struct stripe_store *store, uint64_t now_ns);
/* Hands what waits to the port. */
void stripe_requests_push(struct stripe_store *store);
/* The device is not asked again, and is to be recorded as failed. */
void stripe_device_fail(struct stripe_store *store, uint32_t device);

#endif
