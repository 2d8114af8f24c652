/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define COMPLETIONS_BATCH 64u
#define HANG_LOOKS        8u  /* in the time that a device is given */
#define BAD_RUN_MAX       64u /* pages in a row that cannot be read: then it is not the pages */

/* ---- memory ---- */

static bool
is_config_sound(const struct stripe_store_config *config)
{
	const struct stripe_geometry geometry = config->geometry;

	if (!stripe_geometry_is_valid(geometry) || config->group_pages_max < 1 ||
	    config->group_pages_max > STRIPE_PAGES_MAX || config->groups_max < 1 ||
	    config->groups_max > STRIPE_GROUPS_MAX || config->reads_max < 1 ||
	    config->reads_max > STRIPE_READS_MAX || config->spare_count > STRIPE_SPARES_MAX)
		return false;
	/* A window of the scan holds the largest group wherever it begins. */
	const uint32_t rows =
	    stripe_group_cells(geometry, config->group_pages_max) / stripe_devices(geometry) + 2;
	return config->scan_rows >= rows && config->scan_rows <= STRIPE_SCAN_ROWS_MAX;
}

static uint32_t
read_slots_of(const struct stripe_store_config *config)
{
	/* Every device that hangs may take all reads in flight with it, once. */
	return config->reads_max * (1 + config->geometry.m);
}

static uint32_t
requests_of(const struct stripe_store_config *config)
{
	return (config->groups_max + 1 + read_slots_of(config) + 2) *
		   stripe_devices(config->geometry) +
	       config->spare_count;
}

static size_t
parity_bytes_of(const struct stripe_store_config *config)
{
	const struct stripe_geometry geometry = config->geometry;
	const uint32_t rows = (config->group_pages_max + geometry.k - 1) / geometry.k;

	return (size_t)geometry.m * rows * PAGE_BYTES;
}

static size_t
image_bytes_of(const struct stripe_store_config *config)
{
	return (size_t)config->group_pages_max * PAGE_BYTES + parity_bytes_of(config);
}

size_t
stripe_store_bytes(const struct stripe_store_config *config)
{
	if (!is_config_sound(config))
		return 0;
	const uint32_t devices = stripe_devices(config->geometry);

	return align_up_u64(sizeof(struct stripe_store), PAGE_BYTES) +
	       align_up_u64(stripe_code_bytes(), PAGE_BYTES) +
	       align_up_u64(requests_of(config) * sizeof(struct stripe_request), PAGE_BYTES) +
	       (2 * (size_t)devices + config->spare_count) * SUPERBLOCK_COPIES * PAGE_BYTES +
	       (size_t)devices * config->scan_rows * PAGE_BYTES +
	       (config->groups_max + 2) * parity_bytes_of(config) +
	       (read_slots_of(config) + 1) * image_bytes_of(config);
}

static void
image_take(struct stripe_store *store, struct arena *arena, struct stripe_image *image)
{
	image->data =
	    arena_take(arena, (size_t)store->config.group_pages_max * PAGE_BYTES, PAGE_BYTES);
	image->parity = arena_take(arena, parity_bytes_of(&store->config), PAGE_BYTES);
	INVARIANT(image->data != NULL && image->parity != NULL);
}

enum tern_err
stripe_store_init(void *memory, const struct stripe_store_config *config, struct stripe_store **out)
{
	const size_t bytes = stripe_store_bytes(config);
	struct arena arena;

	INVARIANT(((uintptr_t)memory & (PAGE_BYTES - 1)) == 0);
	if (bytes == 0)
		return TERN_ERR_CONFIG;
	arena_init(&arena, memory, bytes);
	struct stripe_store *store = arena_take(&arena, sizeof(*store), PAGE_BYTES);
	/* Memory for pages is filled before it is looked at. */
	memset(store, 0, sizeof(*store));
	void *code = arena_take(&arena, stripe_code_bytes(), PAGE_BYTES);
	store->config = *config;
	store->geometry = config->geometry;
	store->devices = stripe_devices(config->geometry);
	if (stripe_code_init(code, config->geometry, &store->code) != TERN_OK)
		return TERN_ERR_CONFIG;
	store->request_count = requests_of(config);
	store->requests =
	    arena_take(&arena, store->request_count * sizeof(store->requests[0]), PAGE_BYTES);
	memset(store->requests, 0, store->request_count * sizeof(store->requests[0]));
	for (uint32_t i = 0; i < store->request_count; i++)
		store->requests[i].next = i + 1 < store->request_count ? i + 1 : STRIPE_NONE;
	store->wait_head = store->wait_tail = STRIPE_NONE;
	for (uint32_t i = 0; i < STRIPE_DRIVES_MAX; i++)
		store->drive[i] = i;
	store->super.pages = arena_take(
	    &arena, ((size_t)store->devices + config->spare_count) * SUPERBLOCK_COPIES * PAGE_BYTES,
	    PAGE_BYTES);
	store->check.pages =
	    arena_take(&arena, (size_t)store->devices * SUPERBLOCK_COPIES * PAGE_BYTES, PAGE_BYTES);
	store->scan.windows =
	    arena_take(&arena, (size_t)store->devices * config->scan_rows * PAGE_BYTES, PAGE_BYTES);
	for (uint32_t i = 0; i <= config->groups_max; i++)
		store->groups[i].parity = arena_take(&arena, parity_bytes_of(config), PAGE_BYTES);
	store->repair_parity = arena_take(&arena, parity_bytes_of(config), PAGE_BYTES);
	store->read_slots = read_slots_of(config);
	for (uint32_t i = 0; i < store->read_slots; i++)
		image_take(store, &arena, &store->reads[i].image);
	image_take(store, &arena, &store->scan.image);
	store->verdict_device = STRIPE_NONE;
	store->note.is_kept = config->notes.ops != NULL && config->geometry.k <= config->geometry.m;
	*out = store;
	return TERN_OK;
}

/* ---- requests ---- */

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

static void
owner_tell(struct stripe_store *store, enum stripe_owner owner, uint32_t index, uint32_t device,
	   enum tern_err err)
{
	switch (owner) {
	case OWNER_SUPER:
		stripe_super_done(store, device, err);
		break;
	case OWNER_SCAN:
		stripe_scan_request_done(store, device, err);
		break;
	case OWNER_GROUP:
		stripe_group_request_done(store, index, device, err);
		break;
	case OWNER_READ:
		stripe_read_request_done(store, index, device, err);
		break;
	case OWNER_CHECK:
		stripe_check_request_done(store, device, err);
		break;
	case OWNER_FREE:
	case OWNER_ORPHAN:
		break;
	}
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
		owner_tell(store, owner, index, device, TERN_ERR_IO);
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
		owner_tell(store, owner, index, device, TERN_ERR_IO);
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

enum tern_err
stripe_store_fail(struct stripe_store *store, uint32_t device)
{
	INVARIANT(store->phase == START_DONE);
	if (device >= store->devices)
		return TERN_ERR_NOT_FOUND;
	const bool is_rebuilding = (store->rebuilding & STRIPE_BIT(device)) != 0;
	if ((store->failed & STRIPE_BIT(device)) != 0 && !is_rebuilding)
		return TERN_ERR_NOT_FOUND;
	if (!is_rebuilding && (store->is_stopped || stripe_losses_left(store) == 0))
		return TERN_ERR_BUSY;
	stripe_device_fail(store, device);
	INVARIANT(!store->is_stopped);
	return TERN_OK;
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
				stripe_scan_page_unread(store, request);
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
		owner_tell(store, request.owner, request.index, request.disk.device, err);
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

uint32_t
stripe_store_poll(struct stripe_store *store, uint64_t now_ns,
		  struct stripe_completion *completions, uint32_t max)
{
	INVARIANT(store->phase == START_DONE);
	stripe_requests_poll(store, now_ns);
	for (uint32_t i = 0; i < store->read_slots; i++)
		stripe_read_turn(store, i);
	stripe_check_turn(store);
	stripe_super_turn(store);
	stripe_requests_push(store);
	uint32_t count = 0;
	struct stripe_super *super = &store->super;
	if (count < max && super->has_update && (super->is_update_done || store->is_stopped)) {
		completions[count++] = (struct stripe_completion){
			.kind = STRIPE_DONE_UPDATE,
			.err = super->is_update_done ? TERN_OK : TERN_ERR_IO,
			.user = super->update_user,
		};
		super->has_update = super->is_update_done = false;
	}
	if (count < max && stripe_check_collect(store, &completions[count]))
		count++;
	count += stripe_groups_collect(store, completions + count, max - count);
	count += stripe_reads_collect(store, completions + count, max - count);
	return count;
}

struct stripe_store_stats
stripe_store_stats(const struct stripe_store *store)
{
	struct stripe_store_stats stats = store->stats;
	const uint64_t used = store->next_cell - store->release_cell;

	stats.failed_devices = (uint32_t)store->super.durable.failed_devices;
	stats.suspect_devices = store->failed & ~stats.failed_devices;
	stats.rebuilding_devices = store->rebuilding;
	stats.losses_left = stripe_losses_left(store);
	stats.is_note_failed = store->note.is_failed;
	stats.is_stopped = store->is_stopped;
	stats.next_cell = store->next_cell;
	stats.cells_left = used < stripe_lap_cells(store) ? stripe_lap_cells(store) - used : 0;
	return stats;
}

const struct stripe_device_stats *
stripe_store_device_stats(const struct stripe_store *store)
{
	return store->device_stats;
}

/* ---- pages ---- */

uint64_t
stripe_cell_offset(const struct stripe_store *store, uint64_t cell)
{
	const struct superblock *superblock = &store->super.wanted;
	const struct stripe_place place =
	    stripe_cell_place(store->geometry, cell, superblock->log_pages);

	return (superblock->log_first_page + place.page) * PAGE_BYTES;
}

void
stripe_image_begin(const struct stripe_store *store, struct stripe_image *image,
		   uint64_t first_cell, uint32_t pages)
{
	image->layout = stripe_layout_make(store->geometry, first_cell, pages);
	image->absent = 0;
}

bool
stripe_page_is_ours(const struct stripe_store *store, const uint8_t *page, uint64_t cell,
		    struct page_identity *identity, struct stripe_layout *layout)
{
	uint32_t row;

	return page_identity_decode(page, identity) == TERN_OK &&
	       identity->cluster_id == store->super.wanted.cluster_id &&
	       identity->node_id == store->config.node_id && identity->own_cell == cell &&
	       identity->group_pages <= store->config.group_pages_max &&
	       stripe_identity_layout(store->geometry, identity, layout, &row) == TERN_OK;
}
