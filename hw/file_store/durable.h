/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes: shared by the files of this room. */
#ifndef TERN_HW_FILE_STORE_DURABLE_H
#define TERN_HW_FILE_STORE_DURABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/base/err.h"

/* All of @count bytes, or IO. Not flushed. */
TERN_CHECKED enum tern_err durable_pwrite(int fd, const void *bytes, size_t count, off_t offset);
TERN_CHECKED enum tern_err durable_pread(int fd, void *bytes, size_t count, off_t offset);

#endif
