/* SPDX-License-Identifier: Apache-2.0 */
/* What a node file asks of the machine that it runs on, beyond what a driver says by itself. */
#include <stdio.h>

#include "control/config/node_config.h"
#include "hw/platform/pci.h"

enum tern_err
node_config_check_machine(const struct node_config *config, const char *root, char *text,
			  size_t text_bytes)
{
	char why[400];

	for (uint32_t i = 0; i < config->port_count; i++) {
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
