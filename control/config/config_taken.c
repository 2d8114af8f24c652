/* SPDX-License-Identifier: Apache-2.0 */
/* <storage>/spares: devices that came in while the node ran, a path a line. Which of them stands
 * where is said by the superblocks alone. */
#include <stdio.h>
#include <string.h>

#include "control/config/node_config.h"

void
node_config_taken_path(const struct node_config *config, char *path, size_t path_bytes)
{
	(void)snprintf(path, path_bytes, "%s/spares", config->storage_dir);
}

void
node_config_note_path(const struct node_config *config, char *path, size_t path_bytes)
{
	(void)snprintf(path, path_bytes, "%s/pool", config->storage_dir);
}

bool
node_config_names_device(const struct node_config *config, const char *path, uint32_t *spare)
{
	for (*spare = 0; *spare < config->spare_count; ++*spare)
		if (strcmp(config->spares[*spare].path, path) == 0)
			return true;
	for (uint32_t i = 0; i < config->device_count; i++)
		if (strcmp(config->devices[i].path, path) == 0)
			return true;
	return false;
}

bool
node_config_append_spare(struct node_config *config, const char *path)
{
	if (config->spare_count == NODE_CONFIG_SPARES_MAX || config->device_count == 0 ||
	    strlen(path) >= NODE_CONFIG_PATH_MAX)
		return false;
	struct node_config_device *spare = &config->spares[config->spare_count++];
	(void)snprintf(spare->path, sizeof(spare->path), "%s", path);
	spare->bytes = config->devices[0].bytes;
	return true;
}

void
node_config_load_taken(struct node_config *config)
{
	char path[NODE_CONFIG_PATH_MAX + 16], line[NODE_CONFIG_PATH_MAX + 2];
	uint32_t spare;

	node_config_taken_path(config, path, sizeof(path));
	FILE *in = fopen(path, "re");
	while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '/' && !node_config_names_device(config, line, &spare))
			(void)node_config_append_spare(config, line);
	}
	if (in != NULL)
		(void)fclose(in);
}
