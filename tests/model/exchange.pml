/* SPDX-License-Identifier: Apache-2.0
 *
 * One witness in the place of another, or (VOTER) one of two data nodes in the place of a dead one
 * (protocol section 12). Smaller than witness.pml: what is durable where is all that there is of a
 * message. A vote, an acknowledgement and a registration happen at one moment, at both ends; that they
 * may arrive late is in the models of the protocol that this one changes.
 *
 * Nodes 0, 1, 2 are data nodes; 2 is the new one of VOTER and nothing otherwise. A log is what comes after
 * a barrier of term 1 that all voters hold. Three configurations, one after the other: of before; while
 * the exchange is under way; of after. A block says which one begins with it.
 *
 *   witness   {0, 1} and the old one; {0, 1}, no witness has a vote; {0, 1} and the new one
 *   VOTER     {0, 1} and the witness; {0}; {0, 2} and the witness
 *
 * Sizes: T terms, L blocks, E epochs a term beyond the first.
 *
 * The rules that can be left out, and the search has to end in a violation:
 *   ONE_STEP       there is a configuration in between; of voters: both rules hold until it commits
 *   NOT_ALONE      VOTER, with ONE_STEP: only a master that is registered as the only copy drops the other
 * ONLY=n checks invariant n alone. 3: a new master holds every committed block; 1: one master a term; 4:
 * what is committed at an index is so for ever.
 */
#ifndef T
#define T 2
#endif
#ifndef L
#define L 6
#endif
#ifndef E
#define E 2
#endif
#ifndef ONLY
#define ONLY 0
#endif
#if L != 6 || E > 3 || T > 4
#error "the unrolled expressions below hold for L = 6, E <= 3, T <= 4"
#endif

#define HOLDS(number, condition) assert((ONLY != 0 && ONLY != number) || (condition))

#define FOLLOWER 0
#define MASTER 1

/* A block: its (term, epoch), and the configuration that begins with it; 3: none does. */
#define POSITION(term, epoch) ((term) * 4 + (epoch))
#define BLOCK(position, config) ((position) * 4 + (config))
#define CONFIG_OF(block) ((block) % 4)
#define PLACE_OF(block) ((block) / 4)
#define PLAIN 3

typedef data_state {
	byte term, voted;        /* voted: 0 is nobody, otherwise 1 + node */
	byte role, epoch;
	byte held;
	byte log[L];
	byte known;              /* how much of it this node knows to be committed */
	bit solo, wack;          /* master: without another one; the witness has written that down */
	bit entered;             /* master: the register that enters is of a barrier of its epoch */
}

typedef witness_state {
	byte term, voted, last, rset; /* last 0: it has entered nothing, and refuses */
}

data_state node[3];
witness_state witness[2];        /* the old one, or the only one; the new one */
byte agreed[L], agreed_len;
byte masters[T + 1];             /* 1 + who was elected in a term */
byte i, k, x, y;                 /* scratch: zero at the end of every step */

#define LAST(n) (node[n].held > 0 -> PLACE_OF(node[n].log[node[n].held - 1]) : POSITION(1, 0))

/* The configuration of a log up to a length: the newest that a block of it says. */
#define SAYS(n, j, upto) ((j) < (upto) && CONFIG_OF(node[n].log[j]) != PLAIN)
#define CONFIG_AT(n, j, upto, before) (SAYS(n, j, upto) -> CONFIG_OF(node[n].log[j]) : (before))
#define CONFIG_UPTO(n, upto) CONFIG_AT(n, 5, upto, CONFIG_AT(n, 4, upto, CONFIG_AT(n, 3, upto, \
	CONFIG_AT(n, 2, upto, CONFIG_AT(n, 1, upto, CONFIG_AT(n, 0, upto, 0))))))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto) && \
	AGREES_ONE(n, 2, upto) && AGREES_ONE(n, 3, upto) && AGREES_ONE(n, 4, upto) && \
	AGREES_ONE(n, 5, upto))
#define LACKS(n) (LACKS_ONE(n, 0) || LACKS_ONE(n, 1) || LACKS_ONE(n, 2) || LACKS_ONE(n, 3) || \
	LACKS_ONE(n, 4) || LACKS_ONE(n, 5))
#define AGREES_ONE(n, j, upto) ((j) >= (upto) || agreed_len <= (j) || agreed[j] == node[n].log[j])
#define LACKS_ONE(n, j) (agreed_len > (j) && (node[n].held <= (j) || node[n].log[j] != agreed[j]))

#define NEWEST(n) CONFIG_UPTO(n, node[n].held)
#define SETTLED(n) CONFIG_UPTO(n, node[n].known)
#define HAS(n, length) (node[n].held >= (length))

/* Votes and copies, as a mask: 1, 2, 4 the data nodes, 8 the old witness, 16 the new one. */
#define COUNT2(mask, a, b) ((((mask) / (a)) % 2) + (((mask) / (b)) % 2))
#define COUNT3(mask, a, b, c) (COUNT2(mask, a, b) + (((mask) / (c)) % 2))
#ifdef VOTER
#define RULE(config, mask) ((config) == 0 -> COUNT3(mask, 1, 2, 8) >= 2 : \
	((config) == 1 -> ((mask) % 2) == 1 : COUNT3(mask, 1, 4, 8) >= 2))
#define IS_VOTER(config, n) ((config) == 0 -> (n) < 2 : \
	((config) == 1 -> (n) == 0 : (n) != 1))
#define OTHER(config, n) ((n) != 0 -> 0 : ((config) == 0 -> 1 : 2))
#define WITNESS_OF(config) 0
#define HAS_WITNESS(config) ((config) != 1)
#define PEER_SET(config) ((config) == 0 -> 3 : 5)
#else
#define RULE(config, mask) ((config) == 0 -> COUNT3(mask, 1, 2, 8) >= 2 : \
	((config) == 1 -> COUNT2(mask, 1, 2) == 2 : COUNT3(mask, 1, 2, 16) >= 2))
#define IS_VOTER(config, n) ((n) < 2)
#define OTHER(config, n) (1 - (n))
#define WITNESS_OF(config) ((config) == 2 -> 1 : 0)
#define HAS_WITNESS(config) ((config) != 1)
#define PEER_SET(config) 3
#endif
#define BIT_OF_WITNESS(w) ((w) == 0 -> 8 : 16)
/* Only data voters change jointly: both rules until the block is known to be committed. */
#if defined(VOTER) && !defined(ONE_STEP)
#define RULES(n, mask) (RULE(NEWEST(n), mask) && (SETTLED(n) == NEWEST(n) || RULE(SETTLED(n), mask)))
#else
#define RULES(n, mask) RULE(NEWEST(n), mask)
#endif

#define LOG_RULE(v, n) (LAST(n) / 4 > LAST(v) / 4 || \
	(LAST(n) / 4 == LAST(v) / 4 && node[n].held >= node[v].held))
#define WITNESS_GRANTS(w, n) (witness[w].last != 0 && (LAST(n) > witness[w].last || \
	(LAST(n) == witness[w].last && ((witness[w].rset / (1 << (n))) % 2) == 1)))

inline follow(whose, newer)
{
	node[whose].role = FOLLOWER;
	node[whose].epoch = 0;
	node[whose].solo = 0;
	node[whose].wack = 0;
	node[whose].entered = 0;
	if
	:: newer > node[whose].term ->
		node[whose].term = newer;
		node[whose].voted = 0
	:: else -> skip
	fi
}

inline append(whose, config)
{
	node[whose].log[node[whose].held] =
		BLOCK(POSITION(node[whose].term, node[whose].epoch), config);
	node[whose].held++
}

/* One more block, or the first one that differs is cut with all behind it. */
inline replicate(from, to)
{
	follow(to, node[from].term);
	i = 0;
	do
	:: i < node[to].held && i < node[from].held && node[to].log[i] == node[from].log[i] -> i++
	:: else -> break
	od;
	if
	:: i < node[to].held ->
		HOLDS(4, node[to].known <= i);
		node[to].held = i;
		do
		:: i < L -> node[to].log[i] = 0; i++
		:: else -> break
		od
	:: else ->
		node[to].log[i] = node[from].log[i];
		node[to].held++
	fi;
	i = 0
}

/* Who holds the first x blocks of n's log, as a mask. */
#define SAME_ONE(n, v, j) (x <= (j) || node[v].log[j] == node[n].log[j])
#define SAME(n, v) (node[v].held >= x && SAME_ONE(n, v, 0) && SAME_ONE(n, v, 1) && \
	SAME_ONE(n, v, 2) && SAME_ONE(n, v, 3) && SAME_ONE(n, v, 4) && SAME_ONE(n, v, 5))
#define FOLLOWS(n, v) (node[v].term == node[n].term && SAME(n, v))
#define COPIES(n) ((FOLLOWS(n, 0) -> 1 : 0) + (FOLLOWS(n, 1) -> 2 : 0) + (FOLLOWS(n, 2) -> 4 : 0) + \
	(node[n].solo && node[n].wack && HAS_WITNESS(NEWEST(n)) -> \
		BIT_OF_WITNESS(WITNESS_OF(NEWEST(n))) : 0) + \
	(node[n].solo && node[n].wack && WITNESS_OF(SETTLED(n)) != WITNESS_OF(NEWEST(n)) && \
		HAS_WITNESS(SETTLED(n)) -> BIT_OF_WITNESS(WITNESS_OF(SETTLED(n))) : 0))
/* In NORMAL mode a pair commits on both copies: the witness counts for an only copy alone. */
#define COMMITS(n, copies) (PLACE_OF(node[n].log[x - 1]) == POSITION(node[n].term, node[n].epoch) && \
	(!node[n].solo || node[n].wack || !HAS_WITNESS(NEWEST(n))) && RULES(n, copies))

inline commit_upto(whose)
{
	HOLDS(4, AGREES(whose, x));
	node[whose].known = x;
	do
	:: agreed_len < x ->
		agreed[agreed_len] = node[whose].log[agreed_len];
		agreed_len++
	:: else -> break
	od
}

/* The votes that n gets when it asks the data node v, or nobody (v == n), and the witness if asked. */
inline elect(who, asked, asks_witness)
{
	x = node[who].term + 1;
	k = 1 << who;
	if
	:: asked != who && node[asked].term < x && LOG_RULE(asked, who) -> k = k + (1 << asked)
	:: else -> skip
	fi;
	i = WITNESS_OF(NEWEST(who));
	if
	:: asks_witness && HAS_WITNESS(NEWEST(who)) && witness[i].term < x && WITNESS_GRANTS(i, who) ->
		k = k + BIT_OF_WITNESS(i)
	:: else -> skip
	fi;
	/* Whoever granted has promised, whether it was enough or not. */
	if
	:: asked != who && ((k / (1 << asked)) % 2) == 1 ->
		follow(asked, x);
		node[asked].voted = who + 1
	:: else -> skip
	fi;
	if
	:: (k / BIT_OF_WITNESS(i)) % 2 == 1 ->
		witness[i].term = x;
		witness[i].voted = who + 1
	:: else -> skip
	fi;
	follow(who, x);
	node[who].voted = who + 1;
	if
	:: RULES(who, k) ->
		HOLDS(1, masters[x] == 0);
		HOLDS(3, !LACKS(who));
		masters[x] = who + 1;
		node[who].role = MASTER;
		if
		:: node[who].held < L -> append(who, PLAIN)
		:: else -> skip
		fi
	:: else -> skip
	fi;
	i = 0;
	k = 0;
	x = 0;
	y = 0
}

/* From which configuration the last one follows. */
#ifdef ONE_STEP
#define BEFORE_LAST 0
#else
#define BEFORE_LAST 1
#endif
#ifdef NOT_ALONE
#define MAY_DROP(n) true
#else
#define MAY_DROP(n) (node[n].solo && node[n].wack)
#endif
/* In one step nobody tells the witness of a voter's exchange. */
#if defined(VOTER) && defined(ONE_STEP)
#define MAY_ENTER(n) false
#define HAS_ENTERED(n) ((n) == 0 && MAY_DROP(n))
#else
#define MAY_ENTER(n) true
#define HAS_ENTERED(n) node[n].entered
#endif
#define HAS_ROOM(n) (node[n].held < L)
#define IS_SETTLED(n) (SETTLED(n) == NEWEST(n))

proctype data(byte me)
{
end:
	do
	/* ---- the master's log ---- */
	:: atomic { node[me].role == MASTER && HAS_ROOM(me) && node[me].held < L - 1 ->
		append(me, PLAIN) }
#ifndef ONE_STEP
	:: atomic { node[me].role == MASTER && HAS_ROOM(me) && NEWEST(me) == 0 && IS_SETTLED(me) &&
#ifdef VOTER
		me == 0 && MAY_DROP(me) ->
#else
		!node[me].solo ->
#endif
		append(me, 1) }
#endif
	/* The register that enters is told of a barrier of the epoch in which it does. */
	:: atomic { node[me].role == MASTER && NEWEST(me) == BEFORE_LAST && IS_SETTLED(me) && !node[me].entered &&
		MAY_ENTER(me) &&
		node[me].epoch < E && HAS_ROOM(me) && witness[WITNESS_OF(2)].term <= node[me].term ->
		node[me].epoch++;
		node[me].solo = 0;
		node[me].wack = 0;
		append(me, PLAIN);
		node[me].entered = 1;
		witness[WITNESS_OF(2)].term = node[me].term;
		witness[WITNESS_OF(2)].voted = me + 1;
		witness[WITNESS_OF(2)].last = POSITION(node[me].term, node[me].epoch);
		witness[WITNESS_OF(2)].rset = PEER_SET(2) }
	:: atomic { node[me].role == MASTER && NEWEST(me) == BEFORE_LAST && IS_SETTLED(me) && HAS_ENTERED(me) &&
		HAS_ROOM(me) && node[me].known == node[me].held ->
		append(me, 2) }
	/* ---- degraded ---- */
	:: atomic { node[me].role == MASTER && !node[me].solo && node[me].epoch < E && HAS_ROOM(me) &&
		HAS_WITNESS(NEWEST(me)) ->
		node[me].epoch++;
		node[me].solo = 1;
		node[me].wack = 0;
		node[me].entered = 0;
		append(me, PLAIN) }
	:: atomic { node[me].role == MASTER && node[me].solo && !node[me].wack &&
		HAS_WITNESS(NEWEST(me)) && witness[WITNESS_OF(NEWEST(me))].term <= node[me].term &&
		witness[WITNESS_OF(NEWEST(me))].last != 0 &&
		witness[WITNESS_OF(NEWEST(me))].last < POSITION(node[me].term, node[me].epoch) ->
		i = WITNESS_OF(NEWEST(me));
		witness[i].term = node[me].term;
		witness[i].voted = me + 1;
		witness[i].last = POSITION(node[me].term, node[me].epoch);
		witness[i].rset = 1 << me;
		node[me].wack = 1;
		i = 0 }
	/* ---- the others ---- */
	:: atomic { node[me].role == MASTER && IS_VOTER(NEWEST(me), OTHER(NEWEST(me), me)) &&
		OTHER(NEWEST(me), me) != me && node[OTHER(NEWEST(me), me)].term <= node[me].term &&
		(node[OTHER(NEWEST(me), me)].held < node[me].held ||
		 LAST(OTHER(NEWEST(me), me)) != LAST(me)) ->
		k = OTHER(NEWEST(me), me);
		replicate(me, k);
		k = 0 }
#ifdef VOTER
	/* A learner is sent what is committed. */
	:: atomic { node[me].role == MASTER && NEWEST(me) != 2 && me == 0 && node[2].term <= node[me].term &&
		node[2].held < node[me].known ->
		replicate(me, 2) }
#endif
	:: atomic { node[me].role == MASTER && node[me].held > node[me].known ->
		x = node[me].held;
		do
		:: x > node[me].known ->
			k = COPIES(me);
			if
			:: COMMITS(me, k) -> break
			:: else -> x--
			fi
		:: else -> break
		od;
		k = 0;
		if
		:: x > node[me].known -> commit_upto(me)
		:: else -> skip
		fi;
		x = 0 }
	/* Who follows learns how far. */
	:: atomic { node[me].role == FOLLOWER && node[me].term != 0 && masters[node[me].term] != 0 &&
		masters[node[me].term] != me + 1 ->
		k = masters[node[me].term] - 1;
		x = node[k].known;
		if
		:: node[k].term == node[me].term && node[k].role == MASTER && x > node[me].known &&
			SAME(k, me) -> node[me].known = x
		:: else -> skip
		fi;
		k = 0;
		x = 0 }
	/* ---- elections ---- */
	:: atomic { node[me].role == FOLLOWER && node[me].term < T && IS_VOTER(NEWEST(me), me) ->
		y = OTHER(NEWEST(me), me);
		elect(me, y, false) }
	:: atomic { node[me].role == FOLLOWER && node[me].term < T && IS_VOTER(NEWEST(me), me) ->
		elect(me, me, true) }
#ifdef VOTER
	/* Joint: all that either rule names. */
	:: atomic { node[me].role == FOLLOWER && node[me].term < T && IS_VOTER(NEWEST(me), me) &&
		!IS_SETTLED(me) && OTHER(SETTLED(me), me) != me ->
		y = OTHER(SETTLED(me), me);
		elect(me, y, true) }
#endif
	od
}

init
{
	atomic {
		node[0].term = 1;
		node[0].role = MASTER;
		node[0].voted = 1;
		node[1].term = 1;
		node[1].voted = 1;
		masters[1] = 1;
		witness[0].term = 1;
		witness[0].last = POSITION(1, 0);
		witness[0].rset = 3;
		run data(0);
		run data(1);
		run data(2)
	}
}
