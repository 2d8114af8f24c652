/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a storage device is: a file or a block device, its sizes, its ids, its caches, its health;
 * and what follows from that for durability. Read from sysfs, and from the controller where the
 * device is NVMe and the process may ask it (root). Nothing is written, nothing is cached.
 *
 * Promises: every text ends and holds no control character; what could not be found out says so
 * (DEVICE_UNKNOWN, "" or 0) and is never guessed.
 *
 * Thread: any but a data lcore; it opens files and asks controllers.
 */
#ifndef TERN_HW_DEVICE_FACTS_DEVICE_FACTS_H
#define TERN_HW_DEVICE_FACTS_DEVICE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/base/err.h"
#include "hw/device_facts/nvme_page.h"

#define DEVICE_NAME_MAX 64u
#define DEVICE_PATH_MAX 512u
#define DEVICE_TEXT_MAX 128u
#define DEVICE_WHY_MAX  512u

enum device_kind { DEVICE_FILE = 1, DEVICE_BLOCK, DEVICE_ABSENT, DEVICE_OTHER };

enum device_answer { DEVICE_UNKNOWN = 0, DEVICE_NO, DEVICE_YES };

struct device_facts {
	enum device_kind kind;
	uint64_t bytes;
	bool is_ram;                 /* its content ends with the machine: brd, zram, tmpfs */
	char file_system[16];        /* of a file: "ext4", "xfs", "btrfs", "tmpfs"; "": another */
	char name[DEVICE_NAME_MAX];  /* of the kernel: "nvme0n1p1" */
	char disk[DEVICE_NAME_MAX];  /* the whole disk: "nvme0n1" */
	char by_id[DEVICE_PATH_MAX]; /* "/dev/disk/by-id/...", the same at every start */
	char serial[DEVICE_TEXT_MAX], model[DEVICE_TEXT_MAX], firmware[DEVICE_TEXT_MAX];
	char loop_file[DEVICE_PATH_MAX]; /* what a loop device shows */
	bool is_partition, is_loop, is_read_only;
	uint32_t major, minor;
	uint32_t logical_bytes, physical_bytes; /* sectors */
	enum device_answer is_rotational;
	/* Whether the kernel flushes a cache of it (queue/write_cache), and can force single writes
	 * through (queue/fua). */
	enum device_answer is_flushed_by_kernel, has_fua;
	/* What the device itself says of a volatile cache: NVMe, SCSI. */
	enum device_answer has_volatile_cache;
	enum device_answer can_poll; /* queue/io_poll */
	int32_t numa_node;           /* -1: not known */
	/* Where the controller answered. */
	bool has_controller, has_namespace, has_smart;
	struct nvme_page_controller controller;
	struct nvme_page_namespace name_space;
	struct nvme_page_smart smart;
};

/* Facts of what is at @path. @root: "" for this machine, or a directory that has sys/ and dev/ in
 * it, for tests. NOT_FOUND: nothing is there, and facts->kind says so; IO. */
TERN_CHECKED enum tern_err
device_facts_read(const char *root, const char *path, struct device_facts *facts);
/* Facts of a block device by the kernel's name, from sysfs below @root alone. NOT_FOUND. */
TERN_CHECKED enum tern_err
device_facts_read_name(const char *root, const char *name, struct device_facts *facts);

/* Asks the NVMe controller behind @path and adds what it says; nothing changes where it is none, or
 * does not answer. */
void device_facts_ask_controller(const char *path, struct device_facts *facts);

/* Names of all block devices but empty ones (loop devices without a file) and those that the kernel
 * hides (paths to a namespace of several controllers), partitions too, in alphabetical order.
 * Returns how many, at most @max. */
uint32_t device_names(const char *root, char (*names)[DEVICE_NAME_MAX], uint32_t max);
/* Whether another whole disk has the same serial number: that of an NVMe controller is the one of
 * all its namespaces. */
bool device_serial_is_shared(const char *root, const struct device_facts *facts);

/* ---- NVMe commands of a program's own ---- */

/* The character device that takes them for a namespace. */
struct device_command_node {
	char name[DEVICE_NAME_MAX]; /* in /dev: "ng0n1" */
	uint32_t major, minor;
};
/* Whether reads and writes may go to the device as NVMe commands, completions polled: a whole
 * namespace without metadata, of one path, with queues to poll. @facts: with what the controller
 * says. @node: where to. False: @why says what is in the way, after the device's name. */
bool device_takes_commands(const char *root, const struct device_facts *facts,
			   struct device_command_node *node, char *why, size_t why_bytes);

/* ---- durability ---- */

/* What makes an acknowledged write of the device survive a power failure. */
enum device_durable_by {
	DEVICE_DURABLE_PLAIN = 1, /* nothing: it has no volatile cache */
	DEVICE_DURABLE_FUA,       /* RWF_DSYNC, which forces that write through */
	DEVICE_DURABLE_FLUSH,     /* RWF_DSYNC, which flushes the whole cache behind it */
	DEVICE_DURABLE_NEVER,     /* nothing does: it lives in RAM */
	/* Nothing does: it has a volatile cache, and the kernel was told not to flush it. */
	DEVICE_DURABLE_UNSAFE,
};
/* What `disk.durability = "auto"` takes, and @why in a sentence for people. */
enum device_durable_by
device_durability(const struct device_facts *facts, char *why, size_t why_bytes);
/* "plain", "fua", "flush", "never", "unsafe". Static. */
const char *device_durable_name(enum device_durable_by by);

#endif
