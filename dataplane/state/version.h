/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A version of a key or a session, and where its parts lie: [expiry 8] then the bytes, the integer,
 * or the version that holds the bytes.
 *
 * Owner: the state's writer; readers look at versions that it has published.
 */
#ifndef TERN_STATE_VERSION_H
#define TERN_STATE_VERSION_H

#include <stddef.h>
#include <string.h>

#include "dataplane/state/state.h"

/* Types of versions: enum state_type for keys, and this one. */
#define STATE_TYPE_SESSION 3u

struct entry;

struct version {
	struct version *older;      /* read only by views below stamp */
	struct version *queue_next; /* writer: reclaim queue, then list of the retired */
	uint64_t stamp;
	uint32_t slot;
	uint32_t bytes_type;                 /* bytes << 4 | VERSION_* | type */
	union {                              /* writer */
		uint64_t hash;               /* contribution to the state hash; 0 for a tombstone */
		struct entry *retired_entry; /* retired: what goes with it, or NULL */
	};
	union {
		struct entry *entry;  /* tombstone: what it ends */
		uint64_t expires_ns;  /* EXPIRES: then what follows lies behind it */
		struct version *base; /* IS_SHARED: whose bytes these are; it stays as long as this
				       * one: behind it in the chain, then owned by it */
		int64_t integer;
		uint8_t data[8]; /* BYTES, sessions: the first of the bytes */
	};
};
#define VERSION_HDR_BYTES       offsetof(struct version, data)
#define VERSION_EXPIRES         4u
#define VERSION_IS_SHARED       8u
#define STATE_VALUE_BYTES_LIMIT (1u << 28)

static inline enum state_type
version_type(const struct version *version)
{
	return (enum state_type)(version->bytes_type & 3u);
}

static inline uint32_t
version_bytes(const struct version *version)
{
	return version->bytes_type >> 4;
}

static inline bool
version_is_shared(const struct version *version)
{
	return (version->bytes_type & VERSION_IS_SHARED) != 0;
}

/* 0: never. */
static inline uint64_t
version_expires_ns(const struct version *version)
{
	return (version->bytes_type & VERSION_EXPIRES) != 0 ? version->expires_ns : 0;
}

static inline bool
version_is_expired(const struct version *version, uint64_t time_ns)
{
	return (version->bytes_type & VERSION_EXPIRES) != 0 && version->expires_ns <= time_ns;
}

/* What lies behind the header. */
static inline uint32_t
version_stored_bytes(const struct version *version)
{
	const uint32_t bytes =
	    version_is_shared(version) ? (uint32_t)sizeof(version->base) : version_bytes(version);

	return bytes + ((version->bytes_type & VERSION_EXPIRES) != 0 ? 8u : 0u);
}

/* Of memory that a version takes. */
static inline uint64_t
version_size(uint32_t stored_bytes)
{
	return VERSION_HDR_BYTES + (stored_bytes < 8 ? 8 : stored_bytes);
}

/* Behind the expiry, if there is one. */
static inline uint8_t *
version_payload(struct version *version)
{
	return version->data + ((version->bytes_type & VERSION_EXPIRES) != 0 ? 8 : 0);
}

/* The version that holds the bytes of this one. */
static inline struct version *
version_base(struct version *version)
{
	struct version *base = version;

	if (version_is_shared(version))
		memcpy(&base, version_payload(version), sizeof(base));
	return base;
}

static inline uint8_t *
version_data(struct version *version)
{
	return version_payload(version_base(version));
}

static inline int64_t
version_integer(struct version *version)
{
	int64_t integer;

	memcpy(&integer, version_payload(version), sizeof(integer));
	return integer;
}

#endif
