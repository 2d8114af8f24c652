/* SPDX-License-Identifier: Apache-2.0 */
/* PCI devices of a machine that is made of files: what may be a data port, what is refused and with
 * which words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/platform/pci.h"
#include "tests/support/check.h"

#define PORT   "0000:01:00.0"
#define DEVICE "/sys/bus/pci/devices/" PORT

static char root[] = "/tmp/tern-pci-XXXXXX";
static char why[512];

static void
run(const char *format, const char *argument)
{
	char command[512];

	(void)snprintf(command, sizeof(command), format, root, argument);
	assert_int_equal(system(command), 0);
}

static void
link_make(const char *leaf, const char *target)
{
	char path[256], full[256];

	(void)snprintf(path, sizeof(path), "%s" DEVICE "/%s", root, leaf);
	(void)snprintf(full, sizeof(full), "../../../../somewhere/%s", target);
	(void)unlink(path);
	assert_int_equal(symlink(full, path), 0);
}

static void
file_make(const char *leaf, const char *content)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s%s", root, leaf);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	assert_true(fputs(content, stream) >= 0);
	assert_int_equal(fclose(stream), 0);
}

static void
refused(const char *device, const char *expected)
{
	why[0] = '\0';
	assert_int_equal(platform_pci_check(root, device, why, sizeof(why)), TERN_ERR_CONFIG);
	if (strstr(why, expected) == NULL)
		fail_msg("expected \"%s\", got \"%s\"", expected, why);
}

static void
test_addresses(void **state)
{
	static const char *const good[] = { "0000:01:00.0", "ffff:FF:1f.7", "0000:01:00.0,x=1" };
	static const char *const bad[] = { "",
					   "01:00.0",
					   "0000:01:00",
					   "0000:01:00.8",
					   "0000:01:00.00",
					   "0000-01:00.0",
					   "g000:01:00.0",
					   "net_memif0",
					   "0000:01:00.0 " };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(platform_pci_is_address(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(platform_pci_is_address(bad[i]));
	refused("01:00.0", "is no PCI address, allowed DDDD:BB:DD.F");
}

static void
test_devices(void **state)
{
	(void)state;
	refused(PORT, "there is no PCI device 0000:01:00.0 on this machine");
	run("mkdir -p %s%s", DEVICE);
	refused(PORT, "is no network controller");
	file_make(DEVICE "/class", "0x010802\n"); /* NVMe */
	refused(PORT, "is no network controller");
	file_make(DEVICE "/class", "0x020000\n");
	refused(PORT, "has no driver; bind it with `dpdk-devbind.py -b vfio-pci 0000:01:00.0`");
	link_make("driver", "ixgbe");
	refused(PORT, "belongs to the kernel's driver ixgbe; bind it");
	link_make("driver", "vfio-pci");
	refused(PORT, "no /dev/vfio/vfio: load the module");
	run("mkdir -p %s%s", "/dev/vfio");
	file_make("/dev/vfio/vfio", "");
	refused(PORT, "has no IOMMU group");
	link_make("iommu_group", "17");
	refused(PORT, "/dev/vfio/17 of 0000:01:00.0 cannot be opened");
	file_make("/dev/vfio/17", "");
	assert_int_equal(platform_pci_check(root, PORT, why, sizeof(why)), TERN_OK);
	assert_int_equal(platform_pci_check(root, PORT ",arg=1", why, sizeof(why)), TERN_OK);
	run("rm %s%s", "/dev/vfio/17");
	file_make("/dev/vfio/noiommu-17", "");
	assert_int_equal(platform_pci_check(root, PORT, why, sizeof(why)), TERN_OK);
	link_make("driver", "mlx5_core"); /* the kernel keeps it, and DPDK works beside */
	assert_int_equal(platform_pci_check(root, PORT, why, sizeof(why)), TERN_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_devices),
	};

	assert_non_null(mkdtemp(root));
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	run("rm -rf %s%s", "");
	return failed;
}
