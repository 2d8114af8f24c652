/* SPDX-License-Identifier: Apache-2.0 */
/* One setting -> one checked field. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/config_reader.h"
#include "control/config/config_units.h"

#define TEXT_MAX 640u

static void
store(void *at, size_t width, int64_t value)
{
	const uint8_t u8 = (uint8_t)value;
	const uint16_t u16 = (uint16_t)value;
	const uint32_t u32 = (uint32_t)value;

	if (width == 1)
		memcpy(at, &u8, 1);
	else if (width == 2)
		memcpy(at, &u16, 2);
	else if (width == 4)
		memcpy(at, &u32, 4);
	else
		memcpy(at, &value, 8);
}

static enum tern_err
range_error(struct config_reader *reader, const struct config_key *key,
	    const config_setting_t *setting, const char *what)
{
	char low[CONFIG_UNITS_TEXT_MAX], high[CONFIG_UNITS_TEXT_MAX];

	if (key->type == CONFIG_BYTES) {
		config_format_bytes((uint64_t)key->min, low);
		config_format_bytes((uint64_t)key->max, high);
	} else if (key->type == CONFIG_TIME) {
		config_format_ns((uint64_t)key->min, low);
		config_format_ns((uint64_t)key->max, high);
	} else {
		(void)snprintf(low, sizeof(low), "%" PRId64, key->min);
		(void)snprintf(high, sizeof(high), "%" PRId64, key->max);
	}
	return config_fail(reader, setting, key->path, "%s, allowed %s to %s", what, low, high);
}

static enum tern_err
read_number(struct config_reader *reader, const struct config_key *key,
	    const config_setting_t *setting, int64_t *value)
{
	char what[64];

	if (!setting) {
		*value = strtoll(key->fallback, NULL, 10);
		return TERN_OK;
	}
	if (!config_setting_is_number(setting) || config_setting_type(setting) == CONFIG_TYPE_FLOAT)
		return range_error(reader, key, setting, "must be a whole number without quotes");
	if (config_is_number_too_long(setting))
		return range_error(reader, key, setting, "number too large");
	*value = config_setting_type(setting) == CONFIG_TYPE_INT64
		     ? (int64_t)config_setting_get_int64(setting)
		     : config_setting_get_int(setting);
	if (*value < key->min || *value > key->max) {
		(void)snprintf(what, sizeof(what), "%" PRId64 " is out of range", *value);
		return range_error(reader, key, setting, what);
	}
	return TERN_OK;
}

static enum tern_err
read_text(struct config_reader *reader, const struct config_key *key,
	  const config_setting_t *setting, const char **text)
{
	*text = key->fallback;
	if (!setting)
		return TERN_OK;
	if (config_setting_type(setting) != CONFIG_TYPE_STRING)
		return config_fail(reader, setting, key->path, "must be a string in quotes%s",
				   key->type == CONFIG_BYTES  ? ", with a unit, such as \"64KiB\""
				   : key->type == CONFIG_TIME ? ", with a unit, such as \"20us\""
							      : "");
	*text = config_setting_get_string(setting);
	return TERN_OK;
}

static enum tern_err
read_quantity(struct config_reader *reader, const struct config_key *key,
	      const config_setting_t *setting, const char *text, void *at)
{
	const bool is_time = key->type == CONFIG_TIME;
	char what[TEXT_MAX];
	uint64_t value;

	if (!(is_time ? config_parse_ns(text, &value) : config_parse_bytes(text, &value))) {
		(void)snprintf(what, sizeof(what), "\"%.64s\" is not a %s with a unit (%s)", text,
			       is_time ? "time" : "size",
			       is_time ? "ns us ms s" : "B KiB MiB GiB TiB");
		return range_error(reader, key, setting, what);
	}
	if (value < (uint64_t)key->min || value > (uint64_t)key->max) {
		(void)snprintf(what, sizeof(what), "\"%.64s\" is out of range", text);
		return range_error(reader, key, setting, what);
	}
	store(at, key->width, (int64_t)value);
	return TERN_OK;
}

static enum tern_err
read_choice(struct config_reader *reader, const struct config_key *key,
	    const config_setting_t *setting, const char *text, void *at)
{
	char allowed[128] = "";
	size_t used = 0;

	for (const struct config_choice *c = key->choices; c->name; c++) {
		if (strcmp(c->name, text) == 0) {
			store(at, key->width, c->value);
			return TERN_OK;
		}
		int wrote = snprintf(allowed + used, sizeof(allowed) - used, "%s\"%s\"",
				     used ? ", " : "", c->name);
		used += wrote > 0 ? (size_t)wrote : 0;
	}
	return config_fail(reader, setting, key->path, "\"%.64s\" is unknown, allowed %s", text,
			   allowed);
}

static enum tern_err
read_name(struct config_reader *reader, const struct config_key *key,
	  const config_setting_t *setting, const char *text, char *at)
{
	const size_t bytes = strlen(text);

	if (bytes == 0 || bytes >= key->width ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != bytes)
		return config_fail(reader, setting, key->path,
				   "\"%.64s\" is no node name, allowed 1 to %zu of a-z 0-9 -", text,
				   key->width - 1);
	memcpy(at, text, bytes + 1);
	return TERN_OK;
}

static enum tern_err
read_path(struct config_reader *reader, const struct config_key *key,
	  const config_setting_t *setting, const char *text, char *at)
{
	char path[TEXT_MAX * 2];
	int bytes = 0;

	at[0] = 0;
	if (text[0] == 0) {
		if (setting && !key->fallback)
			return config_fail(reader, setting, key->path, "must not be empty");
		return TERN_OK;
	}
	if (key->type == CONFIG_PATH && text[0] != '/')
		bytes = snprintf(path, sizeof(path), "%s/%s", reader->dir, text);
	else
		bytes = snprintf(path, sizeof(path), "%s", text);
	if (bytes < 0 || (size_t)bytes >= key->width)
		return config_fail(reader, setting, key->path,
				   "%d bytes long%s, allowed at most %zu bytes", bytes,
				   key->width == NODE_CONFIG_SOCKET_MAX ? " as a socket path" : "",
				   key->width - 1);
	memcpy(at, path, (size_t)bytes + 1);
	return TERN_OK;
}

bool
node_config_parse_cluster_id(const char *text, uint64_t *cluster_id)
{
	const size_t bytes = strlen(text);

	if (bytes == 0 || bytes > 16 || strspn(text, "0123456789abcdefABCDEF") != bytes)
		return false;
	*cluster_id = strtoull(text, NULL, 16);
	return *cluster_id != 0;
}

static enum tern_err
read_hex64(struct config_reader *reader, const struct config_key *key,
	   const config_setting_t *setting, const char *text, uint64_t *value)
{
	*value = 0;
	if (text[0] == 0 || node_config_parse_cluster_id(text, value))
		return TERN_OK;
	return config_fail(reader, setting, key->path,
			   "\"%.64s\", allowed 1 to 16 hexadecimal digits, not zero", text);
}

/* An address of either family, in numbers. */
static bool
parse_ip(const char *text, struct inet_addr *ip)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*ip = inet_addr_v4(ntohl(v4.s_addr));
		return true;
	}
	/* IPv4 within IPv6 is how we write IPv4 down; a link-local address says nothing without an
	 * interface. */
	return inet_pton(AF_INET6, text, ip->bytes) == 1 && !inet_addr_is_v4(ip) &&
	       !inet_addr_is_none(ip) && ip->bytes[0] != 0xff &&
	       !(ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80);
}

bool
node_config_port_ip(struct node_config_port *port, const char *text)
{
	return parse_ip(text, &port->ip);
}

static enum tern_err
read_ip(struct config_reader *reader, const struct config_key *key, const config_setting_t *setting,
	const char *text, struct inet_addr *ip)
{
	memset(ip, 0, sizeof(*ip));
	if (text[0] == 0 || parse_ip(text, ip))
		return TERN_OK;
	return config_fail(reader, setting, key->path,
			   "\"%.64s\" is no address, allowed a.b.c.d or an IPv6 address without a "
			   "zone",
			   text);
}

static bool
resolve(const char *host, struct inet_addr *ip)
{
	const struct addrinfo hints = { .ai_family = AF_INET };
	struct addrinfo *list = NULL;

	if (parse_ip(host, ip))
		return true;
	if (strchr(host, ':') || getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	*ip = inet_addr_v4(
	    ntohl(((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr.s_addr));
	freeaddrinfo(list);
	return true;
}

static enum tern_err
read_address(struct config_reader *reader, const struct config_key *key,
	     const config_setting_t *setting, const char *text, struct node_address *address)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;

	memset(address, 0, sizeof(*address));
	if (text[0] == 0)
		return TERN_OK;
	const bool is_bracketed = text[0] == '[' && colon && colon > text + 1 && colon[-1] == ']';
	const char *host = is_bracketed ? text + 1 : text;
	const size_t host_bytes = colon ? (size_t)(colon - host) - (is_bracketed ? 1 : 0) : 0;
	if (host_bytes == 0 || strlen(text) >= sizeof(address->text) ||
	    (!is_bracketed && memchr(text, ':', host_bytes)))
		return config_fail(reader, setting, key->path,
				   "\"%.80s\" is no address, allowed \"host:port\" or "
				   "\"[IPv6]:port\", at most %zu bytes",
				   text, sizeof(address->text) - 1);
	const long port = strtol(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end != 0 || port < 1 || port > 65535)
		return config_fail(reader, setting, key->path,
				   "\"%.80s\": bad port, allowed 1 to 65535", text);
	memcpy(address->host, host, host_bytes);
	if (!resolve(address->host, &address->ip))
		return config_fail(reader, setting, key->path,
				   "\"%.80s\": no address known for this host, allowed a.b.c.d, "
				   "[IPv6] without a zone, or a name that resolves to IPv4",
				   text);
	address->port = (uint16_t)port;
	(void)snprintf(address->text, sizeof(address->text), "%s", text);
	return TERN_OK;
}

/* One string, or an array of them: the node's address on each data network. */
static enum tern_err
read_addresses(struct config_reader *reader, const struct config_key *key,
	       const config_setting_t *setting, struct node_config_node *node)
{
	const bool is_array = setting && config_setting_is_array(setting);
	const int count = is_array ? config_setting_length(setting) : 1;

	node->data_count = 0;
	if (!setting)
		return TERN_OK;
	if (count < 1 || count > (int)NODE_CONFIG_NETWORKS_MAX)
		return config_fail(reader, setting, key->path, "%d addresses, allowed 1 to %u",
				   count, NODE_CONFIG_NETWORKS_MAX);
	for (int i = 0; i < count; i++) {
		const config_setting_t *one =
		    is_array ? config_setting_get_elem(setting, (unsigned int)i) : setting;
		const char *text = NULL;
		enum tern_err err = read_text(reader, key, one, &text);
		if (!err)
			err = read_address(reader, key, one, text, &node->data[i]);
		if (err)
			return err;
		if (text[0] == 0)
			return is_array ? config_fail(reader, one, key->path, "must not be empty")
					: TERN_OK;
		node->data_count++;
	}
	return TERN_OK;
}

static enum tern_err
read_ids(struct config_reader *reader, const struct config_key *key,
	 const config_setting_t *setting, struct node_config_port *port)
{
	port->peer_count = 0;
	if (!setting)
		return TERN_OK;
	const int count = config_setting_length(setting);
	if (!config_setting_is_array(setting) || count < 1 || count > (int)NODE_CONFIG_NODES_MAX)
		return config_fail(reader, setting, key->path,
				   "must be an array of node ids such as [2], allowed 1 to %u ids",
				   NODE_CONFIG_NODES_MAX);
	for (int i = 0; i < count; i++) {
		const struct config_key one = {
			.path = key->path, .type = CONFIG_COUNT, .min = key->min, .max = key->max
		};
		int64_t id;
		enum tern_err err = read_number(
		    reader, &one, config_setting_get_elem(setting, (unsigned int)i), &id);
		if (err)
			return err;
		port->peers[port->peer_count++] = (uint16_t)id;
	}
	return TERN_OK;
}

static enum tern_err
read_flag(struct config_reader *reader, const struct config_key *key,
	  const config_setting_t *setting, void *at)
{
	if (setting && config_setting_type(setting) != CONFIG_TYPE_BOOL)
		return config_fail(reader, setting, key->path,
				   "must be true or false without quotes");
	const bool value =
	    setting ? config_setting_get_bool(setting) != 0 : strcmp(key->fallback, "true") == 0;
	memcpy(at, &value, sizeof(value));
	return TERN_OK;
}

enum tern_err
config_read_key(struct config_reader *reader, const struct config_key *key,
		const config_setting_t *setting, void *base)
{
	uint8_t *at = (uint8_t *)base + key->offset;
	const char *text = NULL;
	int64_t number;
	enum tern_err err;

	if (!setting && !key->fallback)
		return config_fail(reader, NULL, key->path, "missing; every node file must say it");
	if (key->type == CONFIG_FLAG)
		return read_flag(reader, key, setting, at);
	if (key->type == CONFIG_IDS)
		return read_ids(reader, key, setting, base);
	if (key->type == CONFIG_ADDRESSES)
		return read_addresses(reader, key, setting, base);
	if (key->type == CONFIG_COUNT || key->type == CONFIG_SIGNED) {
		err = read_number(reader, key, setting, &number);
		if (!err)
			store(at, key->width, number);
		return err;
	}
	err = read_text(reader, key, setting, &text);
	if (err)
		return err;
	switch (key->type) {
	case CONFIG_BYTES:
	case CONFIG_TIME:
		return read_quantity(reader, key, setting, text, at);
	case CONFIG_CHOICE:
		return read_choice(reader, key, setting, text, at);
	case CONFIG_NAME:
		return read_name(reader, key, setting, text, (char *)at);
	case CONFIG_HEX64:
		return read_hex64(reader, key, setting, text, (uint64_t *)(void *)at);
	case CONFIG_IP:
		return read_ip(reader, key, setting, text, (struct inet_addr *)(void *)at);
	case CONFIG_ADDRESS:
		return read_address(reader, key, setting, text, (struct node_address *)(void *)at);
	case CONFIG_STRING:
	case CONFIG_PATH:
		return read_path(reader, key, setting, text, (char *)at);
	case CONFIG_COUNT:
	case CONFIG_SIGNED:
	case CONFIG_FLAG:
	case CONFIG_IDS:
	case CONFIG_ADDRESSES:
		break;
	}
	return TERN_ERR_UNSUPPORTED;
}
