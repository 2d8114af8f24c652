/* SPDX-License-Identifier: Apache-2.0 */
/* The seam of a node's pool note: one small record on the disk that the node boots from, replaced
 * whole or not at all. A write that failed is never retried: what the disk holds is not known.
 * Thread: one owner. */
#ifndef TERN_HW_SEAM_NOTE_OPS_H
#define TERN_HW_SEAM_NOTE_OPS_H

#include "dataplane/base/err.h"
#include "dataplane/wire/pool_note.h"

struct note_ops {
	/* Begins to replace the note. One at a time. Never blocks. */
	void (*write)(void *notes, const struct pool_note *note);
	/* Of the write that was begun: BUSY: it is under way. OK: the note is durable. IO: the old
	 * one or this one is there. */
	enum tern_err (*poll)(void *notes);
};

struct note_port {
	const struct note_ops *ops; /* NULL: nobody keeps one */
	void *notes;
};

#endif
