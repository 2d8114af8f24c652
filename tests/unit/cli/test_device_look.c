/* SPDX-License-Identifier: Apache-2.0 */
/* What may be wiped, with files: what is named, not in use, and not the node's own. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control/cli/device_look.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

static struct node_config config;
static char here[256], text[1024];

static void
file_make(uint32_t number)
{
	(void)unlink(config.devices[number].path);
	if (nvme_create_file(config.devices[number].path, 4u << 20, text, sizeof(text)) != TERN_OK)
		fail_msg("%s", text);
}

/* As a node has it that was born there. */
static void
superblock_put(uint32_t number, uint16_t node_id, uint64_t cluster_id)
{
	const struct superblock superblock = {
		.sequence = 1,
		.cluster_id = cluster_id,
		.generation = { 1, 0 },
		.node_id = node_id,
		.pool_gen = 1,
		.k = 1,
		.m = 1,
		.device = (uint8_t)number,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = 512,
		.checkpoint_first_page = 528,
		.shard_count = 1,
		.shards = { { .join = SUPERBLOCK_MEMBER, .voters = 2 } },
	};
	uint64_t bytes;
	int fd;

	assert_int_equal(
	    nvme_device_open(config.devices[number].path, true, &fd, &bytes, text, sizeof(text)),
	    TERN_OK);
	assert_int_equal(superblock_write_all(fd, &superblock), TERN_OK);
	assert_int_equal(close(fd), 0);
}

static enum admin_exit
wipe(const char *list, bool is_own_kept)
{
	text[0] = 0;
	return device_wipe(&config, 0, config.device_count, list, is_own_kept, text, sizeof(text));
}

static bool
is_there(uint32_t number)
{
	return access(config.devices[number].path, F_OK) == 0;
}

static int
setup(void **unused)
{
	(void)unused;
	memset(&config, 0, sizeof(config));
	config.id = 1;
	config.cluster_id = 0xabc;
	config.device_count = 2;
	if (getcwd(here, sizeof(here)) == NULL)
		return -1;
	for (uint32_t i = 0; i < 2; i++) {
		(void)snprintf(config.devices[i].path, sizeof(config.devices[i].path),
			       "%s/look-device%u", here, i);
		file_make(i);
	}
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	for (uint32_t i = 0; i < 2; i++)
		(void)unlink(config.devices[i].path);
	return 0;
}

static void
looks_say_what_is_there(void **unused)
{
	struct device_look look;

	(void)unused;
	device_look("no-such-device", &look);
	assert_int_equal(look.fit, DEVICE_FIT_FREE);
	device_look("/dev/null", &look);
	assert_int_equal(look.fit, DEVICE_FIT_NO);
	device_look(config.devices[0].path, &look);
	assert_int_equal(look.fit, DEVICE_FIT_WIPE);
	assert_string_equal(look.carries, "a file");
	assert_string_equal(look.wipe_by, config.devices[0].path);
	superblock_put(0, 7, 0x123);
	device_look(config.devices[0].path, &look);
	assert_true(look.is_tern);
	assert_non_null(strstr(look.carries, "device 0 of node 7, cluster 0000000000000123"));
	const int fd = open(config.devices[0].path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	device_look(config.devices[0].path, &look);
	assert_int_equal(look.fit, DEVICE_FIT_NO);
	assert_non_null(strstr(look.why, "another process uses"));
	assert_int_equal(wipe(config.devices[0].path, true), ADMIN_EXIT_REFUSED);
	assert_int_equal(close(fd), 0);
	assert_true(is_there(0));
}

static void
all_that_has_to_go_is_named(void **unused)
{
	char list[2 * NODE_CONFIG_PATH_MAX];

	(void)unused;
	(void)snprintf(list, sizeof(list), "%s,%s", config.devices[1].path, config.devices[0].path);
	assert_int_equal(wipe("look-device0", true), ADMIN_EXIT_USAGE);
	assert_int_equal(wipe(",", true), ADMIN_EXIT_USAGE);
	assert_int_equal(wipe(config.devices[0].path, true), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(text, config.devices[1].path));
	assert_non_null(strstr(text, "nothing was wiped"));
	assert_true(is_there(0) && is_there(1));
	assert_int_equal(wipe(list, true), ADMIN_EXIT_OK);
	assert_false(is_there(0) || is_there(1));
}

static void
what_the_node_wrote_itself_is_kept(void **unused)
{
	char list[2 * NODE_CONFIG_PATH_MAX];

	(void)unused;
	(void)snprintf(list, sizeof(list), "%s,%s", config.devices[0].path, config.devices[1].path);
	superblock_put(1, 1, 0xabc);
	assert_int_equal(wipe(list, true), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(text, "this very node"));
	assert_true(is_there(0) && is_there(1));
	/* Whose cluster is not known, it may be the node's. */
	config.cluster_id = 0;
	superblock_put(1, 1, 0x999);
	assert_int_equal(wipe(list, true), ADMIN_EXIT_REFUSED);
	assert_true(is_there(1));
	config.cluster_id = 0xabc;
	assert_int_equal(wipe(list, true), ADMIN_EXIT_OK);
	assert_false(is_there(1));
	/* In the place of a device that is recorded as failed its own old content may go. */
	file_make(1);
	superblock_put(1, 1, 0xabc);
	assert_int_equal(wipe(config.devices[1].path, false), ADMIN_EXIT_OK);
	assert_false(is_there(1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(looks_say_what_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(all_that_has_to_go_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_node_wrote_itself_is_kept, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
