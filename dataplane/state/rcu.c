/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/state/rcu.h"

#include <urcu-qsbr.h>

#include "dataplane/base/invariant.h"

#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#else
#define __tsan_acquire(address) ((void)(address))
#define __tsan_release(address) ((void)(address))
#endif

/* liburcu keeps one registration a thread in storage of its own; these are its counts. The model
 * keeps the archive free of imports for dynamic thread-local storage. */
struct rcu_thread {
	unsigned registered, online;
};
static _Thread_local struct rcu_thread rcu_thread __attribute__((tls_model("initial-exec")));

void
state_rcu_register(void)
{
	if (rcu_thread.registered++ == 0) {
		urcu_qsbr_register_thread(); /* comes back online */
		urcu_qsbr_thread_offline();
	}
}

void
state_rcu_unregister(void)
{
	INVARIANT(rcu_thread.registered > 0);
	INVARIANT(rcu_thread.online == 0 || rcu_thread.registered > 1);
	if (--rcu_thread.registered == 0)
		urcu_qsbr_unregister_thread();
}

void
state_rcu_enter(void)
{
	INVARIANT(rcu_thread.registered > 0);
	if (rcu_thread.online++ == 0)
		urcu_qsbr_thread_online();
}

void
state_rcu_leave(void *domain)
{
	INVARIANT(rcu_thread.online > 0);
	__tsan_release(domain);
	if (--rcu_thread.online == 0)
		urcu_qsbr_thread_offline();
}

void
state_rcu_wait(void *domain)
{
	INVARIANT(rcu_thread.online == 0);
	urcu_qsbr_synchronize_rcu();
	__tsan_acquire(domain);
}
