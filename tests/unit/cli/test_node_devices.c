/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that a node knows besides its own: what a birth of storage, `device add` and `device
 * replace` do about them. With files; O_DIRECT is needed. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "dataplane/wire/superblock_update.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

#define CLUSTER    0xabcu
#define NODE       1u
#define FILE_BYTES (4u << 20)

static const struct generation birth_generation = { 1, 0 };

static struct {
	char here[256], run[64];
	char conf[320], list[320], note[320], spare[320], device[3][320];
	char said[2048];
	struct cli cli;
	struct node_config config;
	struct admin *admin;
	bool is_refusing, is_listing; /* what the daemon does with a path */
	uint32_t asked;
} f;

/* ---- files ---- */

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void
text_put(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void
list_put(const char *path)
{
	char line[400];

	(void)snprintf(line, sizeof(line), "%s\n", path);
	text_put(f.list, line);
}

/* Node 1 of two, 2+1; @spares: the list in its node file. */
static void
node_file_put(const char *spares)
{
	char text[4096];

	(void)snprintf(
	    text, sizeof(text),
	    "node = { name = \"a\"; id = 1; dev = true; cluster_id = \"abc\"; };\n"
	    "storage = \"%s/st\"; admin = \"%s/admin.sock\"; parity = 1;\n"
	    "devices = ( { path = \"%s\"; size = \"4MiB\"; }, { path = \"%s\"; size = \"4MiB\"; },"
	    " { path = \"%s\"; size = \"4MiB\"; } );\n"
	    "spares = ( %s );\n"
	    "state = { capacity = \"1MiB\"; value_max = \"32KiB\"; };\n"
	    "log = { ring = \"2MiB\"; command_max = \"64KiB\"; };\n"
	    "disk = { allow_volatile = true; };\n"
	    "nodes = ( { name = \"a\"; id = 1; data = \"127.0.0.1:9\"; mgmt = \"127.0.0.1:7001\";"
	    " resp = \"127.0.0.1:6001\"; client = \"127.0.0.1:6101\"; },\n"
	    " { name = \"b\"; id = 2; data = \"127.0.0.1:10\"; mgmt = \"127.0.0.1:7002\";"
	    " resp = \"127.0.0.1:6002\"; client = \"127.0.0.1:6102\"; },\n"
	    " { name = \"w\"; id = 3; kind = \"witness\"; mgmt = \"127.0.0.1:7003\"; } );\n"
	    "ports = ( { device = \"net_memif0,role=server,socket=%s/x.sock,"
	    "socket-abstract=no\"; } );\n",
	    f.here, f.run, f.device[0], f.device[1], f.device[2], spares, f.run);
	text_put(f.conf, text);
	if (node_config_load(f.conf, &f.config, f.said, sizeof(f.said)) != TERN_OK)
		fail_msg("%s", f.said);
}

static void
node_file_put_spare(const char *path)
{
	char spares[400];

	(void)snprintf(spares, sizeof(spares), "{ path = \"%s\"; }", path);
	node_file_put(spares);
}

static void
file_make(const char *path)
{
	(void)unlink(path);
	if (nvme_create_file(path, FILE_BYTES, f.said, sizeof(f.said)) != TERN_OK)
		fail_msg("%s", f.said);
}

/* What a node has at @position of its pool. */
static struct superblock
superblock_of(uint16_t node_id, uint8_t position, uint64_t sequence)
{
	return (struct superblock){
		.sequence = sequence,
		.cluster_id = CLUSTER,
		.generation = birth_generation,
		.node_id = node_id,
		.pool_gen = 3,
		.k = 2,
		.m = 1,
		.device = position,
		.log_first_page = SUPERBLOCK_AREA_PAGES,
		.log_pages = 512,
		.checkpoint_first_page = 528,
		.shard_count = 1,
		.shards = { { .join = SUPERBLOCK_MEMBER, .voters = 6 } },
	};
}

static void
superblock_put(const char *path, const struct superblock *superblock)
{
	uint64_t bytes;
	int fd;

	file_make(path);
	assert_int_equal(nvme_device_open(path, true, &fd, &bytes, f.said, sizeof(f.said)),
			 TERN_OK);
	assert_int_equal(superblock_write_all(fd, superblock), TERN_OK);
	assert_int_equal(close(fd), 0);
}

static void
old_storage_put(const char *path, uint16_t node_id)
{
	const struct superblock superblock = superblock_of(node_id, 1, 1000);

	superblock_put(path, &superblock);
}

static struct superblock
superblock_get(const char *path)
{
	struct superblock found;
	uint32_t good_mask;
	uint64_t bytes;
	int fd;

	assert_int_equal(nvme_device_open(path, false, &fd, &bytes, f.said, sizeof(f.said)),
			 TERN_OK);
	assert_int_equal(superblock_read(fd, &found, &good_mask), TERN_OK);
	assert_int_equal(close(fd), 0);
	return found;
}

static void
files_remove(void)
{
	const char *const all[] = { f.conf,      f.list,      f.note,     f.spare,
				    f.device[0], f.device[1], f.device[2] };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(void)unlink(all[i]);
}

static int
setup(void **unused)
{
	char path[320];

	(void)unused;
	memset(&f, 0, sizeof(f));
	if (getcwd(f.here, sizeof(f.here) - 32) == NULL)
		return -1;
	(void)snprintf(f.here + strlen(f.here), 32, "/node-devices");
	(void)snprintf(f.run, sizeof(f.run), "/tmp/tern-test-devices-XXXXXX");
	if (mkdtemp(f.run) == NULL)
		return -1;
	(void)mkdir(f.here, 0700);
	(void)snprintf(path, sizeof(path), "%s/st", f.here);
	(void)mkdir(path, 0700);
	(void)snprintf(f.conf, sizeof(f.conf), "%s/node.conf", f.here);
	(void)snprintf(f.list, sizeof(f.list), "%s/st/spares", f.here);
	(void)snprintf(f.note, sizeof(f.note), "%s/st/pool", f.here);
	(void)snprintf(f.spare, sizeof(f.spare), "%s/spare", f.here);
	for (uint32_t i = 0; i < 3; i++)
		(void)snprintf(f.device[i], sizeof(f.device[i]), "%s/device%u", f.here, i);
	files_remove();
	node_file_put("");
	return 0;
}

static int
teardown(void **unused)
{
	char path[320];

	(void)unused;
	admin_stop(f.admin);
	files_remove();
	(void)snprintf(path, sizeof(path), "%s/st", f.here);
	(void)rmdir(path);
	(void)rmdir(f.here);
	(void)rmdir(f.run);
	return 0;
}

/* ---- births ---- */

static enum admin_exit
rejoin(void)
{
	return node_rejoin(&f.config, CLUSTER, &birth_generation, f.said, sizeof(f.said));
}

static void
check_refused(enum admin_exit code)
{
	assert_int_equal(code, ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(f.said, f.spare));
	assert_non_null(strstr(f.said, "a spare of this node"));
	for (uint32_t i = 0; i < 3; i++)
		assert_false(is_there(f.device[i]));
	assert_true(is_there(f.spare));
}

/* By the list of what came in while the node ran, or by the node file. */
static void
what_the_node_had_on_a_spare_is_in_the_way(void **unused)
{
	(void)unused;
	old_storage_put(f.spare, NODE);
	for (uint32_t i = 0; i < 2; i++) {
		if (i == 0)
			list_put(f.spare);
		else
			node_file_put_spare(f.spare);
		check_refused(rejoin());
		check_refused(
		    node_birth(&f.config, CLUSTER, &birth_generation, f.said, sizeof(f.said)));
		check_refused(node_birth_empty(&f.config, CLUSTER, f.said, sizeof(f.said)));
		assert_int_equal(is_there(f.list), i == 0);
		(void)unlink(f.list);
	}
}

/* A node of that number in another cluster. */
static void
what_a_namesake_had_on_a_spare_is_not(void **unused)
{
	(void)unused;
	struct superblock superblock = superblock_of(NODE, 1, 1000);
	superblock.cluster_id++;
	file_make(f.spare);
	superblock_put(f.spare, &superblock);
	node_file_put_spare(f.spare);
	assert_int_equal(node_birth(&f.config, CLUSTER, &birth_generation, f.said, sizeof(f.said)),
			 ADMIN_EXIT_OK);
	assert_true(superblock_get(f.spare).cluster_id == superblock.cluster_id);
}

static void
what_others_had_on_a_spare_is_not(void **unused)
{
	(void)unused;
	old_storage_put(f.spare, 7);
	list_put(f.spare);
	assert_int_equal(rejoin(), ADMIN_EXIT_OK);
	assert_int_equal(superblock_get(f.spare).node_id, 7);
	assert_false(is_there(f.list));
}

/* The spare is away while storage is made, and comes back later: no start takes it for the newer
 * one, nor for one that is at most one update behind. */
static void
new_storage_is_newer_than_what_is_away(void **unused)
{
	struct superblock first = { 0 };

	(void)unused;
	struct superblock away = superblock_of(NODE, 1, 1000);

	away.pool_gen += 77u << SUPERBLOCK_ERA_SHIFT;
	list_put(f.spare);
	text_put(f.note, "a note");
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 3; i++)
			(void)unlink(f.device[i]);
		if (round < 2)
			assert_int_equal(rejoin(), ADMIN_EXIT_OK);
		else
			assert_int_equal(
			    node_birth_empty(&f.config, CLUSTER, f.said, sizeof(f.said)),
			    ADMIN_EXIT_OK);
		assert_false(is_there(f.list));
		assert_false(is_there(f.note));
		const struct superblock new = superblock_get(f.device[0]);
		assert_true(superblock_is_newer(&new, round == 0 ? &away : &first));
		assert_true(new.sequence > away.sequence + 1);
		assert_true(new.sequence > first.sequence + 1);
		for (uint32_t i = 1; i < 3; i++) {
			assert_int_equal(superblock_get(f.device[i]).sequence, new.sequence);
			assert_true(superblock_get(f.device[i]).born_ns == new.born_ns);
		}
		first = new;
	}
}

/* Before anything is written; a file that is not there is made. */
static void
a_spare_that_is_no_file_must_be_there(void **unused)
{
	(void)unused;
	node_file_put_spare("/dev/no-such-disk");
	assert_int_equal(rejoin(), ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(f.said, "device remove"));
	assert_false(is_there(f.device[0]));
	node_file_put_spare(f.spare);
	assert_int_equal(rejoin(), ADMIN_EXIT_OK);
	assert_true(is_there(f.spare));
}

/* ---- births that did not end ---- */

static enum admin_exit
init(void)
{
	return node_birth(&f.config, CLUSTER, &birth_generation, f.said, sizeof(f.said));
}

static enum admin_exit
restore(void)
{
	return node_birth_empty(&f.config, CLUSTER, f.said, sizeof(f.said));
}

static enum admin_exit (*const births[])(void) = { init, rejoin, restore };

/* As a birth begins them: the first pool of the node, or one that takes another's place. */
static struct superblock
unused_of(uint8_t position, uint64_t born_ns)
{
	struct superblock superblock = superblock_of(NODE, position, born_ns ? born_ns : 1);

	superblock.born_ns = born_ns;
	superblock.pool_gen = 1;
	superblock.shards[0].join = born_ns ? SUPERBLOCK_REJOINING : SUPERBLOCK_MEMBER;
	return superblock;
}

/* The first @count devices have superblocks, the next one is blank, what follows is not there. */
static void
pool_part_put(const struct superblock *like, uint32_t count)
{
	struct superblock superblock = *like;

	files_remove();
	for (uint32_t i = 0; i < count; i++) {
		superblock.device = (uint8_t)i;
		superblock_put(f.device[i], &superblock);
	}
	if (count < 3)
		file_make(f.device[count]);
}

static void
what_a_birth_left_half_way_is_gone_over(void **unused)
{
	(void)unused;
	for (uint64_t born_ns = 0; born_ns < 1001; born_ns += 1000) {
		const struct superblock left = unused_of(0, born_ns);
		for (uint32_t i = 0; i < 3; i++) {
			pool_part_put(&left, 1 + i % 2);
			if (births[i]() != ADMIN_EXIT_OK)
				fail_msg("birth %u: %s", i, f.said);
			const uint64_t sequence = superblock_get(f.device[0]).sequence;
			assert_true(i == 0 ? sequence == 1 : sequence > 1000);
			assert_true(superblock_get(f.device[2]).sequence == sequence);
		}
	}
}

static void
check_kept(const struct superblock *left, uint32_t count)
{
	for (uint32_t i = 0; i < 3; i++) {
		pool_part_put(left, count);
		assert_int_not_equal(births[i](), ADMIN_EXIT_OK);
		assert_int_equal(superblock_get(f.device[0]).boot_no, left->boot_no);
		assert_true(superblock_get(f.device[0]).sequence == left->sequence);
		assert_int_equal(is_there(f.device[2]), count > 1);
	}
}

/* Whatever a node started with, what is whole, and what is of others. */
static void
what_may_be_of_use_is_kept(void **unused)
{
	(void)unused;
	struct superblock left = unused_of(0, 0);
	check_kept(&left, 3);
	left.boot_no = 1;
	check_kept(&left, 1);
	left.boot_no = 0;
	left.sequence = 2;
	check_kept(&left, 1);
	left = unused_of(0, 0);
	left.cluster_id++;
	check_kept(&left, 1);
	left = unused_of(0, 0);
	left.node_id = 2;
	check_kept(&left, 1);
	left = unused_of(1, 0);
	files_remove();
	superblock_put(f.device[0], &left);
	assert_int_not_equal(init(), ADMIN_EXIT_OK);
	/* One was started with, the other was away. */
	left = unused_of(0, 0);
	pool_part_put(&left, 1);
	left = superblock_of(NODE, 2, 7);
	left.boot_no = 1;
	superblock_put(f.device[2], &left);
	assert_int_not_equal(init(), ADMIN_EXIT_OK);
	assert_true(is_there(f.device[0]));
	/* A file that begins with zeros, and is not as long as a birth makes it. */
	left = unused_of(0, 0);
	pool_part_put(&left, 1);
	assert_int_equal(truncate(f.device[1], 5u << 20), 0);
	assert_int_not_equal(init(), ADMIN_EXIT_OK);
	assert_true(is_there(f.device[1]));
	files_remove();
	/* Only a node that runs leaves a note. */
	pool_part_put(&left, 1);
	text_put(f.note, "a note");
	assert_int_not_equal(init(), ADMIN_EXIT_OK);
	assert_true(is_there(f.note));
}

/* Whole or not: it says of itself that it is being filled, until a node starts with it. */
static void
what_a_restore_left_half_way_is_gone_over(void **unused)
{
	(void)unused;
	for (uint32_t boot_no = 0; boot_no < 2; boot_no++) {
		struct superblock left = unused_of(0, 1000);
		left.boot_no = boot_no;
		left.sequence += boot_no * 5;
		left.tail_cell = boot_no + 1;
		pool_part_put(&left, 3);
		if (restore() != ADMIN_EXIT_OK)
			fail_msg("%s", f.said);
		const struct superblock made = superblock_get(f.device[0]);
		assert_true(made.born_ns > 1000 && superblock_is_filling(&made));
		left.boot_no++;
		check_kept(&left, 3);
	}
	assert_int_equal(restore(), ADMIN_EXIT_CONFIG);
}

/* Superblocks go last: what is ended before has none. */
static void
what_is_ended_while_it_clears_leaves_blanks(void **unused)
{
	const struct rlimit limit = { 16u << 20, 16u << 20 };
	struct superblock found;
	uint32_t good_mask;
	uint64_t bytes;
	int status, fd;

	(void)unused;
	f.config.devices[2].bytes = 32u << 20;
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* Ended by SIGXFSZ at the last device. */
		(void)setrlimit(RLIMIT_FSIZE, &limit);
		(void)init();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(
		    nvme_device_open(f.device[i], false, &fd, &bytes, f.said, sizeof(f.said)),
		    TERN_OK);
		assert_int_equal(superblock_read(fd, &found, &good_mask), TERN_ERR_BLANK);
		assert_int_equal(close(fd), 0);
	}
}

/* ---- device add ---- */

static enum admin_exit
run(enum admin_exit (*verb)(struct cli *cli), const char *first, const char *second,
    const char *wipe)
{
	memset(&f.cli, 0, sizeof(f.cli));
	memset(f.said, 0, sizeof(f.said));
	f.cli.out = f.cli.err = fmemopen(f.said, sizeof(f.said) - 1, "w");
	assert_non_null(f.cli.out);
	f.cli.arguments[0] = first;
	f.cli.arguments[1] = second;
	f.cli.values[CLI_CONFIG] = f.conf;
	f.cli.values[CLI_WIPE] = wipe;
	const enum admin_exit code = verb(&f.cli);
	assert_int_equal(fclose(f.cli.out), 0);
	return code;
}

static enum admin_exit
add(const char *wipe)
{
	return run(verb_device_add, f.spare, NULL, wipe);
}

/* A verb that is refused for the sake of a spare has wiped nothing. */
static void
nothing_is_wiped_for_a_birth_that_is_refused(void **unused)
{
	(void)unused;
	node_file_put_spare("/dev/no-such-disk");
	old_storage_put(f.device[0], 7);
	assert_int_equal(run(verb_node_init, NULL, NULL, f.device[0]), ADMIN_EXIT_CONFIG);
	assert_int_equal(run(verb_node_rejoin, NULL, NULL, f.device[0]), ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(f.said, "device remove"));
	assert_int_equal(superblock_get(f.device[0]).node_id, 7);
	node_file_put("");
	assert_int_equal(run(verb_node_rejoin, NULL, NULL, f.device[0]), ADMIN_EXIT_OK);
}

/* The node's devices, all at one update; @failed is recorded on them. */
static void
pool_put(uint64_t failed)
{
	for (uint32_t i = 0; i < 3; i++) {
		struct superblock superblock = superblock_of(NODE, (uint8_t)i, 1000);
		superblock.failed_devices = failed;
		if (i != 1)
			superblock_put(f.device[i], &superblock);
	}
}

static void
what_the_pool_rests_on_is_not_wiped(void **unused)
{
	(void)unused;
	old_storage_put(f.spare, NODE);
	for (uint64_t behind = 0; behind < 2; behind++) {
		const struct superblock own = superblock_of(NODE, 1, 1000 - behind);
		pool_put(SUPERBLOCK_REPLACED(1));
		superblock_put(f.spare, &own);
		assert_int_equal(add(f.spare), ADMIN_EXIT_REFUSED);
		assert_non_null(strstr(f.said, "is device 1 of this node"));
		assert_int_equal(add(NULL), ADMIN_EXIT_REFUSED);
		assert_null(strstr(f.said, "say `--wipe"));
		assert_int_equal(superblock_get(f.spare).sequence, 1000 - behind);
	}
	/* It is newer than all that can be read: who knows what the others are. */
	const struct superblock newer = superblock_of(NODE, 1, 5000);
	superblock_put(f.spare, &newer);
	assert_int_equal(add(f.spare), ADMIN_EXIT_REFUSED);
	for (uint32_t i = 0; i < 3; i++)
		(void)unlink(f.device[i]);
	assert_int_equal(add(f.spare), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(f.said, "its other devices are there"));
	assert_true(is_there(f.spare));
}

static void
what_is_out_of_the_pool_may_go(void **unused)
{
	(void)unused;
	for (uint32_t i = 0; i < 2; i++) {
		const struct superblock own = superblock_of(NODE, 1, i == 0 ? 999 : 998);
		pool_put(i == 0 ? 1u << 1 : 0);
		superblock_put(f.spare, &own);
		node_file_put("");
		assert_int_equal(add(NULL), ADMIN_EXIT_REFUSED);
		assert_non_null(strstr(f.said, "--wipe"));
		if (add(f.spare) != ADMIN_EXIT_OK)
			fail_msg("%s", f.said);
		node_file_put("");
	}
}

/* What cannot be listed is not written to either. */
static void
a_file_that_cannot_be_edited_is_found_first(void **unused)
{
	char next[340];

	(void)unused;
	(void)snprintf(next, sizeof(next), "%s.new", f.conf);
	assert_int_equal(mkdir(next, 0700), 0);
	assert_int_equal(add(NULL), ADMIN_EXIT_CONFIG);
	assert_int_equal(rmdir(next), 0);
	assert_false(is_there(f.spare));
}

static void
what_came_in_while_the_node_ran_is_known(void **unused)
{
	(void)unused;
	pool_put(1u << 1);
	file_make(f.spare);
	list_put(f.spare);
	assert_int_equal(add(f.spare), ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(f.said, "came in while the node ran"));
	assert_true(is_there(f.spare));
	(void)unlink(f.list);
	assert_int_equal(add(f.spare), ADMIN_EXIT_OK);
}

/* A device in the place of one is judged by what came in, too. */
static void
what_came_in_knows_what_failed(void **unused)
{
	(void)unused;
	struct superblock newest = superblock_of(NODE, 0, 2000);
	newest.failed_devices = SUPERBLOCK_REPLACED(0) | 1u << 2;
	pool_put(0);
	superblock_put(f.spare, &newest);
	assert_int_equal(node_device_refuse(&f.config, 2, f.said, sizeof(f.said)),
			 ADMIN_EXIT_REFUSED);
	list_put(f.spare);
	assert_int_equal(node_device_refuse(&f.config, 2, f.said, sizeof(f.said)), ADMIN_EXIT_OK);
	/* What another node left there says nothing. */
	newest.node_id = 7;
	superblock_put(f.spare, &newest);
	assert_int_equal(node_device_refuse(&f.config, 2, f.said, sizeof(f.said)),
			 ADMIN_EXIT_REFUSED);
}

static uint64_t
size_of(const char *path)
{
	struct stat facts;

	assert_int_equal(stat(path, &facts), 0);
	return (uint64_t)facts.st_size;
}

/* state.capacity was larger when the pool was made: what comes in has room for its checkpoints. */
static void
what_comes_in_is_as_long_as_what_is_there(void **unused)
{
	bool is_file = false;

	(void)unused;
	node_file_put("");
	f.config.state.capacity_bytes = 64u << 20;
	assert_int_equal(node_birth(&f.config, CLUSTER, &birth_generation, f.said, sizeof(f.said)),
			 ADMIN_EXIT_OK);
	f.config.state.capacity_bytes = 1u << 20;
	const uint64_t bytes = size_of(f.device[0]);
	assert_true(bytes > FILE_BYTES + (64u << 20));
	assert_int_equal(node_device_bytes(&f.config), bytes);
	assert_int_equal(node_spare_birth(&f.config, f.spare, &is_file, f.said, sizeof(f.said)),
			 ADMIN_EXIT_OK);
	assert_true(is_file);
	assert_int_equal(size_of(f.spare), bytes);
	struct superblock newest = superblock_get(f.device[0]);
	newest.failed_devices = 1u << 1 | 1u << 2;
	newest.sequence++;
	superblock_put(f.device[0], &newest); /* the file is a short one now */
	for (uint32_t i = 1; i < 3; i++) {
		(void)unlink(f.device[i]);
		if (node_device_birth(&f.config, i, f.said, sizeof(f.said)) != ADMIN_EXIT_OK)
			fail_msg("%s", f.said);
		assert_int_equal(size_of(f.device[i]), bytes);
	}
	/* Nothing is there: as the node file says. */
	for (uint32_t i = 0; i < 3; i++)
		(void)unlink(f.device[i]);
	assert_true(node_device_bytes(&f.config) > FILE_BYTES);
	assert_true(node_device_bytes(&f.config) < bytes);
}

/* ---- device replace, while the node runs ---- */

static json_t *
daemon_status(void *context, const json_t *request)
{
	(void)context;
	(void)request;
	return json_object();
}

static json_t *
daemon_replace(void *context, const json_t *request)
{
	(void)context;
	f.asked++;
	if (f.is_listing)
		list_put(json_string_value(json_object_get(request, "path")));
	return f.is_refusing ? admin_refuse(ADMIN_EXIT_REFUSED, "not now") : json_object();
}

static void
daemon_start(void)
{
	static const struct admin_verb verbs[] = { { "status", daemon_status },
						   { "device-replace", daemon_replace } };
	const struct admin_options options = {
		.socket_path = f.config.admin_socket,
		.verbs = verbs,
		.verb_count = 2,
	};

	if (admin_start(&options, &f.admin, f.said, sizeof(f.said)) != TERN_OK)
		fail_msg("%s", f.said);
}

static void
a_refused_file_stays_if_the_node_has_it(void **unused)
{
	(void)unused;
	daemon_start();
	f.is_refusing = true;
	assert_int_equal(run(verb_device_replace, "1", f.spare, NULL), ADMIN_EXIT_REFUSED);
	assert_false(is_there(f.spare));
	f.is_listing = true;
	assert_int_equal(run(verb_device_replace, "1", f.spare, NULL), ADMIN_EXIT_REFUSED);
	assert_true(is_there(f.spare));
	assert_non_null(strstr(f.said, "ask again"));
	f.is_refusing = false;
	assert_int_equal(run(verb_device_replace, "1", f.spare, NULL), ADMIN_EXIT_OK);
	assert_int_equal(f.asked, 3);
	assert_true(is_there(f.spare));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_the_node_had_on_a_spare_is_in_the_way),
		TEST(what_a_namesake_had_on_a_spare_is_not),
		TEST(what_others_had_on_a_spare_is_not),
		TEST(new_storage_is_newer_than_what_is_away),
		TEST(a_spare_that_is_no_file_must_be_there),
		TEST(what_a_birth_left_half_way_is_gone_over),
		TEST(what_may_be_of_use_is_kept),
		TEST(what_a_restore_left_half_way_is_gone_over),
		TEST(what_is_ended_while_it_clears_leaves_blanks),
		TEST(nothing_is_wiped_for_a_birth_that_is_refused),
		TEST(what_the_pool_rests_on_is_not_wiped),
		TEST(what_is_out_of_the_pool_may_go),
		TEST(a_file_that_cannot_be_edited_is_found_first),
		TEST(what_came_in_while_the_node_ran_is_known),
		TEST(what_came_in_knows_what_failed),
		TEST(what_comes_in_is_as_long_as_what_is_there),
		TEST(a_refused_file_stays_if_the_node_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
