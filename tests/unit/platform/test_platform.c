/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw/platform/platform.h"

static void
test_ring_is_mapped_twice(void **state)
{
	const size_t bytes = 5 * PLATFORM_PAGE_BYTES;
	/* Volatile, for the compiler takes two addresses for two bytes. */
	volatile uint8_t *ring = platform_ring_map(bytes);

	(void)state;
	assert_non_null(ring);
	for (size_t i = 0; i < 2 * bytes; i++)
		assert_int_equal(ring[i], 0);
	for (size_t i = 0; i < bytes; i += 97) {
		ring[i] = (uint8_t)(i + 1);
		assert_int_equal(ring[i + bytes], (uint8_t)(i + 1));
		ring[i + bytes] = (uint8_t)(i + 2);
		assert_int_equal(ring[i], (uint8_t)(i + 2));
	}
	for (size_t i = bytes - 10; i < bytes + 10; i++) /* straddles the end */
		ring[i] = 0x77;
	assert_int_equal(ring[0], 0x77);
	assert_int_equal(ring[9], 0x77);
	platform_ring_unmap((uint8_t *)(uintptr_t)ring, bytes);
	assert_null(platform_ring_map(0));
	assert_null(platform_ring_map(100));
	assert_null(platform_ring_map(SIZE_MAX / 2 + 1));
}

static uint32_t
pages_resident(uint8_t *arena, uint32_t pages)
{
	unsigned char resident[64];
	uint32_t count = 0;

	assert_true(pages <= sizeof(resident));
	assert_int_equal(mincore(arena, (size_t)pages * PLATFORM_PAGE_BYTES, resident), 0);
	for (uint32_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	return count;
}

static void
arena_check(void *(*map)(size_t bytes), uint32_t resident)
{
	uint8_t *arena = map(100001);

	assert_non_null(arena);
	assert_int_equal((uintptr_t)arena % PLATFORM_PAGE_BYTES, 0);
	assert_int_equal(pages_resident(arena, 25), resident);
	for (size_t i = 0; i < 100001; i++)
		assert_int_equal(arena[i], 0);
	arena[100000] = 1;
	platform_arena_unmap(arena, 100001);
	assert_null(map(0));
	assert_null(map(SIZE_MAX));
}

static void
test_arena_is_zero_and_aligned(void **state)
{
	(void)state;
	arena_check(platform_arena_map, 25);
	arena_check(platform_arena_map_lazily, 0);
}

static void
test_clocks_go_forward(void **state)
{
	const struct clock_port port = platform_clock();
	uint64_t before = port.ops->monotonic_ns(port.clock);

	(void)state;
	for (int i = 0; i < 10000; i++) {
		const uint64_t now = port.ops->monotonic_ns(port.clock);
		assert_true(now >= before);
		before = now;
	}
	assert_true(platform_monotonic_ns() >= before);
	assert_true(platform_wall_ns() >= port.ops->wall_ns(port.clock) - 3600 * 1000000000ULL);
	/* After 2020-01-01. */
	assert_true(port.ops->wall_ns(port.clock) > 1577836800ULL * 1000000000ULL);
}

static void
test_random_differs(void **state)
{
	const uint64_t a = platform_random_u64(), b = platform_random_u64();

	(void)state;
	assert_true(a != b || a != platform_random_u64());
}

static void
test_pinning(void **state)
{
	(void)state;
	assert_true(platform_cpu_count() >= 1);
	assert_int_equal(platform_pin_thread(1000000), TERN_ERR_CONFIG);
	assert_int_equal(platform_pin_thread(1023), TERN_ERR_CONFIG);
}

/* In a child, for a limit that was lowered does not rise again. */
static int
raise_lowered(void)
{
	const struct rlimit few = { .rlim_cur = 100, .rlim_max = 200 };
	struct rlimit now;

	if (setrlimit(RLIMIT_NOFILE, &few) != 0)
		return 1;
	if (platform_descriptors_raise() != 200 || getrlimit(RLIMIT_NOFILE, &now) != 0)
		return 2;
	return now.rlim_cur == 200 && now.rlim_max == 200 ? 0 : 3;
}

static void
test_descriptors(void **state)
{
	int status;

	(void)state;
	const pid_t child = fork();
	if (child == 0)
		_exit(raise_lowered());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_diag_is_one_line(void **state)
{
	char text[4096] = "", long_text[3000];
	int ends[2];

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(pipe(ends), 0);
	const int saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	platform_diag(PLATFORM_WARNING, "started node=%d text=%s", 3, "two\nlines");
	platform_diag(PLATFORM_ERROR, "long text=%s", long_text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	size_t have = 0;
	for (ssize_t got; (got = read(ends[0], text + have, sizeof(text) - 1 - have)) > 0;)
		have += (size_t)got;
	close(ends[0]);
	text[have] = '\0';
	assert_non_null(strstr(text, " warning started node=3 text=two?lines\n"));
	const char *second = strchr(text, '\n') + 1;
	assert_non_null(strstr(second, " error long text=xxx"));
	assert_true(strlen(second) > 900 && strlen(second) < 1100);
	assert_ptr_equal(strchr(second, '\n'), text + have - 1);
}

static void
test_lock_keeps_others_out(void **state)
{
	char path[] = "platform-lock-XXXXXX";
	int fd = -1, other = -1, status;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(platform_file_lock(path, &fd), TERN_OK);
	const pid_t child = fork();
	if (child == 0)
		_exit(platform_file_lock(path, &other) == TERN_ERR_BUSY ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	assert_int_equal(platform_file_lock(path, &fd), TERN_OK);
	close(fd);
	unlink(path);
	assert_int_equal(platform_file_lock("no-such-directory/lock", &fd), TERN_ERR_IO);
}

static void
test_directory_sync(void **state)
{
	char path[5001];

	(void)state;
	assert_int_equal(platform_directory_sync("plain-name"), TERN_OK);
	assert_int_equal(platform_directory_sync("/name-in-the-root"), TERN_OK);
	assert_int_equal(platform_directory_sync("./name"), TERN_OK);
	assert_int_equal(platform_directory_sync("no-such-directory/name"), TERN_ERR_IO);
	memset(path, 'a', 5000);
	path[4999] = '/';
	path[5000] = '\0';
	assert_int_equal(platform_directory_sync(path), TERN_ERR_TOO_LARGE);
}

static void
test_directory_make(void **state)
{
	char base[] = "/tmp/tern-make-XXXXXX", path[128], long_path[5000];

	(void)state;
	assert_non_null(mkdtemp(base));
	(void)snprintf(path, sizeof(path), "%s/run/tern/a", base);
	assert_int_equal(platform_directory_make(path), TERN_OK);
	assert_int_equal(platform_directory_make(path), TERN_OK); /* it is there */
	assert_int_equal(rmdir(path), 0);
	(void)snprintf(path, sizeof(path), "%s/run/tern/", base);
	assert_int_equal(platform_directory_make(path), TERN_OK);
	/* A file is in the way. */
	(void)snprintf(path, sizeof(path), "%s/file", base);
	const int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(platform_directory_make(path), TERN_ERR_IO);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/run/tern", base);
	assert_int_equal(rmdir(path), 0);
	(void)snprintf(path, sizeof(path), "%s/run", base);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(base), 0);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(platform_directory_make(long_path), TERN_ERR_TOO_LARGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_is_mapped_twice),
		cmocka_unit_test(test_arena_is_zero_and_aligned),
		cmocka_unit_test(test_clocks_go_forward),
		cmocka_unit_test(test_random_differs),
		cmocka_unit_test(test_pinning),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_diag_is_one_line),
		cmocka_unit_test(test_lock_keeps_others_out),
		cmocka_unit_test(test_directory_sync),
		cmocka_unit_test(test_directory_make),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
