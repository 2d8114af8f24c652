/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/standstill.h"

#include "hw/platform/platform.h"

#define NS_PER_MS     1000000u
#define TELL_EVERY_NS 1000000000u

/* One writer: nobody adds at the same time. */
static void
raise_to(_Atomic uint64_t *worst, uint64_t value)
{
	if (value > atomic_load_explicit(worst, memory_order_relaxed))
		atomic_store_explicit(worst, value, memory_order_relaxed);
}

static void
note(struct standstill *standstill, uint64_t ns)
{
	atomic_store_explicit(&standstill->last_ns, ns, memory_order_relaxed);
	raise_to(&standstill->worst_ns, ns);
	raise_to(&standstill->untold_ns, ns);
	atomic_fetch_add_explicit(&standstill->count, 1, memory_order_release);
}

void
standstill_look(struct standstill *standstill, uint64_t now_ns)
{
	if (__builtin_expect(standstill->due_ns != 0 && now_ns > standstill->due_ns + STANDSTILL_NS,
			     0))
		note(standstill, now_ns - standstill->due_ns);
	standstill->due_ns = now_ns;
}

void
standstill_tell(struct standstill *standstill, const char *name, uint64_t now_ns)
{
	if (atomic_load_explicit(&standstill->untold_ns, memory_order_relaxed) == 0 ||
	    (standstill->told_at_ns != 0 && now_ns - standstill->told_at_ns < TELL_EVERY_NS))
		return;
	/* One that is noted between the two is told of by its length, or with the next. */
	const uint64_t ns =
	    atomic_exchange_explicit(&standstill->untold_ns, 0, memory_order_relaxed);
	standstill->told_at_ns = now_ns;
	platform_diag(
	    PLATFORM_WARNING, "stood_still node=%s ms=%llu count=%llu", name,
	    (unsigned long long)(ns / NS_PER_MS),
	    (unsigned long long)atomic_load_explicit(&standstill->count, memory_order_acquire));
}

json_t *
standstill_json(const struct standstill *standstill)
{
	const uint64_t count = atomic_load_explicit(&standstill->count, memory_order_acquire);
	const uint64_t last_ns = atomic_load_explicit(&standstill->last_ns, memory_order_relaxed);
	const uint64_t worst_ns = atomic_load_explicit(&standstill->worst_ns, memory_order_relaxed);

	return json_pack("{s:I,s:I,s:I}", "count", (json_int_t)count, "last_ms",
			 (json_int_t)(last_ns / NS_PER_MS), "worst_ms",
			 (json_int_t)(worst_ns / NS_PER_MS));
}
