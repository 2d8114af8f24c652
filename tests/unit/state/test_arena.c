/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/prng.h"
#include "dataplane/state/arena.h"
#include "tests/support/check.h"

#define PAGES   512u
#define OBJECTS 2000u

struct object {
	uint8_t *data;
	uint64_t bytes;
	uint8_t mark;
};

struct fixture {
	struct arena arena;
	void *table, *memory;
	struct object objects[OBJECTS];
};

static int
set_up(void **context)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->table = calloc(1, arena_table_bytes(PAGES));
	f->memory = aligned_alloc(ARENA_PAGE_BYTES, PAGES * ARENA_PAGE_BYTES);
	memset(f->memory, 0, PAGES * ARENA_PAGE_BYTES);
	arena_init(&f->arena, f->table, f->memory, PAGES);
	*context = f;
	return 0;
}

static int
tear_down(void **context)
{
	struct fixture *f = *context;

	free(f->table);
	free(f->memory);
	free(f);
	return 0;
}

static void
test_rounding(void **context)
{
	uint64_t before = 0;
	(void)context;

	for (uint64_t bytes = 1; bytes < 70000; bytes++) {
		const uint64_t rounded = arena_rounded(bytes);
		assert_true(rounded >= bytes && rounded % 16 == 0);
		assert_true(rounded >= before);
		if (bytes > 64)
			assert_true(rounded <= bytes + bytes / 4);
		assert_int_equal(arena_rounded(rounded), rounded);
		before = rounded;
	}
}

static void
object_take(struct fixture *f, struct object *object, uint64_t bytes, uint8_t mark)
{
	*object = (struct object){ arena_alloc(&f->arena, bytes), bytes, mark };
	if (object->data == NULL)
		return;
	assert_int_equal((uintptr_t)object->data % 16, 0);
	assert_true(object->data >= (uint8_t *)f->memory);
	assert_true(object->data + bytes <= (uint8_t *)f->memory + PAGES * ARENA_PAGE_BYTES);
	memset(object->data, mark, bytes);
}

static void
object_give(struct fixture *f, struct object *object)
{
	for (uint64_t i = 0; i < object->bytes; i++)
		assert_int_equal(object->data[i], object->mark);
	if (object->mark % 2 == 0)
		arena_free_sized(&f->arena, object->data, object->bytes);
	else
		arena_free(&f->arena, object->data);
	object->data = NULL;
}

static uint64_t
random_bytes(struct prng *prng)
{
	switch (prng_below(prng, 10)) {
	case 0:
		return prng_between(prng, 1, 100000);
	case 1:
	case 2:
		return prng_between(prng, 1, 20000);
	case 3:
	case 4:
	case 5:
		return prng_between(prng, 1, 1000);
	default:
		return prng_between(prng, 1, 100);
	}
}

/* Objects never overlap (each keeps its mark), refusals happen, and everything comes back. */
static void
test_random(void **context)
{
	struct fixture *f = *context;
	struct prng prng;
	uint32_t refused = 0;

	prng_seed(&prng, 11);
	for (uint32_t step = 0; step < 200000; step++) {
		struct object *object = &f->objects[prng_below(&prng, OBJECTS)];
		if (object->data != NULL) {
			object_give(f, object);
			continue;
		}
		object_take(f, object, random_bytes(&prng), (uint8_t)step);
		refused += object->data == NULL;
	}
	assert_in_range(refused, 1, 199999);
	uint64_t used = 0;
	for (uint32_t i = 0; i < OBJECTS; i++)
		used += f->objects[i].data != NULL ? arena_rounded(f->objects[i].bytes) : 0;
	assert_int_equal(f->arena.used_bytes, used);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		if (f->objects[i].data != NULL)
			object_give(f, &f->objects[i]);
	}
	assert_int_equal(f->arena.used_bytes, 0);
	assert_in_range(f->arena.kept_count, 1, PAGES / ARENA_KEPT_SHARE);
	arena_settle(&f->arena);
	assert_int_equal(f->arena.kept_count, 0);
	assert_int_equal(f->arena.used_bytes, 0);
	/* At most one empty slab of each class is kept. */
	assert_in_range(f->arena.pages_free, PAGES - 160, PAGES);
}

/* Small objects give way to large ones: empty slabs are merged into runs again. */
static void
test_small_then_large(void **context)
{
	struct fixture *f = *context;
	uint32_t count = 0, large = 0;
	uint8_t **small = calloc(PAGES * 90, sizeof(*small));

	assert_non_null(small);
	while ((small[count] = arena_alloc(&f->arena, 48)) != NULL)
		count++;
	assert_int_equal(count, PAGES * (ARENA_PAGE_BYTES / 48));
	assert_int_equal(f->arena.pages_free, 0);
	assert_null(arena_alloc(&f->arena, 5000));
	for (uint32_t i = 0; i < count; i++)
		arena_free(&f->arena, small[(i * 17) % count]);
	while (arena_alloc(&f->arena, 100 * ARENA_PAGE_BYTES) != NULL)
		large++;
	assert_in_range(large, 4, 5);
	free(small);
}

/* What is kept aside is handed out again, by class, and holds back nothing that is needed. */
static void
test_kept(void **context)
{
	struct fixture *f = *context;
	const uint32_t kept_max = PAGES / ARENA_KEPT_SHARE;
	uint8_t *objects[2 * PAGES / ARENA_KEPT_SHARE];

	for (uint32_t i = 0; i < 2 * kept_max; i++)
		objects[i] = arena_alloc(&f->arena, 1024);
	for (uint32_t i = 0; i < 2 * kept_max; i++)
		arena_free_sized(&f->arena, objects[i], 1024);
	assert_int_equal(f->arena.used_bytes, 0);
	assert_int_equal(f->arena.kept_count, kept_max);
	uint8_t *other = arena_alloc(&f->arena, 48);
	assert_ptr_equal(arena_alloc(&f->arena, 1000), objects[kept_max - 1]);
	assert_int_equal(f->arena.kept_count, kept_max - 1);
	assert_int_equal(f->arena.used_bytes, 1024 + 48);
	arena_free_sized(&f->arena, objects[kept_max - 1], 1000);
	arena_free(&f->arena, other);
	/* Too large to be kept. */
	other = arena_alloc(&f->arena, 1025);
	arena_free_sized(&f->arena, other, 1025);
	assert_int_equal(f->arena.kept_count, kept_max);
	/* Everything, page by page: their slabs are needed. Three stay, one of each class. */
	uint32_t pages = 0;
	while (arena_alloc(&f->arena, ARENA_PAGE_BYTES) != NULL)
		pages++;
	assert_int_equal(f->arena.kept_count, 0);
	assert_in_range(pages, PAGES - 8, PAGES - 3);
}

static void
test_whole_and_foreign(void **context)
{
	struct fixture *f = *context;
	uint8_t other[64];

	uint8_t *whole = arena_alloc(&f->arena, PAGES * ARENA_PAGE_BYTES);
	assert_ptr_equal(whole, f->memory);
	assert_null(arena_alloc(&f->arena, 1));
	assert_null(arena_alloc(&f->arena, UINT64_MAX / 2));
	expect_assert_failure(arena_free(&f->arena, whole + ARENA_PAGE_BYTES));
	arena_free(&f->arena, whole);
	expect_assert_failure(arena_free(&f->arena, whole));
	expect_assert_failure(arena_free(&f->arena, other));
	assert_int_equal(f->arena.pages_free, PAGES);
}

/* What objects take in slabs of their own is what is said before; and a slab of each class. */
static void
test_pages_are_foretold(void **context)
{
	struct fixture *f = *context;
	uint64_t slabs = 0;

	for (uint64_t bytes = 1; bytes <= 16384; bytes = arena_rounded(bytes) + 1)
		slabs += arena_pages_for(bytes, 1);
	assert_in_range(slabs, 100, ARENA_SLABS_PAGES);
	for (uint64_t bytes = 1; bytes <= 40960; bytes = arena_rounded(bytes) + 1) {
		for (uint32_t count = 0; arena_pages_for(bytes, count) <= PAGES; count++) {
			assert_int_equal(arena_pages_for(bytes, count),
					 PAGES - f->arena.pages_free);
			if (count == OBJECTS || arena_pages_for(bytes, count + 1) > PAGES)
				break;
			f->objects[count].data = arena_alloc(&f->arena, bytes);
			assert_non_null(f->objects[count].data);
		}
		memset(f->table, 0, arena_table_bytes(PAGES));
		arena_init(&f->arena, f->table, f->memory, PAGES);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounding),
		cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_small_then_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_whole_and_foreign, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pages_are_foretold, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
