/* SPDX-License-Identifier: Apache-2.0 */
/* What EAL is told. PCI ports cannot be had on every machine; that no other device is touched can
 * be seen from the arguments. */
#include <stdio.h>
#include <string.h>

#include "hw/nic_dpdk/nic_internal.h"
#include "tests/support/check.h"

static struct nic_eal_args args;

/* Where @text stands among the arguments; -1: nowhere. */
static int
index_of(const char *text)
{
	for (int i = 0; i < args.count; i++)
		if (strcmp(args.list[i], text) == 0)
			return i;
	return -1;
}

static void
device_set(struct nic_config *config, uint32_t port, const char *device)
{
	(void)snprintf(config->ports[port].device, sizeof(config->ports[port].device), "%s",
		       device);
	config->port_count = port + 1;
}

static void
test_virtual_ports(void **state)
{
	struct nic_config config = { .node_id = 3, .cpu = 5, .file_prefix = "tern-3" };

	(void)state;
	device_set(&config, 0, "net_memif0,socket=/run/x.sock");
	nic_eal_args_build(&args, &config, 16);
	assert_int_equal(index_of("tern"), 0);
	assert_true(index_of("--file-prefix=tern-3") > 0);
	assert_true(index_of("--lcores=0@5") > 0);
	assert_true(index_of("--no-pci") > 0 && index_of("--no-huge") > 0);
	assert_true(index_of("--iova-mode=va") > 0);
	assert_int_equal(index_of("-a"), -1);
	assert_string_equal(args.list[index_of("-m") + 1], "64");
	assert_null(args.list[args.count]);
}

static void
test_pci_ports(void **state)
{
	struct nic_config config = { .node_id = 1, .uses_hugepages = true };
	char long_device[NIC_DEVICE_BYTES];
	int devices = 0;

	(void)state;
	device_set(&config, 0, "0000:01:00.0");
	device_set(&config, 1, "0000:81:00.1,mprq_en=1");
	memset(long_device, 'x', sizeof(long_device));
	memcpy(long_device, "0000:02:00.0,x=", 15);
	long_device[sizeof(long_device) - 1] = '\0';
	device_set(&config, 2, long_device);
	device_set(&config, 3, "net_af_packet0,iface=eth0");
	nic_eal_args_build(&args, &config, 16);
	assert_int_equal(index_of("--no-pci"), -1);
	assert_int_equal(index_of("--no-huge"), -1);
	assert_int_equal(index_of("--iova-mode=va"), -1); /* what the devices can do decides */
	for (int i = 0; i + 1 < args.count; i++)
		if (strcmp(args.list[i], "-a") == 0)
			assert_string_equal(args.list[i + 1], config.ports[devices++].device);
	assert_int_equal(devices, 3);
	assert_int_equal(index_of("net_af_packet0,iface=eth0"), -1); /* added afterwards */
}

/* The most that there can be. */
static void
test_all_ports(void **state)
{
	struct nic_config config = { .node_id = 1 };

	(void)state;
	for (uint32_t i = 0; i < NIC_PORTS_MAX; i++)
		device_set(&config, i, "0000:01:00.0");
	nic_eal_args_build(&args, &config, 16);
	assert_true((uint32_t)args.count <= NIC_EAL_ARGS_MAX);
	assert_string_equal(args.list[args.count - 1], "0000:01:00.0");
	assert_string_equal(args.list[args.count - 2], "-a");
	uint32_t allowed = 0;
	for (int i = 0; i < args.count; i++)
		allowed += strcmp(args.list[i], "-a") == 0;
	assert_int_equal(allowed, NIC_PORTS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_virtual_ports),
		cmocka_unit_test(test_pci_ports),
		cmocka_unit_test(test_all_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
