/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of a data node: images that outlive the node's crashes, and what is wrong with it. */
#ifndef TERN_TESTS_SIM_SIM_DISK_H
#define TERN_TESTS_SIM_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/prng.h"
#include "dataplane/stripe/layout.h"
#include "hw/seam/disk_ops.h"
#include "tests/sim/sim_refill.h"

struct sim_node;

#define SIM_DISK_REQUESTS 256u
#define SIM_DEVICES_MAX   11u /* 6 + 3, and spares */

struct sim_disk_slot {
	struct disk_request request;
	uint32_t crc;   /* of a write's bytes when it was queued */
	uint64_t floor; /* what the node had durable then */
	enum { SIM_SLOT_FREE = 0, SIM_SLOT_QUEUED, SIM_SLOT_FLYING, SIM_SLOT_DONE } state;
	enum tern_err err;
};

struct sim_undo { /* lying disk: what a completed write replaced */
	uint64_t offset, at_ns;
	uint32_t device, length;
	uint8_t *bytes;
};

struct sim_rot { /* a page of the log that came to harm at rest */
	bool is_on;
	bool is_for_good; /* nobody puts it back */
	uint32_t device;
	uint64_t offset;
	uint8_t sound[DISK_PAGE_BYTES], rotten[DISK_PAGE_BYTES];
};

struct sim_disk {
	struct sim_node *node;
	uint8_t *image;                     /* of all devices, one behind the other */
	uint64_t image_bytes;               /* of one */
	uint32_t device_count;              /* places of the pool */
	uint32_t spare_count;               /* devices besides, see sim_spare.h */
	uint8_t drives[STRIPE_DEVICES_MAX]; /* which stands at each place */
	uint32_t late;                      /* mask of devices: such as come while the node runs */
	uint32_t swapped[2];
	bool is_swapped;
	uint64_t taken_seen;
	struct prng spare_prng;
	/* Devices that come to harm, ever: no more than may be lost, except without parity. */
	uint32_t weak;
	uint32_t target;  /* of them: the one that is struck now */
	uint32_t gone;    /* mask: for good */
	uint64_t rebuilt; /* devices, since the start */
	/* Harm that came to weak devices of a running node, and that no scrub has yet made good:
	 * how often, since the last. And what of the node's counters was looked at. */
	uint32_t live_rot;
	uint64_t rebuilt_checked, scrubs_checked, repaired_seen;
	struct sim_hurt hurt;
	struct prng scrub_prng;
	bool has_scrub_prng;
	struct sim_disk_slot slots[SIM_DISK_REQUESTS];
	uint32_t done[SIM_DISK_REQUESTS], done_count, queued;
	uint64_t slow_factor, stuck_until_ns;
	uint64_t written_bytes[SIM_DEVICES_MAX]; /* beyond, a device is blank */
	uint32_t fail_next;                      /* so many writes from now on fail */
	/* What a failed write leaves behind, and whether all fail, or all reads of the log. */
	enum { SIM_FAIL_NOTHING = 0, SIM_FAIL_WRITTEN, SIM_FAIL_TORN } fail_how;
	bool is_full, has_bad_sectors;
	bool rots_in_flight; /* a crash leaves rubbish of what it was writing */
	struct sim_rot rot;
	bool was_rotten;         /* since the node's last start */
	uint64_t floor;          /* that a write of the log which completed must have carried */
	uint32_t misdirect_next; /* so many writes of the log go elsewhere */
	uint32_t misread_next;   /* so many reads of the log come from elsewhere */
	uint8_t *old_image;      /* what it will show again */
	uint64_t old_bytes[SIM_DEVICES_MAX];
	bool is_superblock_rotten; /* one copy, since the last start */
	/* Since the node's last start: a request failed; one had to wait for a device that hangs;
	 * and therefore it did not start, and does when the device answers again. */
	bool has_failed, has_hung, is_waited_for;
	struct disk_stats stats;
	struct sim_undo *undo;
	uint32_t undo_count, undo_capacity;
};

extern const struct disk_ops sim_disk_ops;
/* @bytes: of each device. */
void sim_disk_init(struct sim_disk *disk, struct sim_node *node, uint64_t bytes);
/* Devices that there are. */
static inline uint32_t
sim_disk_drives(const struct sim_disk *disk)
{
	return disk->device_count + disk->spare_count;
}
/* What any device says that is there: which places are recorded as failed. */
uint32_t sim_disk_recorded_failed(const struct sim_disk *disk);
uint8_t *sim_disk_at(const struct sim_disk *disk, uint32_t device, uint64_t offset);
/* Before a start: devices that are gone, and known to be, may be replaced by blank ones. */
void sim_disk_replace(struct sim_disk *disk);
/* Devices that are gone, and that nobody knows of, are brought back as they were. False: none are.
 */
bool sim_disk_return(struct sim_disk *disk);
/* All devices are whole again: others may come to harm from now on. */
void sim_disk_healed(struct sim_disk *disk, uint64_t rebuilt);
/* The target does, or is slow. */
bool sim_disk_is_hanging(const struct sim_disk *disk);
/* One of the weak devices becomes the target. */
void sim_disk_aim(struct sim_disk *disk);
void sim_disk_complete(struct sim_disk *disk, uint32_t slot);
/* The node has cut its log: a floor above what is left was given up. */
void sim_disk_cut(struct sim_disk *disk);
/* What a power cut leaves of the writes in flight. */
void sim_disk_crash(struct sim_disk *disk);

#endif
