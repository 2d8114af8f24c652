/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/state/arena.h"

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"

#define SMALL_STEP      16u
#define SMALL_MAX       256u
#define SLAB_OBJECT_MAX 16384u
#define KEPT_BYTES_MAX  1024u /* of an object that is kept aside */

static uint32_t
log2_floor(uint64_t value)
{
	return 63u - (uint32_t)__builtin_clzll(value);
}

static uint32_t
class_of(uint64_t bytes)
{
	if (bytes <= SMALL_MAX)
		return bytes == 0 ? 0 : (uint32_t)((bytes - 1) / SMALL_STEP);
	const uint32_t power = log2_floor(bytes - 1); /* 8: (256, 512] */
	return SMALL_MAX / SMALL_STEP + (power - 8) * 4 +
	       (uint32_t)(((bytes - 1) >> (power - 2)) & 3);
}

static uint32_t
class_bytes(uint32_t class_)
{
	if (class_ < SMALL_MAX / SMALL_STEP)
		return (class_ + 1) * SMALL_STEP;
	const uint32_t step = class_ - SMALL_MAX / SMALL_STEP;
	return (SMALL_MAX + (SMALL_MAX / 4) * (step % 4 + 1)) << (step / 4);
}

/* Eight objects, or four of the largest, keep what a slab wastes at its end small. */
static uint32_t
class_pages(uint32_t class_)
{
	const uint32_t bytes = class_bytes(class_);
	const uint32_t objects = bytes <= 2048 ? 8 : 4;
	return (bytes * objects + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES;
}

static uint32_t
class_objects(uint32_t class_)
{
	return class_pages(class_) * ARENA_PAGE_BYTES / class_bytes(class_);
}

uint64_t
arena_rounded(uint64_t bytes)
{
	return bytes <= SLAB_OBJECT_MAX ? class_bytes(class_of(bytes))
					: align_up_u64(bytes, ARENA_PAGE_BYTES);
}

uint64_t
arena_pages_for(uint64_t bytes, uint64_t count)
{
	if (bytes > SLAB_OBJECT_MAX)
		return count * div_up_u64(bytes, ARENA_PAGE_BYTES);
	const uint32_t class_ = class_of(bytes);
	return div_up_u64(count, class_objects(class_)) * class_pages(class_);
}

size_t
arena_table_bytes(uint32_t pages)
{
	return (size_t)pages * sizeof(struct arena_page);
}

static void
list_push(struct arena *arena, uint32_t *head, uint32_t page)
{
	arena->pages[page].prev = ARENA_NONE;
	arena->pages[page].next = *head;
	if (*head != ARENA_NONE)
		arena->pages[*head].prev = page;
	*head = page;
}

static void
list_remove(struct arena *arena, uint32_t *head, uint32_t page)
{
	const struct arena_page *p = &arena->pages[page];

	if (p->prev == ARENA_NONE)
		*head = p->next;
	else
		arena->pages[p->prev].next = p->next;
	if (p->next != ARENA_NONE)
		arena->pages[p->next].prev = p->prev;
}

static void
run_mark(struct arena *arena, uint32_t page, uint32_t first, uint32_t pages, enum arena_kind kind)
{
	arena->pages[page].run_first = first;
	arena->pages[page].run_pages = pages;
	arena->pages[page].kind = (uint8_t)kind;
}

static void
run_insert(struct arena *arena, uint32_t first, uint32_t pages)
{
	run_mark(arena, first, first, pages, ARENA_FREE);
	run_mark(arena, first + pages - 1, first, pages, ARENA_FREE);
	list_push(arena, &arena->bins[log2_floor(pages)], first);
}

static void
run_remove(struct arena *arena, uint32_t first)
{
	list_remove(arena, &arena->bins[log2_floor(arena->pages[first].run_pages)], first);
}

/* Any run of a bin above the one that @pages falls into is long enough; its own bin has to be
 * searched, which happens only when nothing larger is left. */
static uint32_t
run_find(const struct arena *arena, uint32_t pages)
{
	const uint32_t own = log2_floor(pages);

	for (uint32_t bin = is_pow2_u64(pages) ? own : own + 1; bin < ARENA_BINS; bin++) {
		if (arena->bins[bin] != ARENA_NONE)
			return arena->bins[bin];
	}
	for (uint32_t p = arena->bins[own]; p != ARENA_NONE; p = arena->pages[p].next) {
		if (arena->pages[p].run_pages >= pages)
			return p;
	}
	return ARENA_NONE;
}

static uint32_t
run_alloc(struct arena *arena, uint32_t pages, enum arena_kind kind)
{
	const uint32_t first = run_find(arena, pages);

	if (first == ARENA_NONE)
		return ARENA_NONE;
	const uint32_t have = arena->pages[first].run_pages;
	INVARIANT(have >= pages && have <= arena->pages_free);
	run_remove(arena, first);
	if (have > pages)
		run_insert(arena, first + pages, have - pages);
	for (uint32_t i = 0; i < pages; i++)
		run_mark(arena, first + i, first, pages, kind);
	arena->pages_free -= pages;
	return first;
}

static void
run_free(struct arena *arena, uint32_t first)
{
	uint32_t pages = arena->pages[first].run_pages;

	INVARIANT(arena->pages[first].kind != ARENA_FREE);
	arena->pages_free += pages;
	const uint32_t after = first + pages;
	if (after < arena->pages_count && arena->pages[after].kind == ARENA_FREE) {
		pages += arena->pages[after].run_pages;
		run_remove(arena, after);
	}
	if (first > 0 && arena->pages[first - 1].kind == ARENA_FREE) {
		const uint32_t before = arena->pages[first - 1].run_first;
		run_remove(arena, before);
		pages += first - before;
		first = before;
	}
	run_insert(arena, first, pages);
}

void
arena_init(struct arena *arena, void *table, void *memory, uint32_t pages)
{
	INVARIANT(pages > 0 && ((uintptr_t)memory & (ARENA_PAGE_BYTES - 1)) == 0);
	*arena = (struct arena){
		.memory = memory, .pages = table, .pages_count = pages, .pages_free = pages
	};
	for (uint32_t i = 0; i < ARENA_BINS; i++)
		arena->bins[i] = ARENA_NONE;
	for (uint32_t i = 0; i < ARENA_CLASSES; i++)
		arena->slabs[i] = ARENA_NONE;
	run_insert(arena, 0, pages);
}

static void *
slab_alloc(struct arena *arena, uint32_t class_)
{
	uint32_t first = arena->slabs[class_];

	if (first == ARENA_NONE) {
		first = run_alloc(arena, class_pages(class_), ARENA_SLAB);
		if (first == ARENA_NONE)
			return NULL;
		struct arena_page *fresh = &arena->pages[first];
		fresh->class_ = (uint8_t)class_;
		fresh->used = fresh->fresh = 0;
		fresh->free = NULL;
		list_push(arena, &arena->slabs[class_], first);
	}
	struct arena_page *slab = &arena->pages[first];
	void *object = slab->free;
	if (object != NULL)
		slab->free = *(void **)object;
	else
		object = arena->memory + (uint64_t)first * ARENA_PAGE_BYTES +
			 (uint64_t)slab->fresh++ * class_bytes(class_);
	if (++slab->used == class_objects(class_))
		list_remove(arena, &arena->slabs[class_], first);
	arena->used_bytes += class_bytes(class_);
	return object;
}

static void
slab_free(struct arena *arena, uint32_t first, void *object)
{
	struct arena_page *slab = &arena->pages[first];
	const uint32_t class_ = slab->class_;

	INVARIANT(slab->used > 0);
	*(void **)object = slab->free;
	slab->free = object;
	if (slab->used-- == class_objects(class_))
		list_push(arena, &arena->slabs[class_], first);
	arena->used_bytes -= class_bytes(class_);
	/* The only slab with room of its class stays: the next object would make it again. */
	if (slab->used == 0 && (slab->prev != ARENA_NONE || slab->next != ARENA_NONE)) {
		list_remove(arena, &arena->slabs[class_], first);
		run_free(arena, first);
	}
}

static void *
large_alloc(struct arena *arena, uint64_t bytes)
{
	const uint64_t pages = div_up_u64(bytes, ARENA_PAGE_BYTES);

	if (pages > arena->pages_free)
		return NULL;
	const uint32_t first = run_alloc(arena, (uint32_t)pages, ARENA_LARGE);
	if (first == ARENA_NONE)
		return NULL;
	arena->used_bytes += pages * ARENA_PAGE_BYTES;
	return arena->memory + (uint64_t)first * ARENA_PAGE_BYTES;
}

static void *
kept_take(struct arena *arena, uint32_t class_)
{
	void *object = arena->kept[class_];

	arena->kept[class_] = *(void **)object;
	arena->kept_count--;
	arena->used_bytes += class_bytes(class_);
	return object;
}

void *
arena_alloc(struct arena *arena, uint64_t bytes)
{
	const bool is_large = bytes > SLAB_OBJECT_MAX;
	const uint32_t class_ = is_large ? 0 : class_of(bytes);

	if (!is_large && arena->kept[class_] != NULL)
		return kept_take(arena, class_);
	void *object = is_large ? large_alloc(arena, bytes) : slab_alloc(arena, class_);
	if (object != NULL || arena->kept_count == 0)
		return object;
	arena_settle(arena);
	return is_large ? large_alloc(arena, bytes) : slab_alloc(arena, class_);
}

void
arena_free_sized(struct arena *arena, void *object, uint64_t bytes)
{
	if (bytes > KEPT_BYTES_MAX || arena->kept_count >= arena->pages_count / ARENA_KEPT_SHARE) {
		arena_free(arena, object);
		return;
	}
	const uint32_t class_ = class_of(bytes);
	INVARIANT(arena->used_bytes >= class_bytes(class_));
	*(void **)object = arena->kept[class_];
	arena->kept[class_] = object;
	arena->kept_count++;
	arena->used_bytes -= class_bytes(class_);
}

void
arena_settle(struct arena *arena)
{
	for (uint32_t class_ = 0; class_ < ARENA_CLASSES && arena->kept_count != 0; class_++) {
		while (arena->kept[class_] != NULL)
			arena_free(arena, kept_take(arena, class_));
	}
}

void
arena_free(struct arena *arena, void *object)
{
	const uint64_t offset = (uint64_t)((uint8_t *)object - arena->memory);
	const uint64_t page = offset / ARENA_PAGE_BYTES;

	INVARIANT((uint8_t *)object >= arena->memory && page < arena->pages_count);
	const uint32_t first = arena->pages[page].run_first;
	if (arena->pages[page].kind == ARENA_SLAB) {
		slab_free(arena, first, object);
		return;
	}
	INVARIANT(arena->pages[page].kind == ARENA_LARGE && first == page);
	arena->used_bytes -= (uint64_t)arena->pages[first].run_pages * ARENA_PAGE_BYTES;
	run_free(arena, first);
}
