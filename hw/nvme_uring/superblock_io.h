/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing a device's superblock copies and log pages synchronously: for start-up, for
 * `tern node init` and for tools. While the port is in use, updates go through the disk seam with
 * dataplane/wire/superblock_update.h, which chooses the copies in the same way.
 *
 * @fd: from nvme_device_open or nvme_device_fd (O_DIRECT).
 */
#ifndef TERN_HW_NVME_URING_SUPERBLOCK_IO_H
#define TERN_HW_NVME_URING_SUPERBLOCK_IO_H

#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/wire/superblock.h"

/* The newest good copy. @good_mask: bit i says that copy i is good, whatever its sequence.
 * BLANK: all copies are zero. CORRUPT, VERSION, FOREIGN: no copy is good and this is the worst that
 * was found; IO. */
TERN_CHECKED enum tern_err
superblock_read(int fd, struct superblock *superblock, uint32_t *good_mask);

/* Writes the pair of copies in which the newest does not lie, through all caches. The caller
 * raises sequence by one with every update. IO: what the device holds is not known. */
TERN_CHECKED enum tern_err superblock_write(int fd, const struct superblock *superblock);
/* Birth only: writes all copies. */
TERN_CHECKED enum tern_err superblock_write_all(int fd, const struct superblock *superblock);

/* Reads @pages pages at page number @first_page of the device. @bytes: page aligned. IO. */
TERN_CHECKED enum tern_err
superblock_read_pages(int fd, uint64_t first_page, uint8_t *bytes, uint32_t pages);

#endif
