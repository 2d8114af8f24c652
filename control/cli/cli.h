/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern, the command-line tool. One table of commands (command_table.c) generates the parser, the
 * help, the completion, the manual page and a dump for tools; a verb exists when it stands there.
 *
 * Exit codes: enum admin_exit. Output: text for people, or with `-o json` one object with "api".
 * Errors go to stderr as one sentence that names the next step; with `-o json` they also go to
 * stdout as {"api":"error/v1","error":...,"exit":n}.
 */
#ifndef TERN_CLI_CLI_H
#define TERN_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "control/admin/admin.h"
#include "dataplane/wire/superblock.h"

#define CLI_ARGUMENTS_MAX 2u
#define CLI_WORDS_MAX     3u
#define CLI_GROUP_MAX     64u

enum cli_option_id {
	CLI_OUTPUT = 0,
	CLI_DIR,
	CLI_NODE_FILE,
	CLI_TIMEOUT,
	CLI_TOPOLOGY,
	CLI_NET,
	CLI_LOG_SIZE,
	CLI_PROFILE,
	CLI_CONFIG,
	CLI_CLUSTER_ID,
	CLI_TO,
	CLI_ONE_WAY,
	CLI_ADDRESS,
	CLI_RATE,
	CLI_CONNECTIONS,
	CLI_PIPELINE,
	CLI_MIX,
	CLI_KEYS,
	CLI_VALUE_SIZE,
	CLI_DURATION,
	CLI_HISTORY,
	CLI_RUNS,
	CLI_MTU,
	CLI_CLASS,
	CLI_POINTS,
	CLI_LINKS,
	CLI_IP,
	CLI_LOG,
	CLI_EC,
	CLI_FROM,
	CLI_LEARNER,
	CLI_WIPE,
	CLI_INTERVAL,
	CLI_COUNT,
	CLI_DEEP,
	CLI_FORCE,
	CLI_CLUSTER_GEN,
	CLI_READS,
	CLI_OPTION_COUNT,
};
#define CLI_BIT(option) (UINT64_C(1) << (option))

struct cli_option {
	const char *name;
	char letter;          /* 0: none */
	const char *argument; /* NULL: a flag */
	const char *help;
	const char *choices; /* words for the completion; NULL: files or free text */
};

struct cli_argument {
	const char *name; /* NULL: no such argument */
	bool is_optional;
	const char *help;
};

struct cli;
typedef enum admin_exit (*cli_run)(struct cli *cli);

struct cli_command {
	const char *path;    /* "dev up": words by one blank */
	const char *summary; /* one line */
	const char *detail;
	struct cli_argument arguments[CLI_ARGUMENTS_MAX];
	uint64_t options; /* CLI_BIT(...) */
	cli_run run;
};

/* One parsed invocation. */
struct cli {
	const struct cli_command *command;
	const char *values[CLI_OPTION_COUNT];     /* NULL: not given; flags: "" */
	const char *arguments[CLI_ARGUMENTS_MAX]; /* NULL: not given */
	bool is_json, is_help;
	uint32_t timeout_ms;       /* 0: the verb's default */
	char group[CLI_GROUP_MAX]; /* the words before the verb, as in the table */
	const char *help_prefix;   /* is_help without a command: the group, "" for all */
	FILE *out, *err;
};

extern const struct cli_command cli_commands[];
extern const uint32_t cli_command_count;
extern const struct cli_option cli_options[CLI_OPTION_COUNT];

/* ADMIN_EXIT_OK: run cli->command, or show help. USAGE: @text says what is wrong. Reorders @argv.
 */
enum admin_exit cli_parse(int argc, char **argv, struct cli *cli, char *text, size_t text_bytes);

/* Writers of what follows from the table. */
void cli_write_help(FILE *out, const char *prefix);
void cli_write_command_help(FILE *out, const struct cli_command *command);
void cli_write_completion_bash(FILE *out);
void cli_write_man(FILE *out);
json_t *cli_commands_json(void);

/* Reports a failure and returns @code. */
enum admin_exit cli_fail(struct cli *cli, enum admin_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints @object as it is; takes it always. */
void cli_print_json(struct cli *cli, json_t *object);

/* A table for people: columns as wide as their widest cell. Cells are copied, at most
 * CLI_CELL_MAX - 1 bytes. Full tables drop rows. */
#define CLI_CELL_MAX    56u
#define CLI_COLUMNS_MAX 14u
#define CLI_ROWS_MAX    192u
struct cli_table {
	uint32_t rows, columns;
	char cells[CLI_ROWS_MAX][CLI_COLUMNS_MAX][CLI_CELL_MAX];
};
void cli_table_row(struct cli_table *table, uint32_t columns, const char *const *cells);
void cli_table_print(const struct cli_table *table, FILE *out);

/* ---- the cluster that a verb speaks of ---- */

struct cluster_node {
	char name[NODE_CONFIG_NAME_MAX];
	uint16_t id;
	bool is_witness;
	char admin_socket[NODE_CONFIG_SOCKET_MAX]; /* "": not on this machine */
	char storage_dir[NODE_CONFIG_PATH_MAX];    /* "": not on this machine */
	char resp[64];                             /* "127.0.0.1:7001"; "": a witness */
};

struct cluster {
	uint32_t node_count;
	struct cluster_node nodes[NODE_CONFIG_NODES_MAX];
};

/* From --node-file, or from the dev cluster in --dir (default ./.tern). Reports what fails. */
enum admin_exit cluster_find(struct cli *cli, struct cluster *cluster);

/* status/v1 of all nodes: new reference. @health: OK, DEGRADED or CRITICAL. */
json_t *cluster_status(const struct cluster *cluster, uint32_t timeout_ms, enum admin_exit *health);
/* Asks for it until @is_met says so: new reference to the one of which it did. NULL: of none within
 * @timeout_ms. */
json_t *
cluster_wait(const struct cluster *cluster, uint32_t timeout_ms,
	     bool (*is_met)(const json_t *status, const void *context), const void *context);
/* NULL: no node of that name. */
const struct cluster_node *cluster_named(const struct cluster *cluster, const char *name);
/* Adds "health" and "warnings" to @status, which has the nodes' entries. */
enum admin_exit cluster_judge(json_t *status);
/* The entry of the master that serves, borrowed from @status; NULL: none. */
json_t *cluster_master(const json_t *status);

/* ---- birth of storage ---- */

/* Creates the storage of the node that @config describes, exactly once. CONFIG (exit 8): it exists
 * or cannot be made; @text says what and the next step, and what existed is untouched, but for what
 * an earlier birth left that did not end. */
enum admin_exit node_birth(const struct node_config *config, uint64_t cluster_id,
			   const struct generation *generation, char *text, size_t text_bytes);
/* REFUSED (exit 5): a device that the node knows besides its own, by its node file or by
 * <storage>/spares, holds storage of this node; CONFIG (exit 8): a spare that is no file is not
 * there; @text names it. All that create storage ask this first. */
enum admin_exit node_spares_refuse(const struct node_config *config, char *text, size_t text_bytes);
/* Creates it anew for a node of a cluster that lives and whose own is lost. REFUSED (exit 5): it
 * would be unsafe; @text says why. */
enum admin_exit node_rejoin(const struct node_config *config, uint64_t cluster_id,
			    const struct generation *generation, char *text, size_t text_bytes);
/* What is in its way whatever the node's own devices hold: the only copy of the data, a clock that
 * is not set, or a spare (node_spares_refuse). */
enum admin_exit node_rejoin_refuse(const struct node_config *config, char *text, size_t text_bytes);
/* Creates it for a restore to fill: nothing that is there is touched (CONFIG, exit 8), and no
 * cluster takes it for a member's before it is filled. */
enum admin_exit node_birth_empty(const struct node_config *config, uint64_t cluster_id, char *text,
				 size_t text_bytes);
/* Takes away what a birth of the node's pool left that did not end (a restore too), if that is all
 * that its devices hold: no node can start with that, and none ever has. Leaves all else. CONFIG
 * (exit 8): a device failed; @text says which. */
enum admin_exit
node_unfinished_clear(const struct node_config *config, char *text, size_t text_bytes);
/* Removes what a birth for @cluster_id that was ended half-way left at @path, if anything: a blank
 * file, or one that no node ever started with. CONFIG (exit 8): it was used, or is of another
 * cluster, or a process has it; @text says which, and it is untouched. */
enum admin_exit node_birth_clear(const char *path, bool is_witness, uint64_t cluster_id, char *text,
				 size_t text_bytes);
/* A blank device that may take the place of any of the node's: a file is made, a block device has
 * to be blank, and no smaller than they are. */
enum admin_exit node_spare_birth(const struct node_config *config, const char *path, bool *is_file,
				 char *text, size_t text_bytes);
/* A blank device in place of one that is recorded as failed, while the node is stopped. REFUSED: it
 * is not, or the node runs. */
enum admin_exit
node_device_birth(const struct node_config *config, uint32_t number, char *text, size_t text_bytes);
/* Whether the pool of the node, which is stopped, needs the device at @path, which says @own of
 * itself. OK: it is recorded as failed, or was left behind. REFUSED: it is needed, or nobody knows.
 * @config: with what came in while the node ran (node_config_load_taken). */
enum admin_exit node_spare_refuse(const struct node_config *config, const char *path,
				  const struct superblock *own, char *text, size_t text_bytes);
/* Bytes that a device in the place of one of the node's must have, as far as the node file and the
 * sizes of its files say. */
uint64_t node_device_bytes(const struct node_config *config);
/* The same while the node is stopped, in the place of @number: as its other devices say. 0: they
 * cannot be read. */
uint64_t node_pool_bytes(const struct node_config *config, uint32_t number);
/* What is in its way whatever the device itself holds. */
enum admin_exit node_device_refuse(const struct node_config *config, uint32_t number, char *text,
				   size_t text_bytes);
/* A random cluster_id, never 0; false: the kernel gave no randomness. */
bool node_birth_cluster_id(uint64_t *cluster_id);

/* ---- verbs ---- */
enum admin_exit verb_status(struct cli *cli);
enum admin_exit verb_node_init(struct cli *cli);
enum admin_exit verb_node_rejoin(struct cli *cli);
enum admin_exit verb_config_check(struct cli *cli);
enum admin_exit verb_cluster_switchover(struct cli *cli);
enum admin_exit verb_cluster_add(struct cli *cli);
enum admin_exit verb_cluster_remove(struct cli *cli);
enum admin_exit verb_cluster_promote(struct cli *cli);
enum admin_exit verb_cluster_demote(struct cli *cli);
enum admin_exit verb_cluster_replace(struct cli *cli);
enum admin_exit verb_cluster_replace_witness(struct cli *cli);
enum admin_exit verb_cluster_force_promote(struct cli *cli);
enum admin_exit verb_log_status(struct cli *cli);
enum admin_exit verb_log_verify(struct cli *cli);
enum admin_exit verb_log_deep(struct cli *cli); /* log verify --deep */
enum admin_exit verb_log_divergent_list(struct cli *cli);
enum admin_exit verb_log_divergent_export(struct cli *cli);
enum admin_exit verb_dev_up(struct cli *cli);
enum admin_exit verb_dev_down(struct cli *cli);
enum admin_exit verb_dev_status(struct cli *cli);
enum admin_exit verb_dev_kill(struct cli *cli);
enum admin_exit verb_dev_stop(struct cli *cli);
enum admin_exit verb_dev_cont(struct cli *cli);
enum admin_exit verb_dev_start(struct cli *cli);
enum admin_exit verb_dev_fault(struct cli *cli);
enum admin_exit verb_device_scan(struct cli *cli);
enum admin_exit verb_device_add(struct cli *cli);
enum admin_exit verb_device_remove(struct cli *cli);
enum admin_exit verb_device_fail(struct cli *cli);
enum admin_exit verb_device_iostat(struct cli *cli);
enum admin_exit verb_job_list(struct cli *cli);
enum admin_exit verb_job_show(struct cli *cli);
enum admin_exit verb_job_wait(struct cli *cli);
enum admin_exit verb_job_cancel(struct cli *cli);
enum admin_exit verb_device_list(struct cli *cli);
enum admin_exit verb_device_show(struct cli *cli);
enum admin_exit verb_device_can_remove(struct cli *cli);
enum admin_exit verb_device_replace(struct cli *cli);
enum admin_exit verb_device_scrub_start(struct cli *cli);
enum admin_exit verb_device_scrub_pause(struct cli *cli);
enum admin_exit verb_device_scrub_resume(struct cli *cli);
enum admin_exit verb_device_scrub_cancel(struct cli *cli);
enum admin_exit verb_device_scrub_rate(struct cli *cli);
enum admin_exit verb_device_scrub_status(struct cli *cli);
enum admin_exit verb_device_rebuild_rate(struct cli *cli);
enum admin_exit verb_device_rebuild_status(struct cli *cli);
enum admin_exit verb_dev_cut(struct cli *cli);
enum admin_exit verb_backup_create(struct cli *cli);
enum admin_exit verb_backup_list(struct cli *cli);
enum admin_exit verb_backup_verify(struct cli *cli);
enum admin_exit verb_backup_restore(struct cli *cli);
enum admin_exit verb_dev_heal(struct cli *cli);
enum admin_exit verb_bench_run(struct cli *cli);
enum admin_exit verb_bench_compare(struct cli *cli);
enum admin_exit verb_bench_raw(struct cli *cli);
enum admin_exit verb_bench_disk(struct cli *cli);
enum admin_exit verb_bench_ec(struct cli *cli);
enum admin_exit verb_bench_replicate(struct cli *cli);
enum admin_exit verb_version(struct cli *cli);
enum admin_exit verb_commands(struct cli *cli);
enum admin_exit verb_completion(struct cli *cli);
enum admin_exit verb_man(struct cli *cli);

#endif
