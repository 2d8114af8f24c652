/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/config/config_units.h"
#include "control/config/node_config.h"
#include "hw/net_kernel/net_sockaddr.h"

/* A libconfig string: quotes and backslashes are escaped. */
static void
write_string(FILE *stream, const char *indent, const char *key, const char *value)
{
	(void)fprintf(stream, "%s%s = \"", indent, key);
	for (const char *p = value; *p != 0; p++)
		(void)fprintf(stream, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	(void)fprintf(stream, "\";\n");
}

static void
write_given(FILE *stream, const char *indent, const char *key, const char *value)
{
	if (value[0] != 0)
		write_string(stream, indent, key, value);
}

static const char *
kind_name(enum node_kind kind)
{
	return kind == NODE_WITNESS ? "witness" : "data";
}

/* One address as a string, several as an array. */
static void
write_ns(FILE *stream, const char *indent, const char *key, uint64_t ns)
{
	char text[CONFIG_UNITS_TEXT_MAX];

	config_format_ns(ns, text);
	write_string(stream, indent, key, text);
}

static void
write_data(FILE *stream, const struct node_config_node *node)
{
	if (node->data_count == 1)
		write_string(stream, "\t\t", "data", node->data[0].text);
	for (uint32_t i = 0; i < node->data_count && node->data_count > 1; i++)
		(void)fprintf(stream, "%s\"%s\"%s", i == 0 ? "\t\tdata = [" : ", ",
			      node->data[i].text, i + 1 == node->data_count ? "];\n" : "");
}

static void
write_nodes(FILE *stream, const struct node_config *config)
{
	(void)fprintf(stream, "nodes = (\n");
	for (uint32_t i = 0; i < config->node_count; i++) {
		const struct node_config_node *node = &config->nodes[i];
		(void)fprintf(stream, "\t{\n");
		write_string(stream, "\t\t", "name", node->name);
		(void)fprintf(stream, "\t\tid = %u;\n", node->id);
		write_string(stream, "\t\t", "kind", kind_name(node->kind));
		if (node->is_spare)
			(void)fprintf(stream, "\t\tspare = true;\n");
		if (node->late_ns != 0)
			write_ns(stream, "\t\t", "t_late", node->late_ns);
		write_data(stream, node);
		write_given(stream, "\t\t", "mgmt", node->mgmt.text);
		write_given(stream, "\t\t", "resp", node->resp.text);
		write_given(stream, "\t\t", "client", node->client.text);
		write_given(stream, "\t\t", "admin", node->admin_socket);
		(void)fprintf(stream, "\t}%s\n", i + 1 < config->node_count ? "," : "");
	}
	(void)fprintf(stream, ");\n");
}

static void
write_devices(FILE *stream, const struct node_config *config)
{
	char size[CONFIG_UNITS_TEXT_MAX];

	(void)fprintf(stream, "devices = (\n");
	for (uint32_t i = 0; i < config->device_count; i++) {
		config_format_bytes(config->devices[i].bytes, size);
		(void)fprintf(stream, "\t{\n");
		write_string(stream, "\t\t", "path", config->devices[i].path);
		write_string(stream, "\t\t", "size", size);
		(void)fprintf(stream, "\t}%s\n", i + 1 < config->device_count ? "," : "");
	}
	(void)fprintf(stream, ");\n");
}

static void
write_spares(FILE *stream, const struct node_config *config)
{
	(void)fprintf(stream, "spares = (\n");
	for (uint32_t i = 0; i < config->spare_count; i++) {
		(void)fprintf(stream, "\t{\n");
		write_string(stream, "\t\t", "path", config->spares[i].path);
		(void)fprintf(stream, "\t}%s\n", i + 1 < config->spare_count ? "," : "");
	}
	(void)fprintf(stream, ");\n");
}

static void
write_ports(FILE *stream, const struct node_config *config)
{
	char ip[NET_SOCKADDR_TEXT_MAX];

	(void)fprintf(stream, "ports = (\n");
	for (uint32_t i = 0; i < config->port_count; i++) {
		const struct node_config_port *port = &config->ports[i];
		const bool is_v4 = inet_addr_is_v4(&port->ip);
		(void)fprintf(stream, "\t{\n");
		write_string(stream, "\t\t", "device", port->device);
		if (inet_ntop(is_v4 ? AF_INET : AF_INET6, port->ip.bytes + (is_v4 ? 12 : 0), ip,
			      sizeof(ip)))
			write_string(stream, "\t\t", "ip", ip);
		if (port->payload_max != 0)
			(void)fprintf(stream, "\t\tpayload_max = %u;\n", port->payload_max);
		for (uint32_t k = 0; k < port->peer_count; k++)
			(void)fprintf(stream, "%s%u%s", k == 0 ? "\t\tpeers = [" : ", ",
				      port->peers[k], k + 1 == port->peer_count ? "];\n" : "");
		(void)fprintf(stream, "\t}%s\n", i + 1 < config->port_count ? "," : "");
	}
	(void)fprintf(stream, ");\n");
}

static void
write_all(FILE *stream, const struct node_config *config)
{
	(void)fprintf(stream, "schema = %d;\nnode = {\n", NODE_CONFIG_SCHEMA);
	write_string(stream, "\t", "name", config->name);
	(void)fprintf(stream, "\tid = %u;\n", config->id);
	write_string(stream, "\t", "kind", kind_name(config->kind));
	if (config->cluster_id != 0)
		(void)fprintf(stream, "\tcluster_id = \"%016" PRIx64 "\";\n", config->cluster_id);
	(void)fprintf(stream, "\tdev = %s;\n};\n", config->is_dev ? "true" : "false");
	write_given(stream, "", "storage", config->storage_dir);
	write_given(stream, "", "run", config->run_dir);
	write_given(stream, "", "admin", config->admin_socket);
	write_given(stream, "", "filter", config->filter_file);
	write_given(stream, "", "profile", config->profile);
	if (config->is_log_volatile)
		(void)fprintf(stream, "volatile = true;\n");
	write_nodes(stream, config);
	if (config->parity != 0)
		(void)fprintf(stream, "parity = %u;\n", config->parity);
	if (config->device_count > 0)
		write_devices(stream, config);
	if (config->spare_count > 0)
		write_spares(stream, config);
	if (config->port_count > 0)
		write_ports(stream, config);
}

enum tern_err
node_config_write(const char *path, const struct node_config *config, char *text, size_t text_bytes)
{
	char temporary[NODE_CONFIG_PATH_MAX + 8];

	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *stream = fopen(temporary, "we");
	bool is_good = stream != NULL;
	if (stream) {
		write_all(stream, config);
		is_good = fflush(stream) == 0 && fsync(fileno(stream)) == 0;
		is_good = fclose(stream) == 0 && is_good;
	}
	if (is_good && rename(temporary, path) == 0)
		return TERN_OK;
	(void)snprintf(text, text_bytes, "%s: cannot be written: %s", path, strerror(errno));
	(void)unlink(temporary);
	return TERN_ERR_IO;
}
