/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ternd: a data node. Start-up order, threads, supervision, shutdown.
 *
 *	main thread   opens everything, then supervises: port maintenance, reclaim, divergent tails
 *	lcore thread  owns the runtime, the data port, the management socket, the storage port
 *	gateway       RESP clients (control/gateway)
 *	endpoint      native clients (control/endpoint), if the node has a client address
 *	admin         the admin socket (control/admin)
 *	load          only while a benchmark asks for it (load.h)
 *	patient       only while a device is read beside the lcore (patient.h)
 *
 * and a second process, ternd-last-word, which says farewell for a master that died (last_word.h).
 *
 * All memory that the lcore uses is taken before it starts. Storage is never created here.
 * Exit codes: 0 ended by a signal, 1 failed, 2 usage, 8 bad configuration or storage.
 */
#ifndef TERN_DAEMON_TERND_H
#define TERN_DAEMON_TERND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "control/admin/admin.h"
#include "control/config/node_config.h"
#include "control/daemon/last_word.h"
#include "control/daemon/load.h"
#include "control/daemon/standstill.h"
#include "control/endpoint/endpoint.h"
#include "control/gateway/gateway.h"
#include "dataplane/runtime/runtime.h"
#include "hw/net_kernel/net_kernel.h"
#include "hw/nic_dpdk/nic.h"
#include "hw/nvme_uring/faulty.h"
#include "hw/nvme_uring/lossy.h"
#include "hw/nvme_uring/nvme.h"
#include "hw/ram_disk/ram_disk.h"

#define TERND_ADMIN_IN_FLIGHT    16u
#define TERND_ENDPOINT_IN_FLIGHT 4096u

/* OVER: this incarnation is (RUNTIME_RESTART), and the next one has to begin. */
enum lcore_phase { LCORE_BOOTING = 0, LCORE_RUNNING, LCORE_FAILED, LCORE_ENDED, LCORE_OVER };

/* The pool note: one at a time from the lcore, which asks, to the main thread, which writes it. */
struct pool_note_keeper {
	_Atomic int state; /* enum note_state of pool_note.c */
	struct pool_note note;
};

/* The lcore thread and what it shares with the main thread. */
struct lcore {
	pthread_t thread;
	_Atomic int phase;           /* enum lcore_phase */
	_Atomic bool is_stop_wanted; /* hand over if possible, then end */
	enum runtime_boot boot;      /* valid when phase is LCORE_FAILED */
	char why[512];               /* when the boot could not even begin, or ended */
	struct standstill standstill;
};

struct ternd {
	struct node_config config;
	struct net_filter filter;
	struct nic *nic;
	struct net_kernel *mgmt;
	struct nvme *nvme;
	uint32_t unsafe_devices;      /* see superblocks_read: as if they were absent */
	const uint8_t *device_faults; /* dev only; NULL */
	struct faulty *faulty;
	struct lossy *lossy;       /* dev only; NULL */
	struct ram_disk *ram_disk; /* volatile only; NULL */
	struct disk_port disk;
	uint8_t *ring;
	void *arena_memory;
	size_t arena_bytes;
	struct arena arena;
	void *state_memory;
	size_t state_bytes;
	struct state *state;
	struct runtime *runtime;
	struct wake lcore_wake;
	struct submit_channel gateway_channel, admin_channel, endpoint_channel;
	void *rings_memory;
	size_t rings_bytes;
	struct ring divergent;
	uint32_t divergent_tries; /* of the oldest record on it */
	uint64_t divergent_retry_ns;
	uint32_t divergent_silent; /* mask of drives that a read waited for in vain: none again */
	struct status_cell *status;
	struct lcore lcore;
	struct last_word *last_word;
	struct pool_note_keeper note_keeper;
	int resp_fd;   /* inherited listener of the gateway; -1: it makes one */
	int client_fd; /* inherited socket of the endpoint; 0: it makes one */
	struct gateway *gateway;
	struct endpoint *endpoint; /* NULL: no client address */
	struct admin *admin;
	struct state_reader *admin_reader; /* of the admin thread */
	struct load *load;
	uint64_t admin_tag;
};

/* ---- assemble.c: everything that is opened once ---- */

/* Opens ports, storage and memory as node->config says. On an error *why* says what failed and what
 * to do; what was opened stays for assemble_close. */
TERN_CHECKED enum tern_err assemble_open(struct ternd *node, char *why, size_t why_bytes);
void assemble_close(struct ternd *node);

/* ---- check_device.c ---- */

/* Whether the device at @path keeps what it acknowledged; what is not there passes. CONFIG: it does
 * not, and @why says why. Any thread that may wait for a device. */
TERN_CHECKED enum tern_err
ternd_check_device(const struct node_config *config, const char *path, char *why, size_t why_bytes);

/* ---- superblocks.c ---- */

#define TERND_STORAGE_NEXT_STEP                                                                  \
	"; a new node's storage is made by `tern node init`, that of a node which lost its own " \
	"by `tern node rejoin`"

#define TERND_BUSY_NEXT_STEP \
	"; stop that process first; if there is none, look at the device, and start again"

/* Flushes the caches of all devices and spares before anything of them is read: what a start finds
 * is durable, or it does not find it. Then the newest superblock of this node on them; what it says
 * of the log area bounds the memory of its index. A device that does not answer within disk.hang is
 * taken for absent, with parity; without, it is waited for. So is one that cannot be flushed. On an
 * error *why* says what to do. BUSY: another process uses a device that counts, or none answers.
 * @unsafe: mask of devices, spares behind them, that do not count and never must, for they do not
 * keep what they acknowledged. CONFIG: one that counts does not. */
TERN_CHECKED enum tern_err superblocks_read(const struct ternd *node, struct superblock *superblock,
					    uint32_t *unsafe, char *why, size_t why_bytes);

/* ---- lcore.c ---- */

/* Starts the thread; its phase tells how it goes. */
TERN_CHECKED enum tern_err lcore_start(struct ternd *node);
/* Asks it to end (after a hand-over if this node is master) and waits for it. */
void lcore_stop(struct ternd *node);

/* ---- verbs.c ---- */

extern const struct admin_verb ternd_verbs[];
extern const uint32_t ternd_verb_count;
void ternd_admin_begin(void *context);
void ternd_admin_end(void *context);

/* ---- lcore_ask.c ---- */

/* Admin thread: hands one request to the lcore and waits for its completion. False: none came in
 * time. */
bool ternd_submit_and_wait(struct ternd *node, const struct submit_request *request,
			   struct submit_completion *completion);
/* The same with request->command_bytes at @payload, borrowed until return. */
bool ternd_submit_with_payload(struct ternd *node, const struct submit_request *request,
			       const void *payload, struct submit_completion *completion);

/* ---- verbs_job.c ---- */

/* What a refusal of a job is to an operator. */
json_t *ternd_job_refused(const struct submit_completion *completion);
json_t *ternd_verb_scrub(void *context, const json_t *request);
json_t *ternd_verb_rebuild_rate(void *context, const json_t *request);

/* ---- verbs_force.c ---- */

json_t *ternd_verb_force_promote(void *context, const json_t *request);

/* ---- verbs_device.c ---- */

json_t *ternd_verb_device_io(void *context, const json_t *request);
json_t *ternd_verb_device_fail(void *context, const json_t *request);
/* Adds to the devices of @status what each was asked since the start. */
void ternd_device_io_add(const struct ternd *node, json_t *status);

/* ---- spares.c ---- */

/* One of them is in use now, whatever the node file says at the next start. */
void spares_save(const struct node_config *config);
json_t *ternd_verb_device_replace(void *context, const json_t *request);

/* ---- scrub_note.c ---- */

/* What was last noted. */
struct scrub_note {
	uint64_t cell, due_ns, saved_ns;
	uint8_t state;
};
/* Where an earlier start's scrub was, and when the next is due. */
void scrub_note_load(const struct node_config *config, struct runtime_config *runtime);
/* Main thread: notes it, if something has changed. @is_last: the node ends. */
void scrub_note_save(const struct node_config *config, const struct node_status *status,
		     struct scrub_note *last, bool is_last);

/* ---- pool_note.c ---- */

/* What was noted, if this pool needs a note, and who keeps it. */
void pool_note_load(struct ternd *node, struct runtime_config *runtime);
/* Main thread: writes it, if the lcore wants that. */
void pool_note_turn(struct ternd *node);
/* Lcore: it was written, or could not be, and nobody has looked yet. */
bool pool_note_is_answered(const struct ternd *node);

/* ---- divergent.c ---- */

/* Main thread: writes the oldest record of a cut tail to a file. False: there is none, or it could
 * not be written, stays, and is tried again later. An empty ring means that all is in files: then
 * the loop may give up what holds the tails. */
bool divergent_turn(struct ternd *node);

#endif
