/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door to liburcu (QSBR flavour), with what the thread sanitizer has to be told of it.
 *
 * Owns: publishing and following pointers, and when a thread may hold such pointers.
 * Promises: between state_rcu_enter and state_rcu_leave nothing that was unlinked after the
 * thread came online is handed out by state_rcu_wait of another thread.
 *
 * The library functions are called, not inlined: a read section is a whole view, not one lookup.
 * Registration belongs to the thread, not to a state: one thread may read several states, also
 * nested, so registrations and online sections are counted in thread-local storage (rcu.c).
 */
#ifndef TERN_STATE_RCU_H
#define TERN_STATE_RCU_H

#include <stdatomic.h>

/* Acquire instead of consume: it costs nothing on x86-64 and every tool understands it. */
#define rcu_follow(pointer)         atomic_load_explicit(&(pointer), memory_order_acquire)
#define rcu_publish(pointer, value) atomic_store_explicit(&(pointer), (value), memory_order_release)
/* For the only thread that writes @pointer. */
#define rcu_own(pointer) atomic_load_explicit(&(pointer), memory_order_relaxed)

void state_rcu_register(void);
void state_rcu_unregister(void);

/* @domain: the state that is read; ties readers to the grace periods of the same state for the
 * thread sanitizer, which cannot see into the library. */
void state_rcu_enter(void);
void state_rcu_leave(void *domain);

/* Blocks until every thread that was online has been offline. The caller must not be online. */
void state_rcu_wait(void *domain);

#endif
