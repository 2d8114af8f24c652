/* SPDX-License-Identifier: Apache-2.0 */
/* Facts from a made-up machine: a directory with sys/, dev/ and proc/ in it. */
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/device_facts/device_facts.h"
#include "hw/device_facts/signature.h"

static char root[PATH_MAX];

/* Makes the directories above @path, and the file with @text in it. */
static void
put(const char *path, const char *text)
{
	char full[PATH_MAX + 256];

	const int bytes = snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_true(bytes > 0 && (size_t)bytes < sizeof(full));
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = 0;
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *stream = fopen(full, "we");
	assert_non_null(stream);
	assert_true(fputs(text, stream) >= 0);
	assert_int_equal(fclose(stream), 0);
}

static void
link_to(const char *path, const char *target)
{
	char full[PATH_MAX + 256];

	put(path, "");
	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(unlink(full), 0);
	assert_int_equal(symlink(target, full), 0);
}

#define NVME "sys/devices/pci0/nvme/nvme0/nvme0n1"
#define SDA  "sys/devices/pci0/host0/block/sda"

static void
nvme_make(void)
{
	put(NVME "/size", "3750748848\n");
	put(NVME "/dev", "259:0\n");
	put(NVME "/ro", "0\n");
	put(NVME "/queue/write_cache", "write back\n");
	put(NVME "/queue/fua", "1\n");
	put(NVME "/queue/rotational", "0\n");
	put(NVME "/queue/io_poll", "1\n");
	put(NVME "/queue/logical_block_size", "512\n");
	put(NVME "/queue/physical_block_size", "4096\n");
	put(NVME "/device/serial", "S6GNNE0T900412      \n");
	put(NVME "/device/model", "Model X 1.92TB                \n");
	put(NVME "/device/firmware_rev", "GDC5602Q\n");
	put(NVME "/device/numa_node", "1\n");
	put(NVME "/nvme0n1p2/size", "2048\n");
	put(NVME "/nvme0n1p2/dev", "259:2\n");
	put(NVME "/nvme0n1p2/partition", "2\n");
	put(NVME "/holders/none", "");
	link_to("sys/class/block/nvme0n1", "../../devices/pci0/nvme/nvme0/nvme0n1");
	link_to("sys/class/block/nvme0n1p2", "../../devices/pci0/nvme/nvme0/nvme0n1/nvme0n1p2");
	link_to("dev/disk/by-id/wwn-0x5002", "../../nvme0n1");
	link_to("dev/disk/by-id/nvme-eui.0025385a11b0c001", "../../nvme0n1");
	link_to("dev/disk/by-id/nvme-eui.0025385a11b0c001-part2", "../../nvme0n1p2");
	link_to("dev/disk/by-id/nvme-Model_X_S6GN", "../../nvme0n1");
}

static void
sda_make(void)
{
	static const char serial[] = {
		0, (char)0x80, 0, 8, ' ', 'Z', 'A', '1', '2', '3', '4', ' '
	};
	char full[PATH_MAX + 64];

	put(SDA "/size", "1000\n");
	put(SDA "/dev", "8:0\n");
	put(SDA "/queue/write_cache", "write through\n");
	put(SDA "/queue/fua", "0\n");
	put(SDA "/queue/rotational", "1\n");
	put(SDA "/device/scsi_disk/0:0:0:0/cache_type", "write back\n");
	put(SDA "/device/vpd_pg80", "");
	(void)snprintf(full, sizeof(full), "%s/%s/device/vpd_pg80", root, SDA);
	FILE *stream = fopen(full, "we");
	assert_int_equal(fwrite(serial, 1, sizeof(serial), stream), sizeof(serial));
	assert_int_equal(fclose(stream), 0);
	link_to("sys/class/block/sda", "../../devices/pci0/host0/block/sda");
	put("sys/class/block/loop0/size", "0\n");
	put("sys/class/block/loop1/size", "2048\n");
	put("sys/class/block/loop1/queue/write_cache", "write through\n");
	put("sys/class/block/loop1/loop/backing_file", "/var/tern/disk0.img\n");
	put("sys/class/block/zram0/size", "2048\n");
}

static int
setup(void **state)
{
	char where[] = "facts-XXXXXX";

	(void)state;
	if (mkdtemp(where) == NULL || realpath(where, root) == NULL)
		return -1;
	nvme_make();
	sda_make();
	return 0;
}

static int
teardown(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command) == 0 ? 0 : -1;
}

static void
test_nvme(void **state)
{
	struct device_facts facts;

	(void)state;
	assert_int_equal(device_facts_read_name(root, "nvme0n1", &facts), TERN_OK);
	assert_int_equal(facts.kind, DEVICE_BLOCK);
	assert_true(facts.bytes == UINT64_C(3750748848) * 512);
	assert_string_equal(facts.name, "nvme0n1");
	assert_string_equal(facts.disk, "nvme0n1");
	assert_string_equal(facts.serial, "S6GNNE0T900412");
	assert_string_equal(facts.model, "Model X 1.92TB");
	assert_string_equal(facts.firmware, "GDC5602Q");
	assert_string_equal(facts.by_id, "/dev/disk/by-id/nvme-eui.0025385a11b0c001");
	assert_int_equal(facts.logical_bytes, 512);
	assert_int_equal(facts.physical_bytes, 4096);
	assert_int_equal(facts.is_flushed_by_kernel, DEVICE_YES);
	assert_int_equal(facts.has_fua, DEVICE_YES);
	assert_int_equal(facts.has_volatile_cache, DEVICE_UNKNOWN);
	assert_int_equal(facts.is_rotational, DEVICE_NO);
	assert_int_equal(facts.can_poll, DEVICE_YES);
	assert_int_equal(facts.numa_node, 1);
	assert_false(facts.is_partition || facts.is_ram || facts.is_loop);
	assert_int_equal(facts.major, 259);
}

/* Two namespaces of a controller, and the path to one of them that the kernel keeps to itself. */
static void
test_namespaces_share_a_serial(void **state)
{
	char names[16][DEVICE_NAME_MAX];
	struct device_facts first, second;

	(void)state;
	assert_int_equal(device_facts_read_name(root, "nvme0n1", &first), TERN_OK);
	assert_false(device_serial_is_shared(root, &first));
	put("sys/class/block/nvme0c0n1/size", "2048\n");
	put("sys/class/block/nvme0c0n1/hidden", "1\n");
	put("sys/class/block/nvme0c0n1/device/serial", "S6GNNE0T900412\n");
	const uint32_t count = device_names(root, names, 16);
	assert_true(count != 0);
	for (uint32_t i = 0; i < count; i++)
		assert_string_not_equal(names[i], "nvme0c0n1");
	assert_false(device_serial_is_shared(root, &first));

	put("sys/class/block/nvme0n2/size", "2048\n");
	put("sys/class/block/nvme0n2/device/serial", "S6GNNE0T900412      \n");
	assert_int_equal(device_facts_read_name(root, "nvme0n2", &second), TERN_OK);
	assert_true(device_serial_is_shared(root, &first));
	assert_true(device_serial_is_shared(root, &second));
	second.serial[0] = 0;
	assert_false(device_serial_is_shared(root, &second));
}

static void
test_partition_takes_after_its_disk(void **state)
{
	struct device_facts facts;

	(void)state;
	assert_int_equal(device_facts_read_name(root, "nvme0n1p2", &facts), TERN_OK);
	assert_true(facts.is_partition);
	assert_string_equal(facts.name, "nvme0n1p2");
	assert_string_equal(facts.disk, "nvme0n1");
	assert_int_equal(facts.bytes, 2048 * 512);
	assert_int_equal(facts.minor, 2);
	assert_string_equal(facts.serial, "S6GNNE0T900412");
	assert_string_equal(facts.by_id, "/dev/disk/by-id/nvme-eui.0025385a11b0c001-part2");
	assert_int_equal(facts.has_fua, DEVICE_YES);
}

static void
test_scsi_loop_ram_and_nothing(void **state)
{
	char names[8][DEVICE_NAME_MAX];
	struct device_facts facts;

	(void)state;
	assert_int_equal(device_facts_read_name(root, "sda", &facts), TERN_OK);
	assert_string_equal(facts.serial, "ZA1234");
	assert_int_equal(facts.has_volatile_cache, DEVICE_YES);
	assert_int_equal(facts.is_flushed_by_kernel, DEVICE_NO);
	assert_int_equal(facts.is_rotational, DEVICE_YES);
	assert_int_equal(device_facts_read_name(root, "loop1", &facts), TERN_OK);
	assert_true(facts.is_loop);
	assert_string_equal(facts.loop_file, "/var/tern/disk0.img");
	assert_int_equal(device_facts_read_name(root, "zram0", &facts), TERN_OK);
	assert_true(facts.is_ram);
	assert_int_equal(facts.is_flushed_by_kernel, DEVICE_UNKNOWN);
	assert_int_equal(device_facts_read_name(root, "sdz", &facts), TERN_ERR_NOT_FOUND);
	assert_int_equal(facts.kind, DEVICE_ABSENT);
	assert_int_equal(device_facts_read_name(root, "../../etc", &facts), TERN_ERR_NOT_FOUND);
	/* loop0 has no file. */
	assert_int_equal(device_names(root, names, 8), 5);
	assert_string_equal(names[0], "loop1");
	assert_string_equal(names[1], "nvme0n1");
	assert_string_equal(names[4], "zram0");
}

static void
test_durability_follows(void **state)
{
	const enum device_answer yes = DEVICE_YES, no = DEVICE_NO, unknown = DEVICE_UNKNOWN;
	const struct {
		enum device_kind kind;
		bool is_ram, is_loop;
		enum device_answer flushed, fua, cache;
		enum device_durable_by by;
		const char *word;
	} cases[] = {
		{ DEVICE_BLOCK, false, false, yes, yes, yes, DEVICE_DURABLE_FUA, "FUA" },
		{ DEVICE_BLOCK, false, false, yes, yes, unknown, DEVICE_DURABLE_FUA, "FUA" },
		{ DEVICE_BLOCK, false, false, yes, no, yes, DEVICE_DURABLE_FLUSH, "flushes" },
		{ DEVICE_BLOCK, false, false, yes, unknown, unknown, DEVICE_DURABLE_FLUSH,
		  "flushes" },
		{ DEVICE_BLOCK, false, false, no, yes, no, DEVICE_DURABLE_PLAIN, "no volatile" },
		{ DEVICE_BLOCK, false, false, no, no, unknown, DEVICE_DURABLE_PLAIN,
		  "kernel says" },
		{ DEVICE_BLOCK, false, false, no, no, yes, DEVICE_DURABLE_UNSAFE, "dsync" },
		{ DEVICE_BLOCK, false, false, unknown, no, unknown, DEVICE_DURABLE_FLUSH,
		  "nobody" },
		{ DEVICE_BLOCK, false, true, no, no, unknown, DEVICE_DURABLE_FLUSH, "loop" },
		{ DEVICE_BLOCK, true, false, unknown, no, unknown, DEVICE_DURABLE_NEVER, "RAM" },
		{ DEVICE_FILE, false, false, unknown, no, unknown, DEVICE_DURABLE_FLUSH, "file" },
		{ DEVICE_FILE, true, false, unknown, no, unknown, DEVICE_DURABLE_NEVER, "RAM" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct device_facts facts = {
			.kind = cases[i].kind,
			.is_ram = cases[i].is_ram,
			.is_loop = cases[i].is_loop,
			.is_flushed_by_kernel = cases[i].flushed,
			.has_fua = cases[i].fua,
			.has_volatile_cache = cases[i].cache,
			.disk = "sda",
		};
		char why[DEVICE_WHY_MAX] = "";
		assert_int_equal(device_durability(&facts, why, sizeof(why)), cases[i].by);
		assert_non_null(strstr(why, cases[i].word));
		assert_string_not_equal(device_durable_name(cases[i].by), "unknown");
	}
}

static void
check_use(const char *name, bool is_used, const char *word)
{
	char path[PATH_MAX + 16], who[DEVICE_WHY_MAX];
	struct device_facts facts;

	assert_int_equal(device_facts_read_name(root, name, &facts), TERN_OK);
	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	assert_int_equal(device_is_in_use(root, path, &facts, who, sizeof(who)), is_used);
	assert_non_null(strstr(who, word));
}

static void
test_who_uses_it(void **state)
{
	char path[PATH_MAX + 64];

	(void)state;
	put("proc/self/mountinfo", "30 1 8:99 / / rw - ext4 /dev/sdq rw\n");
	put("proc/swaps", "Filename\tType\n");
	(void)snprintf(path, sizeof(path), "%s/" NVME "/holders/none", root);
	check_use("nvme0n1", true, "is a part of none");
	assert_int_equal(unlink(path), 0);
	check_use("nvme0n1", false, "");
	/* A disk is in use when one of its partitions is. */
	put("proc/self/mountinfo", "30 1 8:99 / / rw - ext4 /dev/sdq rw\n"
				   "36 30 259:2 / /home rw,noatime - ext4 /dev/nvme0n1p2 rw\n");
	check_use("nvme0n1", true, "nvme0n1p2 is mounted at /home");
	check_use("nvme0n1p2", true, "mounted at /home");
	check_use("sda", false, "");
	put("proc/self/mountinfo", "");
	put("proc/swaps", "Filename\tType\n/dev/sda partition 100 0 -2\n");
	check_use("sda", true, "swap");
	put("sys/class/block/nvme0n1p2/holders/dm-3", "");
	check_use("nvme0n1", true, "nvme0n1p2 is a part of dm-3");
}

static void
test_files_of_this_machine(void **state)
{
	struct device_facts facts;
	char why[DEVICE_WHY_MAX];

	(void)state;
	assert_int_equal(device_facts_read("", "/no/such/file", &facts), TERN_ERR_NOT_FOUND);
	assert_int_equal(facts.kind, DEVICE_ABSENT);
	put("a-file", "12345");
	char path[PATH_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s/a-file", root);
	assert_int_equal(device_facts_read("", path, &facts), TERN_OK);
	assert_int_equal(facts.kind, DEVICE_FILE);
	assert_int_equal(facts.bytes, 5);
	assert_false(device_is_in_use("", path, &facts, why, sizeof(why)));
	assert_int_equal(device_facts_read("", "/dev/null", &facts), TERN_OK);
	assert_int_equal(facts.kind, DEVICE_OTHER);
}

static void
check_commands(const struct device_facts *facts, const char *says)
{
	struct device_command_node node;
	char why[DEVICE_WHY_MAX];

	assert_false(device_takes_commands(root, facts, &node, why, sizeof(why)));
	assert_non_null(strstr(why, says));
}

static void
name_space_make(struct device_facts *facts, const char *name)
{
	assert_int_equal(device_facts_read_name(root, name, facts), TERN_OK);
	facts->has_namespace = true;
	facts->name_space = (struct nvme_page_namespace){ .blocks = 3750748848,
							  .format_count = 1,
							  .formats = { { .lba_bytes = 512 } } };
}

/* Adds to the machine. */
static void
test_where_commands_go(void **state)
{
	struct device_command_node node;
	struct device_facts facts, changed;
	char why[DEVICE_WHY_MAX];

	(void)state;
	name_space_make(&facts, "nvme0n1");
	put(NVME "/device/ng7n10/dev", "240:9\n");
	put(NVME "/device/ngxn1/dev", "240:8\n");
	put(NVME "/device/ng7n1p1/dev", "240:7\n");
	check_commands(&facts, "no character device");
	/* The controller's number is not the subsystem's. */
	put(NVME "/device/ng7n1/dev", "240:3\n");
	assert_true(device_takes_commands(root, &facts, &node, why, sizeof(why)));
	assert_string_equal(node.name, "ng7n1");
	assert_int_equal(node.major, 240);
	assert_int_equal(node.minor, 3);
	assert_string_equal(why, "");

	changed = facts;
	changed.can_poll = DEVICE_UNKNOWN;
	check_commands(&changed, "nvme.poll_queues");
	changed = facts;
	changed.has_fua = DEVICE_NO;
	check_commands(&changed, "queue/fua");
	changed.is_flushed_by_kernel = DEVICE_NO; /* there is no cache */
	assert_true(device_takes_commands(root, &changed, &node, why, sizeof(why)));
	changed = facts;
	changed.has_namespace = false;
	check_commands(&changed, "CAP_SYS_ADMIN");
	changed = facts;
	changed.name_space.formats[0].metadata_bytes = 8;
	check_commands(&changed, "nvme format");
	changed = facts;
	changed.name_space.formats[0].lba_bytes = 4096;
	check_commands(&changed, "other blocks");
	changed.logical_bytes = 4096; /* eight times what there is */
	changed.name_space.blocks /= 8;
	assert_true(device_takes_commands(root, &changed, &node, why, sizeof(why)));
	changed.name_space.blocks--;
	check_commands(&changed, "other blocks");
	name_space_make(&changed, "nvme0n1p2");
	check_commands(&changed, "partition");
	name_space_make(&changed, "sda");
	check_commands(&changed, "no NVMe namespace");
	changed = (struct device_facts){ .kind = DEVICE_FILE };
	check_commands(&changed, "no block device");
	/* One path is as good as none is told of; of two the kernel chooses. */
	put("sys/class/block/nvme0c0n1/size", "2048\n");
	put("sys/class/block/nvme0c1n2/size", "2048\n");
	put("sys/class/block/nvme1c0n1/size", "2048\n");
	assert_true(device_takes_commands(root, &facts, &node, why, sizeof(why)));
	put("sys/class/block/nvme0c1n1/size", "2048\n");
	check_commands(&facts, "several paths");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nvme),
		cmocka_unit_test(test_partition_takes_after_its_disk),
		cmocka_unit_test(test_scsi_loop_ram_and_nothing),
		cmocka_unit_test(test_durability_follows),
		cmocka_unit_test(test_who_uses_it),
		cmocka_unit_test(test_files_of_this_machine),
		cmocka_unit_test(test_namespaces_share_a_serial), /* adds to the machine */
		cmocka_unit_test(test_where_commands_go),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
