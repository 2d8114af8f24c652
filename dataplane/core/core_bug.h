/* SPDX-License-Identifier: Apache-2.0 */
/* Test-only switches that drop one safety rule each; the simulator and the models must notice.
 * All zero in products: ternd has no way to set them. */
#ifndef TERN_CORE_CORE_BUG_H
#define TERN_CORE_CORE_BUG_H

enum core_bug {
	CORE_BUG_P1_STALE_VOTE = 1 << 0,     /* witness ignores position and rset */
	CORE_BUG_P2_EARLY_SOLO = 1 << 1,     /* SOLO commits before the register is acknowledged */
	CORE_BUG_P3_NO_SUBSET = 1 << 2,      /* witness grants on equal (term, epoch) to anybody */
	CORE_BUG_P5_EARLY_ACK = 1 << 3,      /* replica reports received blocks as durable */
	CORE_BUG_P6_REGISTER_FIRST = 1 << 4, /* REGISTER before the local barrier is durable */
	CORE_BUG_P10_NO_QUIET = 1 << 5,      /* no quiet period after a restart */
	CORE_BUG_P12_OLD_EPOCH = 1 << 6,     /* counts blocks of old (term, epoch) */
	CORE_BUG_NO_READ_ROUND = 1 << 7,     /* a master answers reads without asking anybody */
	CORE_BUG_VOTE_DURABLE_LOG = 1 << 8,  /* voter compares its durable log only */
	CORE_BUG_ACK_NO_BOOT = 1 << 9,  /* match[] outlives the start of the peer that filled it */
	CORE_BUG_NO_ROLLBACK = 1 << 10, /* a cut leaves what was applied from the tail */
	CORE_BUG_SOLO_EARLY_MEMORY = 1 << 11, /* memory commits on one copy in memory */
	CORE_BUG_VOLATILE_VOTE = 1 << 12, /* a node that forgot its log votes as if it had none */
	CORE_BUG_STALE_ARRIVAL = 1 << 13, /* as fresh as the last heartbeat's arrival */
	CORE_BUG_STALE_EARLY = 1 << 14,   /* before what that named was applied */
	CORE_BUG_P4_FORGETS_REGISTER = 1 << 15, /* a restarted witness has an empty register */
	CORE_BUG_VOTE_FORGOTTEN = 1 << 16,      /* a restarted voter may vote again in its term */
	CORE_BUG_CUT_UNPROVEN =
	    1 << 17, /* a log is cut where it does not match, without a search */
	/* And of the runtime. */
	CORE_BUG_P15_CUT_DAMAGED = 1 << 18, /* a damaged log is taken for one that ends there */
	CORE_BUG_NO_FLOOR = 1 << 19,        /* write groups carry no acknowledged floor */
	CORE_BUG_EARLY_DURABLE = 1 << 20,   /* a write group counts as durable when it is begun */
	CORE_BUG_EARLY_REPLY = 1 << 21,     /* durable commands are answered before the commit */
	CORE_BUG_APPLY_TWICE = 1 << 22,     /* what is read back from the log is applied twice */
	CORE_BUG_OLD_FRAGMENT = 1 << 23,    /* fragments of any term and sender are taken */
	CORE_BUG_CHECKPOINT_ONE_SLOT = 1 << 24, /* runtime: written over the newest one */
	CORE_BUG_CHECKPOINT_BEHIND = 1 << 25,   /* runtime: holds less than it says */
	CORE_BUG_INSTALL_OVER_TAIL = 1 << 26, /* core: takes a checkpoint, whatever its log holds */
	CORE_BUG_INSTALL_EARLY = 1 << 27,     /* runtime: names a checkpoint before it is there */
	CORE_BUG_INSTALL_UNCHECKED = 1 << 28, /* runtime: whatever came for a chunk */
	CORE_BUG_REJOIN_VOTES = 1 << 29,      /* core: a node with new storage is a voter at once */
	CORE_BUG_NO_MEND = 1 << 30,           /* runtime: lost blocks are not asked for */
};

/* The same of the membership (protocol section 12). */
enum core_member_bug {
	CORE_MEMBER_BUG_AHEAD = 1 << 0,     /* learners are sent what is not committed */
	CORE_MEMBER_BUG_COUNTS = 1 << 1,    /* learners' copies count */
	CORE_MEMBER_BUG_FORGOTTEN = 1 << 2, /* runtime: a configuration goes with the log's begin */
	/* Those of tests/model/joint.pml, by their names there; AHEAD is one of them. */
	CORE_MEMBER_BUG_ONE_STEP = 1 << 3,      /* the new rule alone from the append on */
	CORE_MEMBER_BUG_COMMIT_ONLY = 1 << 4,   /* elections by the new rule alone */
	CORE_MEMBER_BUG_ELECTION_ONLY = 1 << 5, /* commits by the new rule alone */
	CORE_MEMBER_BUG_NO_ANSWER = 1 << 6,     /* a retired witness does not say by what */
	CORE_MEMBER_BUG_ANY_BLOCK = 1 << 7,     /* its answer counts for any config block */
	CORE_MEMBER_BUG_NAMED_ONLY = 1 << 8,    /* only voters that know themselves named answer */
	CORE_MEMBER_BUG_REGISTER_LATE =
	    1 << 9, /* the entering witness's register is not waited for */
	CORE_MEMBER_BUG_SCRUB_SKIPS = 1 << 11,   /* runtime: a scrub passes over some groups */
	CORE_MEMBER_BUG_REBUILD_SKIPS = 1 << 12, /* runtime: so does a rebuild */
	CORE_MEMBER_BUG_REFILL_SKIPS = 1 << 13,  /* runtime: a group is called whole, not written */
	CORE_MEMBER_BUG_REFILL_UNCHECKED = 1 << 14, /* runtime: of whatever came for its blocks */
	CORE_MEMBER_BUG_SPARE_FORGOTTEN = 1 << 15,  /* runtime: nobody notes that one was taken */
	CORE_MEMBER_BUG_NOTE_LATE = 1 << 16,        /* stripe: a loss counts before it is noted */
	CORE_MEMBER_BUG_NOTE_OLD = 1 << 17,         /* stripe: any pool note is believed */
	CORE_MEMBER_BUG_EMPTY_VOTES = 1 << 10, /* the witness is asked without a vote of the pair */
	CORE_MEMBER_BUG_ANY_WITNESS = 1 << 20, /* a register that was replaced votes and answers */
	CORE_MEMBER_BUG_FORCE_OLD_GEN = 1 << 22, /* link: frames of any generation are taken */
	/* runtime: a forced node serves before the superblock says so */
	CORE_MEMBER_BUG_FORCE_NOT_DURABLE = 1 << 23,
	/* runtime: a node that is superseded forgets it */
	CORE_MEMBER_BUG_FORCE_COMES_BACK = 1 << 24,
	CORE_MEMBER_BUG_FORCE_ANY_TIME = 1 << 25, /* core: with a quorum, too */
	CORE_MEMBER_BUG_ANY_REGISTER =
	    1 << 21, /* whatever was made in its place takes the generation, twice too */
	CORE_MEMBER_BUG_SEEK_AHEAD = 1 << 26,     /* what is not committed is told as if it were */
	CORE_MEMBER_BUG_SEEK_ANY_CHAIN = 1 << 27, /* whatever is held there is taken for it */
	CORE_MEMBER_BUG_SEEK_NOTHING = 1 << 28,   /* nobody is asked */

	CORE_MEMBER_BUG_LEASE_FROM_ANSWER = 1 << 18, /* a lease counts from the answer */
	CORE_MEMBER_BUG_LEASE_FULL = 1 << 19,        /* and is as long as the promise */
	CORE_MEMBER_BUG_LEASE_HAND_OVER = 1 << 29,   /* goes on while the place is handed over */
	CORE_MEMBER_BUG_LEASE_FORGOTTEN = 1 << 30,   /* a promise ends with its term */
};

#endif
