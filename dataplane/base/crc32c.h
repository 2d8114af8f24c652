/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C (Castagnoli), the only CRC of the formats: "123456789" -> 0xE3069283. By Intel ISA-L. */
#ifndef TERN_BASE_CRC32C_H
#define TERN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of one run of bytes. @bytes < 2^31. */
uint32_t crc32c(const void *data, size_t bytes);

/* Of several runs: crc32c_more(crc32c(a), b) is the CRC of a followed by b. */
uint32_t crc32c_more(uint32_t crc, const void *data, size_t bytes);

#endif
