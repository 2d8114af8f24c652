/* SPDX-License-Identifier: Apache-2.0 */
/* A skiplist in byte order. One writer links towers from the bottom and unlinks them from the top;
 * readers walk it meanwhile. Only coming and going of keys touches it. */
#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/invariant.h"
#include "dataplane/state/state_internal.h"

static int
key_compare(struct entry *entry, const void *key, uint32_t key_bytes)
{
	const uint32_t common = min_u32(entry->key_bytes, key_bytes);
	const int order = common == 0 ? 0 : memcmp(entry_key(entry), key, common);

	if (order != 0)
		return order;
	return entry->key_bytes < key_bytes ? -1 : entry->key_bytes > key_bytes;
}

/* For each level the tower whose link crosses @key; returns the first entry not before @key. */
static struct entry *
seek(struct order *order, const void *key, uint32_t key_bytes, bool is_after,
     entry_link *before[STATE_ORDER_LEVELS])
{
	entry_link *tower = order->head;
	struct entry *next = NULL;

	for (uint32_t level = STATE_ORDER_LEVELS; level-- > 0;) {
		for (;;) {
			next = rcu_follow(tower[level]);
			if (next == NULL)
				break;
			const int c = key_compare(next, key, key_bytes);
			if (c > 0 || (c == 0 && !is_after))
				break;
			tower = next->tower;
		}
		before[level] = tower;
	}
	return next;
}

struct entry *
order_seek(struct order *order, const void *from, uint32_t from_bytes, bool is_after)
{
	entry_link *before[STATE_ORDER_LEVELS];

	return seek(order, from, from_bytes, is_after, before);
}

struct entry *
order_first(struct order *order)
{
	return rcu_follow(order->head[0]);
}

struct entry *
order_next(struct entry *entry)
{
	return rcu_follow(entry->tower[0]);
}

void
order_insert(struct order *order, struct entry *entry)
{
	entry_link *before[STATE_ORDER_LEVELS];

	INVARIANT(entry->height >= 1 && entry->height <= STATE_ORDER_LEVELS);
	(void)seek(order, entry_key(entry), entry->key_bytes, false, before);
	for (uint32_t level = 0; level < entry->height; level++) {
		atomic_store_explicit(&entry->tower[level], rcu_own(before[level][level]),
				      memory_order_relaxed);
		rcu_publish(before[level][level], entry);
	}
}

void
order_remove(struct order *order, struct entry *entry)
{
	entry_link *before[STATE_ORDER_LEVELS];
	struct entry *found = seek(order, entry_key(entry), entry->key_bytes, false, before);

	INVARIANT(found == entry);
	for (uint32_t level = entry->height; level-- > 0;) {
		INVARIANT(rcu_own(before[level][level]) == entry);
		rcu_publish(before[level][level], rcu_own(entry->tower[level]));
	}
}
