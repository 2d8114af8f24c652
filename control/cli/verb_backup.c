/* SPDX-License-Identifier: Apache-2.0 */
/* Backups: options in, reports out. What they are is control/backup. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/backup/backup.h"
#include "control/cli/cli.h"
#include "control/cli/node_birth.h"
#include "control/config/config_units.h"

#define ASK_MS 2000u

/* ---- options ---- */

/* Directories by commas, as they were typed. */
struct directories {
	uint32_t count;
	char *text; /* owned; what dirs points into */
	const char *dirs[BACKUP_DIRS_MAX];
};

static void
directories_free(struct directories *list)
{
	free(list->text);
	list->text = NULL;
}

static enum admin_exit
directories_of(struct cli *cli, enum cli_option_id id, struct directories *list)
{
	const char *text = cli->values[id];

	*list = (struct directories){ 0 };
	if (!text || text[0] == 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--%s is missing: the directories, with commas between them",
				cli_options[id].name);
	list->text = strdup(text);
	for (char *at = list->text; at && *at != 0;) {
		const size_t bytes = strcspn(at, ",");
		const bool is_last = at[bytes] == 0;
		at[bytes] = 0;
		if (bytes == 0 || list->count == BACKUP_DIRS_MAX) {
			directories_free(list);
			return cli_fail(cli, ADMIN_EXIT_USAGE,
					"--%s: 1 to %u directories with commas between them",
					cli_options[id].name, BACKUP_DIRS_MAX);
		}
		list->dirs[list->count++] = at;
		at = is_last ? NULL : at + bytes + 1;
	}
	if (list->text)
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
}

/* Of those that hold a backup some may be lost, but not all. */
static enum admin_exit
directories_to_read(struct cli *cli, struct directories *list)
{
	const enum admin_exit code = directories_of(cli, CLI_FROM, list);

	if (code)
		return code;
	for (uint32_t i = 0; i < list->count; i++)
		if (access(list->dirs[i], R_OK | X_OK) == 0)
			return ADMIN_EXIT_OK;
	(void)cli_fail(cli, ADMIN_EXIT_CONFIG,
		       "--from: none of the directories can be read: %s: %s; mount or name those "
		       "that `tern backup create --to` wrote to",
		       list->dirs[0], strerror(errno));
	directories_free(list);
	return ADMIN_EXIT_CONFIG;
}

static enum admin_exit
geometry_of(struct cli *cli, struct stripe_geometry *geometry)
{
	const char *text = cli->values[CLI_EC] ? cli->values[CLI_EC] : "4+2";

	if (config_parse_geometry(text, &geometry->k, &geometry->m) &&
	    stripe_geometry_is_valid(*geometry))
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_USAGE,
			"--ec \"%.32s\", allowed K+M such as 4+2, K 1 to %u, M 0 to %u", text,
			STRIPE_K_MAX, STRIPE_M_MAX);
}

static enum admin_exit
load(struct cli *cli, struct node_config **config)
{
	char text[768];

	*config = NULL;
	if (!cli->values[CLI_CONFIG])
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--config FILE is missing");
	*config = malloc(sizeof(**config));
	if (!*config)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (node_config_load(cli->values[CLI_CONFIG], *config, text, sizeof(text)) == TERN_OK)
		return ADMIN_EXIT_OK;
	free(*config);
	*config = NULL;
	return cli_fail(cli, ADMIN_EXIT_CONFIG, "%s", text);
}

static enum admin_exit
exit_of(enum tern_err err)
{
	switch (err) {
	case TERN_OK:
		return ADMIN_EXIT_OK;
	case TERN_ERR_CORRUPT:
		return ADMIN_EXIT_CRITICAL;
	case TERN_ERR_UNSUPPORTED:
	case TERN_ERR_STALE_TERM:
	case TERN_ERR_CONFIG:
	case TERN_ERR_TOO_LARGE:
	case TERN_ERR_NOT_FOUND:
	case TERN_ERR_VERSION:
		return ADMIN_EXIT_REFUSED;
	case TERN_ERR_BUSY:
		return ADMIN_EXIT_UNREACHABLE;
	case TERN_ERR_FOREIGN:
	case TERN_ERR_BLANK:
		return ADMIN_EXIT_CONFIG;
	case TERN_ERR_MALFORMED:
	case TERN_ERR_NOT_MASTER:
	case TERN_ERR_QUEUE_FULL:
	case TERN_ERR_LOG_FULL:
	case TERN_ERR_NO_MEMORY:
	case TERN_ERR_IO:
		break;
	}
	return ADMIN_EXIT_FAILED;
}

/* ---- what a backup is, for people and for tools ---- */

static void
when_text(uint64_t seconds, char out[32])
{
	const time_t at = (time_t)seconds;
	struct tm parts = { 0 };

	(void)gmtime_r(&at, &parts);
	if (strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		out[0] = 0;
}

/* {"name","cluster_id",...}: what its header says. */
static json_t *
hdr_json(const char *name, const struct backup_hdr *hdr)
{
	char cluster[17], chain[33], created[32], ec[16];

	admin_hex64(hdr->cluster_id, cluster);
	admin_hex64(hdr->chain.high, chain);
	admin_hex64(hdr->chain.low, chain + 16);
	when_text(hdr->created_s, created);
	(void)snprintf(ec, sizeof(ec), "%u+%u", hdr->geometry.k, hdr->geometry.m);
	return json_pack("{s:s,s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:s}", "name",
			 name, "cluster_id", cluster, "node", (int)hdr->node_id, "created", created,
			 "ec", ec, "first_index", (json_int_t)hdr->first_index, "last_index",
			 (json_int_t)hdr->last_index, "commit_index", (json_int_t)hdr->commit_index,
			 "first_time_ns", (json_int_t)hdr->first_time_ns, "last_time_ns",
			 (json_int_t)hdr->last_time_ns, "chain", chain, "checkpoint_bytes",
			 (json_int_t)(hdr->checkpoint_pages * PAGE_BYTES), "log_bytes",
			 (json_int_t)(hdr->log_pages * PAGE_BYTES), "stored_bytes",
			 (json_int_t)hdr->stored_bytes, "version", hdr->version);
}

static json_t *
parts_json(const struct backup_reader *reader, const struct directories *list)
{
	json_t *parts = json_array();

	for (uint32_t i = 0; i < list->count; i++) {
		const struct backup_part *part = backup_reader_part(reader, i);
		(void)json_array_append_new(
		    parts, json_pack("{s:s,s:s,s:i,s:s,s:I,s:b,s:b}", "directory", list->dirs[i],
				     "path", part->path, "column", part->column, "state",
				     backup_part_state_text(part->state), "bad_pages",
				     (json_int_t)part->bad_pages, "short", (int)part->is_short,
				     "header_bad", (int)part->is_hdr_bad));
	}
	return parts;
}

static json_t *
missing_json(const struct backup_reader *reader)
{
	const uint32_t missing = backup_reader_missing(reader);
	json_t *columns = json_array();

	for (uint32_t column = 0; column < BACKUP_DIRS_MAX; column++) {
		if ((missing & STRIPE_BIT(column)) != 0)
			(void)json_array_append_new(columns, json_integer(column));
	}
	return columns;
}

static void
print_positions(FILE *out, const struct backup_hdr *hdr)
{
	(void)fprintf(out,
		      "positions %" PRIu64 " to %" PRIu64 ", %s%" PRIu64
		      " MiB of checkpoint, %" PRIu64 " MiB of log, %" PRIu64 " MiB stored\n",
		      hdr->first_index != 0 ? hdr->first_index : 1, hdr->last_index,
		      hdr->commit_index < hdr->last_index ? "not all known to be committed, " : "",
		      hdr->checkpoint_pages * PAGE_BYTES >> 20, hdr->log_pages * PAGE_BYTES >> 20,
		      hdr->stored_bytes >> 20);
}

static void
print_parts(FILE *out, const struct backup_reader *reader, const struct directories *list)
{
	static const char *const heads[] = { "COLUMN", "STATE", "BAD PAGES", "DIRECTORY" };
	const uint32_t missing = backup_reader_missing(reader);
	struct cli_table table = { 0 };

	cli_table_row(&table, 4, heads);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct backup_part *part = backup_reader_part(reader, i);
		char column[16] = "-", pages[32];
		if (part->column >= 0)
			(void)snprintf(column, sizeof(column), "%d", part->column);
		(void)snprintf(pages, sizeof(pages), "%" PRIu64 "%s", part->bad_pages,
			       part->is_short     ? ", cut off"
			       : part->is_hdr_bad ? ", header"
						  : "");
		const char *const cells[] = { column, backup_part_state_text(part->state), pages,
					      list->dirs[i] };
		cli_table_row(&table, 4, cells);
	}
	cli_table_print(&table, out);
	for (uint32_t column = 0; column < BACKUP_DIRS_MAX; column++) {
		if ((missing & STRIPE_BIT(column)) != 0)
			(void)fprintf(out, "column %u is in none of these directories\n", column);
	}
}

/* ---- verify ---- */

/* OK: all of its parts are there and good; DEGRADED: not all, and it can be restored. */
static enum admin_exit
parts_judge(const struct backup_reader *reader, const struct directories *list)
{
	if (backup_reader_missing(reader) != 0)
		return ADMIN_EXIT_DEGRADED;
	for (uint32_t i = 0; i < list->count; i++) {
		if (backup_reader_part(reader, i)->state == BACKUP_PART_DAMAGED)
			return ADMIN_EXIT_DEGRADED;
	}
	return ADMIN_EXIT_OK;
}

static enum admin_exit
open_backup(struct cli *cli, const struct directories *list, struct backup_reader **reader)
{
	const struct backup_reader_config config = { list->dirs, list->count, cli->arguments[0] };
	char text[BACKUP_TEXT_MAX];
	const enum tern_err err = backup_reader_open(&config, reader, text, sizeof(text));

	if (err == TERN_OK)
		return ADMIN_EXIT_OK;
	return cli_fail(cli, err == TERN_ERR_NOT_FOUND ? ADMIN_EXIT_FAILED : exit_of(err), "%s",
			text);
}

static void
report_verified(struct cli *cli, const struct backup_reader *reader, const struct directories *list,
		const struct backup_verified *verified, const char *error, enum admin_exit code)
{
	const struct backup_hdr *hdr = backup_reader_hdr(reader);
	const char *verdict = code == ADMIN_EXIT_OK         ? "whole"
			      : code == ADMIN_EXIT_DEGRADED ? "restorable"
							    : "lost";

	if (!cli->is_json) {
		(void)fprintf(cli->out, "%s\n", backup_reader_name(reader));
		print_positions(cli->out, hdr);
		print_parts(cli->out, reader, list);
		if (code == ADMIN_EXIT_OK)
			(void)fprintf(cli->out, "whole: %" PRIu64 " blocks, %" PRIu64 " commands\n",
				      verified->blocks, verified->commands);
		else if (code == ADMIN_EXIT_DEGRADED)
			(void)fprintf(cli->out,
				      "it can be restored; next: make another backup, and look "
				      "after the directories named here\n");
		return;
	}
	json_t *report = hdr_json(backup_reader_name(reader), hdr);
	(void)json_object_set_new(report, "api", json_string("backup-verify/v1"));
	(void)json_object_set_new(report, "verdict", json_string(verdict));
	(void)json_object_set_new(report, "parts", parts_json(reader, list));
	(void)json_object_set_new(report, "missing_columns", missing_json(reader));
	(void)json_object_set_new(report, "blocks", json_integer((json_int_t)verified->blocks));
	(void)json_object_set_new(report, "commands", json_integer((json_int_t)verified->commands));
	if (error[0] != 0)
		(void)json_object_set_new(report, "error", json_string(error));
	cli_print_json(cli, report);
}

enum admin_exit
verb_backup_verify(struct cli *cli)
{
	struct backup_reader *reader = NULL;
	struct backup_verified verified;
	struct directories list;
	char text[BACKUP_TEXT_MAX] = "";
	enum admin_exit code = directories_to_read(cli, &list);

	if (code)
		return code;
	code = open_backup(cli, &list, &reader);
	if (code) {
		directories_free(&list);
		return code;
	}
	const enum tern_err err = backup_verify(reader, &verified, text, sizeof(text));
	code = err == TERN_OK ? parts_judge(reader, &list) : exit_of(err);
	report_verified(cli, reader, &list, &verified, err == TERN_OK ? "" : text, code);
	if (err != TERN_OK)
		(void)fprintf(cli->err, "tern: %s: it cannot be restored: %s\n",
			      backup_reader_name(reader), text);
	backup_reader_close(reader);
	directories_free(&list);
	return code;
}

/* ---- list ---- */

static void
print_found(FILE *out, const struct backup_found *found, uint32_t count)
{
	static const char *const heads[] = { "NAME", "CREATED", "EC", "PARTS", "FROM", "TO" };
	struct cli_table table = { 0 };

	cli_table_row(&table, 6, heads);
	for (uint32_t i = 0; i < count; i++) {
		const struct backup_hdr *hdr = &found[i].hdr;
		char created[32] = "-", ec[16] = "-", files[24], first[24] = "-", last[24] = "-";
		(void)snprintf(files, sizeof(files), "%u", found[i].files);
		if (found[i].has_hdr) {
			when_text(hdr->created_s, created);
			(void)snprintf(ec, sizeof(ec), "%u+%u", hdr->geometry.k, hdr->geometry.m);
			(void)snprintf(files, sizeof(files), "%u of %u", found[i].files,
				       stripe_devices(hdr->geometry));
			(void)snprintf(first, sizeof(first), "%" PRIu64,
				       hdr->first_index != 0 ? hdr->first_index : 1);
			(void)snprintf(last, sizeof(last), "%" PRIu64, hdr->last_index);
		}
		const char *const cells[] = { found[i].name, created, ec, files, first, last };
		cli_table_row(&table, 6, cells);
	}
	cli_table_print(&table, out);
}

enum admin_exit
verb_backup_list(struct cli *cli)
{
	struct backup_found *found = calloc(BACKUP_FOUND_MAX, sizeof(*found));
	struct directories list;
	enum admin_exit code = directories_to_read(cli, &list);

	if (!code && !found)
		code = cli_fail(cli, ADMIN_EXIT_FAILED, "out of memory");
	if (code) {
		free(found);
		return code;
	}
	const uint32_t count = backup_find(list.dirs, list.count, found);
	json_t *backups = json_array();
	for (uint32_t i = 0; i < count; i++) {
		json_t *one = found[i].has_hdr ? hdr_json(found[i].name, &found[i].hdr)
					       : json_pack("{s:s}", "name", found[i].name);
		(void)json_object_set_new(one, "parts", json_integer(found[i].files));
		(void)json_array_append_new(backups, one);
	}
	if (cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:O}", "api", "backup-list/v1", "backups", backups));
	else if (count == 0)
		(void)fprintf(cli->out, "no backup\n");
	else
		print_found(cli->out, found, count);
	json_decref(backups);
	directories_free(&list);
	free(found);
	return ADMIN_EXIT_OK;
}

/* ---- create ---- */

/* What was written, read back. */
static enum admin_exit
create_verify(struct cli *cli, const struct directories *list, const char *name,
	      struct backup_verified *verified)
{
	const struct backup_reader_config config = { list->dirs, list->count, name };
	struct backup_reader *reader = NULL;
	char text[BACKUP_TEXT_MAX];
	enum tern_err err = backup_reader_open(&config, &reader, text, sizeof(text));

	if (err == TERN_OK)
		err = backup_verify(reader, verified, text, sizeof(text));
	enum admin_exit code = ADMIN_EXIT_OK;
	if (err != TERN_OK)
		code = cli_fail(cli, ADMIN_EXIT_CRITICAL, "%s was written and is not whole: %s",
				name, text);
	else if (parts_judge(reader, list) != ADMIN_EXIT_OK)
		code = cli_fail(cli, ADMIN_EXIT_DEGRADED,
				"%s was written and parts of it are not good: `tern backup verify` "
				"names them",
				name);
	backup_reader_close(reader);
	return code;
}

static void
report_created(struct cli *cli, const struct backup_created *created,
	       const struct backup_verified *verified)
{
	if (!cli->is_json) {
		(void)fprintf(cli->out, "%s\n", created->name);
		print_positions(cli->out, &created->hdr);
		(void)fprintf(cli->out,
			      "written, and read back: %" PRIu64 " blocks, %" PRIu64 " commands\n",
			      verified->blocks, verified->commands);
		return;
	}
	json_t *report = hdr_json(created->name, &created->hdr);
	(void)json_object_set_new(report, "api", json_string("backup-create/v1"));
	(void)json_object_set_new(report, "live", json_boolean(created->is_live));
	(void)json_object_set_new(report, "tries", json_integer(created->tries));
	(void)json_object_set_new(report, "blocks", json_integer((json_int_t)verified->blocks));
	(void)json_object_set_new(report, "commands", json_integer((json_int_t)verified->commands));
	cli_print_json(cli, report);
}

enum admin_exit
verb_backup_create(struct cli *cli)
{
	struct backup_create_config config = {
		.version = TERN_VERSION,
		.timeout_ms = cli->timeout_ms ? cli->timeout_ms : ASK_MS,
	};
	struct directories list = { 0 };
	struct node_config *node = NULL;
	struct backup_created created;
	struct backup_verified verified = { 0 };
	char text[BACKUP_TEXT_MAX];
	enum admin_exit code = geometry_of(cli, &config.geometry);

	if (!code)
		code = directories_of(cli, CLI_TO, &list);
	if (!code && list.count != stripe_devices(config.geometry))
		code =
		    cli_fail(cli, ADMIN_EXIT_USAGE,
			     "--to names %u directories, --ec %u+%u needs %u", list.count,
			     config.geometry.k, config.geometry.m, stripe_devices(config.geometry));
	if (!code)
		code = load(cli, &node);
	if (!code && node->kind == NODE_WITNESS)
		code = cli_fail(cli, ADMIN_EXIT_REFUSED, "%s is a witness, which holds no data",
				node->name);
	if (!code) {
		node_config_load_taken(node);
		config.node = node;
		config.dirs = list.dirs;
		const enum tern_err err = backup_create(&config, &created, text, sizeof(text));
		if (err != TERN_OK)
			code = cli_fail(cli, exit_of(err), "no backup was written: %s", text);
	}
	if (!code)
		code = create_verify(cli, &list, created.name, &verified);
	if (!code)
		report_created(cli, &created, &verified);
	free(node);
	directories_free(&list);
	return code;
}

/* ---- restore ---- */

static enum admin_exit
position_of(struct cli *cli, const struct backup_hdr *hdr, uint64_t *position)
{
	const char *text = cli->values[CLI_TO];
	char *end;

	*position = hdr->last_index;
	if (!text)
		return ADMIN_EXIT_OK;
	*position = strtoull(text, &end, 10);
	if (text[0] >= '1' && text[0] <= '9' && *end == 0 && strlen(text) < 20)
		return ADMIN_EXIT_OK;
	return cli_fail(cli, ADMIN_EXIT_USAGE, "--to \"%.32s\" is no position: a number from 1",
			text);
}

/* The new cluster's, which must not be the backup's: its nodes may still live. */
static enum admin_exit
cluster_id_of(struct cli *cli, const struct node_config *config, const struct backup_hdr *hdr,
	      uint64_t *cluster_id)
{
	const char *given = cli->values[CLI_CLUSTER_ID];

	*cluster_id = config->cluster_id;
	if (given && !node_config_parse_cluster_id(given, cluster_id))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--cluster-id \"%.32s\": allowed 1 to 16 hexadecimal digits, not "
				"zero",
				given);
	if (config->cluster_id != 0 && *cluster_id != config->cluster_id)
		return cli_fail(cli, ADMIN_EXIT_CONFIG,
				"%s: node.cluster_id is %016" PRIx64
				", not %s; give the one that is right to both",
				config->file, config->cluster_id, given);
	if (*cluster_id == 0 && !node_birth_cluster_id(cluster_id))
		return cli_fail(cli, ADMIN_EXIT_FAILED, "no randomness for a cluster id");
	if (*cluster_id == hdr->cluster_id)
		return cli_fail(cli, ADMIN_EXIT_REFUSED,
				"%016" PRIx64
				" is the cluster that the backup was taken of: what is "
				"restored is a new one and needs an id of its own",
				*cluster_id);
	return ADMIN_EXIT_OK;
}

/* Makes the storage, fills it, and takes back what it made when that fails. */
static enum admin_exit
restore(struct cli *cli, struct backup_reader *reader, const struct node_config *config,
	uint64_t cluster_id, uint64_t position, struct backup_restored *restored)
{
	char text[BACKUP_TEXT_MAX], why[256];
	enum tern_err err =
	    backup_restore_check(backup_reader_hdr(reader), config, position, text, sizeof(text));

	if (err != TERN_OK)
		return cli_fail(cli, exit_of(err), "%s", text);
	const enum admin_exit code = node_birth_empty(config, cluster_id, text, sizeof(text));
	if (code)
		return cli_fail(cli, code, "%s", text);
	err = backup_restore(reader, config, position, restored, text, sizeof(text));
	if (err == TERN_OK)
		return ADMIN_EXIT_OK;
	if (node_birth_take_back(config, UINT32_MAX, why, sizeof(why)))
		return cli_fail(cli, exit_of(err),
				"%s was not restored: %s; what it wrote was not taken back: %s",
				config->name, text, why);
	return cli_fail(cli, exit_of(err), "%s was not restored: %s", config->name, text);
}

static void
report_restored(struct cli *cli, const struct node_config *config,
		const struct backup_reader *reader, const struct directories *list,
		uint64_t cluster_id, const struct backup_restored *restored)
{
	char id[17], chain[33];

	admin_hex64(cluster_id, id);
	admin_hex64(restored->chain.high, chain);
	admin_hex64(restored->chain.low, chain + 16);
	if (cli->is_json) {
		cli_print_json(cli, json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:o}", "api",
					      "backup-restore/v1", "backup",
					      backup_reader_name(reader), "name", config->name,
					      "storage", config->storage_dir, "cluster_id", id,
					      "position", (json_int_t)restored->position, "time_ns",
					      (json_int_t)restored->time_ns, "chain", chain,
					      "parts", parts_json(reader, list)));
		return;
	}
	(void)fprintf(cli->out,
		      "%s restored to position %" PRIu64
		      " in %s\ncluster id %s: the same for every "
		      "other node; restore the other data nodes to the same position, make the "
		      "witness with `tern node init`, then start them\n",
		      config->name, restored->position, config->storage_dir, id);
	if (parts_judge(reader, list) != ADMIN_EXIT_OK)
		(void)fprintf(cli->out,
			      "parts of the backup are missing or damaged; `tern backup verify` "
			      "names them\n");
}

enum admin_exit
verb_backup_restore(struct cli *cli)
{
	struct backup_reader *reader = NULL;
	struct node_config *config = NULL;
	struct directories list;
	struct backup_restored restored;
	uint64_t cluster_id = 0, position = 0;
	enum admin_exit code = directories_to_read(cli, &list);

	if (code)
		return code;
	code = load(cli, &config);
	if (!code)
		code = open_backup(cli, &list, &reader);
	if (!code)
		code = position_of(cli, backup_reader_hdr(reader), &position);
	if (!code)
		code = cluster_id_of(cli, config, backup_reader_hdr(reader), &cluster_id);
	if (!code)
		code = restore(cli, reader, config, cluster_id, position, &restored);
	if (!code)
		report_restored(cli, config, reader, &list, cluster_id, &restored);
	backup_reader_close(reader);
	free(config);
	directories_free(&list);
	return code;
}
