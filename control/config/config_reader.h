/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room only: one load under way. */
#ifndef TERN_CONFIG_CONFIG_READER_H
#define TERN_CONFIG_CONFIG_READER_H

#include <libconfig.h>

#include "control/config/node_config.h"

struct config_reader {
	const char *path;               /* of the node file */
	char dir[NODE_CONFIG_PATH_MAX]; /* absolute: relative paths start here */
	config_t node, profile;
	bool has_profile;
	struct node_config *config;
	char *text;
	size_t text_bytes;
};

/* One key with one value. Where it is stored: at @offset of the structure, @width bytes. */
enum config_type {
	CONFIG_STRING = 1, /* at most width - 1 bytes */
	CONFIG_NAME,       /* a-z 0-9 - , 1..31 */
	CONFIG_PATH,       /* made absolute */
	CONFIG_BYTES,
	CONFIG_TIME,
	CONFIG_COUNT,
	CONFIG_SIGNED,
	CONFIG_FLAG,
	CONFIG_CHOICE,
	CONFIG_IP,        /* address without a port */
	CONFIG_ADDRESS,   /* struct node_address */
	CONFIG_ADDRESSES, /* one or an array of them: struct node_config_node */
	CONFIG_HEX64,     /* "" is 0; else 1 to 16 hexadecimal digits, not zero */
	CONFIG_IDS,       /* array of node ids; the count lies just before, see config_keys.c */
};

struct config_choice {
	const char *name;
	int value;
};

struct config_key {
	const char *path; /* "timers.heartbeat"; in list tables: the bare key */
	enum config_type type;
	size_t offset, width;
	int64_t min, max;
	const char *fallback;                /* NULL: required */
	const struct config_choice *choices; /* ends with name NULL */
	bool is_profile;                     /* may stand in the profile too */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;
extern const struct config_key config_node_keys[], config_device_keys[], config_spare_keys[],
    config_port_keys[];
extern const size_t config_node_key_count, config_device_key_count, config_spare_key_count,
    config_port_key_count;

/* config_reader.c. Writes "file:line: key: text" and returns CONFIG. @setting NULL: the node file
 * as a whole. */
enum tern_err
config_fail(struct config_reader *reader, const config_setting_t *setting, const char *key,
	    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The setting at @path: in the node file, else in the profile, else NULL. */
const config_setting_t *config_find(const struct config_reader *reader, const char *path);

/* Every key of @group must be in @keys (their last path part, under @prefix). */
enum tern_err
config_check_keys(struct config_reader *reader, const config_setting_t *root, bool is_profile);
enum tern_err config_check_list_keys(struct config_reader *reader, const config_setting_t *element,
				     const char *list, const struct config_key *keys, size_t count);

/* Parses one setting into @base + key->offset. @setting NULL: the fallback. */
enum tern_err config_read_key(struct config_reader *reader, const struct config_key *key,
			      const config_setting_t *setting, void *base);

/* The number in the file has more digits than libconfig keeps. */
bool config_is_number_too_long(const config_setting_t *setting);

/* Cross checks after everything was read. */
enum tern_err config_check(struct config_reader *reader);

#endif
