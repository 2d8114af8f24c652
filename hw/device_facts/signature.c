/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/device_facts/signature.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNATURES_MAX 32u /* on one device */

/* A probe that stops at every signature in turn. */
static blkid_probe
probe_open(int fd)
{
	blkid_probe probe = blkid_new_probe();

	if (probe == NULL)
		return NULL;
	if (blkid_probe_set_device(probe, fd, 0, 0) != 0 ||
	    blkid_probe_enable_superblocks(probe, 1) != 0 ||
	    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
							 BLKID_SUBLKS_USAGE | BLKID_SUBLKS_MAGIC |
							 BLKID_SUBLKS_BADCSUM) != 0 ||
	    blkid_probe_enable_partitions(probe, 1) != 0 ||
	    blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT) !=
		0) {
		blkid_free_probe(probe);
		return NULL;
	}
	return probe;
}

static const char *
value_of(blkid_probe probe, const char *name)
{
	const char *value = NULL;

	return blkid_probe_lookup_value(probe, name, &value, NULL) == 0 && value != NULL ? value
											 : "";
}

static void
append(char *text, size_t text_bytes, const char *more)
{
	const size_t used = strlen(text);

	/* A label is the device's own text. */
	if (used + 1 < text_bytes)
		(void)snprintf(text + used, text_bytes - used, "%s", more);
	for (char *c = text + used; *c != 0; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
}

/* The signature at which the probe stands. */
static void
describe(blkid_probe probe, char *found, size_t found_bytes)
{
	char one[DEVICE_TEXT_MAX * 2];
	const char *table = value_of(probe, "PTTYPE"), *type = value_of(probe, "TYPE");
	const char *usage = value_of(probe, "USAGE"), *label = value_of(probe, "LABEL");

	if (table[0] != 0)
		(void)snprintf(one, sizeof(one), "a partition table (%s)", table);
	else if (strcmp(type, "swap") == 0)
		(void)snprintf(one, sizeof(one), "swap space");
	else if (strcmp(usage, "raid") == 0)
		(void)snprintf(one, sizeof(one), "a member of a RAID or volume group (%s)", type);
	else if (strcmp(usage, "filesystem") == 0)
		(void)snprintf(one, sizeof(one), "a file system (%s)", type);
	else
		(void)snprintf(one, sizeof(one), "something else's data (%s)",
			       type[0] != 0 ? type : "unknown");
	append(found, found_bytes, found[0] == 0 ? "" : ", ");
	append(found, found_bytes, one);
	if (label[0] != 0) {
		(void)snprintf(one, sizeof(one), " named \"%.64s\"", label);
		append(found, found_bytes, one);
	}
}

enum tern_err
signature_find(const char *path, char *found, size_t found_bytes, uint32_t *count)
{
	int result = 0;

	found[0] = 0;
	*count = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		(void)snprintf(found, found_bytes, "%s cannot be read: %s", path, strerror(errno));
		return TERN_ERR_IO;
	}
	blkid_probe probe = probe_open(fd);
	while (probe != NULL && *count < SIGNATURES_MAX && (result = blkid_do_probe(probe)) == 0) {
		describe(probe, found, found_bytes);
		++*count;
	}
	/* Half a look is no look. */
	const bool is_good = probe != NULL && result >= 0;
	if (!is_good)
		(void)snprintf(found, found_bytes, "%s cannot be read whole", path);
	blkid_free_probe(probe);
	(void)close(fd);
	return is_good ? TERN_OK : TERN_ERR_IO;
}

static enum tern_err
open_alone(const char *path, int *fd, char *text, size_t text_bytes)
{
	struct stat st;
	int flags = O_RDWR | O_CLOEXEC;

	if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	*fd = open(path, flags);
	if (*fd < 0) {
		(void)snprintf(text, text_bytes, "%s: %s", path, strerror(errno));
		return errno == EBUSY ? TERN_ERR_BUSY : TERN_ERR_IO;
	}
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return TERN_OK;
	(void)snprintf(text, text_bytes, "%s: another process uses it", path);
	(void)close(*fd);
	return TERN_ERR_BUSY;
}

/* Zeros over the magic of the signature at which the probe stands: nothing knows it again. False:
 * it is not known where that lies, or it cannot be written. */
static bool
magic_clear(blkid_probe probe, int fd)
{
	static const uint8_t zeros[256];
	const char *offset = NULL, *magic;
	size_t bytes = 0;

	if (blkid_probe_lookup_value(probe, "SBMAGIC_OFFSET", &offset, NULL) == 0)
		(void)blkid_probe_lookup_value(probe, "SBMAGIC", &magic, &bytes);
	else if (blkid_probe_lookup_value(probe, "PTMAGIC_OFFSET", &offset, NULL) == 0)
		(void)blkid_probe_lookup_value(probe, "PTMAGIC", &magic, &bytes);
	if (offset == NULL || bytes == 0 || bytes > sizeof(zeros))
		return false;
	return pwrite(fd, zeros, bytes, (off_t)strtoull(offset, NULL, 10)) == (ssize_t)bytes &&
	       fsync(fd) == 0;
}

enum tern_err
signature_wipe(const char *path, char *text, size_t text_bytes)
{
	char left[DEVICE_WHY_MAX];
	uint32_t count = 0;
	int fd;
	enum tern_err err = open_alone(path, &fd, text, text_bytes);

	if (err != TERN_OK)
		return err;
	/* After each one all is looked at anew: a signature may hide another. */
	bool is_left = true;
	for (uint32_t i = 0; i < 2 * SIGNATURES_MAX && is_left && err == TERN_OK; i++) {
		blkid_probe probe = probe_open(fd);
		is_left = probe != NULL && blkid_do_probe(probe) == 0;
		if (is_left && !magic_clear(probe, fd)) {
			(void)snprintf(text, text_bytes,
				       "%s: a signature cannot be removed; remove it by hand",
				       path);
			err = TERN_ERR_IO;
		}
		blkid_free_probe(probe);
	}
	if (fsync(fd) != 0 && err == TERN_OK) {
		(void)snprintf(text, text_bytes, "%s: %s", path, strerror(errno));
		err = TERN_ERR_IO;
	}
	(void)close(fd);
	if (err != TERN_OK)
		return err;
	err = signature_find(path, left, sizeof(left), &count);
	if (err == TERN_OK && count == 0)
		return TERN_OK;
	(void)snprintf(text, text_bytes, "%s still carries %.300s", path, left);
	return TERN_ERR_IO;
}
