/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/superblock_update.h"

#include <string.h>

#include "dataplane/base/invariant.h"

void
superblock_update_encode(uint8_t *out, const struct superblock *superblock)
{
	INVARIANT(superblock->sequence >= 1);
	superblock_encode(out, superblock);
	memcpy(out + SUPERBLOCK_BYTES, out, SUPERBLOCK_BYTES);
}

/* What a device without a good copy is: blank only when nothing was ever written. */
static enum tern_err
worse_of(enum tern_err a, enum tern_err b)
{
	static const enum tern_err order[] = { TERN_ERR_CORRUPT, TERN_ERR_VERSION,
					       TERN_ERR_FOREIGN };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (a == order[i] || b == order[i])
			return order[i];
	}
	return a;
}

enum tern_err
superblock_choose(const uint8_t *copies, struct superblock *superblock, uint32_t *good_mask)
{
	enum tern_err worst = TERN_ERR_BLANK;
	uint32_t good = 0;

	for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
		struct superblock copy;
		const enum tern_err err =
		    superblock_decode(copies + (size_t)i * SUPERBLOCK_BYTES, &copy);
		if (err != TERN_OK) {
			worst = worse_of(worst, err);
			continue;
		}
		if (good == 0 || copy.sequence > superblock->sequence)
			*superblock = copy;
		good |= 1u << i;
	}
	*good_mask = good;
	return good != 0 ? TERN_OK : worst;
}

uint32_t
superblock_next_copy(const uint8_t *copies, const struct superblock *newest)
{
	for (uint32_t i = 0; i < SUPERBLOCK_COPIES / 2; i++) {
		struct superblock copy;
		if (superblock_decode(copies + (size_t)i * SUPERBLOCK_BYTES, &copy) == TERN_OK &&
		    copy.sequence == newest->sequence)
			return SUPERBLOCK_COPIES / 2;
	}
	return 0;
}
