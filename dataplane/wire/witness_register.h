/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness's register for one shard: all that a witness knows. 512 bytes in a slot; two slots,
 * both written and flushed before every answer; the good one with the higher sequence counts.
 */
#ifndef TERN_WIRE_WITNESS_REGISTER_H
#define TERN_WIRE_WITNESS_REGISTER_H

#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/wire/generation.h"

#define WITNESS_REGISTER_BYTES 512u

struct witness_register {
	uint64_t sequence; /* rises with every slot that is written; 1 at birth */
	uint64_t cluster_id;
	struct generation generation;
	uint32_t witness_gen; /* 0: made in place of a lost one, and not entered yet */
	uint16_t shard, witness_id;
	uint32_t boot_no; /* of the running or last incarnation */
	uint64_t term;
	uint16_t voted_for; /* node id; 0: nobody in this term */
	uint64_t last_term; /* last = (term, epoch) registered; (0, 0) only at birth */
	uint32_t last_epoch;
	uint64_t rset;        /* mask of node ids, the witness's included */
	uint64_t last_index;  /* for audit */
	struct hash128 chain; /* for audit */
	/* The newest configuration that it was told of as committed, by ENTER or RETIRE. */
	uint64_t config_index;
	struct hash128 config_chain; /* RETIRED: chain hash of that block */
	uint8_t duty;                /* enum witness_duty */
};

/* Whether it has a vote. */
enum witness_duty {
	WITNESS_BY_BIRTH = 0, /* as its node file says */
	WITNESS_ENTERED,      /* a master gave it the register of a committed barrier */
	WITNESS_RETIRED,      /* the configuration config_index has no place for its vote */
	WITNESS_SUPERSEDED,   /* the cluster is of a later generation: never again */
};

/* @out: WITNESS_REGISTER_BYTES. */
void witness_register_encode(uint8_t *out, const struct witness_register *reg);
/* BLANK: all zero. CORRUPT. VERSION. FOREIGN: no Tern magic, yet not zero. */
TERN_CHECKED enum tern_err
witness_register_decode(const uint8_t *bytes, struct witness_register *reg);

#endif
