/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage seam on devices that are only read: those of a node that may be running. Requests are
 * done while they are queued, one at a time, O_DIRECT. A write is answered as if it were done, and
 * is not: the store above notes in its own memory what it finds (a device that is absent, a
 * superblock that is one update behind), and nobody else sees it.
 *
 * Thread: one owner.
 */
#ifndef TERN_BACKUP_DEVICE_H
#define TERN_BACKUP_DEVICE_H

#include <stddef.h>

#include "control/config/node_config.h"
#include "dataplane/stripe/layout.h"
#include "hw/seam/disk_ops.h"

#define BACKUP_REQUESTS_MAX 1024u /* done and not yet collected */

struct backup_device {
	uint32_t count;                    /* the pool's positions, then its spares */
	int fds[STRIPE_DRIVES_MAX];        /* -1: absent */
	uint64_t bytes[STRIPE_DRIVES_MAX]; /* 0: absent */
	struct disk_completion done[BACKUP_REQUESTS_MAX];
	uint32_t done_head, done_count;
	struct disk_stats stats;
};

/* Opens the spares of @config, too: one of them may stand in the place of a device. @is_locked:
 * keeps every other process away until the close. BUSY: one has them. NOT_FOUND: more than can be
 * borne are absent; @text names one. */
TERN_CHECKED enum tern_err
backup_device_open(struct backup_device *device, const struct node_config *config, bool is_locked,
		   char *text, size_t text_bytes);
struct disk_port backup_device_port(struct backup_device *device);
void backup_device_close(struct backup_device *device);

#endif
