/* SPDX-License-Identifier: Apache-2.0
 *
 * The witness protocol for two data nodes and a witness (protocol sections 3 to 8), without time.
 *
 * Sizes: T terms, S epoch rises in the whole run, L blocks in a log.
 * Every step of a node is one d_step and starts and ends in the same place, so that a state is
 * nothing but the variables below. A message is never taken back once it is sent: it can be
 * delivered late, many times, in any order, or never. So a message is a "sent" value:
 *   VOTE        vote_pos, vote_len: what the candidate said of its log, for each term and candidate
 *   APPEND      stream[t]: the log of the master of term t, as far as it was ever sent
 *   APPEND_ACK  stream[t].ack: the highest block acknowledged as durable
 *   REGISTER    stream[t].reg: one bit for each epoch
 * A vote that is granted to a candidate that still is one (got), and the witness's answer to the
 * epoch that the master is still in (wack), are kept with the receiver: to others they mean nothing.
 * An acknowledgement is sent as soon as it could be, for a message that nobody acts on is the same
 * as one that is sent later. For the same reason a block is sent when it is appended.
 *
 * The ways to lose data that can be switched on (each has to end in a violation):
 *   P1 the witness votes without looking at its register      P4 the witness forgets its register
 *   P2 blocks of a solo epoch commit before the witness knows P5 a data node forgets durable blocks
 *   P3 no subset rule at equal (term, epoch)                  P6 REGISTER before the local barrier
 * READS adds the master's commit_index and I12: in registered SOLO the master's own answer is enough
 * for a linearizable read, once a block of its term has committed and until the next NORMAL barrier
 * is sent. READ_LATE goes on reading after that barrier was sent, READ_EARLY begins before that
 * commit; each has to end in a violation.
 * ONLY=n checks invariant n alone, so that a negative model can show which promise is broken.
 */
#ifndef T
#define T 2
#endif
#ifndef S
#define S 1
#endif
#ifndef L
#define L 3
#endif
#ifndef ONLY
#define ONLY 0
#endif
#if T > 3 || S > 3 || L < 3 || L > 4
#error "the positions and the unrolled loops below hold for T <= 3, S <= 3, L = 3 or 4"
#endif

#define HOLDS(number, condition) assert((ONLY != 0 && ONLY != number) || (condition))

#define FOLLOWER 0
#define CANDIDATE 1
#define MASTER 2

/* (term, epoch) in one byte, ordered; 0 is the position of an empty log and of a new register. */
#define POSITION(term, epoch) ((term) * 4 + (epoch))
#define TERM_OF(position) ((position) / 4)

typedef data_state {
	byte term, voted;        /* durable; voted: 0 is nobody, otherwise 1 + node */
	byte held, dur;          /* blocks received, blocks durable: dur <= held */
	byte log[L];             /* the position of each block; with its index it names the block */
	byte role, epoch;
	bit got, solo, wack;
#ifdef READS
	byte seen;               /* commit_index of a master: what it has committed in its term */
	bit kept;                /* the solo epoch just before this normal one was registered */
#endif
}

typedef stream_state {
	byte from;               /* 1 + the master of this term; 0 is none so far */
	byte held, ack, reg;
	byte log[L];
}

data_state node[2];
stream_state stream[T + 1];
byte vote_pos[(T + 1) * 2];      /* 1 + the position of the candidate's log; 0: not sent */
byte vote_len[(T + 1) * 2];
byte wterm, wvoted, wlast, wrset; /* the register; wrset: 1 + the data node of the rset */
byte agreed[L], agreed_len;      /* what was ever committed, that is: acknowledged */
byte agreed_in[L];               /* and the term of the master that committed it */
byte rises;

byte i, k, x;                    /* scratch: zero at the end of every step */

#define VOTE_OF(t, n) ((t) * 2 + (n))
#define LAST(n) (node[n].held > 0 -> node[n].log[node[n].held - 1] : 0)
#define LAST_DURABLE(n) (node[n].dur > 0 -> node[n].log[node[n].dur - 1] : 0)

#define LACKS_ONE(n, j) (agreed_len > (j) && (node[n].held <= (j) || node[n].log[j] != agreed[j]))
#define DURABLE_ONE(n, j) (node[n].dur > (j) && node[n].log[j] == agreed[j])
#define KEPT_ONE(j) (agreed_len <= (j) || DURABLE_ONE(0, j) || DURABLE_ONE(1, j))
#define AGREES_ONE(n, j, upto) ((j) >= (upto) || agreed_len <= (j) || agreed[j] == node[n].log[j])
#define SAME_ONE(n, t, j) (node[n].held > (j) && stream[t].held > (j) && \
	node[n].log[j] == stream[t].log[j])
#define CUTS_ONE(n, j, from) ((j) >= (from) && agreed_len > (j) && node[n].held > (j) && \
	node[n].log[j] == agreed[j])
#define MATCHES_ONE(j) (node[0].held <= (j) || node[1].held <= (j) || \
	node[0].log[j] != node[1].log[j] || node[0].log[(j) - 1] == node[1].log[(j) - 1])
#define MISSES_ONE(n, j) (LACKS_ONE(n, j) && agreed_in[j] < node[n].term)
#define LATER_HAS(t, j) (stream[t].from == 0 || agreed_len <= (j) || agreed_in[j] >= (t) || \
	(stream[t].held > (j) && stream[t].log[j] == agreed[j]))

#if L == 3
#define LACKS(n) (LACKS_ONE(n, 0) || LACKS_ONE(n, 1) || LACKS_ONE(n, 2))
#define MISSES(n) (MISSES_ONE(n, 0) || MISSES_ONE(n, 1) || MISSES_ONE(n, 2))
#define KEPT (KEPT_ONE(0) && KEPT_ONE(1) && KEPT_ONE(2))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto) && AGREES_ONE(n, 2, upto))
#define SAME(n, t) (SAME_ONE(n, t, 0) -> (SAME_ONE(n, t, 1) -> (SAME_ONE(n, t, 2) -> 3 : 2) : 1) : 0)
#define CUTS(n, from) (CUTS_ONE(n, 0, from) || CUTS_ONE(n, 1, from) || CUTS_ONE(n, 2, from))
#define MATCHES (MATCHES_ONE(1) && MATCHES_ONE(2))
#define LATER_HAS_ALL(t) (LATER_HAS(t, 0) && LATER_HAS(t, 1) && LATER_HAS(t, 2))
#else
#define LACKS(n) (LACKS_ONE(n, 0) || LACKS_ONE(n, 1) || LACKS_ONE(n, 2) || LACKS_ONE(n, 3))
#define MISSES(n) (MISSES_ONE(n, 0) || MISSES_ONE(n, 1) || MISSES_ONE(n, 2) || MISSES_ONE(n, 3))
#define KEPT (KEPT_ONE(0) && KEPT_ONE(1) && KEPT_ONE(2) && KEPT_ONE(3))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto) && \
	AGREES_ONE(n, 2, upto) && AGREES_ONE(n, 3, upto))
#define SAME(n, t) (SAME_ONE(n, t, 0) -> (SAME_ONE(n, t, 1) -> (SAME_ONE(n, t, 2) -> \
	(SAME_ONE(n, t, 3) -> 4 : 3) : 2) : 1) : 0)
#define CUTS(n, from) (CUTS_ONE(n, 0, from) || CUTS_ONE(n, 1, from) || CUTS_ONE(n, 2, from) || \
	CUTS_ONE(n, 3, from))
#define MATCHES (MATCHES_ONE(1) && MATCHES_ONE(2) && MATCHES_ONE(3))
#define LATER_HAS_ALL(t) (LATER_HAS(t, 0) && LATER_HAS(t, 1) && LATER_HAS(t, 2) && LATER_HAS(t, 3))
#endif

/* The witness's rule for a candidate that brings nothing but its own vote (section 8). */
#if defined(P1)
#define WITNESS_GRANTS(position, n) true
#elif defined(P3)
#define WITNESS_GRANTS(position, n) ((position) >= wlast)
#else
#define WITNESS_GRANTS(position, n) (wlast == 0 || (position) > wlast || \
	((position) == wlast && wrset == (n) + 1))
#endif

#ifdef READS
#define UNSEEN(n, j) (node[n].seen < (j))
#define SEES(n, j) node[n].seen = j
#ifdef READ_EARLY
#define READY(n) true
#else
#define READY(n) (node[n].seen > 0)
#endif
#ifdef READ_LATE
#define ALONE(n) ((node[n].solo && node[n].wack) || (node[n].kept && \
	node[n].log[node[n].seen - 1] != POSITION(node[n].term, node[n].epoch)))
#else
#define ALONE(n) (node[n].solo && node[n].wack)
#endif
/* It may answer from its own view at seen; then nothing else may have been acknowledged. */
#define READS_RIGHT(n) (node[n].role != MASTER || !READY(n) || !ALONE(n) || \
	(agreed_len <= node[n].seen && AGREES(n, L)))
#else
#define UNSEEN(n, j) (agreed_len < (j))
#define SEES(n, j) skip
#define READS_RIGHT(n) true
#endif

#define LIVE(t) (stream[t].from != 0 && node[stream[t].from - 1].role == MASTER && \
	node[stream[t].from - 1].term == (t))

/* A volatile role ends: by a higher term, a crash, or a master of the same term. */
inline follow(whose)
{
	node[whose].role = FOLLOWER;
	node[whose].got = 0;
	node[whose].epoch = 0;
	node[whose].solo = 0;
#ifdef READS
	node[whose].seen = 0;
	node[whose].kept = 0;
#endif
	node[whose].wack = 0
}

inline adopt(whose, newer)
{
	node[whose].term = newer;
	node[whose].voted = 0;
	follow(whose)
}

inline cut_to(whose, upto)
{
	i = upto;
	do
	:: i < node[whose].held -> node[whose].log[i] = 0; i++
	:: else -> break
	od;
	node[whose].held = upto;
	if
	:: node[whose].dur > upto -> node[whose].dur = upto
	:: else -> skip
	fi
}

inline append_own(whose)
{
	if
	:: node[whose].held < L ->
		x = node[whose].term;
		node[whose].log[node[whose].held] = POSITION(x, node[whose].epoch);
		stream[x].log[node[whose].held] = node[whose].log[node[whose].held];
		node[whose].held++;
		stream[x].held = node[whose].held
	:: else -> skip
	fi
}

inline acknowledge(whose)
{
	x = node[whose].term;
	if
	:: node[whose].role == FOLLOWER && stream[x].from != 0 && stream[x].from != whose + 1 ->
		k = SAME(whose, x);
		if
		:: node[whose].dur < k -> k = node[whose].dur
		:: else -> skip
		fi;
		if
		:: k > stream[x].ack -> stream[x].ack = k
		:: else -> skip
		fi
	:: else -> skip
	fi
}

/* What no step can read any more is set to zero, so that it does not tell two states apart. */
inline forget_message(of_term)
{
	if
	:: !LIVE(of_term) -> stream[of_term].ack = 0
	:: else -> skip
	fi;
	if
	:: wterm > of_term -> stream[of_term].reg = 0
	:: else -> skip
	fi;
	if
	:: node[0].term > of_term && node[1].term > of_term ->
		i = 0;
		do
		:: i < L -> stream[of_term].log[i] = 0; i++
		:: else -> break
		od;
		stream[of_term].held = 0;
		if
		:: stream[of_term].reg == 0 -> stream[of_term].from = 0
		:: else -> skip
		fi
	:: else -> skip
	fi;
	if
	:: wterm > of_term && node[1].term > of_term ->
		vote_pos[VOTE_OF(of_term, 0)] = 0;
		vote_len[VOTE_OF(of_term, 0)] = 0
	:: else -> skip
	fi;
	if
	:: wterm > of_term && node[0].term > of_term ->
		vote_pos[VOTE_OF(of_term, 1)] = 0;
		vote_len[VOTE_OF(of_term, 1)] = 0
	:: else -> skip
	fi
}

/* The end of every step: messages that can now be sent, and what has to hold in every state. */
inline settle()
{
	acknowledge(0);
	acknowledge(1);
	forget_message(1);
	forget_message(2);
#if T >= 3
	forget_message(3);
#endif
	HOLDS(2, MATCHES);
	/* What was acknowledged is durable somewhere, and whoever lacks it is refused. */
	HOLDS(5, KEPT);
	HOLDS(8, !LACKS(0) || !WITNESS_GRANTS(LAST(0), 0));
	HOLDS(8, !LACKS(1) || !WITNESS_GRANTS(LAST(1), 1));
	HOLDS(12, READS_RIGHT(0) && READS_RIGHT(1));
	/* Whichever data node crashes now, the witness's vote is enough for one of the two. */
	HOLDS(10, WITNESS_GRANTS(LAST_DURABLE(0), 0) || WITNESS_GRANTS(LAST(1), 1));
	HOLDS(10, WITNESS_GRANTS(LAST_DURABLE(1), 1) || WITNESS_GRANTS(LAST(0), 0));
	i = 0;
	k = 0;
	x = 0
}

#define me _pid
#define peer (1 - _pid)

#define LOG_RULE(t) (TERM_OF(vote_pos[VOTE_OF(t, peer)] - 1) > TERM_OF(LAST(me)) || \
	(TERM_OF(vote_pos[VOTE_OF(t, peer)] - 1) == TERM_OF(LAST(me)) && \
	vote_len[VOTE_OF(t, peer)] >= node[me].held))

/* The peer's VOTE of term t. */
#define ON_VOTE(t) \
	:: d_step { \
		vote_pos[VOTE_OF(t, peer)] != 0 && node[me].term <= t && \
		(node[me].term < t || (node[me].voted == 0 && LOG_RULE(t))) -> \
		if \
		:: node[me].term < t -> adopt(me, t) \
		:: else -> skip \
		fi; \
		if \
		:: LOG_RULE(t) -> \
			node[me].voted = peer + 1; \
			if \
			:: node[peer].role == CANDIDATE && node[peer].term == t -> \
				node[peer].got = 1 \
			:: else -> skip \
			fi \
		:: else -> skip \
		fi; \
		settle() \
	}

/* The next block that this node lacks of the log of term t's master. */
#define ON_APPEND(t) \
	:: d_step { \
		stream[t].from != 0 && stream[t].from != me + 1 && node[me].term <= t && \
		(SAME(me, t) < stream[t].held || node[me].role == CANDIDATE) -> \
		if \
		:: node[me].term < t -> adopt(me, t) \
		:: else -> follow(me) \
		fi; \
		k = SAME(me, t); \
		if \
		:: k < stream[t].held -> \
			if \
			:: node[me].held > k -> \
				HOLDS(9, !CUTS(me, k)); \
				cut_to(me, k) \
			:: else -> skip \
			fi; \
			node[me].log[k] = stream[t].log[k]; \
			node[me].held = k + 1 \
		:: else -> skip \
		fi; \
		settle() \
	}

#if defined(P2)
#define SOLO_MAY_COMMIT true
#else
#define SOLO_MAY_COMMIT node[me].wack
#endif

/* The master learns that its first j blocks are on enough copies. Only a block of the current
 * (term, epoch) is counted; the ones before it commit with it. */
#define ON_COMMIT(j) \
	:: d_step { \
		node[me].role == MASTER && node[me].dur >= j && \
		node[me].log[j - 1] == POSITION(node[me].term, node[me].epoch) && \
		(node[me].solo -> SOLO_MAY_COMMIT : stream[node[me].term].ack >= j) && \
		(UNSEEN(me, j) || !AGREES(me, j)) -> \
		HOLDS(4, AGREES(me, j)); \
		i = agreed_len; \
		do \
		:: i < j -> \
			agreed[i] = node[me].log[i]; \
			agreed_in[i] = node[me].term; \
			i++ \
		:: else -> break \
		od; \
		if \
		:: agreed_len < j -> agreed_len = j \
		:: else -> skip \
		fi; \
		SEES(me, j); \
		/* A newer master may exist that this one has not heard of. */ \
		HOLDS(3, node[me].term >= 2 || LATER_HAS_ALL(2)); \
		HOLDS(3, T < 3 || node[me].term >= 3 || LATER_HAS_ALL(T)); \
		HOLDS(7, DURABLE_ONE(peer, j - 1) || wlast >= node[me].log[j - 1]); \
		settle() \
	}

/* Enough votes. The second form goes straight to DEGRADED, at epoch 0 (section 6). */
#define ON_ELECTED(alone) \
	:: d_step { \
		node[me].role == CANDIDATE && node[me].got -> \
		x = node[me].term; \
		HOLDS(1, stream[x].from == 0); \
		/* A slow candidate may win a term that others have left: only older commits count. */ \
		HOLDS(3, !MISSES(me)); \
		follow(me); \
		node[me].role = MASTER; \
		node[me].solo = alone; \
		stream[x].from = me + 1; \
		i = 0; \
		do \
		:: i < L -> stream[x].log[i] = node[me].log[i]; i++ \
		:: else -> break \
		od; \
		stream[x].held = node[me].held; \
		append_own(me); \
		settle() \
	}

active [2] proctype data_node()
{
end:	do
	/* Nothing was heard for a while. The log is flushed before anybody is asked. */
	:: d_step {
		node[me].role != MASTER && node[me].term < T ->
		adopt(me, node[me].term + 1);
		node[me].voted = me + 1;
		node[me].role = CANDIDATE;
		node[me].dur = node[me].held;
		vote_pos[VOTE_OF(node[me].term, me)] = LAST(me) + 1;
		vote_len[VOTE_OF(node[me].term, me)] = node[me].held;
		settle()
	}
	/* Some message or refusal told of a higher term. */
	:: d_step {
		node[me].term < node[peer].term || node[me].term < wterm ->
		adopt(me, node[me].term + 1);
		settle()
	}
	ON_VOTE(1)
	ON_VOTE(2)
	ON_APPEND(1)
	ON_APPEND(2)
#if T >= 3
	ON_VOTE(3)
	ON_APPEND(3)
#endif
	ON_ELECTED(0)
	ON_ELECTED(1)
	/* A command, sealed into a block of its own. */
	:: d_step {
		node[me].role == MASTER && node[me].held < L ->
		append_own(me);
		settle()
	}
	/* One more block becomes durable. */
	:: d_step {
		node[me].dur < node[me].held ->
		node[me].dur++;
		settle()
	}
	ON_COMMIT(1)
	ON_COMMIT(2)
	ON_COMMIT(3)
#if L >= 4
	ON_COMMIT(4)
#endif
	/* Go degraded, or back to normal: the next epoch begins with its barrier. */
	:: d_step {
		node[me].role == MASTER && rises < S && node[me].held < L ->
		rises++;
		node[me].epoch++;
#ifdef READS
		node[me].kept = node[me].solo && node[me].wack;
#endif
		node[me].solo = 1 - node[me].solo;
		node[me].wack = 0;
		append_own(me);
		settle()
	}
	/* REGISTER, once the barrier of this epoch is durable here. */
	:: d_step {
		node[me].role == MASTER && node[me].solo &&
#ifdef P6
		true &&
#else
		LAST_DURABLE(me) == POSITION(node[me].term, node[me].epoch) &&
#endif
		(stream[node[me].term].reg & (1 << node[me].epoch)) == 0 &&
		wterm <= node[me].term ->
		x = node[me].term;
		stream[x].reg = stream[x].reg | (1 << node[me].epoch);
		settle()
	}
	/* A crash and the restart: what is not durable is gone, roles are too. */
	:: d_step {
		node[me].role != FOLLOWER || node[me].dur < node[me].held ->
		follow(me);
		cut_to(me, node[me].dur);
		settle()
	}
#ifdef P5
	:: d_step {
		node[me].dur > 0 ->
		follow(me);
		cut_to(me, node[me].dur - 1);
		settle()
	}
#endif
	od
}

/* A candidate's VOTE reaches the witness. */
#define W_ON_VOTE(t, n) \
	:: d_step { \
		vote_pos[VOTE_OF(t, n)] != 0 && wterm <= t && (wterm < t || wvoted == 0) -> \
		if \
		:: wterm < t -> wterm = t; wvoted = 0 \
		:: else -> skip \
		fi; \
		if \
		:: WITNESS_GRANTS(vote_pos[VOTE_OF(t, n)] - 1, n) -> \
			HOLDS(8, !LACKS(n)); \
			wvoted = n + 1; \
			if \
			:: node[n].role == CANDIDATE && node[n].term == t -> node[n].got = 1 \
			:: else -> skip \
			fi \
		:: else -> skip \
		fi; \
		settle() \
	}

/* REGISTER of the master of term t for epoch e. An equal one is acknowledged again. */
#define W_ON_REGISTER(t, e) \
	:: d_step { \
		(stream[t].reg & (1 << e)) != 0 && wterm <= t && POSITION(t, e) >= wlast && \
		(POSITION(t, e) > wlast || wrset == stream[t].from) -> \
		wterm = t; \
		wvoted = stream[t].from; \
		wlast = POSITION(t, e); \
		wrset = stream[t].from; \
		if \
		:: LIVE(t) && node[stream[t].from - 1].solo && \
			node[stream[t].from - 1].epoch == e -> \
			node[stream[t].from - 1].wack = 1 \
		:: else -> skip \
		fi; \
		settle() \
	}

active proctype witness()
{
end:	do
	W_ON_VOTE(1, 0)
	W_ON_VOTE(1, 1)
	W_ON_VOTE(2, 0)
	W_ON_VOTE(2, 1)
	W_ON_REGISTER(1, 0)
	W_ON_REGISTER(1, 1)
	W_ON_REGISTER(2, 0)
	W_ON_REGISTER(2, 1)
#if T >= 3
	W_ON_VOTE(3, 0)
	W_ON_VOTE(3, 1)
	W_ON_REGISTER(3, 0)
	W_ON_REGISTER(3, 1)
#endif
#if S >= 2
	W_ON_REGISTER(1, 2)
	W_ON_REGISTER(2, 2)
#if T >= 3
	W_ON_REGISTER(3, 2)
#endif
#endif
#if S >= 3
	W_ON_REGISTER(1, 3)
	W_ON_REGISTER(2, 3)
#if T >= 3
	W_ON_REGISTER(3, 3)
#endif
#endif
#ifdef P4
	:: d_step {
		wlast != 0 ->
		wterm = 0;
		wvoted = 0;
		wlast = 0;
		wrset = 0;
		settle()
	}
#endif
	od
}
