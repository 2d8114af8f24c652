/* SPDX-License-Identifier: Apache-2.0 */
/* The classes of faults: those that come as episodes, and the noise of the links. */
#ifndef TERN_TESTS_SIM_SIM_KINDS_H
#define TERN_TESTS_SIM_SIM_KINDS_H

#define SIM_FAULTS(X)                                                                   \
	X(CRASH_DATA, "crash")                                                          \
	X(CRASH_WITNESS, "crash-witness")                                               \
	X(CRASH_ALL, "crash-all")                                                       \
	X(CUT_PAIR, "cut-pair") /* both paths, both ways */                             \
	X(CUT_PATH, "cut-path") /* one path, both ways */                               \
	X(ONE_WAY, "one-way-cut")                                                       \
	X(ISOLATE, "isolate")                                                           \
	X(PAUSE, "pause")                                                               \
	X(DISK_SLOW, "slow-disk")                                                       \
	X(DISK_STUCK, "stuck-disk")                                                     \
	X(DISK_ERROR, "disk-error")                                                     \
	X(DATA_PORT, "data-port-down")                                                  \
	X(SWITCHOVER, "switchover")                                                     \
	X(STOP, "stop")                                                                 \
	/* A node is cut off, and the others restart without what they had not flushed: \
	 * what it alone holds will be rolled back. */                                  \
	X(LOSE_TAIL, "lose-tail")                                                       \
	/* A node restarts at once, without what it had not flushed, while the disks of \
	 * the others hang. */                                                          \
	X(LOSE_MASTER, "lose-master")

/* Episodes of sim_hazard.c: what devices, clocks, processes and links do besides. */
#define SIM_HAZARDS(X)                                                                  \
	X(CRASH_TWO, "crash-two")                                                       \
	X(RESTART_LOOP, "restart-loop")                                                 \
	X(RESTART, "restart") /* at once: what it promised in memory is forgotten */    \
	X(BURST, "burst-loss")                                                          \
	X(FLAP, "flapping-link")                                                        \
	X(READ_ERROR, "read-error")   /* latent: found at the next start */             \
	X(FLUSH_ERROR, "flush-error") /* written, and reported as failed */             \
	X(TORN_WRITE, "torn-write")   /* half written, and reported as failed */        \
	X(NO_SPACE, "no-space")       /* every write fails until it ends */             \
	X(ROT_BELOW, "rot-below-floor")                                                 \
	X(ROT_LIVE, "latent-error")    /* while the node runs: found when it is read */ \
	X(MISREAD, "misdirected-read") /* one, of a node that runs */                   \
	/* Of all data nodes, each at another place, and for good. */                   \
	X(ROT_ALL, "rot-all")                                                           \
	X(ROT_ABOVE, "rot-above-floor")                                                 \
	X(ROT_SUPERBLOCK, "rot-superblock") /* of one copy */                           \
	/* All of a device that others do not need; the node comes back with a new      \
	 * one. */                                                                      \
	X(LOSE_STORAGE, "lose-storage")                                                 \
	/* Beyond what can be survived; only with --beyond. */                          \
	X(OLD_IMAGE, "old-image")           /* the device shows what it once was */     \
	X(MISDIRECTED, "misdirected-write") /* a write goes elsewhere in the log */     \
	X(CLOCK_DRIFT, "clock-drift")                                                   \
	X(CLOCK_FROZEN, "clock-frozen")                                                 \
	X(WALL_STEP, "wall-step")                                                       \
	X(DEVICE_GONE, "device-gone") /* for good; with --ec */                         \
	/* Not of the schedule, see sim_point.h. */                                     \
	X(CRASH_AT_WRITE, "crash-at-write")

#define SIM_NOISES(X)                           \
	X(LOSS, "loss")                         \
	X(DUPLICATE, "duplicate")               \
	X(CORRUPT, "corrupt")                   \
	X(REORDER, "reorder")                   \
	X(CORRUPT_BEFORE, "corrupt-before-crc") \
	X(REPLAY, "replay")

/* What waits for its moment, see sim_aim.h. */
#define SIM_AIMS(X)                                                                   \
	X(RIVAL, "rival") /* a voter restarts, and who it did not vote for asks it */ \
	X(LATE, "late-blocks")

/* What else has generators of its own: farewells for masters whose process died (sim_last_word.h),
 * masters whose lease is in the way (sim_lease.h), operators (sim_wrong.h), frames of others
 * (sim_stranger.h), checkpoints that come to harm (sim_fallback.h), tails that were cut
 * (sim_dead.h). */
#define SIM_OWNS(X)                         \
	X(FAREWELL, "farewell")             \
	X(LEASE, "lease-cuts")              \
	X(WRONG_START, "wrong-start")       \
	X(STRANGER, "stranger")             \
	X(ROT_CHECKPOINT, "rot-checkpoint") \
	X(ROT_DEAD, "rot-of-a-cut-tail")

enum sim_fault_kind {
#define X(name, text) SIM_FAULT_##name,
	SIM_FAULTS(X)
#undef X
	    SIM_FAULT_KINDS
};

enum sim_hazard { /* counted on, as are the noises: together they are the classes */
		  SIM_HAZARD_BEFORE_FIRST = SIM_FAULT_KINDS - 1,
#define X(name, text) SIM_HAZARD_##name,
		  SIM_HAZARDS(X)
#undef X
		      SIM_EPISODE_CLASSES
};

enum sim_noise {
	SIM_NOISE_BEFORE_FIRST = SIM_EPISODE_CLASSES - 1,
#define X(name, text) SIM_NOISE_##name,
	SIM_NOISES(X)
#undef X
	    SIM_NOISES_END
};

enum sim_aim_class {
	SIM_AIM_BEFORE_FIRST = SIM_NOISES_END - 1,
#define X(name, text) SIM_AIM_##name,
	SIM_AIMS(X)
#undef X
	    SIM_AIMS_END
};

enum sim_own_class {
	SIM_OWN_BEFORE_FIRST = SIM_AIMS_END - 1,
#define X(name, text) SIM_OWN_##name,
	SIM_OWNS(X)
#undef X
	    SIM_CLASSES
};

#endif
