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

#define SIM_NOISES(X)             \
	X(LOSS, "loss")           \
	X(DUPLICATE, "duplicate") \
	X(CORRUPT, "corrupt")     \
	X(REORDER, "reorder")

enum sim_fault_kind {
#define X(name, text) SIM_FAULT_##name,
	SIM_FAULTS(X)
#undef X
	    SIM_FAULT_KINDS
};

enum sim_noise { /* counted on from the kinds of episodes: together they are the classes */
		 SIM_NOISE_BEFORE_FIRST = SIM_FAULT_KINDS - 1,
#define X(name, text) SIM_NOISE_##name,
		 SIM_NOISES(X)
#undef X
		     SIM_CLASSES
};

#endif
