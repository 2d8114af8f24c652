/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of commands. A command is LOCAL (answered at once from what this thread knows), a
 * READ (of the state machine, at a read point) or a WRITE (submitted to the lcore).
 */
#ifndef TERN_GATEWAY_COMMANDS_H
#define TERN_GATEWAY_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/gateway/connection.h"
#include "dataplane/state/state.h"
#include "dataplane/wire/command.h"

struct gateway;

struct command_call {
	struct gateway *gateway;
	struct connection *conn;
	const struct resp_arg *args; /* args[0] is the name */
	uint32_t args_count;
	struct resp_writer *out;
	struct state_reader *reader; /* READ: inside state_read_begin..end */
};

/* What a WRITE becomes: arguments as they were sent, then integers. */
struct write_plan {
	enum command_op op;
	uint8_t flags;
	const struct resp_arg *args;
	uint32_t args_count;
	int64_t integers[3];
	uint32_t integers_count;
	uint64_t client_id, seq; /* 0: in no session */
	uint16_t open_window;
	/* MULTI: further arguments, encoded already; and the most that its reply may take. */
	const uint8_t *encoded;
	uint32_t encoded_bytes, encoded_count;
	uint64_t reply_bytes;
	bool is_memory; /* of class memory, whatever the connection's is */
	bool is_read;   /* a transaction without a write: it need not be logged */
};

enum gateway_command_kind { GATEWAY_LOCAL = 1, GATEWAY_READ, GATEWAY_WRITE };

struct gateway_command {
	const char *name; /* lower case */
	uint32_t name_bytes;
	int8_t arity; /* name included; negative: at least that many */
	uint8_t kind; /* enum gateway_command_kind */
	uint8_t form; /* enum multi_form */
	int8_t key_first, key_last, key_step;
	bool is_fast;
	bool is_committed; /* READ: of what cannot be rolled back, whatever the connection reads */
	bool names_master; /* LOCAL: answers when this node may say who is master */
	const char *group, *summary;
	const char *subcommands; /* names, each ended by 0, and one more 0; NULL: none */
	/* LOCAL: writes the reply. READ: the same, from the reader's view. */
	void (*run)(struct command_call *call);
	/* READ: NULL when the arguments are right, otherwise the error text. */
	const char *(*check)(const struct command_call *call);
	/* WRITE: the same, and fills @plan; with op 0 there is nothing to submit, and run answers.
	 */
	const char *(*plan)(const struct command_call *call, struct write_plan *plan);
};

struct gateway_commands {
	const struct gateway_command *list;
	uint32_t count;
};

/* commands.c: every command there is. Who starts a gateway puts it there; all others look it up. */
extern const struct gateway_commands gateway_commands;

/* command_find.c. NULL: no such command, or after the last. */
const struct gateway_command *
gateway_command_find(const struct gateway *gateway, struct resp_arg name);
const struct gateway_command *gateway_command_at(const struct gateway *gateway, uint32_t index);
bool gateway_command_arity_fits(const struct gateway_command *command, uint32_t args_count);

/* cmd_position.c: reads are linearizable again. */
void gateway_reads_reset(struct connection *conn);

void cmd_ping(struct command_call *call);
void cmd_echo(struct command_call *call);
void cmd_quit(struct command_call *call);
void cmd_hello(struct command_call *call);
void cmd_select(struct command_call *call);
void cmd_client(struct command_call *call);
void cmd_reset(struct command_call *call);
void cmd_command(struct command_call *call);
void cmd_info(struct command_call *call);
void cmd_role(struct command_call *call);
void cmd_config(struct command_call *call);
void cmd_time(struct command_call *call);
void cmd_wait(struct command_call *call);
void cmd_sentinel(struct command_call *call);
void cmd_subscribe(struct command_call *call);

void cmd_tern_class(struct command_call *call);
void cmd_readonly(struct command_call *call);
void cmd_tern_stale(struct command_call *call);
void cmd_tern_position(struct command_call *call);
void cmd_tern_read(struct command_call *call);
void cmd_readwrite(struct command_call *call);

const char *cmd_scan_check(const struct command_call *call);
const char *cmd_pattern_check(const struct command_call *call);
void cmd_scan(struct command_call *call);
void cmd_keys(struct command_call *call);
void cmd_strlen(struct command_call *call);
void cmd_type(struct command_call *call);

const char *cmd_keys_check(const struct command_call *call);
const char *cmd_any_check(const struct command_call *call);
void cmd_get(struct command_call *call);
void cmd_mget(struct command_call *call);
void cmd_exists(struct command_call *call);
void cmd_dbsize(struct command_call *call);

const char *cmd_set_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_setnx_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_msetnx_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_getset_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_getdel_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_append_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_mset_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_del_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_incr_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_decr_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_incrby_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_decrby_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_tern_incrby_plan(const struct command_call *call, struct write_plan *plan);

/* cmd_multi.c */
void cmd_multi(struct command_call *call);
void cmd_discard(struct command_call *call);
void cmd_unwatch(struct command_call *call);
const char *cmd_watch_check(const struct command_call *call);
void cmd_watch(struct command_call *call);
const char *cmd_exec_plan(const struct command_call *call, struct write_plan *plan);
void cmd_exec(struct command_call *call);

/* cmd_expiry.c */
const char *cmd_setex_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_psetex_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_expire_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_pexpire_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_expireat_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_pexpireat_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_persist_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_getex_plan(const struct command_call *call, struct write_plan *plan);
void cmd_ttl(struct command_call *call);
void cmd_pttl(struct command_call *call);
void cmd_expiretime(struct command_call *call);
void cmd_pexpiretime(struct command_call *call);
/* EX, PX, EXAT or PXAT at args[*at], and its time behind it; *at is then that of the time. */
const char *cmd_expiry_option(const struct command_call *call, uint32_t *at,
			      struct write_plan *plan, bool *is_known);

/* cmd_once.c: commands in sessions */
const char *cmd_tern_once_plan(const struct command_call *call, struct write_plan *plan);
const char *cmd_tern_session_plan(const struct command_call *call, struct write_plan *plan);

#endif
