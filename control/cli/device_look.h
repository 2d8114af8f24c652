/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether Tern may have a device of this machine: what it is, what it carries and who uses it.
 * Every verb that writes to a device asks here first. What carries anything is given only to who
 * names it
 * (--wipe); what somebody uses is given to nobody.
 *
 * A name to wipe by: the serial number of a whole disk, if it is of no other disk too (namespaces
 * of one NVMe controller have the same); else the stable id (with or without /dev/disk/by-id/); the
 * path of files, loop devices, and of what has neither.
 */
#ifndef TERN_CLI_DEVICE_LOOK_H
#define TERN_CLI_DEVICE_LOOK_H

#include <jansson.h>

#include "control/cli/cli.h"
#include "dataplane/wire/superblock.h"
#include "hw/device_facts/device_facts.h"

enum device_fit {
	DEVICE_FIT_FREE = 1, /* blank, or a file that is not there yet */
	DEVICE_FIT_WIPE,     /* it carries something */
	DEVICE_FIT_NO,
};

struct device_look {
	enum device_fit fit;
	struct device_facts facts;
	char carries[DEVICE_WHY_MAX];  /* "": nothing */
	char why[DEVICE_WHY_MAX];      /* FIT_NO: why */
	char wipe_by[DEVICE_PATH_MAX]; /* what --wipe has to name */
	bool is_tern;                  /* it has a superblock: */
	struct superblock superblock;
};

/* Looks at @path; writes nothing. */
void device_look(const char *path, struct device_look *look);
/* Written by this node, or by it in a cluster whose id the node file does not say. */
bool device_look_is_own(const struct node_config *config, const struct device_look *look);
/* {"path","kind","bytes",...,"carries","usable":"yes"|"wipe"|"no","why"} */
json_t *device_look_json(const char *path, const struct device_look *look);

/* ADMIN_EXIT_OK: nothing that a block device at @path carries is in the way. REFUSED: @text names
 * what is. Tern's own superblocks are the caller's business. */
enum admin_exit device_look_refuse(const char *path, char *text, size_t text_bytes);

/* Wipes those of the node's devices @first to @first + @count that @list (by commas) names: a file
 * is removed, a block device loses its signatures and what Tern wrote at its beginning. First all
 * are looked at, then all are wiped. @is_own_kept: not what this node itself has written. USAGE: a
 * name is of none of them; REFUSED: somebody uses one, or it is the node's own. */
enum admin_exit device_wipe(const struct node_config *config, uint32_t first, uint32_t count,
			    const char *list, bool is_own_kept, char *text, size_t text_bytes);

/* ---- device_print.c ---- */

/* Facts that `tern device show` has of a device, and what follows. */
json_t *device_facts_json(const struct device_facts *facts);
void device_facts_print(FILE *out, const struct device_facts *facts);
/* "1.7TiB", "31MiB" */
void device_size_text(uint64_t bytes, char out[32]);

#endif
