/* SPDX-License-Identifier: Apache-2.0 */
/* The local cluster's files, and verbs run against real dummy processes. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "tests/support/check.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cli/dev.h"
#include "hw/file_store/register_store.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/nvme_uring/superblock_io.h"

#define WAIT_MS 60000

struct fixture {
	char dir[64], sink[80];
	struct cli cli;
	struct dev dev;
};

static int
remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
	(void)facts;
	(void)kind;
	(void)walk;
	return remove(path);
}

static int
start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/tern-test-dev-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	(void)snprintf(f->sink, sizeof(f->sink), "%s/output", f->dir);
	f->cli.out = f->cli.err = fopen(f->sink, "w+");
	f->cli.values[CLI_DIR] = f->dir;
	*state = f;
	if (!f->cli.out || dev_open(&f->cli, &f->dev, false))
		return -1;
	f->dev.log_bytes = 32u << 20;
	f->dev.data_count = 2;
	f->dev.node_count = 3;
	return 0;
}

static int
stop(void **state)
{
	struct fixture *f = *state;

	dev_close(&f->dev);
	dev_remove_run(&f->dev);
	(void)fclose(f->cli.out);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* All that was printed since the last look; lent until the next call. */
static const char *
printed(struct fixture *f)
{
	static char text[65536];

	(void)fflush(f->cli.out);
	rewind(f->cli.out);
	text[fread(text, 1, sizeof(text) - 1, f->cli.out)] = 0;
	assert_int_equal(ftruncate(fileno(f->cli.out), 0), 0);
	rewind(f->cli.out);
	return text;
}

static bool
can_make_storage(enum admin_exit code, struct fixture *f)
{
	if (code != ADMIN_EXIT_OK)
		print_message("%s\n", printed(f));
	return code == ADMIN_EXIT_OK;
}

/* A mesh of memif ports, one a pair, the lower id listening; and a node alone, without ports. */
static void
other_topologies_are_made(void **state)
{
	struct fixture *f = *state;
	struct node_config *config = malloc(sizeof(*config));
	char path[NODE_CONFIG_PATH_MAX], text[512];

	assert_non_null(config);
	f->dev.data_count = 3;
	f->dev.node_count = 4;
	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	assert_string_equal(f->dev.nodes[2].name, "c");
	assert_string_equal(f->dev.nodes[3].name, "w");
	for (uint32_t i = 0; i < 3; i++) {
		dev_path(&f->dev, &f->dev.nodes[i], "node.conf", path);
		assert_int_equal(node_config_load(path, config, text, sizeof(text)), TERN_OK);
		assert_int_equal(config->data_nodes, 14);
		assert_int_equal(config->port_count, 2);
		for (uint32_t k = 0; k < 2; k++) {
			const bool is_server = config->ports[k].peers[0] > i + 1;
			(void)snprintf(text, sizeof(text), "m%u-%u.sock",
				       is_server ? i + 1 : config->ports[k].peers[0],
				       is_server ? config->ports[k].peers[0] : i + 1);
			assert_non_null(strstr(config->ports[k].device, text));
			assert_non_null(strstr(config->ports[k].device,
					       is_server ? "role=server" : "role=client"));
		}
	}
	dev_remove_run(&f->dev);
	memset(&f->dev.nodes, 0, sizeof(f->dev.nodes));
	f->dev.data_count = f->dev.node_count = 1;
	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	(void)snprintf(f->dev.nodes[0].name, sizeof(f->dev.nodes[0].name), "alone");
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	dev_path(&f->dev, &f->dev.nodes[0], "node.conf", path);
	assert_int_equal(node_config_load(path, config, text, sizeof(text)), TERN_OK);
	assert_int_equal(config->port_count, 0);
	assert_int_equal(config->witness_id, 0);
	free(config);
}

static void
a_cluster_is_made_once(void **state)
{
	struct fixture *f = *state;
	struct dev again = { .lock_fd = -1 };
	struct node_config *config = malloc(sizeof(*config));
	char path[NODE_CONFIG_PATH_MAX], text[512];

	assert_non_null(config);
	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	for (uint32_t i = 0; i < f->dev.node_count; i++) {
		dev_path(&f->dev, &f->dev.nodes[i], "node.conf", path);
		assert_int_equal(node_config_load(path, config, text, sizeof(text)), TERN_OK);
		assert_true(config->is_dev);
		assert_int_equal(config->id, i + 1);
		assert_true(f->dev.nodes[i].is_initialized);
		dev_path(&f->dev, NULL, "filter", path);
		assert_string_equal(config->filter_file, path);
	}
	/* What is recorded is read back equal. */
	memcpy(again.dir, f->dev.dir, sizeof(again.dir));
	assert_true(dev_load(&again));
	assert_int_equal(again.cluster_id, f->dev.cluster_id);
	assert_int_equal(again.log_bytes, f->dev.log_bytes);
	assert_string_equal(again.run_dir, f->dev.run_dir);
	assert_memory_equal(again.nodes, f->dev.nodes, sizeof(again.nodes));
	/* Storage that was lost is not made again: only the daemon may say so. */
	dev_path(&f->dev, &f->dev.nodes[2], "storage/register", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dev_make(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_int_not_equal(access(path, F_OK), 0);
	/* And what exists is refused by birth itself. */
	dev_path(&f->dev, &f->dev.nodes[0], "node.conf", path);
	assert_int_equal(node_config_load(path, config, text, sizeof(text)), TERN_OK);
	assert_int_equal(node_birth(config, 1, &(struct generation){ 1, 0 }, text, sizeof(text)),
			 ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(text, "holds storage already"));
	free(config);
}

/* A cluster whose record is gone: its storage is not taken for something unfinished. */
static void
storage_without_a_record_stays(void **state)
{
	struct fixture *f = *state;
	char paths[3][NODE_CONFIG_PATH_MAX], file[NODE_CONFIG_PATH_MAX];
	struct stat before[3], after;

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	for (uint32_t i = 0; i < 3; i++) {
		dev_path(&f->dev, &f->dev.nodes[i], i < 2 ? "storage/device0" : "storage/register",
			 paths[i]);
		assert_int_equal(stat(paths[i], &before[i]), 0);
	}
	dev_path(&f->dev, NULL, "cluster.json", file);
	/* One node after the other in the way, data node and witness. */
	for (uint32_t first = 0; first < 3; first += 2) {
		assert_int_equal(unlink(file), 0);
		for (uint32_t i = 0; i < 3; i++)
			f->dev.nodes[i].is_initialized = i < first;
		f->dev.cluster_id++;
		(void)printed(f);
		assert_int_equal(dev_make(&f->cli, &f->dev), ADMIN_EXIT_CONFIG);
		assert_non_null(strstr(printed(f), "or of another cluster; cluster.json does not"));
		assert_int_not_equal(access(file, F_OK), 0);
		f->dev.cluster_id--;
		assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(stat(paths[i], &after), 0);
		assert_int_equal(after.st_ino, before[i].st_ino);
	}
}

/* Marks the storage as a node's first start does. */
static void
use_storage(const char *device, const char *reg)
{
	struct superblock superblock;
	struct register_store store;
	struct witness_register witness;
	char text[256];
	uint32_t good;
	uint64_t bytes;
	int fd;

	assert_int_equal(nvme_device_open(device, true, &fd, &bytes, text, sizeof(text)), TERN_OK);
	assert_int_equal(superblock_read(fd, &superblock, &good), TERN_OK);
	superblock.boot_no++;
	superblock.sequence++;
	assert_int_equal(superblock_write(fd, &superblock), TERN_OK);
	(void)close(fd);
	assert_int_equal(register_store_open(&store, reg, &witness), TERN_OK);
	assert_int_equal(register_store_write(&store, &witness), TERN_OK);
	register_store_close(&store);
}

/* Birth may be ended at any moment; what no node ever started with is made again. */
static void
unfinished_storage_is_made_again(void **state)
{
	struct fixture *f = *state;
	char device[NODE_CONFIG_PATH_MAX], reg[NODE_CONFIG_PATH_MAX], text[512];
	const uint64_t bytes = 8u << 20;

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	dev_path(&f->dev, &f->dev.nodes[0], "storage/device0", device);
	dev_path(&f->dev, &f->dev.nodes[2], "storage/register", reg);
	/* Whole and not yet recorded; empty; blank. */
	for (int i = 0; i < 3; i++) {
		f->dev.nodes[0].is_initialized = f->dev.nodes[2].is_initialized = false;
		if (i != 0) {
			assert_int_equal(truncate(reg, 0), 0);
			assert_int_equal(truncate(reg, i == 1 ? 0 : 8192), 0);
			assert_int_equal(truncate(device, 0), 0);
		}
		if (i == 2) {
			assert_int_equal(unlink(device), 0);
			assert_int_equal(nvme_create_file(device, bytes, text, sizeof(text)),
					 TERN_OK);
		}
		assert_int_equal(dev_make(&f->cli, &f->dev), ADMIN_EXIT_OK);
		assert_true(f->dev.nodes[0].is_initialized && f->dev.nodes[2].is_initialized);
	}
	/* Used, under the very cluster_id. */
	use_storage(device, reg);
	for (uint32_t i = 0; i < 3; i += 2) {
		f->dev.nodes[i].is_initialized = false;
		(void)printed(f);
		assert_int_equal(dev_make(&f->cli, &f->dev), ADMIN_EXIT_CONFIG);
		assert_non_null(strstr(printed(f), "holds storage that was used"));
		f->dev.nodes[i].is_initialized = true;
	}
	assert_int_equal(dev_make(&f->cli, &f->dev), ADMIN_EXIT_OK);
}

/* The log in RAM: of the device only the superblock's MiB is made, but the superblock speaks of the
 * whole log area. */
static void
log_in_ram_is_made_and_kept(void **state)
{
	struct fixture *f = *state;
	struct dev again = { .lock_fd = -1 };
	struct node_config *config = malloc(sizeof(*config));
	char path[NODE_CONFIG_PATH_MAX], text[512];
	struct superblock superblock;
	struct stat facts;
	uint32_t good_mask;
	uint64_t bytes;
	int fd;

	assert_non_null(config);
	f->dev.is_log_ram = true;
	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	for (uint32_t i = 0; i < f->dev.node_count; i++) {
		dev_path(&f->dev, &f->dev.nodes[i], "node.conf", path);
		assert_int_equal(node_config_load(path, config, text, sizeof(text)), TERN_OK);
		assert_int_equal(config->is_log_volatile, !f->dev.nodes[i].is_witness);
	}
	dev_path(&f->dev, &f->dev.nodes[0], "storage/device0", path);
	assert_int_equal(stat(path, &facts), 0);
	assert_int_equal(facts.st_size, 1 << 20);
	assert_int_equal(nvme_device_open(path, false, &fd, &bytes, text, sizeof(text)), TERN_OK);
	assert_int_equal(superblock_read(fd, &superblock, &good_mask), TERN_OK);
	(void)close(fd);
	assert_int_equal((superblock.log_first_page + superblock.log_pages) * SUPERBLOCK_BYTES,
			 f->dev.log_bytes);
	assert_int_equal(superblock.boot_no, 0);
	memcpy(again.dir, f->dev.dir, sizeof(again.dir));
	assert_true(dev_load(&again));
	assert_true(again.is_log_ram);
	free(config);
}

static void
run_directory_is_ours_and_removed(void **state)
{
	struct fixture *f = *state;
	char run_dir[64];
	struct stat facts;

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	memcpy(run_dir, f->dev.run_dir, sizeof(run_dir));
	assert_int_equal(stat(run_dir, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0700);
	dev_remove_run(&f->dev);
	assert_int_not_equal(stat(run_dir, &facts), 0);
	/* A name that we did not make is left alone. */
	(void)snprintf(f->dev.run_dir, sizeof(f->dev.run_dir), "%s", f->dir);
	dev_remove_run(&f->dev);
	assert_int_equal(stat(f->dir, &facts), 0);
}

/* Records a sleeping process as node @i. */
static struct process
record_sleep(struct fixture *f, uint32_t i)
{
	static const char *const argv[] = { "/bin/sleep", "600", NULL };
	char text[256];

	assert_true(process_spawn(argv, f->sink, &f->dev.nodes[i].process, text, sizeof(text)));
	assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	return f->dev.nodes[i].process;
}

static void
verbs_signal_the_recorded_process(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	const struct process process = record_sleep(f, 1);
	dev_close(&f->dev);
	f->cli.arguments[0] = "b";
	assert_int_equal(verb_dev_stop(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(process_state_of(&process), PROCESS_STOPPED);
	assert_int_equal(verb_dev_cont(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(process_state_of(&process), PROCESS_RUNNING);
	(void)printed(f);
	assert_int_equal(verb_dev_kill(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(process_state_of(&process), PROCESS_DEAD);
	assert_string_equal(printed(f), "node b: killed\n");
	assert_int_equal(verb_dev_kill(&f->cli), ADMIN_EXIT_OK);
	assert_string_equal(printed(f), "node b: was not running\n");
	assert_int_equal(verb_dev_stop(&f->cli), ADMIN_EXIT_FAILED);
	assert_non_null(strstr(printed(f), "does not run; start it with `tern dev start b`"));
	f->cli.arguments[0] = "q";
	assert_int_equal(verb_dev_kill(&f->cli), ADMIN_EXIT_USAGE);
	assert_non_null(strstr(printed(f), "no node \"q\", allowed a, b, w"));
}

static void
a_recorded_pid_of_somebody_else_is_left_alone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	const struct process process = record_sleep(f, 0);
	f->dev.nodes[0].process.boot_id ^= 1;
	assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	dev_close(&f->dev);
	f->cli.arguments[0] = "a";
	assert_int_equal(verb_dev_kill(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(verb_dev_stop(&f->cli), ADMIN_EXIT_FAILED);
	assert_int_equal(verb_dev_down(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(waitpid(process.pid, NULL, WNOHANG), 0);
	assert_int_equal(process_state_of(&process), PROCESS_RUNNING);
	assert_true(process_signal(&process, SIGKILL));
	assert_true(process_wait(&process, WAIT_MS));
}

static void
down_ends_even_a_stopped_process(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	const struct process process = record_sleep(f, 2);
	assert_true(process_signal(&process, SIGSTOP));
	dev_close(&f->dev);
	assert_int_equal(verb_dev_down(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(process_state_of(&process), PROCESS_DEAD);
	assert_int_equal(verb_dev_down(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(verb_dev_status(&f->cli), ADMIN_EXIT_DEGRADED);
}

/* Every node has every key; a witness has no address for native clients. */
static void
json_of_all_nodes(void **state)
{
	struct fixture *f = *state;
	const char *const keys[] = { "name", "kind", "pid", "resp", "client", "admin" };

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	dev_close(&f->dev);
	f->cli.is_json = true;
	assert_int_equal(verb_dev_status(&f->cli), ADMIN_EXIT_DEGRADED);
	json_t *object = json_loads(printed(f), 0, NULL);
	const json_t *nodes = json_object_get(object, "nodes");
	assert_int_equal(json_array_size(nodes), 3);
	for (uint32_t i = 0; i < 3; i++) {
		const json_t *node = json_array_get(nodes, i);
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			assert_non_null(json_object_get(node, keys[k]));
		assert_true(json_is_string(json_object_get(node, "resp")));
		const json_t *client = json_object_get(node, "client");
		assert_true(i < 2 ? json_is_string(client) : json_is_null(client));
	}
	json_decref(object);
}

static uint8_t
cell(struct fixture *f, uint32_t from, uint32_t to)
{
	char path[NODE_CONFIG_PATH_MAX];
	uint8_t value = 255;

	dev_path(&f->dev, NULL, "filter", path);
	FILE *stream = fopen(path, "r");
	assert_non_null(stream);
	assert_int_equal(fseek(stream, (long)(from * NET_NODES_MAX + to), SEEK_SET), 0);
	assert_int_equal(fread(&value, 1, 1, stream), 1);
	(void)fclose(stream);
	return value;
}

static void
cut_and_heal(void **state)
{
	struct fixture *f = *state;
	struct stat before, after;
	char path[NODE_CONFIG_PATH_MAX];

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_true(can_make_storage(dev_make(&f->cli, &f->dev), f));
	dev_close(&f->dev);
	dev_path(&f->dev, NULL, "filter", path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_size, (off_t)FILTER_BYTES_ALL);
	f->cli.arguments[0] = "a";
	f->cli.arguments[1] = "w";
	f->cli.values[CLI_ONE_WAY] = "";
	assert_int_equal(verb_dev_cut(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(cell(f, 1, 3), 1);
	assert_int_equal(cell(f, 3, 1), 0);
	f->cli.values[CLI_ONE_WAY] = NULL;
	assert_int_equal(verb_dev_cut(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(cell(f, 3, 1), 1);
	assert_int_equal(cell(f, 1, 2), 0);
	/* The same file: daemons have it mapped. It also survives being made again. */
	assert_int_equal(dev_open(&f->cli, &f->dev, true), ADMIN_EXIT_OK);
	assert_int_equal(dev_make(&f->cli, &f->dev), ADMIN_EXIT_OK);
	dev_close(&f->dev);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(cell(f, 1, 3), 1);
	assert_int_equal(verb_dev_heal(&f->cli), ADMIN_EXIT_OK);
	assert_int_equal(cell(f, 1, 3), 0);
	assert_int_equal(cell(f, 3, 1), 0);
	f->cli.arguments[1] = "a";
	assert_int_equal(verb_dev_cut(&f->cli), ADMIN_EXIT_USAGE);
}

static void
no_cluster_is_said_with_the_next_step(void **state)
{
	struct fixture *f = *state;

	dev_close(&f->dev);
	f->cli.arguments[0] = "a";
	assert_int_equal(verb_dev_kill(&f->cli), ADMIN_EXIT_UNREACHABLE);
	assert_non_null(strstr(printed(f), "start one with `tern dev up`"));
	assert_int_equal(verb_dev_status(&f->cli), ADMIN_EXIT_UNREACHABLE);
	assert_int_equal(verb_status(&f->cli), ADMIN_EXIT_UNREACHABLE);
	assert_int_equal(verb_dev_down(&f->cli), ADMIN_EXIT_OK);
}

static void
a_damaged_record_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[NODE_CONFIG_PATH_MAX];

	dev_close(&f->dev);
	dev_path(&f->dev, NULL, "cluster.json", path);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	(void)fputs("{\"api\":\"dev-cluster/v1\"", stream);
	(void)fclose(stream);
	f->cli.arguments[0] = "a";
	assert_int_equal(verb_dev_kill(&f->cli), ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(printed(f), "is damaged"));
	assert_int_equal(verb_dev_up(&f->cli), ADMIN_EXIT_CONFIG);
}

static void
divergent_tails(void **state)
{
	struct fixture *f = *state;
	char path[NODE_CONFIG_PATH_MAX];

	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	dev_close(&f->dev);
	assert_int_equal(verb_log_divergent_list(&f->cli), ADMIN_EXIT_OK);
	assert_string_equal(printed(f), "no tail was rolled back\n");
	static const char *const parts[] = { "", "storage", "storage/divergent" };
	for (int i = 0; i < 3; i++) {
		dev_path(&f->dev, &f->dev.nodes[0], parts[i], path);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	dev_path(&f->dev, &f->dev.nodes[0], "storage/divergent/1.tail", path);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	(void)fputs("{\"from\":3}\n{\"op\":\"SET\"}\n{\"op\":\"ADD\"}\n", stream);
	(void)fclose(stream);
	f->cli.is_json = true;
	assert_int_equal(verb_log_divergent_list(&f->cli), ADMIN_EXIT_OK);
	json_t *list = json_loads(printed(f), 0, NULL);
	const json_t *tail = json_array_get(json_object_get(list, "tails"), 0);
	assert_int_equal(json_integer_value(json_object_get(tail, "commands")), 2);
	assert_int_equal(json_integer_value(json_object_get(tail, "from")), 3);
	assert_string_equal(json_string_value(json_object_get(tail, "node")), "a");
	json_decref(list);
	f->cli.is_json = false;
	f->cli.arguments[0] = "1";
	assert_int_equal(verb_log_divergent_export(&f->cli), ADMIN_EXIT_OK);
	assert_string_equal(printed(f), "{\"from\":3}\n{\"op\":\"SET\"}\n{\"op\":\"ADD\"}\n");
	f->cli.arguments[0] = "2";
	assert_int_equal(verb_log_divergent_export(&f->cli), ADMIN_EXIT_USAGE);
	f->cli.arguments[0] = "1";
	f->cli.values[CLI_TO] = path;
	assert_int_equal(verb_log_divergent_export(&f->cli), ADMIN_EXIT_FAILED);
	assert_non_null(strstr(printed(f), "choose another file"));
	/* However many they are. */
	for (int i = 2; i <= 200; i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "storage/divergent/%d.tail", i);
		dev_path(&f->dev, &f->dev.nodes[0], name, path);
		stream = fopen(path, "w");
		assert_non_null(stream);
		(void)fputs("{\"from\":4}\n", stream);
		(void)fclose(stream);
	}
	f->cli.is_json = true;
	assert_int_equal(verb_log_divergent_list(&f->cli), ADMIN_EXIT_OK);
	list = json_loads(printed(f), 0, NULL);
	assert_int_equal(json_array_size(json_object_get(list, "tails")), 200);
	json_decref(list);
}

static void
networks_are_kept_and_refused(void **state)
{
	struct fixture *f = *state;
	struct node_config_port port = { .device = "mine" };

	f->cli.values[CLI_NET] = "token-ring";
	assert_int_equal(dev_net_choose(&f->cli, &f->dev), ADMIN_EXIT_USAGE);
	assert_non_null(strstr(printed(f), "allowed memif, veth, veth-xdp"));
	f->cli.values[CLI_NET] = "veth-xdp";
	f->cli.values[CLI_MTU] = "9000";
	assert_int_equal(dev_net_choose(&f->cli, &f->dev), ADMIN_EXIT_USAGE);
	f->cli.values[CLI_MTU] = "1501";
	assert_int_equal(dev_net_choose(&f->cli, &f->dev), ADMIN_EXIT_USAGE);
	f->cli.values[CLI_NET] = "memif";
	f->cli.values[CLI_MTU] = "9000";
	f->cli.values[CLI_LINKS] = "3";
	assert_int_equal(dev_net_choose(&f->cli, &f->dev), ADMIN_EXIT_USAGE);
	f->cli.values[CLI_LINKS] = "2";
	f->cli.values[CLI_IP] = "5";
	assert_int_equal(dev_net_choose(&f->cli, &f->dev), ADMIN_EXIT_USAGE);
	f->cli.values[CLI_IP] = "6";
	assert_int_equal(dev_net_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_int_equal(dev_choose(&f->cli, &f->dev), ADMIN_EXIT_OK);
	assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	f->dev.mtu = f->dev.links = 0;
	f->dev.is_ipv6 = false;
	assert_true(dev_load(&f->dev));
	assert_int_equal(f->dev.links, 2);
	assert_true(f->dev.is_ipv6);
	assert_string_equal(dev_net_loopback(&f->dev), "[::1]");
	assert_int_equal(f->dev.mtu, DEV_MTU_JUMBO);
	assert_int_equal(f->dev.net, DEV_NET_MEMIF);

	dev_net_port(&f->dev, &f->dev.nodes[1], 0, &port, 0);
	assert_string_equal(port.device, "mine");
	assert_int_equal(port.payload_max, 8952);
	f->dev.is_ipv6 = false;
	dev_net_port(&f->dev, &f->dev.nodes[1], 0, &port, 0);
	assert_int_equal(port.payload_max, 8972);
	f->dev.net = DEV_NET_VETH;
	dev_net_port(&f->dev, &f->dev.nodes[1], 0, &port, 0);
	assert_non_null(strstr(port.device, "net_af_packet0,iface=data-b,"));
	assert_non_null(strstr(port.device, "framesz=9216"));
	dev_net_port(&f->dev, &f->dev.nodes[1], 1, &port, 3);
	assert_non_null(strstr(port.device, "net_af_packet3,iface=data1-b,"));
	assert_false(dev_net_is_shared(&f->dev));
	f->dev.data_count = 3;
	dev_net_port(&f->dev, &f->dev.nodes[1], 1, &port, 1);
	assert_non_null(strstr(port.device, "net_af_packet1,iface=data1,"));
	assert_true(dev_net_is_shared(&f->dev));
	assert_int_equal(dev_save(&f->cli, &f->dev), ADMIN_EXIT_OK);
	f->dev.net = DEV_NET_MEMIF;
	assert_true(dev_load(&f->dev));
	assert_int_equal(f->dev.net, DEV_NET_VETH);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_cluster_is_made_once),
		TEST(storage_without_a_record_stays),
		TEST(unfinished_storage_is_made_again),
		TEST(other_topologies_are_made),
		TEST(log_in_ram_is_made_and_kept),
		TEST(run_directory_is_ours_and_removed),
		TEST(verbs_signal_the_recorded_process),
		TEST(a_recorded_pid_of_somebody_else_is_left_alone),
		TEST(down_ends_even_a_stopped_process),
		TEST(json_of_all_nodes),
		TEST(cut_and_heal),
		TEST(no_cluster_is_said_with_the_next_step),
		TEST(a_damaged_record_is_refused),
		TEST(divergent_tails),
		TEST(networks_are_kept_and_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
