/* SPDX-License-Identifier: Apache-2.0 */
/* Saving divergent tails: what stays on the ring, which devices are asked, and what of theirs is
 * taken. */
#include "tests/support/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "control/daemon/patient.h"
#include "control/daemon/ternd.h"
#include "hw/platform/platform.h"
#include "tests/unit/cmdlog/rig.h"

#define DIRECTORY  "test-divergent"
#define RING_BYTES 65536u
#define DEVICES    6u
#define FD         100 /* of device 0 */

static struct ternd *node;
static uint8_t *ring_memory;
static uint32_t asked[DEVICES];
static uint32_t silent; /* mask */
static struct rig rig;
static bool has_rig; /* that is what stands on the devices; otherwise nothing that can be read */
static uint64_t now_ns;
static unsigned errors_said, warnings_said;

void
platform_diag(enum platform_level level, const char *format, ...)
{
	(void)format;
	errors_said += level == PLATFORM_ERROR;
	warnings_said += level == PLATFORM_WARNING;
}

uint64_t
platform_monotonic_ns(void)
{
	return now_ns;
}

int
nvme_device_fd(const struct nvme *nvme, uint32_t device)
{
	(void)nvme;
	return FD + (int)device;
}

enum tern_err
patient_pread(int fd, void *data, size_t bytes, off_t at, uint64_t patience_ns)
{
	const uint32_t device = (uint32_t)(fd - FD);

	assert_true(device < DEVICES);
	if (has_rig) {
		assert_true(patience_ns == PATIENT_FOR_EVER); /* without parity, as the store */
		memcpy(data, rig.image.bytes + at, bytes);
		return TERN_OK;
	}
	assert_int_equal(patience_ns, node->config.disk.hang_ns);
	asked[device]++;
	memset(data, 0, bytes);
	return (silent >> device & 1) != 0 ? TERN_ERR_BUSY : TERN_OK;
}

static int
setup(void **state)
{
	(void)state;
	node = aligned_alloc(64, align_up_u64(sizeof(*node), 64));
	ring_memory = aligned_alloc(64, RING_BYTES);
	assert_true(node != NULL && ring_memory != NULL);
	memset(node, 0, sizeof(*node));
	memset(asked, 0, sizeof(asked));
	silent = 0;
	has_rig = false;
	errors_said = warnings_said = 0;
	now_ns = 1000000000u;
	node->status = aligned_alloc(64, align_up_u64(sizeof(*node->status), 64));
	assert_non_null(node->status);
	memset(node->status, 0, sizeof(*node->status));
	ring_init(&node->divergent, ring_memory, RING_BYTES);
	node->config.id = 1;
	node->config.parity = 2;
	node->config.disk.hang_ns = 5000000000u;
	node->config.log.command_bytes_max = 4096;
	(void)snprintf(node->config.name, sizeof(node->config.name), "a");
	(void)snprintf(node->config.divergent_dir, sizeof(node->config.divergent_dir), DIRECTORY);
	(void)unlink(DIRECTORY);
	(void)unlink(DIRECTORY "/7-8-t3.tail");
	(void)unlink(DIRECTORY "/1-1-t3.tail");
	(void)unlink(DIRECTORY "/1-2-t3.tail");
	(void)unlink(DIRECTORY "/1-1-t2.tail");
	(void)unlink(DIRECTORY "/2-2-t3.tail");
	(void)rmdir(DIRECTORY);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(node->status);
	free(node);
	free(ring_memory);
	return 0;
}

/* A tail of blocks 7 and 8, of which @count have ever reached the devices. */
static void
cut(uint32_t count)
{
	struct divergent_record *record = ring_reserve(
	    &node->divergent, (uint32_t)(sizeof(*record) + count * sizeof(struct divergent_block)));
	struct divergent_block *blocks = (struct divergent_block *)(record + 1);

	assert_non_null(record);
	*record = (struct divergent_record){
		.first_index = 7,
		.last_index = 8,
		.last_term = 3,
		.cut_term = 4,
		.log_first_page = 8,
		.log_pages = 256,
		.geometry = { 4, 2 },
		.count = count,
	};
	for (uint32_t i = 0; i < count; i++)
		blocks[i] = (struct divergent_block){
			.log_index = 7 + i, .first_cell = 16 * i, .group_pages = 8, .pages = 1
		};
	ring_publish(&node->divergent);
}

/* A tail up to @last_index, of which one block is there: where block 1 of the rig is. */
static void
cut_rig_to(uint64_t log_index, uint64_t last_index, uint64_t term)
{
	struct divergent_record *record = ring_reserve(
	    &node->divergent, (uint32_t)(sizeof(*record) + sizeof(struct divergent_block)));
	struct cmdlog_location at;

	assert_non_null(record);
	assert_true(cmdlog_locate(rig.log, 1, &at));
	*record = (struct divergent_record){
		.first_index = log_index,
		.last_index = last_index,
		.last_term = term,
		.cut_term = 4,
		.cluster_id = RIG_CLUSTER,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = rig.image.area_pages,
		.geometry = { 1, 0 },
		.count = 1,
	};
	*(struct divergent_block *)(record + 1) = (struct divergent_block){
		.log_index = log_index,
		.first_cell = at.first_cell,
		.group_pages = at.group_pages,
		.page = at.page,
		.pages = at.pages,
	};
	ring_publish(&node->divergent);
}

static void
cut_rig(uint64_t log_index, uint64_t term)
{
	cut_rig_to(log_index, log_index, term);
}

/* What the file says of itself. */
static void
assert_file(const char *path, const char *says)
{
	char text[4096];
	FILE *in = fopen(path, "re");

	assert_non_null(in);
	text[fread(text, 1, sizeof(text) - 1, in)] = 0;
	(void)fclose(in);
	assert_non_null(strstr(text, says));
}

static bool
turn(void)
{
	now_ns += 60000000000u;
	return divergent_turn(node);
}

/* The loop takes an empty ring for its leave to give the log up for a checkpoint: a tail that
 * cannot be written would be lost with it. */
static void
test_stays_until_it_is_saved(void **state)
{
	const int fd = creat(DIRECTORY, 0600); /* a file in the way of the directory */

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	cut(0);
	for (unsigned i = 0; i < 40; i++) {
		assert_false(turn());
		assert_false(divergent_turn(node)); /* not at once again */
		assert_false(ring_is_empty(&node->divergent));
	}
	/* The first time, and now and then. */
	assert_int_equal(errors_said, 5);
	assert_int_equal(unlink(DIRECTORY), 0);
	assert_true(turn());
	assert_true(ring_is_empty(&node->divergent));
	assert_int_equal(access(DIRECTORY "/7-8-t3.tail", F_OK), 0);
	assert_false(turn());
}

/* What cannot be read does not hold it for ever: the rest is saved. */
static void
test_what_can_be_read_is_enough_after_some_tries(void **state)
{
	unsigned tries = 1;

	(void)state;
	cut(1);
	while (!turn())
		assert_true(++tries <= 10);
	assert_int_equal(tries, 10);
	assert_true(ring_is_empty(&node->divergent));
	assert_int_equal(access(DIRECTORY "/7-8-t3.tail", F_OK), 0);
}

/* Devices that failed may hang, and those that are made whole need not have it. */
static void
test_devices_that_are_out_are_not_asked(void **state)
{
	static struct node_status status;

	(void)state;
	status.pool.k = 4;
	status.pool.m = 2;
	status.pool.failed = 1u << 0;
	status.pool.suspect = 1u << 2;
	status.pool.rebuilding = 1u << 3;
	for (uint32_t i = 0; i < DEVICES; i++)
		status.pool.drives[i] = (uint8_t)i;
	status_publish(node->status, &status);
	cut(1);
	assert_false(turn());
	for (uint32_t i = 0; i < DEVICES; i++)
		assert_int_equal(asked[i] != 0, (1u << i & 0xd) == 0);
}

/* One that hangs before anybody knows is waited for once. */
static void
test_a_silent_device_is_asked_once(void **state)
{
	(void)state;
	silent = 1u << 1;
	cut(2);
	assert_false(turn());
	assert_false(turn());
	assert_int_equal(asked[1], 1);
	assert_int_equal(asked[0], 4);
	assert_int_equal(warnings_said, 1);
}

/* A log that was short of room may have used the tail's cells again: what stands there may be
 * committed, and nobody should do it again. */
static void
test_later_blocks_are_not_taken_for_the_tail(void **state)
{
	(void)state;
	rig_make(&rig, 16384, 512, 400);
	(void)rig_block(&rig, 3, 0, 100);
	rig_flush(&rig, 0);
	has_rig = true;
	node->config.id = RIG_NODE;
	node->config.parity = 0;
	cut_rig(2, 3);
	cut_rig(1, 2);
	for (unsigned i = 0; i < 20; i++)
		(void)turn();
	assert_true(ring_is_empty(&node->divergent));
	assert_file(DIRECTORY "/2-2-t3.tail", "\"commands\":0,\"unreadable\":1}");
	assert_file(DIRECTORY "/1-1-t2.tail", "\"commands\":0,\"unreadable\":1}");
	cut_rig(1, 3);
	assert_true(turn());
	assert_file(DIRECTORY "/1-1-t3.tail", "\"commands\":1}");
	rig_free(&rig);
}

/* A tail is named again at a start, in other pieces: a command in two files might be done twice.
 * The rig's key is a number, and most of its bytes are zero. */
static void
test_what_is_saved_is_not_saved_again(void **state)
{
	(void)state;
	rig_make(&rig, 16384, 512, 400);
	(void)rig_block(&rig, 3, 7, 100);
	rig_flush(&rig, 0);
	has_rig = true;
	node->config.id = RIG_NODE;
	node->config.parity = 0;
	cut_rig(1, 3);
	assert_true(turn());
	assert_file(DIRECTORY "/1-1-t3.tail", "\"args\":[\"\\u0007\\u0000\\u0000");
	cut_rig_to(1, 2, 3);
	assert_true(turn());
	assert_int_not_equal(access(DIRECTORY "/1-2-t3.tail", F_OK), 0);
	rig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stays_until_it_is_saved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_can_be_read_is_enough_after_some_tries,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_devices_that_are_out_are_not_asked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_silent_device_is_asked_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_later_blocks_are_not_taken_for_the_tail, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_is_saved_is_not_saved_again, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
