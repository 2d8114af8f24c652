/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data node alone on fake seams: a device in memory that can be held or broken, no network, a
 * clock that steps; and its front end.
 */
#ifndef TERN_TESTS_UNIT_RUNTIME_ALONE_H
#define TERN_TESTS_UNIT_RUNTIME_ALONE_H

#include "tests/support/check.h"

#include "dataplane/runtime/runtime.h"
#include "dataplane/wire/page.h"
#include "dataplane/wire/superblock.h"

#define ALONE_LOG_PAGES     200u
#define ALONE_SLOT_PAGES    2u /* of a checkpoint: its header, and a page of state */
#define ALONE_SLOTS_PAGE    (SUPERBLOCK_AREA_PAGES + ALONE_LOG_PAGES)
#define ALONE_DEVICE_PAGES  (ALONE_SLOTS_PAGE + SUPERBLOCK_CHECKPOINTS * ALONE_SLOT_PAGES)
#define ALONE_COMMAND_MAX   8192u
#define ALONE_IN_FLIGHT_MAX 64u
#define ALONE_TURNS_MAX     20000u
#define ALONE_DISK_MAX      64u

struct alone_device {
	uint8_t image[ALONE_DEVICE_PAGES * PAGE_BYTES];
	struct disk_request queue[ALONE_DISK_MAX];
	uint32_t count;
	bool is_held, is_broken;
	uint64_t held_from; /* bytes: what lies there or behind is held; 0: nothing is */
};

struct alone {
	struct alone_device *device;
	uint64_t now_ns;
	uint8_t *ring, *state_memory, *channel_memory, *arena_memory;
	size_t arena_bytes;
	struct state *state;
	struct wake wake;
	struct submit_channel channel;
	struct runtime *runtime;
	uint64_t tag;
};

/* Set-up and teardown of a test, with a node that has started. */
int alone_start(void **context);
int alone_start_with_checkpoints(void **context);
int alone_stop(void **context);
/* Power is cut, and comes back: what was under way is lost, and nothing is held or broken. */
enum runtime_boot alone_restart(struct alone *alone);
void alone_turns(struct alone *alone, uint32_t count);
void alone_become_master(struct alone *alone);

/* Publishes a request with @bytes behind it; its tag. */
uint64_t alone_ask(struct alone *alone, enum submit_kind kind, const void *bytes, uint32_t count);
uint64_t alone_set_as(struct alone *alone, const char *key, uint32_t value_bytes,
		      enum command_class class_, uint8_t flags);
uint64_t alone_set(struct alone *alone, const char *key, uint32_t value_bytes);
struct submit_completion alone_next_answer(struct alone *alone);
/* The next completion, which has to be that of @tag. */
struct submit_completion alone_answer(struct alone *alone, uint64_t tag);
void alone_expect(struct alone *alone, uint64_t tag, enum submit_outcome outcome);

#endif
