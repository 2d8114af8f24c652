/* SPDX-License-Identifier: Apache-2.0 */
/* The one error type. Codes of other worlds (errno, rte_errno, cqe->res) are translated in hw/. */
#ifndef TERN_BASE_ERR_H
#define TERN_BASE_ERR_H

#define TERN_CHECKED __attribute__((warn_unused_result))

enum tern_err {
	TERN_OK = 0,
	TERN_ERR_MALFORMED,  /* bytes that break their format: dropped and counted */
	TERN_ERR_VERSION,    /* a format or command version that this build does not know */
	TERN_ERR_FOREIGN,    /* belongs to another cluster, node, shard or generation */
	TERN_ERR_STALE_TERM, /* from a term that is over */
	TERN_ERR_NOT_MASTER, /* only the master does this */
	TERN_ERR_QUEUE_FULL, /* nothing taken: offer it again after the next completion */
	TERN_ERR_LOG_FULL,   /* the log area has no room for client commands */
	TERN_ERR_TOO_LARGE,  /* over a configured limit, now and always */
	TERN_ERR_NO_MEMORY,  /* an arena of fixed size is used up */
	TERN_ERR_NOT_FOUND,
	TERN_ERR_BLANK,       /* storage that was never written */
	TERN_ERR_CORRUPT,     /* storage that was written and cannot be read back whole */
	TERN_ERR_IO,          /* a device refused or failed a request */
	TERN_ERR_BUSY,        /* somebody else holds it */
	TERN_ERR_UNSUPPORTED, /* this machine or build cannot do it */
	TERN_ERR_CONFIG,      /* a file or an argument of the operator is wrong */
};

/* A short lower-case text for people, never NULL. */
const char *tern_err_text(enum tern_err err);

#endif
