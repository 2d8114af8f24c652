/* SPDX-License-Identifier: Apache-2.0 */
/* What a birth of storage makes, how large it is, and how it is taken back. */
#ifndef TERN_CLI_NODE_BIRTH_H
#define TERN_CLI_NODE_BIRTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/admin/admin.h"
#include "control/config/node_config.h"
#include "dataplane/stripe/layout.h"

/* What a device holds when the log is in RAM: the superblock area, in whole MiB. ternd knows by
 * this size what storage was made for. */
#define NODE_VOLATILE_BYTES (1u << 20)

struct stripe_geometry node_geometry(const struct node_config *config);
/* Of each device: two slots, each for the largest checkpoint that state.capacity allows, in whole
 * MiB: a record of the stream is shorter than what the state machine charges for what it holds. */
uint64_t node_checkpoint_bytes(const struct node_config *config);

/* Takes back what a birth made on those of the node's @devices (mask) that are there: files are
 * removed, of block devices the superblocks. All are tried; CONFIG (exit 8): a device failed;
 * @text says which. */
enum admin_exit node_birth_take_back(const struct node_config *config, uint32_t devices, char *text,
				     size_t text_bytes);
/* Whether a file of so many @bytes may be what a birth made for device @number. */
bool node_is_birth_file(const struct node_config *config, uint32_t number, uint64_t bytes);
/* Whether what is there, or not, is no file. */
bool node_is_device_name(const char *path);

#endif
