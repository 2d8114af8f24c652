/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw/file_store/register_store.h"

#define PATH       "test-register"
#define SLOT_BYTES 4096

static const struct witness_register birth = {
	.cluster_id = 0x1234,
	.generation = { 1, 0 },
	.witness_gen = 1,
	.witness_id = 9,
	.boot_no = 0,
};

static int
setup(void **state)
{
	(void)state;
	unlink(PATH);
	return 0;
}

static void
put(off_t offset, const void *bytes, size_t count)
{
	const int fd = open(PATH, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, count, offset), count);
	close(fd);
}

static void
test_birth_and_refusal(void **state)
{
	struct register_store store;
	struct witness_register reg;

	(void)state;
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_NOT_FOUND);
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	assert_int_equal(register_store_create(PATH, &birth), TERN_ERR_BUSY);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	assert_int_equal(reg.sequence, 1);
	assert_int_equal(reg.cluster_id, 0x1234);
	assert_int_equal(reg.witness_id, 9);
	register_store_close(&store);
	assert_int_equal(register_store_create("no-such-directory/register", &birth), TERN_ERR_IO);
}

/* Byte 8192 x shard: what lies there is this shard's, and nothing else is. */
static void
test_a_register_of_another_shard_is_refused(void **state)
{
	struct register_store store;
	struct witness_register reg = birth;
	uint8_t slot[WITNESS_REGISTER_BYTES];

	(void)state;
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	reg.sequence = 2;
	reg.shard = 1;
	witness_register_encode(slot, &reg);
	const int fd = open(PATH, O_WRONLY);
	/* Behind our own, where it belongs; then in our place. */
	assert_int_equal(pwrite(fd, slot, sizeof(slot), REGISTER_STORE_SHARD_BYTES), sizeof(slot));
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	assert_int_equal(reg.sequence, 1);
	assert_int_equal(register_store_write(&store, &reg), TERN_OK);
	register_store_close(&store);
	assert_int_equal(pwrite(fd, slot, sizeof(slot), 0), sizeof(slot));
	assert_int_equal(pwrite(fd, slot, sizeof(slot), 4096), sizeof(slot));
	close(fd);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_CORRUPT);
}

static void
test_writes_survive_reopening(void **state)
{
	struct register_store store;
	struct witness_register reg;

	(void)state;
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	for (uint64_t i = 1; i <= 20; i++) {
		assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
		assert_int_equal(reg.sequence, 4 * i - 3);
		assert_int_equal(reg.term, 10 * (i - 1));
		reg.term = 99999;
		assert_int_equal(register_store_write(&store, &reg), TERN_OK);
		reg.term = 10 * i;
		reg.voted_for = 2;
		reg.sequence = 7; /* the store's business */
		assert_int_equal(register_store_write(&store, &reg), TERN_OK);
		assert_int_equal(reg.sequence, 4 * i + 1);
		register_store_close(&store);
	}
}

static void
get(uint8_t file[REGISTER_STORE_SHARD_BYTES])
{
	const int fd = open(PATH, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, file, REGISTER_STORE_SHARD_BYTES, 0),
			 REGISTER_STORE_SHARD_BYTES);
	close(fd);
}

/* A register of term @terms, written term by term; the file is closed. */
static void
make(uint64_t terms)
{
	struct register_store store;
	struct witness_register reg;

	unlink(PATH);
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	for (reg.term = 1; reg.term <= terms; reg.term++)
		assert_int_equal(register_store_write(&store, &reg), TERN_OK);
	register_store_close(&store);
}

/* What was promised does not go back when either slot, the newest too, is damaged later: a witness
 * whose newest slot rotted would grant what it had promised away. */
static void
test_either_slot_may_be_damaged(void **state)
{
	struct register_store store;
	struct witness_register reg;
	uint8_t garbage[SLOT_BYTES];

	(void)state;
	memset(garbage, 0xc3, sizeof(garbage));
	for (off_t slot = 0; slot < 2; slot++) {
		for (size_t bytes = 1; bytes <= sizeof(garbage); bytes *= 2) {
			make(4);
			put(slot * SLOT_BYTES, garbage, bytes);
			assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
			assert_int_equal(reg.term, 4);
			reg.term = 5;
			assert_int_equal(register_store_write(&store, &reg), TERN_OK);
			register_store_close(&store);
			/* That made both good again. */
			put((1 - slot) * SLOT_BYTES, garbage, bytes);
			assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
			assert_int_equal(reg.term, 5);
			register_store_close(&store);
		}
	}
	put(SLOT_BYTES + 60, garbage, 1);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_CORRUPT);
}

/* The write of term 5 over 4 ends anywhere: the register is the old or the new one, and what
 * is written next bears the loss of either slot. */
static void
test_a_crash_leaves_old_or_new(void **state)
{
	struct register_store store;
	struct witness_register reg;
	uint8_t before[REGISTER_STORE_SHARD_BYTES], after[sizeof(before)], file[sizeof(before)];
	const uint8_t damage = 0xff;

	(void)state;
	make(4);
	get(before);
	make(5);
	get(after);
	for (size_t done = 0; done <= sizeof(file); done += 16) {
		/* Sequence 10 is written to slot 0, then 11 to slot 1. */
		memcpy(file, before, sizeof(file));
		memcpy(file, after, done);
		put(0, file, sizeof(file));
		assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
		const bool is_whole = memcmp(file, after, WITNESS_REGISTER_BYTES) == 0;
		assert_int_equal(reg.term, is_whole ? 5 : 4);
		const uint64_t term = reg.term;
		reg.boot_no++;
		assert_int_equal(register_store_write(&store, &reg), TERN_OK);
		register_store_close(&store);
		put((off_t)(reg.sequence % 2 * SLOT_BYTES) + 60, &damage, 1);
		assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
		assert_int_equal(reg.term, term);
		assert_int_equal(reg.boot_no, 1);
		register_store_close(&store);
	}
}

/* A file of a version that wrote one slot at a time is read as before. */
static void
test_a_file_with_one_newest_slot(void **state)
{
	struct register_store store;
	struct witness_register reg = birth;
	uint8_t file[REGISTER_STORE_SHARD_BYTES] = { 0 };

	(void)state;
	for (reg.sequence = 6; reg.sequence <= 7; reg.sequence++) {
		reg.term = reg.sequence;
		witness_register_encode(file + reg.sequence % 2 * SLOT_BYTES, &reg);
	}
	put(0, file, sizeof(file));
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	assert_int_equal(reg.term, 7);
	assert_int_equal(register_store_write(&store, &reg), TERN_OK);
	assert_int_equal(reg.sequence, 9);
	register_store_close(&store);
}

static void
test_what_is_wrong_is_told_apart(void **state)
{
	struct register_store store;
	struct witness_register reg;
	uint8_t file[8192] = { 0 };

	(void)state;
	put(0, file, sizeof(file));
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_BLANK);
	unlink(PATH);
	put(0, file, 100);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_CORRUPT);
	memset(file, 'x', sizeof(file));
	put(0, file, sizeof(file));
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_FOREIGN);
	unlink(PATH);
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	put(4096 + 40, "?", 1);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_CORRUPT);
	assert_int_equal(store.fd, -1);
	/* A good register in the slot that its sequence does not name. */
	unlink(PATH);
	memset(file, 0, sizeof(file));
	reg = birth;
	reg.sequence = 3;
	witness_register_encode(file, &reg);
	put(0, file, sizeof(file));
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_ERR_CORRUPT);
}

static void
test_one_process_at_a_time(void **state)
{
	struct register_store store, other;
	struct witness_register reg;
	int status;

	(void)state;
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	const pid_t child = fork();
	if (child == 0)
		_exit(register_store_open(&other, PATH, &reg) == TERN_ERR_BUSY ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	register_store_close(&store);
}

/* After a write that failed nothing is promised any more, even if the device comes back. */
static void
test_a_failed_write_is_final(void **state)
{
	struct register_store store;
	struct witness_register reg;

	(void)state;
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	const int writable = store.fd;
	store.fd = open(PATH, O_RDONLY);
	reg.term = 5;
	assert_int_equal(register_store_write(&store, &reg), TERN_ERR_IO);
	close(store.fd);
	store.fd = writable;
	assert_int_equal(register_store_write(&store, &reg), TERN_ERR_IO);
	register_store_close(&store);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	assert_int_equal(reg.term, 0);
	register_store_close(&store);
}

/* The second slot cannot be written: that is no TERN_OK, and no later write is. */
static void
test_one_slot_is_not_enough(void **state)
{
	const struct rlimit small = { .rlim_cur = SLOT_BYTES, .rlim_max = RLIM_INFINITY };
	struct register_store store;
	struct witness_register reg;
	int status;

	(void)state;
	assert_int_equal(register_store_create(PATH, &birth), TERN_OK);
	const pid_t child = fork();
	if (child == 0) {
		signal(SIGXFSZ, SIG_IGN);
		bool is_final = register_store_open(&store, PATH, &reg) == TERN_OK &&
				setrlimit(RLIMIT_FSIZE, &small) == 0;
		reg.term = 5;
		/* Sequence 2 is written at 0, 3 would be behind the limit. */
		for (int i = 0; i < 2; i++)
			is_final &= register_store_write(&store, &reg) == TERN_ERR_IO;
		_exit(is_final ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(register_store_open(&store, PATH, &reg), TERN_OK);
	assert_int_equal(reg.sequence, 2);
	assert_int_equal(reg.term, 5);
	register_store_close(&store);
}

static void
test_atomic_files(void **state)
{
	char text[16];
	size_t count = 99;

	(void)state;
	assert_int_equal(file_store_read(PATH, text, sizeof(text), &count), TERN_ERR_NOT_FOUND);
	assert_int_equal(file_store_write_atomic(PATH, "first", 5), TERN_OK);
	assert_int_equal(file_store_write_atomic(PATH, "second!", 7), TERN_OK);
	assert_int_equal(access(PATH ".tmp", F_OK), -1);
	assert_int_equal(file_store_read(PATH, text, sizeof(text), &count), TERN_OK);
	assert_int_equal(count, 7);
	assert_memory_equal(text, "second!", 7);
	assert_int_equal(file_store_read(PATH, text, 7, &count), TERN_OK);
	assert_int_equal(file_store_read(PATH, text, 6, &count), TERN_ERR_TOO_LARGE);
	assert_int_equal(file_store_write_atomic("no-such-directory/x", "a", 1), TERN_ERR_IO);
	/* A write that cannot be finished leaves the old file whole. */
	const struct rlimit small = { .rlim_cur = 4, .rlim_max = RLIM_INFINITY };
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	const pid_t child = fork();
	if (child == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &small);
		_exit(file_store_write_atomic(PATH, "longer than four", 16) == TERN_ERR_IO ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(file_store_read(PATH, text, sizeof(text), &count), TERN_OK);
	assert_memory_equal(text, "second!", 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_birth_and_refusal, setup),
		cmocka_unit_test_setup(test_a_register_of_another_shard_is_refused, setup),
		cmocka_unit_test_setup(test_writes_survive_reopening, setup),
		cmocka_unit_test_setup(test_either_slot_may_be_damaged, setup),
		cmocka_unit_test_setup(test_a_crash_leaves_old_or_new, setup),
		cmocka_unit_test_setup(test_a_file_with_one_newest_slot, setup),
		cmocka_unit_test_setup(test_what_is_wrong_is_told_apart, setup),
		cmocka_unit_test_setup(test_one_process_at_a_time, setup),
		cmocka_unit_test_setup(test_a_failed_write_is_final, setup),
		cmocka_unit_test_setup(test_one_slot_is_not_enough, setup),
		cmocka_unit_test_setup(test_atomic_files, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
