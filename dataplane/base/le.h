/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian integers as they lie on the wire and on devices: byte arrays, so alignment is 1. */
#ifndef TERN_BASE_LE_H
#define TERN_BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t bytes[2];
} le16;
typedef struct {
	uint8_t bytes[4];
} le32;
typedef struct {
	uint8_t bytes[8];
} le64;

static inline uint16_t
le16_get(le16 value)
{
	uint16_t raw;
	memcpy(&raw, value.bytes, sizeof(raw));
	return le16toh(raw);
}

static inline uint32_t
le32_get(le32 value)
{
	uint32_t raw;
	memcpy(&raw, value.bytes, sizeof(raw));
	return le32toh(raw);
}

static inline uint64_t
le64_get(le64 value)
{
	uint64_t raw;
	memcpy(&raw, value.bytes, sizeof(raw));
	return le64toh(raw);
}

static inline le16
le16_make(uint16_t value)
{
	le16 out;
	uint16_t raw = htole16(value);
	memcpy(out.bytes, &raw, sizeof(raw));
	return out;
}

static inline le32
le32_make(uint32_t value)
{
	le32 out;
	uint32_t raw = htole32(value);
	memcpy(out.bytes, &raw, sizeof(raw));
	return out;
}

static inline le64
le64_make(uint64_t value)
{
	le64 out;
	uint64_t raw = htole64(value);
	memcpy(out.bytes, &raw, sizeof(raw));
	return out;
}

#endif
