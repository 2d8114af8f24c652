/* SPDX-License-Identifier: Apache-2.0
 *
 * Lease timing for a master, a replica and the witness (protocol section 9): a master may read without a
 * round while its lease runs; a voter that answered a heartbeat promises not to elect another master
 * for ELECT of its own time.
 *
 * Time is discrete. Each node has a clock of its own that may run between 1 - DRIFT and 1 + DRIFT of
 * real time: clocks count UNIT parts of a tick, and in each tick advance by SLOW, UNIT or FAST parts
 * (which of the three is chosen afresh in each tick). A heartbeat and its answer may take any time.
 *
 * I11: while the lease of the old master runs, nobody else is master.
 * Each of these has to end in a violation:
 *   LEASE_FROM_ANSWER  the lease begins when the answer arrives, not when the heartbeat left
 *   LEASE_FULL         the lease is as long as the promise: no allowance for drift
 *   RESTART_FORGETS    a restarted voter votes at once, not after a quiet period of ELECT
 *   LEASE_HAND_OVER    a lease goes on when the place is offered to the replica
 *   LEASE_AGAIN        it ends then, and another one may begin in the same term
 */
#ifndef ONLY
#define ONLY 0
#endif
#define HOLDS(number, condition) assert((ONLY != 0 && ONLY != number) || (condition))

#define UNIT 5
#define SLOW 4
#define FAST 6
#define ELECT 25
/* ELECT * (1 - 2 * drift), with a drift of 1/5 on each side. */
#ifdef LEASE_FULL
#define LEASE 25
#else
#define LEASE 15
#endif

#if defined(LEASE_HAND_OVER) || defined(LEASE_AGAIN)
#define TAKES_NONE 0
#else
#define TAKES_NONE offered
#endif

/* Remaining times in place of clock readings: a state then does not depend on when it is. */
byte lease;               /* of the old master, on its clock; 0: none */
byte sent_ago;            /* its clock since the heartbeat of this round left */
bit asked, answered;      /* a heartbeat is under way; so is an answer to it */
byte promise[2];          /* of the replica and of the witness, on their clocks */
bit offered;              /* the place: that message may arrive at any time, and frees the voters */
bit elected;              /* the replica is master */

#define LESS(value, by) ((value) > (by) -> (value) - (by) : 0)

/* A tick of real time: the master's, the replica's and the witness's clock. */
#define TICK(m, r, w) \
	:: d_step { \
		!elected || lease > 0 -> \
		lease = LESS(lease, m); \
		if \
		:: asked || answered -> \
			sent_ago = (sent_ago + m > LEASE -> LEASE : sent_ago + m) \
		:: else -> skip \
		fi; \
		promise[0] = LESS(promise[0], r); \
		promise[1] = LESS(promise[1], w) \
	}
#define TICKS(m, r) TICK(m, r, SLOW) TICK(m, r, UNIT) TICK(m, r, FAST)

#define ON_HEARTBEAT(v) \
	:: d_step { \
		asked && !elected -> \
		promise[v] = ELECT; \
		answered = 1 \
	}

#define RESTART(v, quiet) \
	:: d_step { \
		!elected && promise[v] != quiet -> \
		promise[v] = quiet \
	}

active proctype world()
{
end:	do
	TICKS(SLOW, SLOW)
	TICKS(SLOW, UNIT)
	TICKS(SLOW, FAST)
	TICKS(UNIT, SLOW)
	TICKS(UNIT, UNIT)
	TICKS(UNIT, FAST)
	TICKS(FAST, SLOW)
	TICKS(FAST, UNIT)
	TICKS(FAST, FAST)
	/* A round begins; one that nobody answered is forgotten. */
	:: d_step {
		!elected ->
		asked = 1;
		answered = 0;
		sent_ago = 0
	}
	/* One answer and the master itself are two of three. */
	ON_HEARTBEAT(0)
	ON_HEARTBEAT(1)
	:: d_step {
		answered ->
#ifdef LEASE_FROM_ANSWER
		lease = (TAKES_NONE -> 0 : LEASE);
#else
		lease = (TAKES_NONE -> 0 : (lease > LEASE - sent_ago -> lease : LEASE - sent_ago));
#endif
		asked = 0;
		answered = 0;
		sent_ago = 0;
		HOLDS(11, !(elected && lease > 0))
	}
	:: d_step {
		!elected && !offered ->
#ifndef LEASE_HAND_OVER
		lease = 0;
#endif
		offered = 1
	}
	/* The replica campaigns and the witness votes: neither is bound any more. */
	:: d_step {
		!elected && (offered || (promise[0] == 0 && promise[1] == 0)) ->
		elected = 1;
		HOLDS(11, !(elected && lease > 0))
	}
#ifdef RESTART_FORGETS
	RESTART(0, 0)
	RESTART(1, 0)
#else
	RESTART(0, ELECT)
	RESTART(1, ELECT)
#endif
	od
}
