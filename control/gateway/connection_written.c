/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a connection's own writes stand, for its reads to wait for them.
 *
 * A write that was only accepted, or answered in class memory, may be lost with its master, and its
 * position be somebody else's block, or nobody's for long. That is certain as soon as a block of a
 * later term is committed: terms do not fall along a log, so what is above such a block and of an
 * earlier term will never be in it. Until then a read waits, for the write may be there.
 */
#include "control/gateway/connection_internal.h"
#include "dataplane/base/bits.h"

void
connection_note_write(struct connection *conn, const struct slot *slot)
{
	/* Another node answers a write that was forwarded without its term. In class memory it may
	 * be lost as well, after two faults; what is read waits for it nevertheless. */
	const bool is_done =
	    slot->outcome == SUBMIT_DONE && (slot->class_ != COMMAND_MEMORY || slot->is_forwarded);

	if (is_done) {
		conn->done_index = max_u64(conn->done_index, slot->log_index);
	} else if (slot->term > conn->loose_term) {
		/* Whatever is left of earlier terms lies below it. */
		conn->loose_term = slot->term;
		conn->loose_index = slot->log_index;
	} else if (slot->term == conn->loose_term) {
		conn->loose_index = max_u64(conn->loose_index, slot->log_index);
	}
}

uint64_t
connection_written(const struct connection *conn)
{
	return max_u64(conn->done_index, conn->loose_index);
}

bool
connection_forget_lost(struct connection *conn)
{
	struct node_status status;

	if (conn->loose_index <= conn->done_index)
		return false;
	status_read(conn->gateway->status, &status);
	if (status.commit_term <= conn->loose_term || status.commit_index >= conn->loose_index)
		return false;
	/* What is there of that term is at or below the commit. */
	conn->loose_index = status.commit_index;
	return true;
}
