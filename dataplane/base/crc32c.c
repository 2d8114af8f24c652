/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/crc32c.h"

#include <isa-l/crc.h>

#include "dataplane/base/invariant.h"

uint32_t
crc32c_more(uint32_t crc, const void *data, size_t bytes)
{
	INVARIANT(bytes <= INT32_MAX);
	/* ISA-L takes the running value without its inversions and declares its input writable. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)bytes, ~crc);
}

uint32_t
crc32c(const void *data, size_t bytes)
{
	return crc32c_more(0, data, bytes);
}
