/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node file of any content. What is refused must say why; of what is taken, every text must be
 * ended and every count in range, and it must be possible to write it and to read that again.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/config/node_config.h"
#include "tests/fuzz/fuzz.h"

/* libconfig loses the text that its lexer had gathered when a syntax error ends it. Only that is
 * forgiven. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}
const char *__lsan_default_options(void);
const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}

/* In place of the C library's: an input must not make anybody ask the network. */
int
getaddrinfo(const char *restrict name, const char *restrict service,
	    const struct addrinfo *restrict hints, struct addrinfo **restrict list)
{
	(void)name;
	(void)service;
	(void)hints;
	(void)list;
	return EAI_NONAME;
}

#define IS_ENDED(text) (memchr((text), 0, sizeof(text)) != NULL)

static char dir[] = "/tmp/tern-fuzz-config-XXXXXX";
static char path[64], again_path[64];

static void
remove_files(void)
{
	(void)unlink(path);
	(void)unlink(again_path);
	(void)rmdir(dir);
}

static void
make_dir(void)
{
	static bool is_made;

	if (is_made)
		return;
	is_made = true;
	REQUIRE(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/node.conf", dir);
	(void)snprintf(again_path, sizeof(again_path), "%s/again.conf", dir);
	REQUIRE(atexit(remove_files) == 0);
}

static void
check(const struct node_config *config)
{
	REQUIRE(config->node_count >= 1 && config->node_count <= NODE_CONFIG_NODES_MAX);
	REQUIRE(config->device_count <= NODE_CONFIG_DEVICES_MAX);
	REQUIRE(config->port_count <= NODE_CONFIG_PORTS_MAX);
	REQUIRE(IS_ENDED(config->name) && IS_ENDED(config->storage_dir));
	REQUIRE(IS_ENDED(config->run_dir) && IS_ENDED(config->admin_socket));
	REQUIRE(IS_ENDED(config->profile) && IS_ENDED(config->filter_file));
	REQUIRE(node_config_self(config) != NULL);
	REQUIRE(node_config_find_name(config, config->name) == node_config_self(config));
	for (uint32_t i = 0; i < config->node_count; i++) {
		REQUIRE(IS_ENDED(config->nodes[i].name) && config->nodes[i].id >= 1);
		REQUIRE(config->nodes[i].id < NET_NODES_MAX);
		REQUIRE(config->nodes[i].data_count <= NODE_CONFIG_NETWORKS_MAX);
		REQUIRE(i == 0 || config->nodes[i].id > config->nodes[i - 1].id);
	}
	for (uint32_t i = 0; i < config->port_count; i++)
		REQUIRE(config->ports[i].peer_count <= NODE_CONFIG_NODES_MAX &&
			config->ports[i].network < NODE_CONFIG_NETWORKS_MAX);
	REQUIRE(config->timers.solo_ns <= config->timers.elect_min_ns);
	REQUIRE(config->timers.elect_min_ns <= config->timers.elect_max_ns);
}

static void
check_again(const struct node_config *config)
{
	static struct node_config again;
	char text[1024];

	REQUIRE(node_config_write(again_path, config, text, sizeof(text)) == TERN_OK);
	if (node_config_load(again_path, &again, text, sizeof(text)) != TERN_OK)
		/* Groups that stay with the profile may contradict the defaults. */
		return;
	REQUIRE(again.id == config->id && again.node_count == config->node_count);
	REQUIRE(strcmp(again.name, config->name) == 0);
	REQUIRE(memcmp(again.nodes, config->nodes, sizeof(again.nodes)) == 0);
	REQUIRE(memcmp(again.devices, config->devices, sizeof(again.devices)) == 0);
	/* Each stands at another place now. */
	for (uint32_t i = 0; i < again.port_count && i < config->port_count; i++) {
		memcpy(again.ports[i].file, config->ports[i].file, sizeof(again.ports[i].file));
		again.ports[i].line = config->ports[i].line;
	}
	REQUIRE(memcmp(again.ports, config->ports, sizeof(again.ports)) == 0);
	REQUIRE(again.data_nodes == config->data_nodes && again.witness_id == config->witness_id);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct node_config config;
	char text[1024];

	/* What is included may be a device that never ends. */
	if (memmem(data, bytes, "@include", 8) != NULL || memmem(data, bytes, "profile", 7) != NULL)
		return 0;
	make_dir();
	FILE *stream = fopen(path, "w");
	REQUIRE(stream != NULL);
	REQUIRE(fwrite(data, 1, bytes, stream) == bytes);
	REQUIRE(fclose(stream) == 0);
	if (node_config_load(path, &config, text, sizeof(text)) == TERN_OK) {
		check(&config);
		check_again(&config);
	} else {
		REQUIRE(text[0] != 0 && IS_ENDED(text));
	}
	return 0;
}
