/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_heap.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/base/prng.h"
#include "tests/support/check.h"

#define PAGE  4096u
#define PAGES 3000u

static void
assert_zero(const uint8_t *memory, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++)
		assert_int_equal(memory[i], 0);
}

static void
test_what_was_given_back_is_zero_when_it_is_taken_again(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 1);
	for (uint32_t round = 0; round < 8; round++) {
		const uint64_t bytes = PAGE * prng_between(&prng, 1, PAGES) - round % 3;
		uint8_t *memory = sim_take(bytes);
		assert_zero(memory, bytes);
		for (uint32_t i = 0; i < 100; i++)
			memory[prng_below(&prng, bytes)] = 0xa5;
		memory[0] = memory[bytes - 1] = 0xa5;
		sim_give(memory, bytes);
		uint8_t *again = sim_take(bytes);
		assert_ptr_equal(again, memory);
		assert_zero(again, bytes);
	}
}

static void
test_two_that_are_held_are_not_the_same(void **state)
{
	(void)state;
	uint8_t *one = sim_take(PAGE), *two = sim_take(PAGE), *other = sim_take(2 * PAGE);
	assert_ptr_not_equal(one, two);
	sim_give(one, PAGE);
	sim_give(two, PAGE);
	sim_give(other, 2 * PAGE);
	uint8_t *again = sim_take(PAGE);
	assert_ptr_not_equal(again, sim_take(PAGE));
	assert_ptr_not_equal(again, other);
}

static void
test_a_mirror_is_zero_again_and_still_one(void **state)
{
	(void)state;
	uint8_t *mirror = sim_take_mirror(4 * PAGE);
	mirror[5 * PAGE + 7] = 1;
	assert_int_equal(mirror[PAGE + 7], 1);
	sim_give_mirror(mirror, 4 * PAGE);
	assert_ptr_not_equal(sim_take(4 * PAGE), mirror); /* of the other kind */
	uint8_t *again = sim_take_mirror(4 * PAGE);
	assert_ptr_equal(again, mirror);
	assert_zero(again, 8 * PAGE);
	again[3] = 1;
	assert_int_equal(again[4 * PAGE + 3], 1);
}

/* Ends with the status 0 if nothing ends it before. */
static bool
survives_touching(volatile uint8_t *memory)
{
	int status = 0;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's report is not wanted */
		(void)*memory;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
test_who_touches_what_was_given_back_is_killed(void **state)
{
	(void)state;
	uint8_t *memory = sim_take(PAGE), *mirror = sim_take_mirror(PAGE);
	assert_true(survives_touching(memory));
	assert_true(survives_touching(mirror + PAGE));
	sim_give(memory, PAGE);
	sim_give_mirror(mirror, PAGE);
	assert_false(survives_touching(memory));
	assert_false(survives_touching(mirror));
	assert_false(survives_touching(mirror + PAGE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_given_back_is_zero_when_it_is_taken_again),
		cmocka_unit_test(test_two_that_are_held_are_not_the_same),
		cmocka_unit_test(test_a_mirror_is_zero_again_and_still_one),
		cmocka_unit_test(test_who_touches_what_was_given_back_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
