/* SPDX-License-Identifier: Apache-2.0 */
/* Where the writing and the restoring of a checkpoint stand. Owner: the state's writer. */
#ifndef TERN_STATE_CHECKPOINT_INTERNAL_H
#define TERN_STATE_CHECKPOINT_INTERNAL_H

#include "dataplane/state/checkpoint.h"

struct checkpoint_cursor {
	uint64_t pin; /* a stamp; UINT64_MAX: no position is registered */
	bool is_ended;
	uint8_t space;      /* enum state_space; STATE_SPACES: the end record */
	struct entry *live; /* looked at last, if it is live at the position; or NULL */
	uint32_t given;     /* of the record of `live`; 0: all of it */
	uint32_t key_bytes; /* of the one looked at last if `live` is NULL; 0: none was */
	uint8_t key[COMMAND_KEY_BYTES_MAX];
};

enum restore_phase { RESTORE_NONE = 0, RESTORE_RECORD, RESTORE_KEY, RESTORE_DATA, RESTORE_END };

struct restore_cursor {
	enum restore_phase phase;
	uint64_t log_index;
	struct checkpoint_state image;
	struct checkpoint_record record;
	uint32_t have; /* of the part that the phase is at */
	struct entry *entry;
	struct version *version; /* whose bytes are being filled */
	uint64_t client_id;      /* of the last session */
	uint32_t key_bytes;      /* of the last key */
	uint8_t head[CHECKPOINT_RECORD_BYTES];
	uint8_t key[COMMAND_KEY_BYTES_MAX];
	uint8_t gathered[COMMAND_KEY_BYTES_MAX]; /* the next key, or a session */
};

#endif
