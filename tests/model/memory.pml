/* SPDX-License-Identifier: Apache-2.0
 *
 * Two commit indexes (protocol section 10): class `durable` commits when a block is flushed on the
 * copies that count, class `memory` when they received it. Two data nodes and a witness, without
 * time. Built like witness.pml, which says how messages are kept; here are only the differences.
 *
 * Sizes: L blocks in a log, F faults in the whole run: crashes, cuts of the link between the data
 * nodes, and pauses, after which a node stands for election though its master lives. Two terms, and
 * one epoch rise: the master goes degraded. By symmetry node 0 is the only candidate of term 1.
 *
 * APPEND_ACK of received blocks carries the boot number of its sender (recv, by term and boot); of
 * durable blocks it need not. A link that is not cut delivers late and in any order, but does
 * deliver: so a peer is silent only while the link is cut. A crashed node is back at once, with what
 * was durable and the next boot number.
 *
 * The promise of `memory`: it survives any one fault after the replica sent the acknowledgement that
 * completed it. A crash of the replica that the master had heard of (by a message of the next
 * incarnation) before it replied does not count, for that is what the boot number is for. One reply,
 * any of them, is watched: `watched` is its block, `hits` are the faults that count. After a second
 * one nothing is promised, and nothing more is watched.
 *
 * The rules that can be left out (each has to end in a violation):
 *   DURABLE_VOTER  the voter compares with what it has received, flushed or not
 *   NO_BOOT        only acknowledgements of the newest incarnation that was heard of are counted
 *   AT_ONCE        a restarted candidate asks the other data node before the witness
 *   VOTED_FIRST    a voter that has voted still says when the candidate's log is shorter
 *   SOLO_MEMORY    with one data node counted `memory` waits for the local flush
 *   NO_ROLLBACK    what was applied above a cut is rolled back
 * ONLY=n checks invariant n alone. 5: the promise of `memory`; 25: that of `durable`; 20: what is
 * applied is in the log, block by block.
 */
#ifndef L
#define L 2
#endif
#ifndef F
#define F 2
#endif
#ifndef ONLY
#define ONLY 0
#endif
#if L < 2 || L > 3 || F > 2
#error "the unrolled expressions below hold for L = 2 or 3, F <= 2"
#endif

#define HOLDS(number, condition) assert((ONLY != 0 && ONLY != number) || (condition))

#define FOLLOWER 0
#define CANDIDATE 1
#define MASTER 2
#define T 2

#define POSITION(term, epoch) ((term) * 4 + (epoch))
#define TERM_OF(position) ((position) / 4)

typedef data_state {
	byte term, voted;        /* durable; voted: 0 is nobody, otherwise 1 + node */
	byte boot;               /* durable: crashes so far */
	byte held, dur;          /* blocks received, blocks durable: dur <= held */
	byte log[L];
	byte app[L];             /* what is applied, block by block; 0: nothing */
	byte role, epoch;
	bit got, solo, wack;
	bit restarted;           /* since it last followed or was master */
	bit answered;            /* candidate: the peer did, and not by the log rule */
	byte heard;              /* master: the newest boot number of the peer */
	byte mem;                /* master: memory_commit_index */
}

typedef stream_state {
	byte from;               /* 1 + the master of this term; 0 is none so far */
	byte held, mem;          /* what was sent, and the memory_commit_index that was told */
	byte durable;            /* acknowledged as durable */
	byte recv[F + 1];        /* acknowledged as received, by the boot number of who says so */
	byte at[F + 1];          /* faults so far when that was said */
	bit reg[2];              /* REGISTER of this epoch was sent */
	byte log[L];
}

data_state node[2];
stream_state stream[T + 1];
byte vote_pos[(T + 1) * 2];      /* 1 + the position of the candidate's log; 0: not sent */
byte vote_len[(T + 1) * 2];
bit wvote[(T + 1) * 2];          /* the VOTE to the witness was sent */
byte wterm, wvoted, wlast, wrset;
byte agreed[L], agreed_len;      /* what was ever committed in class durable */
byte watched, watched_at, hits;  /* watched: 0 none yet, OVER: nothing is promised any more */
byte rises, faults;
bit cut;

byte i, k, x;                    /* scratch: zero at the end of every step */

#define OVER 255
#define VOTE_OF(t, n) ((t) * 2 + (n))
#define LAST(n) (node[n].held > 0 -> node[n].log[node[n].held - 1] : 0)

#ifdef DURABLE_VOTER
#define SHOWN(n) node[n].dur
#else
#define SHOWN(n) node[n].held
#endif
#define LAST_SHOWN(n) (SHOWN(n) > 0 -> node[n].log[SHOWN(n) - 1] : 0)

#define DURABLE_ONE(n, j) (node[n].dur > (j) && node[n].log[j] == agreed[j])
#define KEPT_ONE(j) (agreed_len <= (j) || DURABLE_ONE(0, j) || DURABLE_ONE(1, j))
#define LACKS_ONE(n, j) (agreed_len > (j) && (node[n].held <= (j) || node[n].log[j] != agreed[j]))
#define AGREES_ONE(n, j, upto) ((j) >= (upto) || agreed_len <= (j) || agreed[j] == node[n].log[j])
#define SAME_ONE(n, t, j) (node[n].held > (j) && stream[t].held > (j) && \
	node[n].log[j] == stream[t].log[j])
#define CUTS_ONE(n, j, from) ((j) >= (from) && agreed_len > (j) && node[n].held > (j) && \
	node[n].log[j] == agreed[j])
#define APPLIED_ONE(n, j) (node[n].app[j] == 0 || \
	(node[n].held > (j) && node[n].app[j] == node[n].log[j]))

#if L == 2
#define KEPT (KEPT_ONE(0) && KEPT_ONE(1))
#define LACKS(n) (LACKS_ONE(n, 0) || LACKS_ONE(n, 1))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto))
#define SAME(n, t) (SAME_ONE(n, t, 0) -> (SAME_ONE(n, t, 1) -> 2 : 1) : 0)
#define CUTS(n, from) (CUTS_ONE(n, 0, from) || CUTS_ONE(n, 1, from))
#define APPLIED(n) (APPLIED_ONE(n, 0) && APPLIED_ONE(n, 1))
#else
#define KEPT (KEPT_ONE(0) && KEPT_ONE(1) && KEPT_ONE(2))
#define LACKS(n) (LACKS_ONE(n, 0) || LACKS_ONE(n, 1) || LACKS_ONE(n, 2))
#define AGREES(n, upto) (AGREES_ONE(n, 0, upto) && AGREES_ONE(n, 1, upto) && AGREES_ONE(n, 2, upto))
#define SAME(n, t) (SAME_ONE(n, t, 0) -> (SAME_ONE(n, t, 1) -> (SAME_ONE(n, t, 2) -> 3 : 2) : 1) : 0)
#define CUTS(n, from) (CUTS_ONE(n, 0, from) || CUTS_ONE(n, 1, from) || CUTS_ONE(n, 2, from))
#define APPLIED(n) (APPLIED_ONE(n, 0) && APPLIED_ONE(n, 1) && APPLIED_ONE(n, 2))
#endif

#define WITNESS_GRANTS(position, n) (wlast == 0 || (position) > wlast || \
	((position) == wlast && wrset == (n) + 1))

#define IS_WATCHED (watched != 0 && watched != OVER)
#define HAS_WATCHED(n) (node[n].held > watched_at && node[n].log[watched_at] == watched)

inline follow(whose)
{
	node[whose].role = FOLLOWER;
	node[whose].got = 0;
	node[whose].epoch = 0;
	node[whose].solo = 0;
	node[whose].answered = 0;
	node[whose].heard = 0;
	node[whose].mem = 0;
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
	:: i < L ->
		node[whose].log[i] = 0;
#ifndef NO_ROLLBACK
		node[whose].app[i] = 0;
#endif
		i++
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
		:: k > stream[x].recv[node[whose].boot] ->
			stream[x].recv[node[whose].boot] = k;
			stream[x].at[node[whose].boot] = faults
		:: else -> skip
		fi;
		if
		:: node[whose].dur < k -> k = node[whose].dur
		:: else -> skip
		fi;
		if
		:: k > stream[x].durable -> stream[x].durable = k
		:: else -> skip
		fi
	:: else -> skip
	fi
}

#define LIVE(t) (stream[t].from != 0 && node[stream[t].from - 1].role == MASTER && \
	node[stream[t].from - 1].term == (t))

/* What no step can read any more is set to zero. */
inline forget_message(of_term)
{
	if
	:: !LIVE(of_term) ->
		stream[of_term].durable = 0;
		i = 0;
		do
		:: i <= F -> stream[of_term].recv[i] = 0; stream[of_term].at[i] = 0; i++
		:: else -> break
		od
	:: else -> skip
	fi;
	if
	:: wterm > of_term ->
		stream[of_term].reg[0] = 0;
		stream[of_term].reg[1] = 0;
		wvote[VOTE_OF(of_term, 0)] = 0;
		wvote[VOTE_OF(of_term, 1)] = 0
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
		stream[of_term].mem = 0;
		if
		:: !stream[of_term].reg[0] && !stream[of_term].reg[1] -> stream[of_term].from = 0
		:: else -> skip
		fi
	:: else -> skip
	fi;
	if
	:: wterm > of_term && node[0].term > of_term && node[1].term > of_term ->
		vote_pos[VOTE_OF(of_term, 0)] = 0;
		vote_len[VOTE_OF(of_term, 0)] = 0;
		vote_pos[VOTE_OF(of_term, 1)] = 0;
		vote_len[VOTE_OF(of_term, 1)] = 0
	:: else -> skip
	fi
}

inline settle()
{
	acknowledge(0);
	acknowledge(1);
	forget_message(1);
	HOLDS(25, KEPT);
	HOLDS(5, !IS_WATCHED || HAS_WATCHED(0) || HAS_WATCHED(1));
	HOLDS(8, !LACKS(0) || !WITNESS_GRANTS(LAST(0), 0));
	HOLDS(8, !LACKS(1) || !WITNESS_GRANTS(LAST(1), 1));
	HOLDS(20, APPLIED(0) && APPLIED(1));
	i = 0;
	k = 0;
	x = 0
}

/* A fault: after the second one that counts nothing is promised. */
inline fault()
{
	faults++;
	if
	:: IS_WATCHED && hits == 0 -> hits = 1
	:: IS_WATCHED && hits != 0 -> watched = OVER; watched_at = 0; hits = 0
	:: else -> skip
	fi
}

#define me _pid
#define peer (1 - _pid)

#define LOG_RULE(t) (TERM_OF(vote_pos[VOTE_OF(t, peer)] - 1) > TERM_OF(LAST_SHOWN(me)) || \
	(TERM_OF(vote_pos[VOTE_OF(t, peer)] - 1) == TERM_OF(LAST_SHOWN(me)) && \
	vote_len[VOTE_OF(t, peer)] >= SHOWN(me)))

#ifdef VOTED_FIRST
#define SAYS_SHORTER(t) (!LOG_RULE(t) && node[me].voted == 0)
#else
#define SAYS_SHORTER(t) (!LOG_RULE(t))
#endif
#define ASKS(t) (node[peer].role == CANDIDATE && node[peer].term == (t))

/* The peer's VOTE of term t. A refusal by the log rule ends the candidacy; any other answer lets the
 * candidate go on to the witness. */
#define ON_VOTE(t) \
	:: d_step { \
		!cut && vote_pos[VOTE_OF(t, peer)] != 0 && node[me].term <= t && \
		(node[me].term < t || (node[me].voted == 0 && LOG_RULE(t)) || \
		(ASKS(t) && (!node[peer].answered || SAYS_SHORTER(t)))) -> \
		if \
		:: node[me].term < t -> adopt(me, t) \
		:: else -> skip \
		fi; \
		if \
		:: SAYS_SHORTER(t) -> \
			if \
			:: ASKS(t) -> follow(peer) \
			:: else -> skip \
			fi \
		:: else -> \
			if \
			:: ASKS(t) -> node[peer].answered = 1 \
			:: else -> skip \
			fi; \
			if \
			:: LOG_RULE(t) && node[me].voted == 0 -> \
				node[me].voted = peer + 1; \
				if \
				:: ASKS(t) -> node[peer].got = 1 \
				:: else -> skip \
				fi \
			:: else -> skip \
			fi \
		fi; \
		settle() \
	}

#define ON_APPEND(t) \
	:: d_step { \
		!cut && stream[t].from != 0 && stream[t].from != me + 1 && node[me].term <= t && \
		(SAME(me, t) < stream[t].held || node[me].role == CANDIDATE) -> \
		if \
		:: node[me].term < t -> adopt(me, t) \
		:: else -> follow(me) \
		fi; \
		node[me].restarted = 0; \
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

#define CURRENT(j) (node[me].held >= (j) && \
	node[me].log[(j) - 1] == POSITION(node[me].term, node[me].epoch))

/* Class durable. */
#define ON_COMMIT(j) \
	:: d_step { \
		node[me].role == MASTER && node[me].dur >= j && CURRENT(j) && \
		(node[me].solo -> node[me].wack : (!cut && stream[node[me].term].durable >= j)) && \
		(agreed_len < j || !AGREES(me, j)) -> \
		HOLDS(4, AGREES(me, j)); \
		i = agreed_len; \
		do \
		:: i < j -> agreed[i] = node[me].log[i]; i++ \
		:: else -> break \
		od; \
		if \
		:: agreed_len < j -> agreed_len = j \
		:: else -> skip \
		fi; \
		settle() \
	}

#ifdef NO_BOOT
#define COUNTS(b) true
#else
#define COUNTS(b) (b >= node[me].heard)
#endif

/* Faults since that acknowledgement, without crashes of its sender that the master has heard of. */
#define SINCE(b) (faults - stream[node[me].term].at[b] - \
	(node[me].heard > (b) -> node[me].heard - (b) : 0))

/* Class memory: the acknowledgement of the peer's boot b tells that it received the first j blocks.
 * The reply is given, and may be the one that is watched. */
#define ON_MEMORY(j, b) \
	:: d_step { \
		node[me].role == MASTER && !node[me].solo && !cut && CURRENT(j) && \
		node[me].mem < j && stream[node[me].term].recv[b] >= j && COUNTS(b) -> \
		node[me].mem = j; \
		stream[node[me].term].mem = j; \
		if \
		:: b > node[me].heard -> node[me].heard = b \
		:: else -> skip \
		fi; \
		settle() \
	} \
	:: d_step { \
		node[me].role == MASTER && !node[me].solo && !cut && CURRENT(j) && \
		node[me].mem < j && stream[node[me].term].recv[b] >= j && COUNTS(b) && \
		watched == 0 && SINCE(b) < 2 -> \
		node[me].mem = j; \
		stream[node[me].term].mem = j; \
		hits = SINCE(b); \
		watched = node[me].log[j - 1]; \
		watched_at = j - 1; \
		if \
		:: b > node[me].heard -> node[me].heard = b \
		:: else -> skip \
		fi; \
		settle() \
	}

/* With one data node counted. */
#ifdef SOLO_MEMORY
#define SOLO_READY(j) node[me].held >= (j)
#else
#define SOLO_READY(j) node[me].dur >= (j)
#endif
#define ON_MEMORY_SOLO(j) \
	:: d_step { \
		node[me].role == MASTER && node[me].solo && node[me].wack && CURRENT(j) && \
		SOLO_READY(j) && node[me].mem < j -> \
		node[me].mem = j; \
		stream[node[me].term].mem = j; \
		if \
		:: watched == 0 -> watched = node[me].log[j - 1]; watched_at = j - 1; hits = cut \
		:: else -> skip \
		fi; \
		settle() \
	}

#define ON_ELECTED(alone) \
	:: d_step { \
		node[me].role == CANDIDATE && node[me].got -> \
		x = node[me].term; \
		HOLDS(1, stream[x].from == 0); \
		/* A slow candidate may win term 1 when others have left it. */ \
		HOLDS(3, x < T || !LACKS(me)); \
		HOLDS(5, !IS_WATCHED || HAS_WATCHED(me) || TERM_OF(watched) >= x); \
		follow(me); \
		node[me].role = MASTER; \
		node[me].restarted = 0; \
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

#define IS_HEARD (!cut && node[peer].role == MASTER && node[peer].term == node[me].term)

#ifdef AT_ONCE
#define WITNESS_AT_ONCE(n) true
#else
#define WITNESS_AT_ONCE(n) (!node[n].restarted)
#endif

active [2] proctype data_node()
{
end:	do
	/* Nothing was heard for a while. The log is flushed before anybody is asked. Below a master
	 * that lives and can be heard that takes a fault too: somebody was paused. */
	:: d_step {
		node[me].role != MASTER && node[me].term < T && (me == 0 || node[me].term > 0) &&
		(!IS_HEARD || faults < F) ->
		if
		:: IS_HEARD -> fault()
		:: else -> skip
		fi;
		adopt(me, node[me].term + 1);
		node[me].voted = me + 1;
		node[me].role = CANDIDATE;
		node[me].dur = node[me].held;
		vote_pos[VOTE_OF(node[me].term, me)] = LAST(me) + 1;
		vote_len[VOTE_OF(node[me].term, me)] = node[me].held;
		wvote[VOTE_OF(node[me].term, me)] = WITNESS_AT_ONCE(me);
		settle()
	}
	/* It has waited for the other data node's answer, or for long enough. */
	:: d_step {
		node[me].role == CANDIDATE && !wvote[VOTE_OF(node[me].term, me)] &&
		wterm <= node[me].term && (node[me].answered || cut) ->
		wvote[VOTE_OF(node[me].term, me)] = 1;
		settle()
	}
	:: d_step {
		node[me].term < node[peer].term || node[me].term < wterm ->
		adopt(me, node[me].term + 1);
		settle()
	}
	ON_VOTE(1)
	ON_VOTE(2)
	ON_APPEND(1)
	ON_APPEND(2)
	ON_ELECTED(0)
	ON_ELECTED(1)
	:: d_step {
		node[me].role == MASTER && node[me].held < L ->
		append_own(me);
		settle()
	}
	:: d_step {
		node[me].dur < node[me].held ->
		node[me].dur++;
		settle()
	}
	/* A message of the peer's present incarnation, whatever it says. */
	:: d_step {
		node[me].role == MASTER && !cut && node[me].heard < node[peer].boot ->
		node[me].heard = node[peer].boot;
		settle()
	}
	ON_COMMIT(1)
	ON_COMMIT(2)
	ON_MEMORY(1, 0)
	ON_MEMORY(1, 1)
	ON_MEMORY(2, 0)
	ON_MEMORY(2, 1)
	ON_MEMORY_SOLO(1)
	ON_MEMORY_SOLO(2)
#if L >= 3
	ON_COMMIT(3)
	ON_MEMORY(3, 0)
	ON_MEMORY(3, 1)
	ON_MEMORY_SOLO(3)
#endif
#if F >= 2
	ON_MEMORY(1, 2)
	ON_MEMORY(2, 2)
#if L >= 3
	ON_MEMORY(3, 2)
#endif
#endif
	/* Apply up to the memory_commit_index that is known here. */
	:: d_step {
		x = node[me].term;
		k = (node[me].role == MASTER -> node[me].mem : 0);
		if
		:: node[me].role == FOLLOWER && stream[x].from != 0 && stream[x].from != me + 1 ->
			k = SAME(me, x);
			if
			:: stream[x].mem < k -> k = stream[x].mem
			:: else -> skip
			fi
		:: else -> skip
		fi;
		i = 0;
		do
		:: i < k -> node[me].app[i] = node[me].log[i]; i++
		:: else -> break
		od;
		settle()
	}
	/* Go degraded: the next epoch begins with its barrier. */
	:: d_step {
		node[me].role == MASTER && !node[me].solo && rises < 1 && node[me].held < L ->
		rises++;
		node[me].epoch++;
		node[me].solo = 1;
		node[me].wack = 0;
		append_own(me);
		settle()
	}
	/* REGISTER, once the barrier of this epoch is durable here. */
	:: d_step {
		node[me].role == MASTER && node[me].solo && node[me].dur > 0 &&
		node[me].log[node[me].dur - 1] == POSITION(node[me].term, node[me].epoch) &&
		!stream[node[me].term].reg[node[me].epoch] && wterm <= node[me].term ->
		stream[node[me].term].reg[node[me].epoch] = 1;
		settle()
	}
	/* A crash and the restart: what is not durable is gone, and what was applied is rebuilt. */
	:: d_step {
		faults < F ->
		follow(me);
		cut_to(me, node[me].dur);
		node[me].app[0] = 0;
		node[me].app[1] = 0;
#if L >= 3
		node[me].app[2] = 0;
#endif
		node[me].boot++;
		node[me].restarted = 1;
		fault();
		settle()
	}
	od
}

#define W_ON_VOTE(t, n) \
	:: d_step { \
		wvote[VOTE_OF(t, n)] && wterm <= t && (wterm < t || wvoted == 0) -> \
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

#define W_ON_REGISTER(t, e) \
	:: d_step { \
		stream[t].reg[e] && wterm <= t && POSITION(t, e) >= wlast && \
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
	/* The link between the data nodes. */
	:: d_step {
		!cut && faults < F ->
		cut = 1;
		fault();
		settle()
	}
	:: d_step {
		cut ->
		cut = 0;
		settle()
	}
	od
}
