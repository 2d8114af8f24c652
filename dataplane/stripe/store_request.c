/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define COMPLETIONS_BATCH 64u
#define HANG_LOOKS        8u  /* in the time that a device is given */
#define BAD_RUN_MAX       64u /* pages in a row that cannot be read: then it is not the pages */

void
stripe_request(struct stripe_store *store, enum stripe_owner owner, uint32_t index,
	       const struct disk_request *disk)
{
	const uint32_t number = store->free_head;

	INVARIANT(number != STRIPE_NONE);
	INVARIANT((store->failed & ~store->rebuilding & STRIPE_BIT(disk->device)) == 0);
	struct stripe_request *request = &store->requests[number];
	store->free_head = request->next;
	*request = (struct stripe_request){
		.disk = *disk,
		.drive = store->drive[disk->device],
		.index = index,
		.next = STRIPE_NONE,
		.owner = owner,
	};
	request->disk.user = number;
	if (store->wait_tail == STRIPE_NONE)
		store->wait_head = number;
	else
		store->requests[store->wait_tail].next = number;
	store->wait_tail = number;
}

static void
request_free(struct stripe_store *store, uint32_t number)
{
	store->requests[number].owner = OWNER_FREE;
	store->requests[number].next = store->free_head;
	store->free_head = number;
}

/* Takes what was not yet sent to @device out of the list of waiting requests. */
static void
waiting_drop(struct stripe_store *store, uint32_t device)
{
	uint32_t *link = &store->wait_head, last = STRIPE_NONE;

	while (*link != STRIPE_NONE) {
		const uint32_t number = *link;
		struct stripe_request *request = &store->requests[number];
		if (request->disk.device != device) {
			last = number;
			link = &request->next;
			continue;
		}
		*link = request->next;
		const enum stripe_owner owner = request->owner;
		const uint32_t index = request->index;
		request_free(store, number);
		store->owners->request_done(store, owner, index, device, TERN_ERR_IO);
	}
	store->wait_tail = last;
}

/* What is under way goes on without the device. */
static void
device_detach(struct stripe_store *store, uint32_t device)
{
	waiting_drop(store, device);
	for (uint32_t i = 0; i < store->request_count; i++) {
		struct stripe_request *request = &store->requests[i];
		if (request->disk.device != device || request->owner == OWNER_FREE ||
		    request->owner == OWNER_ORPHAN)
			continue;
		const enum stripe_owner owner = request->owner;
		const uint32_t index = request->index;
		INVARIANT(request->is_sent);
		request->owner = OWNER_ORPHAN;
		if (owner == OWNER_READ)
			store->reads[index].orphans++;
		else
			request->index = STRIPE_NONE;
		store->stats.hung_requests++;
		store->owners->request_done(store, owner, index, device, TERN_ERR_IO);
	}
}

void
stripe_device_fail(struct stripe_store *store, uint32_t device)
{
	const uint32_t bit = STRIPE_BIT(device);

	if ((store->rebuilding & bit) != 0) { /* the others know it as failed */
		store->rebuilding &= ~bit;
		device_detach(store, device);
		return;
	}
	if ((store->failed & bit) != 0)
		return;
	store->failed |= bit;
	store->super.wanted.failed_devices |= bit;
	store->super.wanted.pool_gen++;
	store->super.is_dirty = true;
	if ((uint32_t)__builtin_popcount(store->failed) > store->geometry.m ||
	    store->note.is_failed)
		store->is_stopped = true;
	device_detach(store, device);
}

/* A read that failed is done again page by page: what cannot be read is made zero, which no good
 * page is, so a bad page costs that page and not all its neighbours. True: it goes on. */
static bool
read_again(struct stripe_store *store, const struct stripe_request *request, enum tern_err *err)
{
	struct stripe_request next = *request;
	const bool is_split = request->bad_run != 0 || request->left_bytes != 0;

	if (request->disk.kind != DISK_READ || (!is_split && *err == TERN_OK))
		return false;
	if (!is_split) {
		if (request->disk.length == PAGE_BYTES)
			return false;
		next.left_bytes = request->disk.length - PAGE_BYTES;
		next.bad_run = 1; /* it is split; the first page may still be good */
	} else {
		next.bad_run = *err == TERN_OK ? 1 : request->bad_run + 1;
		if (next.bad_run > BAD_RUN_MAX)
			return false;
		if (*err != TERN_OK) {
			memset(request->disk.bytes, 0, PAGE_BYTES);
			if (request->owner == OWNER_SCAN)
				store->owners->page_unread(store, request);
		}
		next.has_good_page = request->has_good_page || *err == TERN_OK;
		if (request->left_bytes == 0) {
			*err = next.has_good_page ? TERN_OK : TERN_ERR_IO;
			return false;
		}
		next.disk.offset += PAGE_BYTES;
		next.disk.bytes += PAGE_BYTES;
		next.left_bytes -= PAGE_BYTES;
	}
	next.disk.length = PAGE_BYTES;
	const uint32_t number = store->free_head;
	stripe_request(store, next.owner, next.index, &next.disk);
	store->requests[number].left_bytes = next.left_bytes;
	store->requests[number].bad_run = next.bad_run;
	store->requests[number].has_good_page = next.has_good_page;
	return true;
}

static void
request_done(struct stripe_store *store, const struct disk_completion *completion)
{
	const uint32_t number = (uint32_t)completion->user;

	INVARIANT(number < store->request_count && store->requests[number].is_sent);
	const struct stripe_request request = store->requests[number];
	request_free(store, number);
	if (request.owner == OWNER_ORPHAN) {
		store->stats.hung_requests--;
		if (request.index != STRIPE_NONE) {
			struct stripe_read_slot *slot = &store->reads[request.index];
			if (--slot->orphans == 0 && slot->state == READ_QUARANTINE)
				slot->state = READ_FREE;
		}
		return;
	}
	enum tern_err err = completion->err;
	/* What a device holds whose write failed is not known; a read that fails costs one read. */
	if (err != TERN_OK && request.disk.kind == DISK_WRITE)
		stripe_device_fail(store, request.disk.device);
	else if (err != TERN_OK)
		store->stats.read_errors++;
	if (!read_again(store, &request, &err))
		store->owners->request_done(store, request.owner, request.index,
					    request.disk.device, err);
}

/* The time that devices had: what the owner was away counts for a part only, for then it is not the
 * devices that were late. */
static void
patience_spend(struct stripe_store *store)
{
	const uint64_t passed = store->now_ns - store->polled_ns;

	store->polled_ns = store->now_ns;
	store->patience_ns += min_u64(passed, store->config.device_hang_ns / HANG_LOOKS);
}

/* Whether the store goes on without it. One device more than it bears is waited for, however long:
 * it may answer yet, and who writes here gives up its role meanwhile. */
static bool
is_dispensable(const struct stripe_store *store, uint32_t device)
{
	return (store->rebuilding >> device & 1) != 0 || stripe_losses_left(store) != 0;
}

static void
hangs_look(struct stripe_store *store)
{
	const uint64_t limit = store->config.device_hang_ns;

	if (limit == 0 || store->patience_ns - store->hang_checked_ns < limit / HANG_LOOKS)
		return;
	store->hang_checked_ns = store->patience_ns;
	for (uint32_t i = 0; i < store->request_count; i++) {
		const struct stripe_request *request = &store->requests[i];
		if (request->owner != OWNER_FREE && request->owner != OWNER_ORPHAN &&
		    request->is_sent && store->patience_ns - request->since_ns > limit &&
		    is_dispensable(store, request->disk.device))
			stripe_device_fail(store, request->disk.device);
	}
}

void
stripe_requests_poll(struct stripe_store *store, uint64_t now_ns)
{
	struct disk_completion completions[COMPLETIONS_BATCH];
	const struct disk_port *disk = &store->config.disk;

	INVARIANT(now_ns >= store->now_ns);
	store->now_ns = now_ns;
	patience_spend(store);
	for (uint32_t left = store->request_count; left != 0; left--) {
		const uint32_t count = disk->ops->poll(disk->disk, completions, COMPLETIONS_BATCH);
		for (uint32_t i = 0; i < count; i++)
			request_done(store, &completions[i]);
		if (count < COMPLETIONS_BATCH)
			break;
	}
	hangs_look(store);
}

void
stripe_requests_push(struct stripe_store *store)
{
	const struct disk_port *disk = &store->config.disk;

	while (store->wait_head != STRIPE_NONE) {
		struct stripe_request *request = &store->requests[store->wait_head];
		struct disk_request asked = request->disk;
		asked.device = request->drive;
		if (disk->ops->queue(disk->disk, &asked) != TERN_OK)
			break; /* full: after the next completions */
		request->is_sent = true;
		request->since_ns = store->patience_ns;
		store->wait_head = request->next;
		if (store->wait_head == STRIPE_NONE)
			store->wait_tail = STRIPE_NONE;
	}
	disk->ops->submit(disk->disk);
}
