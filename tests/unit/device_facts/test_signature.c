/* SPDX-License-Identifier: Apache-2.0 */
/* Images as mkfs, mkswap and sfdisk make them, and two that are made here. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "hw/device_facts/signature.h"

#define IMAGE       "signature-image"
#define IMAGE_BYTES (16u << 20)

static char text[1024];

static void
image_blank(void)
{
	const int fd = open(IMAGE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	assert_int_equal(close(fd), 0);
}

static void
image_put(off_t at, const void *bytes, size_t count)
{
	const int fd = open(IMAGE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, count, at), (ssize_t)count);
	assert_int_equal(close(fd), 0);
}

static void
check(const char *word, uint32_t expected)
{
	uint32_t count;

	assert_int_equal(signature_find(IMAGE, text, sizeof(text), &count), TERN_OK);
	assert_non_null(strstr(text, word));
	assert_int_equal(count, expected);
}

static void
wipe_and_look(void)
{
	uint32_t count;

	if (signature_wipe(IMAGE, text, sizeof(text)) != TERN_OK)
		fail_msg("%s", text);
	assert_int_equal(signature_find(IMAGE, text, sizeof(text), &count), TERN_OK);
	assert_int_equal(count, 0);
	assert_string_equal(text, "");
}

static void
run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s failed; tests/setup installs it", command);
}

static void
test_blank_and_other_data(void **state)
{
	(void)state;
	image_blank();
	check("", 0);
	image_put(0, "some data", 9);
	check("", 0); /* no signature; that it is not blank is for others to see */
	assert_int_equal(signature_find("no-such-image", text, sizeof(text), &(uint32_t){ 0 }),
			 TERN_ERR_IO);
	assert_non_null(strstr(text, "no-such-image"));
}

static void
test_file_system(void **state)
{
	(void)state;
	image_blank();
	run("PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -L 'my data' " IMAGE);
	check("a file system (ext4) named \"my data\"", 1);
	wipe_and_look();
	/* What lay there besides is not touched: the wipe takes the signature alone. */
	image_put(1 << 20, "payload", 7);
	wipe_and_look();
	char back[7];
	const int fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, back, 7, 1 << 20), 7);
	assert_int_equal(close(fd), 0);
	assert_memory_equal(back, "payload", 7);
}

static void
test_swap_and_tables(void **state)
{
	(void)state;
	image_blank();
	run("PATH=$PATH:/usr/sbin:/sbin mkswap -q -L old " IMAGE " 2>/dev/null");
	check("swap space named \"old\"", 1);
	wipe_and_look();
	run("printf 'label: dos\\n,4M\\n' | PATH=$PATH:/usr/sbin:/sbin sfdisk -q " IMAGE);
	check("a partition table (dos)", 1);
	wipe_and_look();
	/* GPT lies at both ends, with a protective table of the old kind beside it. */
	run("printf 'label: gpt\\n,4M\\n' | PATH=$PATH:/usr/sbin:/sbin sfdisk -q " IMAGE);
	check("a partition table (gpt)", 1);
	wipe_and_look();
	/* Only the copy at the end is left: a disk tool would bring it back. */
	run("printf 'label: gpt\\n,4M\\n' | PATH=$PATH:/usr/sbin:/sbin sfdisk -q " IMAGE);
	static const char zeros[65536];
	image_put(0, zeros, sizeof(zeros));
	check("a partition table (gpt)", 1);
	wipe_and_look();
}

static void
test_members_of_others(void **state)
{
	/* The label of an LVM physical volume, in sector 1. */
	static const char lvm[] = "LABELONE\1\0\0\0\0\0\0\0\0\0\0\0 \0\0\0LVM2 001"
				  "abcdefabcdefabcdefabcdefabcdefab";
	uint8_t md[256] = { 0xfc, 0x4e, 0x2b, 0xa9, 1 };

	(void)state;
	image_blank();
	image_put(512, lvm, sizeof(lvm));
	check("LVM2_member", 1);
	wipe_and_look();
	/* md 1.2: superblock in page 1, which says in sectors where it lies. */
	md[16] = 7;
	md[144] = 8;
	image_put(4096, md, sizeof(md));
	check("linux_raid_member", 1);
	wipe_and_look();
}

static void
test_two_at_once(void **state)
{
	(void)state;
	image_blank();
	run("PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q " IMAGE);
	uint8_t table[66] = { 0 };
	table[4] = 0x83; /* one partition */
	table[9] = 8;
	table[13] = 16;
	table[64] = 0x55;
	table[65] = 0xaa;
	image_put(446, table, sizeof(table));
	uint32_t count;
	assert_int_equal(signature_find(IMAGE, text, sizeof(text), &count), TERN_OK);
	assert_non_null(strstr(text, "ext4"));
	wipe_and_look();
}

static void
test_somebody_holds_it(void **state)
{
	(void)state;
	image_blank();
	run("PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q " IMAGE);
	const int fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(signature_wipe(IMAGE, text, sizeof(text)), TERN_ERR_BUSY);
	assert_non_null(strstr(text, "another process uses it"));
	assert_int_equal(close(fd), 0);
	check("ext4", 1);
	assert_int_equal(unlink(IMAGE), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blank_and_other_data),
		cmocka_unit_test(test_file_system),
		cmocka_unit_test(test_swap_and_tables),
		cmocka_unit_test(test_members_of_others),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_somebody_holds_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
