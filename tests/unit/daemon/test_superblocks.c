/* SPDX-License-Identifier: Apache-2.0 */
/* A start with devices that are away, open and never answer, or are not what they should be.
 * Nothing here waits: the doubles of patient.h know who is silent. */
#include "tests/support/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon/patient.h"
#include "control/daemon/ternd.h"
#include "hw/nvme_uring/superblock_io.h"
#include "hw/platform/platform.h"

#define DEVICES 6u
#define SPARES  2u /* behind them */
#define MS      1000000u

/* What stands on a device. A silent one answers only who waits for it without a limit. */
enum device { GOOD, SILENT, BLANK, ABSENT, USED, OLD, FOREIGN, UNFLUSHABLE, RIVAL };

static enum device devices[DEVICES + SPARES];
static bool is_flushed[DEVICES + SPARES], is_omitted[DEVICES + SPARES];
static uint64_t out; /* as the good ones say */
static struct ternd *node;
static char why[512];
static unsigned said;
static uint32_t unsafe, unsafe_devices; /* as they were found; as they are */
static uint32_t asked;                  /* the device of which the descriptor was given last */

/* Of each device, the look that was begun. */
static struct begun {
	const struct patient *patient;
	void *(*work)(void *memory);
	void *memory;
} looks[DEVICES + SPARES];
static bool is_waiting; /* looks are begun before the first is waited for */

void
platform_diag(enum platform_level level, const char *format, ...)
{
	(void)format;
	assert_int_equal(level, PLATFORM_WARNING);
	said++;
}

enum tern_err
patient_begin(struct patient *patient, void *(*work)(void *memory), void *memory,
	      uint64_t patience_ns)
{
	assert_int_equal(patience_ns,
			 node->config.parity == 0 ? PATIENT_FOR_EVER : node->config.disk.hang_ns);
	assert_false(is_waiting);
	looks[asked] = (struct begun){ patient, work, memory };
	return TERN_OK;
}

static uint32_t
device_of(const struct patient *patient)
{
	uint32_t device = 0;

	while (looks[device].patient != patient)
		assert_true(++device < DEVICES + SPARES);
	return device;
}

void
patient_wait_for_ever(struct patient *patient)
{
	struct begun *look = &looks[device_of(patient)];

	assert_null(look->work(look->memory));
	look->patient = NULL;
}

bool
patient_wait(struct patient *patient)
{
	is_waiting = true;
	if (devices[device_of(patient)] == SILENT)
		return false;
	patient_wait_for_ever(patient);
	return true;
}

void
patient_leave(struct patient *patient)
{
	struct begun *look = &looks[device_of(patient)];

	free(look->memory); /* nobody else is to use it from here on */
	look->patient = NULL;
}

int
nvme_device_fd(const struct nvme *nvme, uint32_t device)
{
	(void)nvme;
	assert_true(device < DEVICES + SPARES);
	asked = device;
	return devices[device] == ABSENT || is_omitted[device] ? -1 : (int)device;
}

enum tern_err
nvme_device_flush(const struct nvme *nvme, uint32_t device)
{
	(void)nvme;
	is_flushed[device] = devices[device] != UNFLUSHABLE;
	return is_flushed[device] ? TERN_OK : TERN_ERR_IO;
}

void
nvme_device_omit(struct nvme *nvme, uint32_t device, const char *text)
{
	(void)nvme;
	assert_true(text[0] != '\0');
	is_omitted[device] = true;
}

enum tern_err
nvme_device_err(const struct nvme *nvme, uint32_t device)
{
	(void)nvme;
	assert_true(device < DEVICES + SPARES);
	return devices[device] == ABSENT ? TERN_ERR_NOT_FOUND
	       : devices[device] == USED ? TERN_ERR_BUSY
	       : is_omitted[device]      ? TERN_ERR_IO
					 : TERN_OK;
}

uint64_t
nvme_device_bytes(const struct nvme *nvme, uint32_t device, const char **reason)
{
	const enum tern_err err = nvme_device_err(nvme, device);

	*reason = err == TERN_ERR_BUSY ? "another process uses it"
		  : err == TERN_ERR_IO ? "its cache cannot be flushed"
				       : "does not exist";
	return 0;
}

enum tern_err
superblock_read(int fd, struct superblock *superblock, uint32_t *good_mask)
{
	/* Nothing that was not flushed is looked at. */
	*good_mask = 1;
	if (!is_flushed[fd])
		return TERN_ERR_CORRUPT;
	*superblock = (struct superblock){
		.sequence = devices[fd] == OLD ? 5 : 10 + (uint64_t)fd,
		.node_id = devices[fd] == FOREIGN ? 2 : 1,
		.failed_devices = devices[fd] == GOOD || devices[fd] == RIVAL ? out : 0,
		.device = (uint8_t)(devices[fd] == RIVAL ? 0 : fd % (int)DEVICES),
		.log_pages = devices[fd] == FOREIGN ? 1 : 99,
	};
	return devices[fd] == BLANK ? TERN_ERR_BLANK : TERN_OK;
}

enum tern_err
ternd_check_device(const struct node_config *config, const char *path, char *text,
		   size_t text_bytes)
{
	uint32_t device = 0;

	(void)config;
	assert_int_equal(sscanf(path, "/device%u", &device), 1);
	(void)snprintf(text, text_bytes, "%s: its cache is not flushed", path);
	return (unsafe_devices >> device & 1) != 0 ? TERN_ERR_CONFIG : TERN_OK;
}

static enum tern_err
start(struct superblock *found)
{
	memset(is_flushed, 0, sizeof(is_flushed));
	memset(is_omitted, 0, sizeof(is_omitted));
	is_waiting = false;
	const enum tern_err err = superblocks_read(node, found, &unsafe, why, sizeof(why));
	/* Each look was ended, or left. */
	for (uint32_t i = 0; i < DEVICES + SPARES; i++)
		assert_null(looks[i].patient);
	return err;
}

static int
setup(void **state)
{
	(void)state;
	said = unsafe_devices = 0;
	out = 0;
	node = aligned_alloc(64, align_up_u64(sizeof(*node), 64));
	assert_non_null(node);
	memset(node, 0, sizeof(*node));
	memset(devices, 0, sizeof(devices));
	node->config.id = 1;
	memset(looks, 0, sizeof(looks));
	node->config.device_count = DEVICES;
	for (uint32_t i = 0; i < DEVICES + SPARES; i++)
		(void)snprintf(i < DEVICES ? node->config.devices[i].path
					   : node->config.spares[i - DEVICES].path,
			       NODE_CONFIG_PATH_MAX, "/device%u", i);
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
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(found.sequence, 14); /* the newest of those that answered */
	assert_int_equal(found.log_pages, 99);
	assert_int_equal(said, 2);
	/* What they say later was not flushed: the store is not to hear it. */
	for (uint32_t i = 0; i < DEVICES; i++)
		assert_int_equal(is_omitted[i], i == 0 || i == 5);
}

/* One more than there is parity for is waited for, as long as it takes: what it holds may be whole.
 * If it would not do either, it is not. */
static void
test_what_is_needed_is_waited_for(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	devices[0] = devices[3] = SILENT;
	devices[1] = ABSENT;
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(said, 2);
	assert_true(is_flushed[0] && !is_omitted[0]);
	assert_true(is_omitted[3]);
	devices[2] = devices[4] = ABSENT;
	assert_int_equal(start(&found), TERN_OK);
	assert_true(is_omitted[0] && is_omitted[3]);
}

/* A write that was under way at the crash may lie in a device's cache only: it is flushed before it
 * is read, spare ones too, and where that fails the device is not asked. */
static void
test_all_is_flushed_before_it_is_read(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	node->config.device_count = DEVICES - 2;
	node->config.spare_count = 2;
	devices[3] = devices[5] = UNFLUSHABLE;
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(found.sequence, 14);
	for (uint32_t i = 0; i < DEVICES; i++) {
		assert_int_equal(is_flushed[i], i != 3 && i != 5);
		assert_int_equal(is_omitted[i], i == 3 || i == 5);
	}
}

static void
test_the_one_device_cannot_be_flushed(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	node->config.device_count = 1;
	node->config.parity = 0;
	devices[0] = UNFLUSHABLE;
	assert_int_equal(start(&found), TERN_ERR_IO);
	assert_non_null(strstr(why, "cannot be flushed; look at the device"));
	assert_null(strstr(why, "tern node init"));
}

static void
test_absent_devices_are_not_asked(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	devices[0] = ABSENT;
	devices[1] = BLANK;
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(found.sequence, 15);
	assert_int_equal(said, 0);
}

/* The devices of the node file hold nothing of the pool any more: it rests on spares. */
static void
test_spares_are_asked(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	node->config.spare_count = SPARES;
	for (uint32_t i = 0; i < DEVICES; i++)
		devices[i] = i < 3 ? ABSENT : BLANK;
	devices[DEVICES] = BLANK;
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(found.sequence, 10 + DEVICES + 1);
	/* A blank one says nothing of the node, nor does one of another node. */
	devices[DEVICES + 1] = FOREIGN;
	assert_int_equal(start(&found), TERN_ERR_BLANK);
	devices[0] = OLD;
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(found.sequence, 5);
	/* Alone on a device of the node file it is handed on, for the store to say so. */
	devices[0] = FOREIGN;
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(found.log_pages, 1);
	for (uint32_t i = 0; i < DEVICES; i++)
		devices[i] = ABSENT;
	devices[DEVICES + 1] = BLANK;
	assert_int_equal(start(&found), TERN_ERR_NOT_FOUND);
	assert_non_null(strstr(why, "does not exist"));
	assert_non_null(strstr(why, "tern node rejoin"));
}

/* Who uses it may be this very node; what was replaced, or failed, may be anybody's. */
static void
test_what_others_use(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	devices[2] = USED;
	assert_int_equal(start(&found), TERN_ERR_BUSY);
	assert_non_null(strstr(why, "another process uses it; stop that process"));
	out = SUPERBLOCK_REPLACED(2);
	assert_int_equal(start(&found), TERN_OK);
	out = 1u << 2;
	assert_int_equal(start(&found), TERN_OK);
	devices[3] = USED;
	assert_int_equal(start(&found), TERN_ERR_BUSY);
	for (uint32_t i = 0; i < DEVICES; i++)
		devices[i] = i == 0 ? BLANK : USED;
	assert_int_equal(start(&found), TERN_ERR_BUSY);
}

/* What drops its cache must not count; what does not count keeps no node from starting. */
static void
test_unsafe_devices(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	node->config.spare_count = SPARES;
	devices[DEVICES] = BLANK;
	devices[DEVICES + 1] = ABSENT;
	unsafe_devices = 1u << 2;
	assert_int_equal(start(&found), TERN_ERR_CONFIG);
	assert_string_equal(why, "/device2: its cache is not flushed");
	/* One that is out, one whose place another has taken, one that waits, one that is away. */
	out = SUPERBLOCK_REPLACED(2) | 1u << 3;
	unsafe_devices = 1u << 2 | 1u << 3 | 1u << DEVICES | 1u << (DEVICES + 1);
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(unsafe, 1u << 2 | 1u << 3 | 1u << DEVICES);
	assert_int_equal(said, 3);
	/* The first spare stands in the place of device 0. */
	devices[DEVICES] = GOOD;
	assert_int_equal(start(&found), TERN_ERR_CONFIG);
	assert_string_equal(why, "/device6: its cache is not flushed");
	/* Another one does, and that one was replaced in turn. */
	devices[DEVICES + 1] = RIVAL;
	unsafe_devices &= ~(1u << (DEVICES + 1));
	assert_int_equal(start(&found), TERN_OK);
	devices[DEVICES + 1] = ABSENT;
	out |= 1; /* it is being rebuilt */
	assert_int_equal(start(&found), TERN_OK);
	assert_int_equal(unsafe, 1u << 2 | 1u << 3 | 1u << DEVICES);
}

/* Not that new storage should be made. */
static void
test_when_nobody_answers_it_is_said(void **state)
{
	struct superblock found = { 0 };

	(void)state;
	for (uint32_t i = 0; i < DEVICES; i++)
		devices[i] = SILENT;
	assert_int_equal(start(&found), TERN_ERR_BUSY);
	assert_non_null(strstr(why, "does not answer"));
	assert_null(strstr(why, "tern node init"));
	devices[4] = BLANK;
	assert_int_equal(start(&found), TERN_ERR_BLANK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silent_devices_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_needed_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_is_flushed_before_it_is_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_one_device_cannot_be_flushed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_absent_devices_are_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spares_are_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_others_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsafe_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_when_nobody_answers_it_is_said, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
