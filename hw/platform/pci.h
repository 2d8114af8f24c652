/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI devices as the kernel shows them in sysfs: whether a user-space driver may have one. Reads
 * only. Thread: any, at start-up.
 */
#ifndef TERN_HW_PLATFORM_PCI_H
#define TERN_HW_PLATFORM_PCI_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/base/err.h"

#define PCI_ADDRESS_BYTES 12u /* DDDD:BB:DD.F, without its end */

/* @device begins with a full PCI address, and ends there or goes on after a comma. */
bool platform_pci_is_address(const char *device);

/* Whether the network controller at @device's address can be driven from user space: it is there,
 * its driver is vfio-pci (with VFIO and a group of its own to be opened), a uio driver, or one that
 * shares the device with DPDK. @root: "" for this machine, or a directory with sys/ and dev/ in it.
 * CONFIG: @why says what is wrong and what to do. */
TERN_CHECKED enum tern_err
platform_pci_check(const char *root, const char *device, char *why, size_t why_bytes);

#endif
