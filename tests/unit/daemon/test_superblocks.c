/* SPDX-License-Identifier: Apache-2.0 */
/* A start with devices that open and never answer, and reads that are not waited for any longer. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/daemon/patient.h"
#include "control/daemon/ternd.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define PATH    "test-superblocks"
#define DEVICES 6u
#define MS      1000000u

/* What stands on a device. */
enum device { GOOD, SILENT, BLANK, ABSENT };

static enum device devices[DEVICES];
static struct ternd *node;
static char why[512];
static unsigned said;
static sem_t never; /* what waits for it hangs, until the test program ends */

void
platform_diag(enum platform_level level, const char *format, ...)
{
	(void)format;
	assert_int_equal(level, PLATFORM_WARNING);
	said++;
}

int
nvme_device_fd(const struct nvme *nvme, uint32_t device)
{
	(void)nvme;
	assert_true(device < DEVICES);
	return devices[device] == ABSENT ? -1 : (int)device;
}

enum tern_err
superblock_read(int fd, struct superblock *superblock, uint32_t *good_mask)
{
	while (devices[fd] == SILENT)
		(void)sem_wait(&never);
	*good_mask = 1;
	*superblock = (struct superblock){ .sequence = 10 + (uint64_t)fd, .log_pages = 99 };
	return devices[fd] == GOOD ? TERN_OK : TERN_ERR_BLANK;
}

static int
setup(void **state)
{
	(void)state;
	said = 0;
	node = aligned_alloc(64, align_up_u64(sizeof(*node), 64));
	assert_non_null(node);
	memset(node, 0, sizeof(*node));
	memset(devices, 0, sizeof(devices));
	node->config.device_count = DEVICES;
	node->config.parity = 2;
	node->config.disk.hang_ns = 50 * MS;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(node);
	return 0;
}

static void
test_silent_devices_are_left_out(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	devices[0] = devices[5] = SILENT;
	assert_int_equal(superblocks_read(node, &found, why, sizeof(why)), TERN_OK);
	assert_int_equal(found.sequence, 14); /* the newest of those that answered */
	assert_int_equal(found.log_pages, 99);
	assert_int_equal(said, 2);
}

static void
test_absent_devices_are_not_asked(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	devices[0] = ABSENT;
	devices[1] = BLANK;
	assert_int_equal(superblocks_read(node, &found, why, sizeof(why)), TERN_OK);
	assert_int_equal(found.sequence, 15);
	assert_int_equal(said, 0);
}

/* Not that new storage should be made. */
static void
test_when_nobody_answers_it_is_said(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	for (uint32_t i = 0; i < DEVICES; i++)
		devices[i] = SILENT;
	assert_int_equal(superblocks_read(node, &found, why, sizeof(why)), TERN_ERR_BUSY);
	assert_non_null(strstr(why, "does not answer"));
	assert_null(strstr(why, "tern node init"));
	devices[4] = BLANK;
	assert_int_equal(superblocks_read(node, &found, why, sizeof(why)), TERN_ERR_BLANK);
}

/* A slow device without parity is waited for, as the store does. */
static void *
slow(void *memory)
{
	(void)memory;
	usleep(100000);
	return NULL;
}

static void
test_patience(void **state)
{
	struct patient patient;

	(void)state;
	assert_int_equal(patient_begin(&patient, slow, NULL, PATIENT_FOR_EVER), TERN_OK);
	assert_true(patient_end(&patient));
	assert_int_equal(patient_begin(&patient, slow, NULL, 60000000000u), TERN_OK);
	assert_true(patient_end(&patient));
	assert_int_equal(patient_begin(&patient, slow, NULL, MS), TERN_OK);
	assert_false(patient_end(&patient));
}

static void
test_pread(void **state)
{
	char text[8] = "before";
	const int fd = open(PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);

	(void)state;
	assert_int_equal(pwrite(fd, "0123456789", 10, 0), 10);
	assert_int_equal(patient_pread(fd, text, 8, 4, 60000000000u), TERN_ERR_IO);
	assert_string_equal(text, "before");
	assert_int_equal(patient_pread(fd, text, 6, 4, 60000000000u), TERN_OK);
	assert_memory_equal(text, "456789", 6);
	close(fd);
	(void)unlink(PATH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silent_devices_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent_devices_are_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_when_nobody_answers_it_is_said, setup,
						teardown),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_pread),
	};
	(void)sem_init(&never, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
