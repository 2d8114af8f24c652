/* SPDX-License-Identifier: Apache-2.0 */
/* What a node file asks of the machine that it runs on, beyond what a driver says by itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/config/node_config.h"
#include "hw/platform/pci.h"
#include "hw/platform/platform.h"

enum tern_err
node_config_check_machine(const struct node_config *config, const char *root, char *text,
			  size_t text_bytes)
{
	char why[400];

	/* A witness has no port; those are of a profile that it shares with the data nodes. */
	for (uint32_t i = 0; config->kind == NODE_DATA && i < config->port_count; i++) {
		const struct node_config_port *port = &config->ports[i];

		if (!platform_pci_is_address(port->device))
			continue; /* a virtual device; its driver tells */
		if (platform_pci_check(root, port->device, why, sizeof(why)) == TERN_OK)
			continue;
		(void)snprintf(text, text_bytes, "%s:%u: ports[].device: %s", port->file,
			       port->line, why);
		return TERN_ERR_CONFIG;
	}
	return TERN_OK;
}

enum tern_err
node_config_make_run_dir(const struct node_config *config, char *text, size_t text_bytes)
{
	if (platform_directory_make(config->run_dir) == TERN_OK)
		return TERN_OK;
	(void)snprintf(text, text_bytes,
		       "%s: cannot be made: %s; choose another `run` in the node file",
		       config->run_dir, strerror(errno));
	return TERN_ERR_CONFIG;
}
