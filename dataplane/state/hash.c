/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/hash.h"

#include <string.h>

#include "dataplane/base/invariant.h"
#include "dataplane/base/le.h"
#include "dataplane/state/session_image.h"

/* Seeded, so that nobody who does not know the seed can aim keys at one bucket. */
uint64_t
state_index_hash(const struct state *state, enum state_space space, const void *key,
		 uint32_t key_bytes)
{
	return hash64_seeded(key, key_bytes, state->config.hash_seed + (uint64_t)space);
}

struct key_encoded {
	le64 value;
	le32 type, bytes;
	uint8_t key[COMMAND_KEY_BYTES_MAX + sizeof(le64)];
};

/* XXH3-64 of: value 8 (INTEGER: itself; BYTES: its XXH3-64) | type 4, plus 256 with an expiry |
 * value bytes 4 | key | expiry 8, if there is one. */
uint64_t
state_key_hash(const void *key, uint32_t key_bytes, enum state_type type, const void *data,
	       uint32_t bytes, int64_t integer, uint64_t expires_ns)
{
	const le64 expiry = le64_make(expires_ns);
	const uint32_t expiry_bytes = expires_ns != 0 ? (uint32_t)sizeof(expiry) : 0;
	struct key_encoded encoded;
	const bool is_integer = type == STATE_INTEGER;

	INVARIANT(key_bytes <= COMMAND_KEY_BYTES_MAX);
	encoded.value = le64_make(is_integer ? (uint64_t)integer : hash64(data, bytes));
	encoded.type = le32_make((uint32_t)type + (expires_ns != 0 ? 256u : 0u));
	encoded.bytes = le32_make(is_integer ? 8u : bytes);
	memcpy(encoded.key, key, key_bytes);
	memcpy(encoded.key + key_bytes, &expiry, expiry_bytes);
	return hash64(&encoded, offsetof(struct key_encoded, key) + key_bytes + expiry_bytes);
}

/* XXH3-64 of the fields in order, each as 8 bytes. */
uint64_t
state_session_hash(const struct session_image *image)
{
	return hash64(image, SESSION_HASHED_BYTES);
}

uint64_t
state_version_hash(struct entry *entry, struct version *version)
{
	if (entry->space == STATE_SESSIONS)
		return state_session_hash(session_image(version));
	return state_key_hash(entry_key(entry), entry->key_bytes, version_type(version),
			      version_data(version), version_bytes(version),
			      version_integer(version), version_expires_ns(version));
}
