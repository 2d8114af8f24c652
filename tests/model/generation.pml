/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations (protocol section 12, forced promotion). Two data nodes and a witness; the people who force are
 * always wrong: both nodes live, any node that does not serve may be forced, at any moment, both of them too.
 * Generation 1 is that of birth; 2 is what node 0 begins when it is forced, 3 what node 1 does: equal numbers,
 * other ids. Of the protocol inside a generation only as much is here as makes histories differ: who serves
 * alone has registered, who is elected is so by the witness, and sends its log to the other one.
 *
 * The rules that can be left out (each has to end in a violation):
 *   NO_COMPARE    frames of another generation are not taken
 *   NO_ID         the id is compared too, not the number alone
 *   NOT_DURABLE   the generation is durable before the forced node serves
 *   NO_MEMORY     who was told of a later generation is so after a crash, too (7)
 * ONLY=n checks invariant n alone. 4: what a generation committed is in the log of whoever serves in it;
 * 6: no log holds blocks of two generations that are not one behind the other; 7: who was told of a later
 * generation never serves again.
 */
#ifndef L
#define L 3
#endif
#ifndef ONLY
#define ONLY 0
#endif
#if L != 3
#error "the unrolled expressions below hold for L = 3"
#endif

#define HOLDS(number, condition) assert((ONLY != 0 && ONLY != number) || (condition))

/* A block: the generation in which it was written, and by whom; 0: none. */
#define BLOCK(generation, n) ((generation) * 2 + (n))
#define GENERATION_OF(block) ((block) / 2)

typedef data_state {
	byte generation, stored; /* stored: what a start finds */
	byte held;
	byte log[L];
	bit serves, alone;
	bit told, told_stored;
	bit was_told;            /* ever: only for invariant 7 */
}

data_state node[2];
byte wset;                       /* whom the witness would elect, as a mask */
byte agreed[12];                 /* by generation and index: what was committed */
byte count[4];                   /* by generation: how many were */
byte i, x;                       /* scratch: zero at the end of every step */

#define NUMBER(generation) ((generation) == 1 -> 1 : 2)
#if defined(NO_COMPARE)
#define HEARS(n) true
#elif defined(NO_ID)
#define HEARS(n) (NUMBER(node[n].generation) == NUMBER(node[1 - (n)].generation))
#else
#define HEARS(n) (node[n].generation == node[1 - (n)].generation)
#endif
#define KEPT_ONE(n, j) (count[node[n].generation] <= (j) || \
	(node[n].held > (j) && node[n].log[j] == agreed[node[n].generation * 3 + (j)]))
#define KEPT(n) (KEPT_ONE(n, 0) && KEPT_ONE(n, 1) && KEPT_ONE(n, 2))
#define FITS(older, newer) ((newer) == 0 || (older) == (newer) || GENERATION_OF(older) == 1 || \
	GENERATION_OF(older) == GENERATION_OF(newer))
#define IN_LINE(n) (FITS(node[n].log[0], node[n].log[1]) && FITS(node[n].log[1], node[n].log[2]) && \
	FITS(node[n].log[0], node[n].log[2]))

inline look(n)
{
	HOLDS(4, !node[n].serves || KEPT(n));
	HOLDS(6, IN_LINE(n));
	HOLDS(7, !node[n].serves || !node[n].was_told)
}

/* All that it holds: in its generation it may have been acknowledged to somebody. */
inline agree(n)
{
	i = 0;
	do
	:: i < node[n].held ->
		agreed[node[n].generation * 3 + i] = node[n].log[i];
		i++
	:: else -> break
	od;
	if
	:: node[n].held > count[node[n].generation] -> count[node[n].generation] = node[n].held
	:: else -> skip
	fi;
	i = 0
}

proctype data(byte me)
{
end:
	do
	/* ---- inside a generation ---- */
	:: atomic { node[me].serves && node[me].held < L ->
		node[me].log[node[me].held] = BLOCK(node[me].generation, me);
		node[me].held++ }
	/* Its log goes to the other one, a voter or a learner, and commits; what the other has besides is cut. */
	:: atomic { node[me].serves && !node[1 - me].told && HEARS(me) &&
		(!node[me].alone || node[me].generation != 1) ->
		node[1 - me].serves = 0;
		do
		:: i < L ->
			node[1 - me].log[i] = node[me].log[i];
			i++
		:: else -> break
		od;
		node[1 - me].held = node[me].held;
		i = 0;
		agree(me);
		look(me);
		look(1 - me) }
	/* Alone: registered, or the only voter. */
	:: atomic { node[me].serves && !node[me].alone && node[me].generation == 1 && (wset & (1 << me)) ->
		node[me].alone = 1;
		wset = 1 << me }
	:: atomic { node[me].serves && node[me].alone -> agree(me); look(me) }
	/* The witness, of generation 1, elects whom it may; the other one is silent or steps down. */
	:: atomic { !node[me].serves && !node[me].told && node[me].generation == 1 && (wset & (1 << me)) &&
		(!node[1 - me].serves || node[1 - me].generation != 1 || !node[1 - me].alone) ->
		if
		:: node[1 - me].generation == 1 -> node[1 - me].serves = 0
		:: else -> skip
		fi;
		node[me].serves = 1;
		node[me].alone = 0;
		look(me) }
	/* ---- between generations ---- */
	:: atomic { !node[me].serves && !node[me].told && node[me].generation == 1 ->
		node[me].generation = 2 + me;
#ifndef NOT_DURABLE
		node[me].stored = 2 + me;
#endif
		node[me].serves = 1;
		node[me].alone = 1;
		agree(me) }
	:: atomic { node[me].generation == 1 && node[1 - me].generation != 1 && !node[me].told ->
		node[me].serves = 0;
		node[me].alone = 0;
		node[me].told = 1;
		node[me].was_told = 1;
#ifndef NO_MEMORY
		node[me].told_stored = 1
#endif
		}
	/* New storage, of the generation that a person names. */
	:: atomic { node[me].told && node[1 - me].generation == 3 - me ->
		node[me].told = 0;
		node[me].told_stored = 0;
		node[me].generation = 3 - me;
		node[me].stored = 3 - me;
		do
		:: i < L ->
			node[me].log[i] = 0;
			i++
		:: else -> break
		od;
		node[me].held = 0;
		i = 0 }
	/* ---- a crash, and a start ---- */
	:: atomic { true ->
		node[me].serves = 0;
		node[me].alone = 0;
		node[me].generation = node[me].stored;
		node[me].told = node[me].told_stored;
		if
		:: node[me].generation == 2 + me && !node[me].told ->
			node[me].serves = 1;
			node[me].alone = 1;
			look(me)
		:: else -> skip
		fi }
	od
}

init
{
	atomic {
		node[0].generation = 1;
		node[0].stored = 1;
		node[1].generation = 1;
		node[1].stored = 1;
		node[0].serves = 1;
		wset = 3;
		run data(0);
		run data(1)
	}
}
