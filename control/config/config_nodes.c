/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a node of the cluster in a configuration. */
#include <string.h>

#include "control/config/node_config.h"

const struct node_config_node *
node_config_find(const struct node_config *config, uint16_t id)
{
	for (uint32_t i = 0; i < config->node_count; i++) {
		if (config->nodes[i].id == id)
			return &config->nodes[i];
	}
	return NULL;
}

const struct node_config_node *
node_config_find_name(const struct node_config *config, const char *name)
{
	for (uint32_t i = 0; i < config->node_count; i++) {
		if (strcmp(config->nodes[i].name, name) == 0)
			return &config->nodes[i];
	}
	return NULL;
}
