/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that fail when somebody says so, for tests with real processes: a disk_ops port around
 * another one that looks at one byte a device before every request. The bytes lie in memory shared
 * with whoever sets them (`tern dev fault`, through a file). Used only when the node file says
 * `dev = true`.
 *
 * EIO:  every request fails at once, as of a device that is gone.
 * HANG: requests are taken and never completed; when the byte changes they are handed on.
 *
 * Thread: the inner port's owner.
 */
#ifndef TERN_HW_NVME_URING_FAULTY_H
#define TERN_HW_NVME_URING_FAULTY_H

#include <stdint.h>

#include "dataplane/base/err.h"
#include "hw/seam/disk_ops.h"

#define FAULTY_DEVICES_MAX 32u /* bytes in the file */

enum faulty_kind { FAULTY_NONE = 0, FAULTY_EIO, FAULTY_HANG };

struct faulty; /* fields in faulty.c */

/* @cells: FAULTY_DEVICES_MAX bytes, enum faulty_kind of each device, borrowed until close. The
 * inner port stays the caller's and is used by nobody else. NO_MEMORY. */
TERN_CHECKED enum tern_err
faulty_open(const volatile uint8_t *cells, struct disk_port inner, struct faulty **faulty);
struct disk_port faulty_port(struct faulty *faulty);
/* NULL is allowed. */
void faulty_close(struct faulty *faulty);

#endif
