/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator inside the state's one block of memory.
 *
 * Pages of 4 KiB. A run of pages is free, a slab of objects of one size class, or one large object.
 * Free runs lie in lists by size and are merged with their neighbours; a slab whose last object was
 * freed becomes a free run again. Objects of a slab are reused last in, first out, while they are
 * warm. Classes: steps of 16 up to 256 bytes, then four to each doubling up to 16 KiB, so an object
 * wastes at most a quarter; larger ones are rounded up to pages.
 *
 * Small objects that come back are kept aside first, a few thousand by class, and handed out again
 * from there: a state whose keys are written over and over takes and gives back one version a
 * command, from slabs all over memory whose records are in no cache. Never more of them than one
 * for ARENA_KEPT_SHARE pages, so that what they hold back stays small; they go back to their slabs
 * when no run is long enough, and by arena_settle.
 *
 * Owner: the state's writer. Nothing here is read by another thread.
 */
#ifndef TERN_STATE_ARENA_H
#define TERN_STATE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_PAGE_BYTES 4096u
#define ARENA_CLASSES    40u
#define ARENA_BINS       32u
#define ARENA_NONE       UINT32_MAX
#define ARENA_KEPT_SHARE 64u
/* Not less than one slab of each class takes (test_arena.c counts them). */
#define ARENA_SLABS_PAGES 160u

enum arena_kind { ARENA_FREE = 0, ARENA_SLAB, ARENA_LARGE };

struct arena_page {
	uint32_t run_first, run_pages; /* valid in the first and the last page of a run at least */
	uint32_t prev, next;           /* first page of a free run, or of a slab with room */
	uint32_t used, fresh;          /* slab: objects handed out; objects ever handed out */
	void *free;                    /* slab: first of the objects that came back */
	uint8_t kind, class_;
};

struct arena {
	uint8_t *memory; /* ARENA_PAGE_BYTES aligned */
	struct arena_page *pages;
	uint32_t pages_count, pages_free;
	uint64_t used_bytes; /* of objects, rounded to their classes */
	uint32_t bins[ARENA_BINS];
	uint32_t slabs[ARENA_CLASSES]; /* first slab with room */
	void *kept[ARENA_CLASSES];     /* objects kept aside, each with a pointer to the next */
	uint32_t kept_count;
};

/* Bytes of struct arena_page that @pages need. */
size_t arena_table_bytes(uint32_t pages);
/* @table and @memory: zeroed, borrowed for ever. */
void arena_init(struct arena *arena, void *table, void *memory, uint32_t pages);
/* 16-byte aligned; NULL: no run of pages is long enough. */
void *arena_alloc(struct arena *arena, uint64_t bytes);
void arena_free(struct arena *arena, void *object);
/* The same for one of @bytes, which may be kept aside. */
void arena_free_sized(struct arena *arena, void *object, uint64_t bytes);
/* Gives what is kept aside back to the slabs. */
void arena_settle(struct arena *arena);
/* What an object of @bytes really takes. */
uint64_t arena_rounded(uint64_t bytes);
/* Pages that @count objects of @bytes take at most: those of slabs of their own. */
uint64_t arena_pages_for(uint64_t bytes, uint64_t count);

#endif
