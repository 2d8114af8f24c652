/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How other threads (gateway, admin, benchmarks) hand work to a shard's lcore and get answers back:
 * a channel of two bounded single-producer single-consumer rings and two wake-ups. One channel
 * belongs to one front-end thread.
 *
 * Every request that was published gets exactly one completion, in any order. A front end keeps at
 * most `in_flight_max` requests open; the completion ring has room for that many, so the lcore
 * never waits for a front end.
 *
 * Classes (protocol section 10): a write is answered DONE once its own class is met, durable at
 * commit_index, memory at memory_commit_index; class_ of the completion says which one is met, so
 * a memory command that was flushed by then says durable. A class that cannot be met is refused:
 * durable where logs are volatile, async for a command that needs its result
 * (command_fits_async). Where one copy is counted (SOLO), memory waits for the flush. Durable
 * commands between memory commands are executed ahead of their commit and answered at it.
 *
 * A command of class async is answered ACCEPTED when its block is sealed: it stands in this node's
 * log at (term, log_index, slot), and nowhere else yet. Whether it is executed is never said: it is
 * when a block of that index and term commits.
 *
 * What an outcome means to a client: DONE: executed and committed. ACCEPTED: as above. REFUSED_*:
 * was not and will not be executed; an error reply is right. UNKNOWN: sealed into a block whose
 * fate this node does not know: a RESP connection must be closed without a reply.
 */
#ifndef TERN_RUNTIME_SUBMIT_H
#define TERN_RUNTIME_SUBMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/ring.h"
#include "dataplane/wire/command.h"
#include "hw/seam/wake.h"

enum submit_kind {
	SUBMIT_WRITE = 1, /* an encoded command follows the request header */
	/* A read point: DONE once reads of the local state are linearizable at or after log_index.
	 * The front end then reads through its state_reader: in a committed view what is durable,
	 * in a provisional one also what was answered in class memory, for that was published here
	 * before it was answered. With SUBMIT_MAY_LEASE it may be given by lease, and is_leased
	 * says so: then the front end looks at the clock and calls status_lease_holds before it
	 * reads. If the lease is over it asks again, without the flag. */
	SUBMIT_READ,
	SUBMIT_TRANSFER, /* hand mastership to node: DONE when the hand-over has begun */
	/* Change the configuration: DONE when it stands in the log, at log_index. It is done when a
	 * configuration of that index or a later one is committed; a change that was rolled back
	 * with the master that began it never is. */
	SUBMIT_CHANGE,
	/* Steer work in the background: DONE when it is as asked; log_index is the job's id, 0 when
	 * it is about none. */
	SUBMIT_JOB,
	/* Begin to read the whole log and the newest checkpoint back (deep.h), up to the log_index
	 * that follows the header, 8 bytes. DONE when it has begun: log_index is the number of the
	 * run, and status tells how it goes. */
	SUBMIT_DEEP,
	/* Promote this node by a person's word (force.h): DONE when it has begun; the node starts
	 * anew. value: the id of the generation. */
	SUBMIT_FORCE,
};

enum submit_job {
	SUBMIT_JOB_SCRUB_START = 1,
	SUBMIT_JOB_SCRUB_PAUSE,
	SUBMIT_JOB_SCRUB_RESUME,
	SUBMIT_JOB_SCRUB_CANCEL,
	SUBMIT_JOB_SCRUB_RATE,   /* value: KiB a second */
	SUBMIT_JOB_REBUILD_RATE, /* the same */
	SUBMIT_JOB_DEVICE_FAIL,  /* value: a position. No job: the device is taken out */
	/* The device at position node, which is recorded as failed, is replaced by the disk port's
	 * device in the upper half of flags, of value MiB. */
	SUBMIT_JOB_REPLACE,
};
#define SUBMIT_JOB_REPLACE_BY(drive) ((uint16_t)(SUBMIT_JOB_REPLACE | (drive) << 8))

enum submit_change {
	SUBMIT_CHANGE_ADD_LEARNER = 1,
	SUBMIT_CHANGE_REMOVE,  /* a learner */
	SUBMIT_CHANGE_PROMOTE, /* a learner becomes a voter */
	SUBMIT_CHANGE_DEMOTE,  /* a voter becomes a learner */
	SUBMIT_CHANGE_DROP,    /* one of two voters, which is dead for good, is none any more */
	/* One witness in the place of another, in two steps: the present one has no vote any more
	 * and a new generation is allotted; what was made in its place has one. */
	SUBMIT_CHANGE_WITNESS_OUT,
	SUBMIT_CHANGE_WITNESS_IN,
};
#define SUBMIT_CHANGE_LAST SUBMIT_CHANGE_WITNESS_IN

/* The block closes after this command, whatever waits behind it. For benchmarks, which have to say
 * how large the blocks are that they measure. */
#define SUBMIT_CLOSES_BLOCK 1u
#define SUBMIT_MAY_LEASE    1u /* READ */

struct submit_request {
	uint64_t tag; /* the front end's, returned in the completion */
	uint32_t kind;
	uint32_t command_bytes; /* WRITE, DEEP: that many bytes follow this header */
	uint16_t node;          /* TRANSFER, CHANGE */
	uint16_t flags;         /* WRITE: SUBMIT_CLOSES_BLOCK. READ: SUBMIT_MAY_LEASE. CHANGE:
				 * enum submit_change. JOB: enum submit_job */
	uint32_t value;         /* JOB, FORCE */
};

enum submit_outcome {
	SUBMIT_DONE = 1,
	SUBMIT_ACCEPTED,           /* WRITE of class async: never DONE */
	SUBMIT_REFUSED_NOT_MASTER, /* master_id says who is, 0: unknown */
	SUBMIT_REFUSED_LOG_FULL,
	SUBMIT_REFUSED_TOO_LARGE,
	SUBMIT_REFUSED_BUSY, /* a bounded queue is full: try again later */
	SUBMIT_REFUSED_MALFORMED,
	SUBMIT_REFUSED_CLASS,  /* the command's class cannot be met here */
	SUBMIT_REFUSED_CHANGE, /* change says why */
	SUBMIT_REFUSED_JOB,    /* change says why: enum submit_job_refusal */
	SUBMIT_REFUSED_FORCE,  /* change says why: enum core_force */
	SUBMIT_UNKNOWN,
};

enum submit_change_refusal {
	SUBMIT_CHANGE_IN_PROGRESS = 1, /* an earlier one has not committed */
	SUBMIT_CHANGE_UNKNOWN,         /* the master's node file does not name the node */
	SUBMIT_CHANGE_NOTHING,         /* it is so already */
	SUBMIT_CHANGE_VOTER,           /* the node is a voter, and only a learner can be removed */
	SUBMIT_CHANGE_VOTERS,          /* so many voters are not offered, or there is no witness */
	SUBMIT_CHANGE_NO_LEARNER,      /* only a learner can be promoted */
	SUBMIT_CHANGE_DEGRADED,        /* a copy is away */
	SUBMIT_CHANGE_SELF,            /* the master: hand over first */
	SUBMIT_CHANGE_SILENT,          /* a node that would be needed does not answer */
	SUBMIT_CHANGE_BEHIND,          /* the learner lacks too much of the log */
	SUBMIT_CHANGE_ENTERING,        /* the witness is being told: ask again */
	SUBMIT_CHANGE_OUT,             /* the witness is being replaced: that comes first */
	SUBMIT_CHANGE_THERE,           /* DROP: the node is there */
	SUBMIT_CHANGE_AGAIN,           /* WITNESS_IN: begin with WITNESS_OUT */
};

enum submit_job_refusal {
	SUBMIT_JOB_RUNNING = 1, /* one is under way already */
	SUBMIT_JOB_NONE,        /* none is under way */
	SUBMIT_JOB_NOT_NOW,     /* the log is damaged, or storage failed */
	SUBMIT_JOB_RANGE,       /* no such rate, no such device */
	SUBMIT_JOB_NOT_BORNE,   /* the node would not bear the loss of the device */
	SUBMIT_JOB_NOT_FAILED,  /* the device counts: it has to be recorded as failed first */
	SUBMIT_JOB_SMALL,       /* the new device is too small, or in use */
};

struct submit_completion {
	uint64_t tag;
	uint32_t outcome; /* enum submit_outcome */
	uint16_t master_id;
	uint16_t copies; /* DONE, WRITE: copies that its class counted */
	uint64_t term, log_index;
	uint32_t slot;
	uint16_t class_;    /* DONE, ACCEPTED, WRITE: enum command_class, what is met */
	uint16_t change;    /* REFUSED_CHANGE: enum submit_change_refusal; REFUSED_JOB */
	bool is_leased;     /* READ, DONE */
	struct reply reply; /* WRITE, DONE. With data: reply.bytes bytes follow this structure */
};

/* What a reply that has data says: lent as long as the completion. */
static inline const uint8_t *
submit_reply_data(const struct submit_completion *completion)
{
	return (const uint8_t *)(completion + 1);
}

struct submit_channel {
	struct ring requests;    /* front end -> lcore */
	struct ring completions; /* lcore -> front end */
	struct wake *lcore_wake;
	struct wake front_wake;
	uint32_t in_flight_max;
	/* Room for the bytes of replies: the front end keeps the most that its open requests can
	 * answer within this. A reply that finds no room comes back as REPLY_DONE. */
	uint64_t reply_bytes_max;
};

/* Bytes of ring memory for a channel of @in_flight_max requests: completions need this much. */
uint64_t submit_completions_bytes(uint32_t in_flight_max);
/* The same with room for @reply_bytes_max bytes of replies. */
uint64_t submit_completions_bytes_for(uint32_t in_flight_max, uint64_t reply_bytes_max);

#endif
