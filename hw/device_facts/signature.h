/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device carries that somebody may still need, and who uses it: before anything is written
 * to a device, both are asked. Signatures of file systems, partition tables, RAID and LVM members,
 * swap and others are found by libblkid; this is the only room that includes its header. Tern's own
 * superblocks are not looked for here.
 *
 * Thread: any but a data lcore.
 */
#ifndef TERN_HW_DEVICE_FACTS_SIGNATURE_H
#define TERN_HW_DEVICE_FACTS_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "hw/device_facts/device_facts.h"

/* What was found, in words: "an ext4 file system (label \"home\"), a gpt partition table"; "":
 * nothing. @count: of signatures. IO: it cannot be read, and @found says why. */
TERN_CHECKED enum tern_err
signature_find(const char *path, char *found, size_t found_bytes, uint32_t *count);

/* Removes every signature that signature_find finds, and no more: what else the device holds stays.
 * Opens it for this process alone. BUSY: somebody uses it; IO; @text says what failed. */
TERN_CHECKED enum tern_err signature_wipe(const char *path, char *text, size_t text_bytes);

/* Whether somebody uses the device, or a part of it: mounted, swap, held by another device (LVM,
 * md, multipath), shown by a loop device, or opened for somebody alone. @who in words. @root as of
 * device_facts_read; the last of these is asked only of this machine (""). */
bool device_is_in_use(const char *root, const char *path, const struct device_facts *facts,
		      char *who, size_t who_bytes);

#endif
