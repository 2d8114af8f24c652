/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is mapped twice in a row, as the log ring needs it. */
#ifndef TERN_TESTS_SUPPORT_MIRROR_H
#define TERN_TESTS_SUPPORT_MIRROR_H

#include <stddef.h>
#include <stdint.h>

/* @bytes: a multiple of 4096. mirror[i] and mirror[i + bytes] are the same byte. NULL: no memory.
 */
uint8_t *mirror_map(size_t bytes);
void mirror_unmap(uint8_t *memory, size_t bytes);

#endif
