/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/platform/pci.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLASS_NETWORK "0x02"
#define BIND_HINT     "bind it with `dpdk-devbind.py -b vfio-pci %s`"

struct probe {
	const char *root;
	char address[PCI_ADDRESS_BYTES + 1];
	char *why;
	size_t why_bytes;
};

__attribute__((format(printf, 2, 3))) static enum tern_err
refuse(const struct probe *probe, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (probe->why_bytes != 0)
		(void)vsnprintf(probe->why, probe->why_bytes, format, list);
	va_end(list);
	return TERN_ERR_CONFIG;
}

bool
platform_pci_is_address(const char *device)
{
	static const char form[] = "xxxx:xx:xx.o";

	for (uint32_t i = 0; i < PCI_ADDRESS_BYTES; i++) {
		const char *allowed = form[i] == 'x'   ? "0123456789abcdefABCDEF"
				      : form[i] == 'o' ? "01234567"
				      : form[i] == ':' ? ":"
						       : ".";
		if (device[i] == '\0' || strchr(allowed, device[i]) == NULL)
			return false;
	}
	return device[PCI_ADDRESS_BYTES] == '\0' || device[PCI_ADDRESS_BYTES] == ',';
}

static void
path_of(const struct probe *probe, const char *leaf, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/sys/bus/pci/devices/%s%s%s", probe->root, probe->address,
		       leaf[0] != '\0' ? "/" : "", leaf);
}

/* The last part of what a link of the device names; false: there is no such link. */
static bool
link_read(const struct probe *probe, const char *leaf, char *out, size_t out_bytes)
{
	char path[PATH_MAX], target[PATH_MAX];

	path_of(probe, leaf, path);
	const ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length <= 0)
		return false;
	target[length] = '\0';
	const char *slash = strrchr(target, '/');
	const char *last = slash != NULL ? slash + 1 : target;
	if (strlen(last) >= out_bytes)
		return false;
	memcpy(out, last, strlen(last) + 1);
	return true;
}

static bool
is_network(const struct probe *probe)
{
	char path[PATH_MAX], text[16] = "";

	path_of(probe, "class", path);
	FILE *stream = fopen(path, "re");
	if (stream == NULL)
		return false;
	const bool is_read = fgets(text, sizeof(text), stream) != NULL;
	(void)fclose(stream);
	return is_read && strncmp(text, CLASS_NETWORK, strlen(CLASS_NETWORK)) == 0;
}

static enum tern_err
vfio_check(const struct probe *probe)
{
	char group[64], path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/dev/vfio/vfio", probe->root);
	if (access(path, F_OK) != 0)
		return refuse(probe,
			      "%s is bound to vfio-pci, but there is no /dev/vfio/vfio: load the "
			      "module vfio-pci, and switch the IOMMU on (intel_iommu=on or "
			      "amd_iommu=on)",
			      probe->address);
	if (!link_read(probe, "iommu_group", group, sizeof(group)))
		return refuse(
		    probe,
		    "%s has no IOMMU group: switch the IOMMU on in the firmware and on the "
		    "kernel's command line",
		    probe->address);
	(void)snprintf(path, sizeof(path), "%s/dev/vfio/%s", probe->root, group);
	if (access(path, R_OK | W_OK) == 0)
		return TERN_OK;
	(void)snprintf(path, sizeof(path), "%s/dev/vfio/noiommu-%s", probe->root, group);
	if (access(path, R_OK | W_OK) == 0)
		return TERN_OK;
	return refuse(probe, "/dev/vfio/%s of %s cannot be opened: give this user the right to it",
		      group, probe->address);
}

enum tern_err
platform_pci_check(const char *root, const char *device, char *why, size_t why_bytes)
{
	/* The last of them keep the kernel's driver, and DPDK works beside it. */
	static const char *const others[] = { "uio_pci_generic", "igb_uio", "mlx4_core",
					      "mlx5_core", "mana" };
	struct probe probe = { .root = root, .why = why, .why_bytes = why_bytes };
	char path[PATH_MAX], driver[64];

	if (!platform_pci_is_address(device))
		return refuse(&probe,
			      "\"%.64s\" is no PCI address, allowed DDDD:BB:DD.F such as "
			      "\"0000:01:00.0\"",
			      device);
	memcpy(probe.address, device, PCI_ADDRESS_BYTES);
	for (char *p = probe.address; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	path_of(&probe, "", path);
	if (access(path, F_OK) != 0)
		return refuse(&probe,
			      "there is no PCI device %s on this machine; `dpdk-devbind.py "
			      "--status-dev net` lists those that are",
			      probe.address);
	if (!is_network(&probe))
		return refuse(&probe, "%s is no network controller", probe.address);
	if (!link_read(&probe, "driver", driver, sizeof(driver)))
		return refuse(&probe, "%s has no driver; " BIND_HINT, probe.address, probe.address);
	if (strcmp(driver, "vfio-pci") == 0)
		return vfio_check(&probe);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(driver, others[i]) == 0)
			return TERN_OK;
	return refuse(&probe,
		      "%s belongs to the kernel's driver %s; " BIND_HINT
		      " (the kernel loses the interface)",
		      probe.address, driver, probe.address);
}
