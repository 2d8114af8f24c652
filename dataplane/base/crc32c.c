/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#include <isa-l/crc.h>

#include "dataplane/base/invariant.h"

/* Up to here, the length of every header, one instruction for each 8 bytes is the fastest. */
#define SHORT_BYTES 256u

/* The running value without its inversions. */
__attribute__((target("sse4.2"))) static uint32_t
short_more(uint32_t value, const uint8_t *data, size_t bytes)
{
	uint64_t crc = value;

	for (; bytes >= sizeof(uint64_t); data += sizeof(uint64_t), bytes -= sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, data, sizeof(word));
		crc = __builtin_ia32_crc32di(crc, word);
	}
	for (; bytes != 0; data++, bytes--)
		crc = __builtin_ia32_crc32qi((uint32_t)crc, *data);
	return (uint32_t)crc;
}

uint32_t
crc32c_more(uint32_t crc, const void *data, size_t bytes)
{
	INVARIANT(bytes <= INT32_MAX);
	if (bytes <= SHORT_BYTES && __builtin_cpu_supports("sse4.2"))
		return ~short_more(~crc, data, bytes);
	/* ISA-L takes the running value without its inversions and declares its input writable. */
	const uint32_t value = crc32_iscsi((unsigned char *)(uintptr_t)data, (int)bytes, ~crc);
	/* With AVX-512 it leaves the upper halves of the vector registers in use, and until they
	 * are not, every SSE instruction of the code that follows waits for them. */
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroupper" ::: "memory");
	return ~value;
}

uint32_t
crc32c(const void *data, size_t bytes)
{
	return crc32c_more(0, data, bytes);
}
