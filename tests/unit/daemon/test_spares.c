/* SPDX-License-Identifier: Apache-2.0 */
/* What `device replace` takes while a node runs: with real files, and a data thread that answers
 * what it is told to. Files on a real file system: O_DIRECT is needed. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/daemon/ternd.h"

#define DEVICES     3u
#define DRIVE_BYTES (4u << 20)

static struct {
	char dir[256];
	struct ternd node;
	struct status_cell cell;
	/* The data thread. */
	struct submit_completion answer;
	struct submit_request asked;
	uint32_t asked_count;
	const char *unsafe_path; /* a device that drops what it acknowledged */
} f;

/* ---- what lies behind ---- */

bool
ternd_submit_and_wait(struct ternd *node, const struct submit_request *request,
		      struct submit_completion *completion)
{
	(void)node;
	f.asked = *request;
	f.asked_count++;
	*completion = f.answer;
	return true;
}

json_t *
ternd_job_refused(const struct submit_completion *completion)
{
	(void)completion;
	return admin_refuse(ADMIN_EXIT_REFUSED, "the data thread refused");
}

enum tern_err
ternd_check_device(const struct node_config *config, const char *path, char *why, size_t why_bytes)
{
	(void)config;
	(void)snprintf(why, why_bytes, "%s: its cache is not flushed", path);
	return f.unsafe_path != NULL && strcmp(path, f.unsafe_path) == 0 ? TERN_ERR_CONFIG
									 : TERN_OK;
}

/* ---- a node of 2+1 whose device 1 is recorded as failed ---- */

static void
path_of(const char *name, char path[NODE_CONFIG_PATH_MAX])
{
	(void)snprintf(path, NODE_CONFIG_PATH_MAX, "%s/%s", f.dir, name);
}

static void
file_make(const char *path)
{
	char text[512];

	(void)unlink(path);
	if (nvme_create_file(path, DRIVE_BYTES, text, sizeof(text)) != TERN_OK)
		fail_msg("%s", text);
}

/* The superblock of a file system of the ext family, as far as a look goes. */
static void
carry_something(const char *path)
{
	uint8_t page[4096] = { 0 };

	page[1024 + 56] = 0x53;
	page[1024 + 57] = 0xef;
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	assert_int_equal(close(fd), 0);
}

static void
files_remove(void)
{
	static const char *const names[] = { "device0", "device1", "device2", "spare",
					     "new",     "old",     "spares" };
	char path[NODE_CONFIG_PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(names[i], path);
		(void)unlink(path);
	}
	(void)rmdir(f.dir);
}

/* The node file names a spare, which carries something or nothing. */
static void
node_start(bool is_spare_used)
{
	struct node_config *config = &f.node.config;
	struct nvme_config nvme = {
		.device_count = DEVICES + 1,
		.spare_count = 1,
		.queue_depth = 8,
		.is_volatile_allowed = true,
	};
	struct node_status status = {
		.pool = { .k = 2, .m = 1, .failed = 1u << 1, .drives = { 0, 1, 2 } },
	};
	char text[512], name[16];

	assert_int_equal(mkdir(f.dir, 0700), 0);
	config->id = 1;
	config->device_count = DEVICES;
	config->parity = 1;
	(void)snprintf(config->name, sizeof(config->name), "a");
	(void)snprintf(config->storage_dir, sizeof(config->storage_dir), "%s", f.dir);
	for (uint32_t i = 0; i < DEVICES; i++) {
		(void)snprintf(name, sizeof(name), "device%u", i);
		path_of(name, config->devices[i].path);
		config->devices[i].bytes = DRIVE_BYTES;
		file_make(config->devices[i].path);
		nvme.paths[i] = config->devices[i].path;
	}
	path_of("spare", config->spares[0].path);
	config->spare_count = 1;
	file_make(config->spares[0].path);
	if (is_spare_used)
		carry_something(config->spares[0].path);
	nvme.paths[DEVICES] = config->spares[0].path;
	if (nvme_open(&nvme, &f.node.nvme, text, sizeof(text)) != TERN_OK)
		fail_msg("%s", text);
	status.pool.spares = is_spare_used ? 0 : 1u << DEVICES;
	f.node.status = &f.cell;
	status_publish(&f.cell, &status);
	f.answer.outcome = SUBMIT_DONE;
}

static int
setup(void **unused)
{
	char here[200];

	(void)unused;
	memset(&f, 0, sizeof(f));
	if (getcwd(here, sizeof(here)) == NULL)
		return -1;
	(void)snprintf(f.dir, sizeof(f.dir), "%s/spares-node", here);
	files_remove();
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	nvme_close(f.node.nvme);
	files_remove();
	return 0;
}

/* Asks for device 1 to be replaced; the exit code, and what was said. */
static int
replace(const char *path, char said[512])
{
	json_t *request = json_pack("{s:i,s:s}", "device", 1, "path", path);
	json_t *reply = ternd_verb_device_replace(&f.node, request);
	const char *error = json_string_value(json_object_get(reply, "error"));
	const int code = (int)json_integer_value(json_object_get(reply, "exit"));

	(void)snprintf(said, 512, "%s", error != NULL ? error : "");
	json_decref(request);
	json_decref(reply);
	return code;
}

static bool
is_listed(const char *path)
{
	struct node_config *config = calloc(1, sizeof(*config));
	uint32_t spare;

	assert_non_null(config);
	config->device_count = 1;
	memcpy(config->storage_dir, f.node.config.storage_dir, sizeof(config->storage_dir));
	node_config_load_taken(config);
	const bool is_there = node_config_names_device(config, path, &spare);
	free(config);
	return is_there;
}

/* ---- tests ---- */

static void
a_spare_of_the_node_file_is_taken(void **unused)
{
	char said[512];

	(void)unused;
	node_start(false);
	assert_int_equal(replace(f.node.config.spares[0].path, said), ADMIN_EXIT_OK);
	assert_int_equal(f.asked_count, 1);
	assert_int_equal(f.asked.node, 1);
	assert_int_equal(f.asked.flags, SUBMIT_JOB_REPLACE_BY(DEVICES));
	assert_int_equal(f.asked.value, DRIVE_BYTES >> 20);
}

static void
a_spare_that_carries_something_is_left_alone(void **unused)
{
	char said[512];

	(void)unused;
	node_start(true);
	assert_int_equal(replace(f.node.config.spares[0].path, said), ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(said, "is not blank"));
	assert_int_equal(f.asked_count, 0);
}

static void
a_spare_that_drops_what_it_acknowledged_is_not_taken(void **unused)
{
	char said[512];

	(void)unused;
	node_start(false);
	f.unsafe_path = f.node.config.spares[0].path;
	assert_int_equal(replace(f.node.config.spares[0].path, said), ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(said, "its cache is not flushed"));
	assert_int_equal(f.asked_count, 0);
	/* It was made safe while the node runs, which writes to it as before. */
	f.unsafe_path = NULL;
	f.node.unsafe_devices = 1u << f.node.config.device_count;
	assert_int_equal(replace(f.node.config.spares[0].path, said), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(said, "start the node again"));
	assert_int_equal(f.asked_count, 0);
}

static void
a_spare_in_use_is_named(void **unused)
{
	struct node_status status;
	char said[512];

	(void)unused;
	node_start(false);
	status_read(&f.cell, &status);
	status.pool.drives[2] = DEVICES;
	status_publish(&f.cell, &status);
	assert_int_equal(replace(f.node.config.spares[0].path, said), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(said, "is device 2 already"));
	assert_int_equal(f.asked_count, 0);
}

/* The data thread refuses for now; what the node has open then is what it would write to. */
static void
a_refused_file_may_be_asked_for_again(void **unused)
{
	char path[NODE_CONFIG_PATH_MAX], said[512];

	(void)unused;
	node_start(false);
	path_of("new", path);
	file_make(path);
	f.answer.outcome = SUBMIT_REFUSED_JOB;
	assert_int_equal(replace(path, said), ADMIN_EXIT_REFUSED);
	assert_true(is_listed(path));
	assert_int_equal(f.asked.flags, SUBMIT_JOB_REPLACE_BY(DEVICES + 1));
	f.answer.outcome = SUBMIT_DONE;
	assert_int_equal(replace(path, said), ADMIN_EXIT_OK);
	assert_int_equal(f.asked.flags, SUBMIT_JOB_REPLACE_BY(DEVICES + 1));
	assert_int_equal(f.asked_count, 2);
}

static void
another_file_at_its_path_is_not_what_is_open(void **unused)
{
	char path[NODE_CONFIG_PATH_MAX], kept[NODE_CONFIG_PATH_MAX], said[512];

	(void)unused;
	node_start(false);
	path_of("new", path);
	path_of("old", kept); /* so that the inode is not used again */
	file_make(path);
	f.answer.outcome = SUBMIT_REFUSED_JOB;
	assert_int_equal(replace(path, said), ADMIN_EXIT_REFUSED);
	assert_int_equal(rename(path, kept), 0);
	f.answer.outcome = SUBMIT_DONE;
	assert_int_equal(replace(path, said), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(said, "removed or exchanged"));
	file_make(path);
	assert_int_equal(replace(path, said), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(said, "removed or exchanged"));
	assert_int_equal(f.asked_count, 1);
}

static void
one_that_drops_what_it_acknowledged_is_not_noted(void **unused)
{
	char path[NODE_CONFIG_PATH_MAX], said[512];

	(void)unused;
	node_start(false);
	path_of("new", path);
	file_make(path);
	f.unsafe_path = path;
	assert_int_equal(replace(path, said), ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(said, "its cache is not flushed"));
	assert_false(is_listed(path));
	assert_int_equal(f.asked_count, 0);
	f.unsafe_path = NULL;
	assert_int_equal(replace(path, said), ADMIN_EXIT_OK);
	assert_true(is_listed(path));
}

/* Another process has it. */
static void
one_that_cannot_be_had_is_not_noted(void **unused)
{
	char path[NODE_CONFIG_PATH_MAX], said[512], text[512];
	uint64_t bytes;
	int fd;

	(void)unused;
	node_start(false);
	path_of("new", path);
	file_make(path);
	assert_int_equal(nvme_device_open(path, true, &fd, &bytes, text, sizeof(text)), TERN_OK);
	assert_int_equal(replace(path, said), ADMIN_EXIT_CONFIG);
	assert_int_equal(close(fd), 0);
	assert_false(is_listed(path));
	assert_true(is_listed(f.node.config.spares[0].path));
	assert_int_equal(f.asked_count, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_spare_of_the_node_file_is_taken),
		TEST(a_spare_that_carries_something_is_left_alone),
		TEST(a_spare_that_drops_what_it_acknowledged_is_not_taken),
		TEST(a_spare_in_use_is_named),
		TEST(a_refused_file_may_be_asked_for_again),
		TEST(another_file_at_its_path_is_not_what_is_open),
		TEST(one_that_drops_what_it_acknowledged_is_not_noted),
		TEST(one_that_cannot_be_had_is_not_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
