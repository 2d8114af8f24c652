/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/stripe/store_internal.h"

#include <string.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

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
	return config->reads_max * (1 + stripe_hangs_of(config));
}

static uint32_t
requests_of(const struct stripe_store_config *config)
{
	return stripe_device_requests_of(config) *
		   (stripe_devices(config->geometry) + stripe_hangs_of(config)) +
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

static const struct stripe_owners owners = {
	.request_done = owner_tell,
	.page_unread = stripe_scan_page_unread,
};

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
	store->owners = &owners;
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
