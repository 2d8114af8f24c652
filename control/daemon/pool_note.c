/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool note lies in <storage>/pool: which devices of a pool with k <= m are out. The store asks
 * for it before a device counts as failed, and waits; the main thread writes it, for a flush may
 * take long. What it is for: docs/decisions/half-of-a-mirror.md.
 */
#include "control/daemon/ternd.h"

#include <stdio.h>

#include "hw/file_store/register_store.h"
#include "hw/platform/platform.h"

enum note_state { NOTE_IDLE = 0, NOTE_WANTED, NOTE_WRITTEN, NOTE_FAILED };

static void
note_write(void *notes, const struct pool_note *note)
{
	struct pool_note_keeper *keeper = notes;

	keeper->note = *note;
	atomic_store(&keeper->state, NOTE_WANTED);
}

static enum tern_err
note_poll(void *notes)
{
	struct pool_note_keeper *keeper = notes;
	const int state = atomic_load(&keeper->state);

	if (state == NOTE_WANTED)
		return TERN_ERR_BUSY;
	atomic_store(&keeper->state, NOTE_IDLE);
	return state == NOTE_WRITTEN ? TERN_OK : TERN_ERR_IO;
}

static const struct note_ops keeper_ops = { .write = note_write, .poll = note_poll };

void
pool_note_load(struct ternd *node, struct runtime_config *runtime)
{
	char path[NODE_CONFIG_PATH_MAX + 16];
	uint8_t bytes[POOL_NOTE_BYTES];
	size_t count;

	if (runtime->geometry.k > runtime->geometry.m)
		return;
	node_config_note_path(&node->config, path, sizeof(path));
	runtime->notes = (struct note_port){ &keeper_ops, &node->note_keeper };
	runtime->note_err = file_store_read(path, bytes, sizeof(bytes), &count);
	if (runtime->note_err == TERN_OK)
		runtime->note_err = pool_note_decode(bytes, count, &runtime->note);
}

void
pool_note_turn(struct ternd *node)
{
	struct pool_note_keeper *keeper = &node->note_keeper;
	char path[NODE_CONFIG_PATH_MAX + 16];
	uint8_t bytes[POOL_NOTE_BYTES];

	if (atomic_load(&keeper->state) != NOTE_WANTED)
		return;
	node_config_note_path(&node->config, path, sizeof(path));
	pool_note_encode(bytes, &keeper->note);
	const enum tern_err err = file_store_write_atomic(path, bytes, sizeof(bytes));
	if (err != TERN_OK)
		platform_diag(PLATFORM_ERROR,
			      "pool_note_failed node=%s path=%s boot_no=%u out=%x: the node bears "
			      "no loss of a device before it starts again",
			      node->config.name, path, keeper->note.boot_no, keeper->note.out);
	atomic_store(&keeper->state, err == TERN_OK ? NOTE_WRITTEN : NOTE_FAILED);
	wake_up(&node->lcore_wake);
}

bool
pool_note_is_answered(const struct ternd *node)
{
	const int state = atomic_load(&node->note_keeper.state);

	return state == NOTE_WRITTEN || state == NOTE_FAILED;
}
