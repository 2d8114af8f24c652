/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin/admin_client.h"
#include "control/backup/backup.h"
#include "control/backup/pack.h"
#include "control/backup/source.h"
#include "hw/platform/platform.h"

struct creation {
	const struct backup_create_config *config;
	struct backup_created *created;
	struct backup_source_limit limit;
	struct backup_writer *writer;
	struct backup_packer *packer;
	char *text;
	size_t text_bytes;
	bool is_writer_failed; /* and has said why */
};

/* ---- what the node says ---- */

static bool
hex64_parse(const char *digits, uint64_t *value)
{
	char one[17];
	char *end;

	(void)snprintf(one, sizeof(one), "%.16s", digits);
	*value = strtoull(one, &end, 16);
	return strlen(one) == 16 && *end == 0;
}

static uint64_t
number_of(const json_t *status, const char *key)
{
	const json_int_t value = json_integer_value(json_object_get(status, key));

	return value > 0 ? (uint64_t)value : 0;
}

static bool
is_set(const json_t *status, const char *key)
{
	return json_is_true(json_object_get(status, key));
}

/* What is committed and durable on this node stays in its log. */
static enum tern_err
limit_take(struct creation *c, const json_t *status)
{
	const char *cluster = json_string_value(json_object_get(status, "cluster_id"));
	const char *chain = json_string_value(json_object_get(status, "commit_chain"));
	const uint64_t commit = number_of(status, "commit_index");
	const uint64_t durable = number_of(status, "durable_index");

	if (is_set(status, "damaged") || is_set(status, "forgetful") ||
	    is_set(status, "rejoining") || is_set(status, "storage_failed")) {
		(void)snprintf(c->text, c->text_bytes,
			       "%s may lack what was acknowledged (`tern status`): take the backup "
			       "of another data node",
			       c->config->node->name);
		return TERN_ERR_STALE_TERM;
	}
	c->limit = (struct backup_source_limit){ .is_live = true,
						 .index = commit < durable ? commit : durable };
	if (cluster == NULL || !hex64_parse(cluster, &c->limit.cluster_id) || c->limit.index == 0) {
		(void)snprintf(c->text, c->text_bytes, "%s has committed nothing yet",
			       c->config->node->name);
		return TERN_ERR_NOT_FOUND;
	}
	c->limit.has_chain = c->limit.index == commit && chain != NULL && strlen(chain) == 32 &&
			     hex64_parse(chain, &c->limit.chain.high) &&
			     hex64_parse(chain + 16, &c->limit.chain.low);
	return TERN_OK;
}

static enum tern_err
ask(struct creation *c)
{
	json_t *status = NULL;
	const enum admin_exit code =
	    admin_call(c->config->node->admin_socket, "status", NULL, c->config->timeout_ms,
		       &status, c->text, c->text_bytes);

	if (code == ADMIN_EXIT_UNREACHABLE) {
		/* If it runs all the same, its devices are locked. */
		c->limit = (struct backup_source_limit){ .index = UINT64_MAX };
		return TERN_OK;
	}
	if (code != ADMIN_EXIT_OK)
		return TERN_ERR_IO;
	const enum tern_err err = limit_take(c, status);
	json_decref(status);
	return err;
}

/* ---- what is read goes into the files ---- */

static enum tern_err
drain_add(void *context, const uint8_t *bytes, size_t count)
{
	struct creation *c = context;

	if (backup_writer_add(c->writer, bytes, count, c->text, c->text_bytes))
		return TERN_OK;
	c->is_writer_failed = true;
	return TERN_ERR_IO;
}

static enum tern_err
take_checkpoint(void *context, uint8_t *page, const struct checkpoint_hdr *hdr)
{
	struct creation *c = context;

	(void)hdr;
	return backup_packer_add(c->packer, page, PAGE_BYTES);
}

static enum tern_err
take_chunk(void *context, uint8_t *bytes, uint32_t pages, const struct checkpoint_chunk *chunk)
{
	struct creation *c = context;

	(void)chunk;
	return backup_packer_add(c->packer, bytes, (size_t)pages * PAGE_BYTES);
}

static enum tern_err
take_block(void *context, uint8_t *bytes, const struct block_hdr *hdr, struct hash128 chain)
{
	struct creation *c = context;

	(void)chain;
	return backup_packer_add(c->packer, bytes, (size_t)hdr->pages * PAGE_BYTES);
}

/* Reads the node until what it said is found as it said; a node that runs may take back meanwhile
 * what is no longer needed. */
static enum tern_err
read_node(struct creation *c, struct backup_source_facts *facts)
{
	const struct backup_sink sink = { c, take_checkpoint, take_chunk, take_block };
	enum tern_err err = TERN_ERR_CORRUPT;

	while (err == TERN_ERR_CORRUPT && c->created->tries < BACKUP_TRIES_MAX) {
		c->created->tries++;
		backup_writer_reset(c->writer);
		backup_packer_reset(c->packer);
		err = ask(c);
		if (err != TERN_OK)
			return err;
		err = backup_source_read(c->config->node, &c->limit, &sink, facts, c->text,
					 c->text_bytes);
		if (!c->limit.is_live)
			break;
	}
	if (err == TERN_ERR_BUSY) {
		const size_t used = strlen(c->text);
		(void)snprintf(c->text + used, c->text_bytes - used,
			       ", and nobody answers on the admin socket");
	}
	if (err == TERN_OK && facts->last_index == 0) {
		(void)snprintf(c->text, c->text_bytes, "the log of %s is empty",
			       c->config->node->name);
		return TERN_ERR_NOT_FOUND;
	}
	return err;
}

static enum tern_err
finish(struct creation *c, const struct backup_source_facts *facts, uint64_t created_s)
{
	struct backup_hdr *hdr = &c->created->hdr;
	const struct node_config *node = c->config->node;

	*hdr = (struct backup_hdr){
		.cluster_id = facts->cluster_id,
		.node_id = node->id,
		.shard = facts->shard,
		.machine_version = facts->machine_version,
		.created_s = created_s,
		.first_index = facts->first_index,
		.last_index = facts->last_index,
		.commit_index = facts->commit_index,
		.first_time_ns = facts->first_time_ns,
		.last_time_ns = facts->last_time_ns,
		.last_term = facts->last_term,
		.chain = facts->chain,
		.checkpoint_pages = facts->checkpoint_pages,
		.log_pages = facts->log_pages,
		.block_pages_max = facts->block_pages_max,
		.capacity_bytes = node->state.capacity_bytes,
		.value_bytes_max = (uint32_t)node->state.value_bytes_max,
		.sessions_max = node->state.sessions_max,
	};
	(void)snprintf(hdr->version, sizeof(hdr->version), "%s", c->config->version);
	const enum tern_err err = backup_packer_end(c->packer);
	if (err != TERN_OK)
		return err;
	return backup_writer_finish(c->writer, hdr, c->text, c->text_bytes) ? TERN_OK : TERN_ERR_IO;
}

static void
name_make(char name[BACKUP_NAME_MAX], uint64_t created_s, uint64_t id)
{
	const time_t seconds = (time_t)created_s;
	struct tm parts = { 0 };
	char when[32] = "";

	(void)gmtime_r(&seconds, &parts);
	(void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &parts);
	(void)snprintf(name, BACKUP_NAME_MAX, "tern-%s-%08" PRIx32, when, (uint32_t)(id >> 32));
}

enum tern_err
backup_create(const struct backup_create_config *config, struct backup_created *created, char *text,
	      size_t text_bytes)
{
	const struct clock_port clock = platform_clock();
	const uint64_t created_s = clock.ops->wall_ns(clock.clock) / 1000000000;
	struct creation c = {
		.config = config, .created = created, .text = text, .text_bytes = text_bytes
	};
	const struct backup_drain drain = { &c, drain_add };
	struct backup_writer_config writer = {
		.geometry = config->geometry,
		.dirs = config->dirs,
		.name = created->name,
		.id = { platform_random_u64(), platform_random_u64() },
		.rows = BACKUP_ROWS_USUAL,
	};
	struct backup_source_facts facts;

	*created = (struct backup_created){ 0 };
	name_make(created->name, created_s, writer.id.high);
	if (!backup_writer_open(&writer, &c.writer, text, text_bytes))
		return TERN_ERR_IO;
	enum tern_err err = TERN_ERR_NO_MEMORY;
	c.packer = backup_packer_open(&drain);
	(void)snprintf(text, text_bytes, "out of memory");
	if (c.packer != NULL)
		err = read_node(&c, &facts);
	if (err == TERN_OK)
		err = finish(&c, &facts, created_s);
	created->is_live = c.limit.is_live;
	backup_packer_close(c.packer);
	backup_writer_close(c.writer);
	return err;
}
