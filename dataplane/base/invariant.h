/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INVARIANT(expr) states what must hold of our own state. It is on in every build and ends the
 * process when it does not hold: failover is the safe answer. Anything that comes from a peer, a
 * device, a file or an operator is an error or a counted drop, never an INVARIANT.
 *
 * tern_invariant_failed is supplied by the program: hw/platform writes one line to stderr and
 * aborts, the unit tests turn it into a test failure or an expected refusal.
 */
#ifndef TERN_BASE_INVARIANT_H
#define TERN_BASE_INVARIANT_H

__attribute__((noreturn, cold)) void
tern_invariant_failed(const char *text, const char *file, int line);

#define INVARIANT(expr) \
	(__builtin_expect(!!(expr), 1) ? (void)0 : tern_invariant_failed(#expr, __FILE__, __LINE__))

/* Whole-structure scans, for tests and the simulator only. */
#ifdef TERN_INVARIANT_SLOW
#define INVARIANT_SLOW(expr) INVARIANT(expr)
#else
#define INVARIANT_SLOW(expr) ((void)sizeof(expr))
#endif

#endif
