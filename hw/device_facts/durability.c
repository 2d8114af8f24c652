/* SPDX-License-Identifier: Apache-2.0 */
/* What `durability = auto` takes for a device, and why. */
#include <stdio.h>

#include "hw/device_facts/device_facts.h"

const char *
device_durable_name(enum device_durable_by by)
{
	switch (by) {
	case DEVICE_DURABLE_PLAIN:
		return "plain";
	case DEVICE_DURABLE_FUA:
		return "fua";
	case DEVICE_DURABLE_FLUSH:
		return "flush";
	case DEVICE_DURABLE_NEVER:
		return "never";
	case DEVICE_DURABLE_UNSAFE:
		return "unsafe";
	}
	return "unknown";
}

static enum device_durable_by
file_durability(const struct device_facts *facts, char *why, size_t why_bytes)
{
	(void)snprintf(why, why_bytes,
		       "a file%s%s: every write carries RWF_DSYNC, and the file system sees to it, "
		       "for nobody can tell from outside what of the file was written before",
		       facts->file_system[0] != 0 ? " on " : "", facts->file_system);
	return DEVICE_DURABLE_FLUSH;
}

/* The kernel says that there is nothing to flush. */
static enum device_durable_by
unflushed_durability(const struct device_facts *facts, char *why, size_t why_bytes)
{
	if (facts->is_loop) {
		(void)snprintf(why, why_bytes,
			       "a loop device: it speaks for itself, not for the file that it lies "
			       "on, so every write carries RWF_DSYNC");
		return DEVICE_DURABLE_FLUSH;
	}
	if (facts->has_volatile_cache == DEVICE_YES) {
		(void)snprintf(
		    why, why_bytes,
		    "it says that it has a volatile write cache, and the kernel was told "
		    "not to flush it (/sys/block/%s/queue/write_cache is \"write "
		    "through\"): a power failure would lose what was acknowledged. Write "
		    "\"write back\" there, or, if its cache is safe by a battery or "
		    "capacitors, say disk.durability = \"dsync\"",
		    facts->disk);
		return DEVICE_DURABLE_UNSAFE;
	}
	(void)snprintf(why, why_bytes,
		       facts->has_volatile_cache == DEVICE_NO
			   ? "the device has no volatile write cache: a write that is complete is "
			     "durable, and nothing is asked for"
			   : "the kernel says that no cache is to be flushed (queue/write_cache is "
			     "\"write through\"): a write that is complete is durable, and nothing "
			     "is asked for");
	return DEVICE_DURABLE_PLAIN;
}

enum device_durable_by
device_durability(const struct device_facts *facts, char *why, size_t why_bytes)
{
	if (facts->is_ram) {
		(void)snprintf(why, why_bytes,
			       "it lives in RAM: nothing on it survives a power failure");
		return DEVICE_DURABLE_NEVER;
	}
	if (facts->kind != DEVICE_BLOCK)
		return file_durability(facts, why, why_bytes);
	if (facts->is_flushed_by_kernel == DEVICE_NO)
		return unflushed_durability(facts, why, why_bytes);
	if (facts->is_flushed_by_kernel == DEVICE_YES && facts->has_fua == DEVICE_YES) {
		(void)snprintf(why, why_bytes,
			       "it has a volatile write cache and takes forced writes (FUA): every "
			       "write carries RWF_DSYNC, which forces that write through");
		return DEVICE_DURABLE_FUA;
	}
	(void)snprintf(why, why_bytes,
		       facts->is_flushed_by_kernel == DEVICE_YES
			   ? "it has a volatile write cache and takes no forced writes: every "
			     "write carries RWF_DSYNC, and the kernel flushes the cache behind it"
			   : "nobody says whether it has a volatile write cache: every write "
			     "carries RWF_DSYNC");
	return DEVICE_DURABLE_FLUSH;
}
