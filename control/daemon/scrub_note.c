/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a scrub has come is noted in <storage>/scrub now and then, and when the next one is due,
 * so that a start goes on where the last one was: what large devices hold takes hours to verify.
 * The note is worth nothing else. One that is lost, old, or of another pool costs at most a scrub
 * that begins anew, or passes over what an earlier one has verified.
 */
#include "control/daemon/ternd.h"

#include <inttypes.h>
#include <stdio.h>

#include "hw/file_store/register_store.h"
#include "hw/platform/platform.h"

#define NOTE_NAME   "scrub"
#define NOTE_FORM   "cell=%" PRIu64 " state=%u due_ms=%" PRIu64 "\n"
#define NOTE_SCAN   "cell=%" SCNu64 " state=%u due_ms=%" SCNu64
#define INTERVAL_NS 10000000000ull /* between notes of mere progress */
#define NS_PER_MS   1000000u

static void
note_path(const struct node_config *config, char *path, size_t bytes)
{
	snprintf(path, bytes, "%s/" NOTE_NAME, config->storage_dir);
}

static uint64_t
wall_ms(void)
{
	return platform_wall_ns() / NS_PER_MS;
}

void
scrub_note_load(const struct node_config *config, struct runtime_config *runtime)
{
	char path[NODE_CONFIG_PATH_MAX + 16];
	uint64_t cell, due_ms;
	unsigned int state;

	note_path(config, path, sizeof(path));
	FILE *in = fopen(path, "re");
	if (in == NULL)
		return;
	if (fscanf(in, NOTE_SCAN, &cell, &state, &due_ms) == 3 && state <= STATUS_SCRUB_PAUSED) {
		const uint64_t now_ms = wall_ms();
		const uint64_t interval_ms = config->disk.scrub_interval_ns / NS_PER_MS;
		runtime->scrub_from = (enum status_scrub)state;
		runtime->scrub_from_cell = cell;
		/* A wall clock that was set does not put it off for longer than the interval. */
		if (due_ms != 0 && due_ms < now_ms + interval_ms)
			runtime->scrub_due_in_ns =
			    due_ms > now_ms ? (due_ms - now_ms) * NS_PER_MS : 1;
	}
	fclose(in);
}

void
scrub_note_save(const struct node_config *config, const struct node_status *status,
		struct scrub_note *last, bool is_last)
{
	const struct status_pool *pool = &status->pool;
	const uint64_t now_ns = platform_monotonic_ns();
	const bool is_changed =
	    pool->scrub_state != last->state || pool->scrub_due_ns != last->due_ns;
	const bool has_moved =
	    pool->scrub_cell != last->cell && (is_last || now_ns - last->saved_ns >= INTERVAL_NS);
	char path[NODE_CONFIG_PATH_MAX + 16], text[96];

	/* Until the boot has ended nothing is known. */
	if (status->boot_no == 0 || (!is_changed && !has_moved))
		return;
	const uint64_t left_ms =
	    pool->scrub_due_ns > now_ns ? (pool->scrub_due_ns - now_ns) / NS_PER_MS : 0;
	const uint64_t due_ms = pool->scrub_due_ns == 0 ? 0 : wall_ms() + left_ms;
	const int length = snprintf(text, sizeof(text), NOTE_FORM, pool->scrub_cell,
				    (unsigned int)pool->scrub_state, due_ms);
	note_path(config, path, sizeof(path));
	/* Where it cannot be written the next scrub begins anew. */
	(void)!file_store_write_atomic(path, text, (size_t)length);
	*last =
	    (struct scrub_note){ pool->scrub_cell, pool->scrub_due_ns, now_ns, pool->scrub_state };
}
