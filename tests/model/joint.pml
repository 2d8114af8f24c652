/* SPDX-License-Identifier: Apache-2.0
 *
 * The joint change of the membership (protocol section 12): from two data nodes and a witness to three
 * data nodes, or with BACK the other way. Built like witness.pml, which says how messages are kept;
 * here are only the differences.
 *
 * Nodes 0 and 1 are data nodes of both configs, node 2 is the third one. The run begins in term 1, whose
 * master (FIRST: node 0, or with BACK also the removed node 2) has committed its barrier on every copy.
 * A log is what comes after that barrier. One change in a run, by any master, in NORMAL mode.
 * Sizes: T terms, L blocks after the barrier, S times that a master goes degraded.
 *
 * A block is durable as soon as it is received: witness.pml has the difference. A vote reaches the
 * candidate while it still is one, or not at all. The witness is asked with the smallest votes_granted
 * that the candidate can ever have had: {self}, or one vote of the pair if it is not of the pair.
 *
 * The rules that can be left out (each has to end in a violation):
 *   ONE_STEP       the new rule alone from the append on
 *   COMMIT_ONLY    a candidate that holds the block needs both quorums
 *   ELECTION_ONLY  until the config commits blocks need both rules
 *   NO_ANSWER      a retired witness answers VOTE with the block that retired it
 *   ANY_BLOCK      that answer counts only for a candidate that holds that very block
 *   NAMED_ONLY     a voter answers even if it holds no config that names it
 *   REGISTER_LATE  the register of an entering witness is acknowledged before the block is appended
 *   LEARNER_AHEAD  a node that the master's config does not name is sent committed blocks only
 *   EMPTY_VOTES    a candidate that is not of the pair asks the witness after it has a vote of the pair
 * ONLY=n checks invariant n alone. 10: whichever node crashes now and stays away, the witness too,
 * one of the others is electable, unless a master is registered as the only copy.
 */
#ifndef T
#define T 2
#endif
#ifndef L
#define L 2
#endif
#ifndef S
#define S 0
#endif
#ifndef FIRST
#define FIRST 0
#endif
#ifndef ONLY
#define ONLY 0
#endif
#if T > 3 || S > 1 || L < 2 || L > 3
#error "the unrolled expressions below hold for T <= 3, S <= 1, L = 2 or 3"
#endif

#define HOLDS(number, condition) assert((ONLY != 0 && ONLY != number) || (condition))

#define FOLLOWER 0
#define CANDIDATE 1
#define MASTER 2
#define WITNESS 3
#define PAIR 3                   /* nodes 0 and 1, as a mask */

/* A block: its (term, epoch), and one bit more for the config block. */
#define POSITION(term, epoch) ((term) * 2 + (epoch))
#define BLOCK(term, epoch, config) (POSITION(term, epoch) * 2 + (config))
#define IS_CONFIG(block) ((block) & 1)

typedef data_state {
	byte term, voted;        /* voted: 0 is nobody, otherwise 1 + node */
	byte held;
	byte log[L];
	byte role, got;          /* got: the votes of a candidate, as a mask */
	bit known;               /* it knows that the config block is committed */
	bit solo, wack;          /* master: degraded, and the witness acknowledged that */
}

typedef stream_state {
	byte from;               /* 1 + the master of this term; 0 is none so far */
	byte held;
	byte ack[3];
	byte log[L];
	bit told;                /* its commit_index, as far as the config block is concerned */
	bit reg, reg_epoch;      /* REGISTER was sent, and with which epoch */
}

data_state node[3];
stream_state stream[T + 1];
byte wterm, wvoted, wlast, wrset; /* wlast 0: there is no register, and the witness refuses */
bit wretired;
byte retire;                     /* the newest term in which a master sent REGISTER {retired} */
byte agreed[L], agreed_len, agreed_in[L];
bit degraded;                    /* some master went degraded, S times at most */
bit begun;
byte i, k, x;                    /* scratch: zero at the end of every step */
bit first, second, third, fourth, tells;

#define LAST(n) (node[n].held > 0 -> node[n].log[node[n].held - 1] / 2 : POSITION(1, 0))
#define LACKS_ONE(n, j) (agreed_len > (j) && (node[n].held <= (j) || node[n].log[j] != agreed[j]))
#define MISSES_ONE(n, j) (LACKS_ONE(n, j) && agreed_in[j] < node[n].term)
#define AGREES_ONE(n, j, upto) ((j) >= (upto) || agreed_len <= (j) || agreed[j] == node[n].log[j])
#define SAME_ONE(n, t, j) (node[n].held > (j) && stream[t].held > (j) && \
	node[n].log[j] == stream[t].log[j])
#define CUTS_ONE(n, j, from) ((j) >= (from) && agreed_len > (j) && node[n].held > (j) && \
	node[n].log[j] == agreed[j])
#define LATER_HAS_ONE(t, j) (agreed_len <= (j) || agreed_in[j] >= (t) || \
	(stream[t].held > (j) && stream[t].log[j] == agreed[j]))
#if L == 2
#define MISSES(n) (MISSES_ONE(n, 0) || MISSES_ONE(n, 1))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto))
#define SAME(n, t) (SAME_ONE(n, t, 0) -> (SAME_ONE(n, t, 1) -> 2 : 1) : 0)
#define CUTS(n, from) (CUTS_ONE(n, 0, from) || CUTS_ONE(n, 1, from))
#define LATER_HAS(t) (stream[t].from == 0 || (LATER_HAS_ONE(t, 0) && LATER_HAS_ONE(t, 1)))
#define HAS_CONFIG(n) (IS_CONFIG(node[n].log[0]) || IS_CONFIG(node[n].log[1]))
#define COMMITS_CONFIG(n, j) (IS_CONFIG(node[n].log[0]) || ((j) > 1 && IS_CONFIG(node[n].log[1])))
#define STREAM_HAS_CONFIG(t) (IS_CONFIG(stream[t].log[0]) || IS_CONFIG(stream[t].log[1]))
#else
#define MISSES(n) (MISSES_ONE(n, 0) || MISSES_ONE(n, 1) || MISSES_ONE(n, 2))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto) && AGREES_ONE(n, 2, upto))
#define SAME(n, t) (SAME_ONE(n, t, 0) -> (SAME_ONE(n, t, 1) -> (SAME_ONE(n, t, 2) -> 3 : 2) : 1) : 0)
#define CUTS(n, from) (CUTS_ONE(n, 0, from) || CUTS_ONE(n, 1, from) || CUTS_ONE(n, 2, from))
#define LATER_HAS(t) (stream[t].from == 0 || \
	(LATER_HAS_ONE(t, 0) && LATER_HAS_ONE(t, 1) && LATER_HAS_ONE(t, 2)))
#define HAS_CONFIG(n) (IS_CONFIG(node[n].log[0]) || IS_CONFIG(node[n].log[1]) || \
	IS_CONFIG(node[n].log[2]))
#define COMMITS_CONFIG(n, j) (IS_CONFIG(node[n].log[0]) || ((j) > 1 && IS_CONFIG(node[n].log[1])) || \
	((j) > 2 && IS_CONFIG(node[n].log[2])))
#define STREAM_HAS_CONFIG(t) (IS_CONFIG(stream[t].log[0]) || IS_CONFIG(stream[t].log[1]) || \
	IS_CONFIG(stream[t].log[2]))
#endif
/* Above the end of a log everything is zero. */

/* Is the config block of n's log the committed one? Chain hashes are equal exactly then. */
#ifdef ANY_BLOCK
#define HAS_THAT(n) HAS_CONFIG(n)
#else
#define THAT_ONE(n, j) (IS_CONFIG(node[n].log[j]) && agreed_len > (j) && agreed[j] == node[n].log[j])
#if L == 2
#define HAS_THAT(n) (THAT_ONE(n, 0) || THAT_ONE(n, 1))
#else
#define HAS_THAT(n) (THAT_ONE(n, 0) || THAT_ONE(n, 1) || THAT_ONE(n, 2))
#endif
#endif

/* The rules of the two configs, by what was counted: for the pair, and for the three. */
#ifdef BACK
#define OLD(pair, three) (three)
#define NEW(pair, three) (pair)
#define MAY_STAND(n, knows) ((n) != 2 || !(knows))
#else
#define OLD(pair, three) (pair)
#define NEW(pair, three) (three)
#define MAY_STAND(n, knows) ((n) != 2 || HAS_CONFIG(n))
#endif
#if defined(ONE_STEP) || defined(COMMIT_ONLY)
#define JOINT_ELECTION(pair, three) NEW(pair, three)
#else
#define JOINT_ELECTION(pair, three) ((pair) && (three))
#endif
#if defined(ONE_STEP) || defined(ELECTION_ONLY)
#define JOINT_COMMIT(pair, three) NEW(pair, three)
#else
#define JOINT_COMMIT(pair, three) ((pair) && (three))
#endif
#define ELECTION(n, knows, pair, three) (!HAS_CONFIG(n) -> OLD(pair, three) : \
	((knows) -> NEW(pair, three) : JOINT_ELECTION(pair, three)))
#define COMMIT(n, pair, three) (!HAS_CONFIG(n) -> OLD(pair, three) : \
	(node[n].known -> NEW(pair, three) : JOINT_COMMIT(pair, three)))
/* Does this node go by the pair's rule, alone or with the other? */
#define USES_PAIR(n) OLD(!HAS_CONFIG(n) || !node[n].known, HAS_CONFIG(n))

#define GOT(n, v) ((node[n].got >> (v)) & 1)
#define TERM_OF_LAST(n) (LAST(n) / 2)
#define LOG_RULE(v, n) (TERM_OF_LAST(n) > TERM_OF_LAST(v) || \
	(TERM_OF_LAST(n) == TERM_OF_LAST(v) && node[n].held >= node[v].held))
#ifdef NAMED_ONLY
#define ANSWERS(v) ((v) != 2 || HAS_CONFIG(v))
#else
#define ANSWERS(v) true
#endif

/* The witness; first and second: is the vote of that node of the pair among those it is told of? */
#ifdef EMPTY_VOTES
#define SUBSET(n, first, second) ((n) == 2 || (wrset & (1 << (n))))
#else
#define SUBSET(n, first, second) ((n) == 2 -> \
	(((first) && (wrset & 1)) || ((second) && (wrset & 2))) : (wrset & (1 << (n))))
#endif
#define WITNESS_GRANTS(n, first, second) (wlast != 0 && !wretired && \
	(LAST(n) > wlast || (LAST(n) == wlast && SUBSET(n, first, second))))

/* I10: who would vote for n if `dead` were away. */
#define GIVES(v, n, dead) ((v) != (dead) && ((v) == (n) || (ANSWERS(v) && LOG_RULE(v, n))))
#ifdef NO_ANSWER
#define TELLS(dead) false
#else
#define TELLS(dead) ((dead) != WITNESS && wretired)
#endif
#define TOLD_BY(v, dead) ((v) != (dead) && node[v].known)

#define LIVE(t) (stream[t].from != 0 && node[stream[t].from - 1].role == MASTER && \
	node[stream[t].from - 1].term == (t))

inline follow(whose)
{
	node[whose].role = FOLLOWER;
	node[whose].got = 0;
	node[whose].solo = 0;
	node[whose].wack = 0
}

inline adopt(whose, newer)
{
	node[whose].term = newer;
	node[whose].voted = 0;
	follow(whose)
}

inline append_own(whose, config)
{
	if
	:: node[whose].held < L ->
		x = node[whose].term;
		node[whose].log[node[whose].held] = BLOCK(x, node[whose].solo, config);
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
	:: node[whose].role == FOLLOWER && LIVE(x) ->
		k = SAME(whose, x);
		if
		:: k > stream[x].ack[whose] -> stream[x].ack[whose] = k
		:: else -> skip
		fi
	:: else -> skip
	fi
}

/* What no step can read any more is set to zero. */
inline forget_message(of_term)
{
	if
	:: !LIVE(of_term) ->
		stream[of_term].ack[0] = 0;
		stream[of_term].ack[1] = 0;
		stream[of_term].ack[2] = 0
	:: else -> skip
	fi;
	if
	:: wterm > of_term ->
		stream[of_term].reg = 0;
		stream[of_term].reg_epoch = 0
	:: else -> skip
	fi;
	if
	:: node[0].term > of_term && node[1].term > of_term && node[2].term > of_term ->
		stream[of_term].log[0] = 0;
		stream[of_term].log[1] = 0;
#if L >= 3
		stream[of_term].log[2] = 0;
#endif
		stream[of_term].held = 0;
		stream[of_term].told = 0;
		if
		:: !stream[of_term].reg -> stream[of_term].from = 0
		:: else -> skip
		fi
	:: else -> skip
	fi
}

/* Is one of the others electable if this node is away? Sets x, and uses k and the votes. */
inline somebody(dead)
{
	x = 0;
	k = 0;
	do
	:: k < 3 && x == 0 ->
		if
		:: k != dead ->
			first = GIVES(0, k, dead);
			second = GIVES(1, k, dead);
			third = GIVES(2, k, dead);
			fourth = dead != WITNESS && WITNESS_GRANTS(k, first, second);
			tells = node[k].known || (HAS_THAT(k) && (TELLS(dead) || TOLD_BY(0, dead) ||
				TOLD_BY(1, dead) || TOLD_BY(2, dead)));
			x = MAY_STAND(k, tells) && ELECTION(k, tells, (first + second + fourth >= 2),
				(first + second + third >= 2))
		:: else -> skip
		fi;
		k++
	:: else -> break
	od;
	HOLDS(10, x == 1)
}

/* The end of every step. */
inline settle()
{
	acknowledge(0);
	acknowledge(1);
	acknowledge(2);
	forget_message(1);
#if T >= 3
	forget_message(2);
#endif
	if
	:: wretired || wterm > retire -> retire = 0
	:: else -> skip
	fi;
	if
	:: !degraded ->
		somebody(0);
		somebody(1);
		somebody(2);
		somebody(WITNESS);
		first = 0;
		second = 0;
		third = 0;
		fourth = 0;
		tells = 0
	:: else -> skip
	fi;
	i = 0;
	k = 0;
	x = 0
}

#define me _pid

#if defined(BACK) || defined(LEARNER_AHEAD)
#define IS_SENT(t, j) true
#else
#define IS_SENT(t, j) (me != 2 || (agreed_len > (j) && agreed[j] == stream[t].log[j]) || \
	STREAM_HAS_CONFIG(t))
#endif

/* Candidate n asks this node. Its answer tells whether the config is committed. */
#define ON_VOTE(n) \
	:: d_step { \
		me != n && node[n].role == CANDIDATE && node[me].term <= node[n].term && ANSWERS(me) && \
		(node[me].term < node[n].term || (node[me].voted == 0 && LOG_RULE(me, n)) || \
		(node[me].known && !node[n].known && HAS_THAT(n))) -> \
		if \
		:: node[me].term < node[n].term -> adopt(me, node[n].term) \
		:: else -> skip \
		fi; \
		if \
		:: LOG_RULE(me, n) && node[me].voted == 0 -> \
			node[me].voted = n + 1; \
			node[n].got = node[n].got | (1 << me) \
		:: else -> skip \
		fi; \
		node[n].known = node[n].known || (node[me].known && HAS_THAT(n)); \
		settle() \
	}

/* The next block that this node lacks of the log of term t's master. */
#define ON_APPEND(t) \
	:: d_step { \
		stream[t].from != 0 && stream[t].from != me + 1 && node[me].term <= t && \
		((SAME(me, t) < stream[t].held && IS_SENT(t, SAME(me, t))) || \
		node[me].role == CANDIDATE) -> \
		if \
		:: node[me].term < t -> adopt(me, t) \
		:: else -> follow(me) \
		fi; \
		k = SAME(me, t); \
		if \
		:: k < stream[t].held && IS_SENT(t, k) -> \
			HOLDS(9, !CUTS(me, k)); \
			i = k; \
			do \
			:: i < node[me].held -> node[me].log[i] = 0; i++ \
			:: else -> break \
			od; \
			node[me].log[k] = stream[t].log[k]; \
			node[me].held = k + 1 \
		:: else -> skip \
		fi; \
		settle() \
	} \
	:: d_step { \
		/* And what it says of its commit_index. */ \
		stream[t].told && stream[t].from != me + 1 && node[me].term == t && \
		!node[me].known && HAS_THAT(me) && SAME(me, t) == node[me].held -> \
		node[me].known = 1; \
		settle() \
	}

#define COPY(n, j) ((n) == me || stream[node[me].term].ack[n] >= (j))
#define ON_COMMIT(j) \
	:: d_step { \
		node[me].role == MASTER && node[me].held >= j && \
		node[me].log[j - 1] / 2 == POSITION(node[me].term, node[me].solo) && \
		(agreed_len < j || !AGREES(me, j) || (COMMITS_CONFIG(me, j) && !node[me].known)) && \
		COMMIT(me, (node[me].solo -> node[me].wack : COPY(0, j) && COPY(1, j)), \
		(COPY(0, j) + COPY(1, j) + COPY(2, j) >= 2)) -> \
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
		HOLDS(3, node[me].term >= 2 || LATER_HAS(2)); \
		HOLDS(3, T < 3 || node[me].term >= 3 || LATER_HAS(T)); \
		node[me].known = node[me].known || COMMITS_CONFIG(me, j); \
		if \
		:: !MAY_STAND(me, node[me].known) -> follow(me) \
		:: else -> skip \
		fi; \
		settle() \
	}

#define ON_ELECTED(alone) \
	:: d_step { \
		node[me].role == CANDIDATE && (!alone || (!degraded && me != 2 && USES_PAIR(me))) && \
		ELECTION(me, node[me].known, \
		(GOT(me, 0) + GOT(me, 1) + GOT(me, WITNESS) >= 2), \
		(GOT(me, 0) + GOT(me, 1) + GOT(me, 2) >= 2)) -> \
		x = node[me].term; \
		HOLDS(1, stream[x].from == 0); \
		HOLDS(3, !MISSES(me)); \
		follow(me); \
		node[me].role = MASTER; \
		stream[x].from = me + 1; \
		if \
		:: alone -> degraded = 1; node[me].solo = 1 \
		:: else -> skip \
		fi; \
		i = 0; \
		do \
		:: i < L -> stream[x].log[i] = node[me].log[i]; i++ \
		:: else -> break \
		od; \
		stream[x].held = node[me].held; \
		append_own(me, 0); \
		settle() \
	}

/* A barrier of its own term is committed, and it is in NORMAL mode. */
#define MAY_CHANGE (node[me].role == MASTER && !node[me].solo && !HAS_CONFIG(me) && \
	(node[me].term == 1 || (agreed_len > 0 && agreed_in[agreed_len - 1] == node[me].term)))
#if defined(BACK) && !defined(REGISTER_LATE)
#define ENTERED (wlast == POSITION(node[me].term, 0))
#else
#define ENTERED true
#endif

active [3] proctype data_node()
{
	begun;
end:	do
	:: d_step {
		node[me].role != MASTER && node[me].term < T && MAY_STAND(me, node[me].known) ->
		adopt(me, node[me].term + 1);
		node[me].voted = me + 1;
		node[me].role = CANDIDATE;
		node[me].got = 1 << me;
		settle()
	}
	/* Some message or refusal told of a higher term. */
	:: d_step {
		node[me].term < node[0].term || node[me].term < node[1].term ||
		node[me].term < node[2].term || node[me].term < wterm ->
		adopt(me, node[me].term + 1);
		settle()
	}
	ON_VOTE(0)
	ON_VOTE(1)
	ON_VOTE(2)
	ON_APPEND(1)
	ON_APPEND(2)
#if T >= 3
	ON_APPEND(3)
#endif
	ON_ELECTED(0)
	/* A command. */
	:: d_step {
		node[me].role == MASTER && node[me].held < L ->
		append_own(me, 0);
		settle()
	}
	/* The change. */
	:: d_step {
		MAY_CHANGE && ENTERED && node[me].held < L ->
		append_own(me, 1);
		settle()
	}
	ON_COMMIT(1)
	ON_COMMIT(2)
#if L >= 3
	ON_COMMIT(3)
#endif
	/* What follows from its commit: the others are told, and the old witness. */
	:: d_step {
		node[me].role == MASTER && node[me].known && !stream[node[me].term].told ->
		stream[node[me].term].told = 1;
		settle()
	}
#ifndef BACK
	:: d_step {
		node[me].role == MASTER && node[me].known && !wretired && wterm <= node[me].term &&
		retire < node[me].term ->
		retire = node[me].term;
		settle()
	}
#endif
#if S >= 1
	/* Straight to DEGRADED, at epoch 1 for simplicity; or go degraded later. */
	ON_ELECTED(1)
	:: d_step {
		node[me].role == MASTER && !node[me].solo && !degraded && me != 2 && USES_PAIR(me) &&
		node[me].held < L ->
		degraded = 1;
		node[me].solo = 1;
		append_own(me, 0);
		settle()
	}
	:: d_step {
		node[me].role == MASTER && node[me].solo && USES_PAIR(me) && wterm <= node[me].term &&
		!stream[node[me].term].reg &&
		LAST(me) == POSITION(node[me].term, 1) ->
		stream[node[me].term].reg = 1;
		settle()
	}
#endif
	/* A crash and the restart. */
	:: d_step {
		node[me].role != FOLLOWER || node[me].known ->
		follow(me);
		node[me].known = 0;
		settle()
	}
	od
}

/* Candidate n asks the witness. */
#define W_ON_VOTE(n) \
	:: d_step { \
		node[n].role == CANDIDATE && USES_PAIR(n) && wlast != 0 && !wretired && \
		wterm <= node[n].term && (wterm < node[n].term || \
		(wvoted == 0 && WITNESS_GRANTS(n, GOT(n, 0), GOT(n, 1)))) -> \
		if \
		:: wterm < node[n].term -> wterm = node[n].term; wvoted = 0 \
		:: else -> skip \
		fi; \
		if \
		:: WITNESS_GRANTS(n, GOT(n, 0), GOT(n, 1)) -> \
			wvoted = n + 1; \
			node[n].got = node[n].got | (1 << WITNESS) \
		:: else -> skip \
		fi; \
		settle() \
	} \
	:: d_step { \
		TELLS(n) && node[n].role == CANDIDATE && HAS_THAT(n) && !node[n].known -> \
		node[n].known = 1; \
		settle() \
	}

#define W_ON_REGISTER(t) \
	:: d_step { \
		stream[t].reg && !wretired && wterm <= t && POSITION(t, 1) > wlast -> \
		wterm = t; \
		wvoted = stream[t].from; \
		wlast = POSITION(t, 1); \
		wrset = 1 << (stream[t].from - 1); \
		if \
		:: LIVE(t) -> node[stream[t].from - 1].wack = 1 \
		:: else -> skip \
		fi; \
		settle() \
	}

/* The register of the entering witness, which is that of the newest committed barrier. */
#define W_ON_ENTER(n) \
	:: d_step { \
		node[n].role == MASTER && !node[n].solo && \
		wterm <= node[n].term && wlast < POSITION(node[n].term, 0) && \
		(node[n].term == 1 || \
		(agreed_len > 0 && agreed_in[agreed_len - 1] == node[n].term)) -> \
		wterm = node[n].term; \
		wvoted = n + 1; \
		wlast = POSITION(node[n].term, 0); \
		wrset = PAIR; \
		settle() \
	}

active proctype witness()
{
	d_step {
		node[0].term = 1;
		node[1].term = 1;
		node[2].term = 1;
		node[0].voted = FIRST + 1;
		node[1].voted = FIRST + 1;
		node[2].voted = FIRST + 1;
		node[FIRST].role = MASTER;
		stream[1].from = FIRST + 1;
		begun = 1;
#ifndef BACK
		wterm = 1;
		wvoted = FIRST + 1;
		wlast = POSITION(1, 0);
		wrset = PAIR;
#endif
		settle()
	}
end:	do
	W_ON_VOTE(0)
	W_ON_VOTE(1)
	W_ON_VOTE(2)
#ifdef BACK
	W_ON_ENTER(0)
	W_ON_ENTER(1)
	W_ON_ENTER(2)
#else
	:: d_step {
		retire != 0 && !wretired && wterm <= retire ->
		wterm = retire;
		wvoted = 0;
		wretired = 1;
		settle()
	}
#endif
#if S >= 1
	W_ON_REGISTER(1)
	W_ON_REGISTER(2)
#if T >= 3
	W_ON_REGISTER(3)
#endif
#endif
	od
}
