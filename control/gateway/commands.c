/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/commands.h"

#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"

#define NAME(text)              .name = text, .name_bytes = sizeof(text) - 1
#define KEYS(first, last, step) .key_first = first, .key_last = last, .key_step = step

static const struct gateway_command commands[] = {
	/* reads */
	{ NAME("get"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_GET, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Returns the string value of a key.",
	  .check = cmd_keys_check, .run = cmd_get },
	{ NAME("mget"), .arity = -2, .kind = GATEWAY_READ, .form = MULTI_MGET, KEYS(1, -1, 1),
	  .is_fast = true, .group = "string", .summary = "Returns the values of one or more keys.",
	  .check = cmd_keys_check, .run = cmd_mget },
	{ NAME("exists"), .arity = -2, .kind = GATEWAY_READ, .form = MULTI_EXISTS, KEYS(1, -1, 1),
	  .is_fast = true, .group = "generic", .summary = "Counts which of the keys exist.",
	  .check = cmd_keys_check, .run = cmd_exists },
	{ NAME("dbsize"), .arity = 1, .kind = GATEWAY_READ, .is_fast = true, .group = "server",
	  .summary = "Returns the number of keys.", .check = cmd_any_check, .run = cmd_dbsize },
	{ NAME("strlen"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_STRLEN, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Returns the length of a value.",
	  .check = cmd_keys_check, .run = cmd_strlen },
	{ NAME("type"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_TYPE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic", .summary = "Returns string or none.",
	  .check = cmd_keys_check, .run = cmd_type },
	{ NAME("scan"), .arity = -2, .kind = GATEWAY_READ, .group = "generic",
	  .summary = "Returns some of the keys and where to go on.", .check = cmd_scan_check,
	  .run = cmd_scan },
	{ NAME("keys"), .arity = 2, .kind = GATEWAY_READ, .group = "generic",
	  .summary = "Returns the keys that match, if it need not look at too many.",
	  .check = cmd_pattern_check, .run = cmd_keys },
	{ NAME("ttl"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_TTL, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic",
	  .summary = "Returns the seconds that a key has left.", .check = cmd_keys_check,
	  .run = cmd_ttl },
	{ NAME("pttl"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_PTTL, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic",
	  .summary = "Returns the milliseconds that a key has left.", .check = cmd_keys_check,
	  .run = cmd_pttl },
	{ NAME("expiretime"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_EXPIRETIME,
	  KEYS(1, 1, 1), .is_fast = true, .group = "generic",
	  .summary = "Returns the Unix time at which a key expires, in seconds.",
	  .check = cmd_keys_check, .run = cmd_expiretime },
	{ NAME("pexpiretime"), .arity = 2, .kind = GATEWAY_READ, .form = MULTI_PEXPIRETIME,
	  KEYS(1, 1, 1), .is_fast = true, .group = "generic",
	  .summary = "Returns the Unix time at which a key expires, in milliseconds.",
	  .check = cmd_keys_check, .run = cmd_pexpiretime },
	/* writes */
	{ NAME("setex"), .arity = 4, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .group = "string", .summary = "Sets a key for some seconds.", .plan = cmd_setex_plan },
	{ NAME("psetex"), .arity = 4, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .group = "string", .summary = "Sets a key for some milliseconds.",
	  .plan = cmd_psetex_plan },
	{ NAME("getex"), .arity = -2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string",
	  .summary = "Returns a value and changes when its key expires.", .plan = cmd_getex_plan },
	{ NAME("expire"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic", .summary = "Lets a key expire in some seconds.",
	  .plan = cmd_expire_plan },
	{ NAME("pexpire"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic", .summary = "Lets a key expire in some milliseconds.",
	  .plan = cmd_pexpire_plan },
	{ NAME("expireat"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic", .summary = "Lets a key expire at a Unix time.",
	  .plan = cmd_expireat_plan },
	{ NAME("pexpireat"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic",
	  .summary = "Lets a key expire at a Unix time in milliseconds.",
	  .plan = cmd_pexpireat_plan },
	{ NAME("persist"), .arity = 2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "generic", .summary = "Takes a key's expiry away.",
	  .plan = cmd_persist_plan },
	{ NAME("setnx"), .arity = 3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Sets a key that is not there.",
	  .plan = cmd_setnx_plan },
	{ NAME("msetnx"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, -1, 2),
	  .group = "string", .summary = "Sets several keys if none of them is there.",
	  .plan = cmd_msetnx_plan },
	{ NAME("getset"), .arity = 3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Sets a key and returns what it held.",
	  .plan = cmd_getset_plan },
	{ NAME("getdel"), .arity = 2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Deletes a key and returns what it held.",
	  .plan = cmd_getdel_plan },
	{ NAME("append"), .arity = 3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Adds bytes to the end of a value.",
	  .plan = cmd_append_plan },
	{ NAME("unlink"), .arity = -2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, -1, 1),
	  .is_fast = true, .group = "generic", .summary = "Deletes keys, as DEL does.",
	  .plan = cmd_del_plan },
	{ NAME("set"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .group = "string", .summary = "Sets the value of a key.", .plan = cmd_set_plan },
	{ NAME("mset"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, -1, 2),
	  .group = "string", .summary = "Sets several keys at one position.",
	  .plan = cmd_mset_plan },
	{ NAME("del"), .arity = -2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, -1, 1),
	  .group = "generic", .summary = "Deletes keys and counts those that were there.",
	  .plan = cmd_del_plan },
	{ NAME("incr"), .arity = 2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Adds one to an integer.",
	  .plan = cmd_incr_plan },
	{ NAME("decr"), .arity = 2, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Takes one from an integer.",
	  .plan = cmd_decr_plan },
	{ NAME("incrby"), .arity = 3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Adds to an integer.",
	  .plan = cmd_incrby_plan },
	{ NAME("decrby"), .arity = 3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE, KEYS(1, 1, 1),
	  .is_fast = true, .group = "string", .summary = "Takes from an integer.",
	  .plan = cmd_decrby_plan },
	{ NAME("tern.incrby"), .arity = -3, .kind = GATEWAY_WRITE, .form = MULTI_WRITE,
	  KEYS(1, 1, 1), .is_fast = true, .group = "string",
	  .summary = "Adds to an integer unless it would leave MIN n or MAX n.",
	  .plan = cmd_tern_incrby_plan },
	{ NAME("tern.once"), .arity = -4, .kind = GATEWAY_WRITE, .group = "generic",
	  .summary = "Executes a write under a number of a session, at most once.",
	  .plan = cmd_tern_once_plan },
	{ NAME("tern.session"), .arity = -2, .kind = GATEWAY_WRITE, .group = "connection",
	  .summary = "OPEN or CLOSE a session for TERN.ONCE.", .plan = cmd_tern_session_plan },
	/* transactions */
	{ NAME("multi"), .arity = 1, .kind = GATEWAY_LOCAL, .form = MULTI_CONTROL, .is_fast = true,
	  .group = "transactions", .summary = "Begins a transaction.", .run = cmd_multi },
	{ NAME("exec"), .arity = 1, .kind = GATEWAY_WRITE, .form = MULTI_CONTROL,
	  .group = "transactions", .summary = "Executes what was queued, as one command.",
	  .plan = cmd_exec_plan, .run = cmd_exec },
	{ NAME("discard"), .arity = 1, .kind = GATEWAY_LOCAL, .form = MULTI_CONTROL,
	  .is_fast = true, .group = "transactions", .summary = "Drops what was queued.",
	  .run = cmd_discard },
	{ NAME("watch"), .arity = -2, .kind = GATEWAY_READ, .form = MULTI_CONTROL, KEYS(1, -1, 1),
	  .is_fast = true, .group = "transactions",
	  .summary = "EXEC does nothing if one of the keys changes until then.",
	  .check = cmd_watch_check, .run = cmd_watch },
	{ NAME("unwatch"), .arity = 1, .kind = GATEWAY_LOCAL, .form = MULTI_NOTHING,
	  .is_fast = true, .group = "transactions", .summary = "Watches no key any more.",
	  .run = cmd_unwatch },
	/* connection */
	{ NAME("ping"), .arity = -1, .kind = GATEWAY_LOCAL, .is_fast = true, .group = "connection",
	  .summary = "Says that the server is there.", .run = cmd_ping },
	{ NAME("echo"), .arity = 2, .kind = GATEWAY_LOCAL, .is_fast = true, .group = "connection",
	  .summary = "Returns its argument.", .run = cmd_echo },
	{ NAME("quit"), .arity = -1, .kind = GATEWAY_LOCAL, .form = MULTI_CONTROL, .is_fast = true,
	  .group = "connection", .summary = "Closes the connection.", .run = cmd_quit },
	{ NAME("hello"), .arity = -1, .kind = GATEWAY_LOCAL, .is_fast = true, .group = "connection",
	  .summary = "Chooses the protocol and names the server.", .run = cmd_hello },
	{ NAME("select"), .arity = 2, .kind = GATEWAY_LOCAL, .is_fast = true, .group = "connection",
	  .summary = "Selects database 0, the only one.", .run = cmd_select },
	{ NAME("client"), .arity = -2, .kind = GATEWAY_LOCAL, .group = "connection",
	  .subcommands = "getname\0id\0info\0kill\0list\0no-evict\0no-touch\0reply\0setinfo\0"
			 "setname\0",
	  .summary = "This connection's name and facts; the list of connections; ends them.",
	  .run = cmd_client },
	{ NAME("reset"), .arity = 1, .kind = GATEWAY_LOCAL, .form = MULTI_CONTROL, .is_fast = true,
	  .group = "connection", .summary = "Makes the connection as it was when new.",
	  .run = cmd_reset },
	{ NAME("tern.class"), .arity = -1, .kind = GATEWAY_LOCAL, .is_fast = true,
	  .group = "connection",
	  .summary = "The class of this connection's requests: durable, memory or async.",
	  .run = cmd_tern_class },
	{ NAME("wait"), .arity = 3, .kind = GATEWAY_LOCAL, .group = "generic",
	  .summary = "Returns how many replicas hold this connection's last write.",
	  .run = cmd_wait },
	{ NAME("tern.stale"), .arity = 1, .kind = GATEWAY_LOCAL, .is_fast = true,
	  .group = "connection",
	  .summary = "How many milliseconds old this node's state can be, and its position.",
	  .run = cmd_tern_stale },
	{ NAME("tern.position"), .arity = 1, .kind = GATEWAY_LOCAL, .is_fast = true,
	  .group = "connection",
	  .summary = "The highest position that this connection has written or read.",
	  .run = cmd_tern_position },
	{ NAME("tern.read"), .arity = -1, .kind = GATEWAY_LOCAL, .is_fast = true,
	  .group = "connection", .summary = "What this connection's reads are answered from.",
	  .run = cmd_tern_read },
	{ NAME("readonly"), .arity = -1, .kind = GATEWAY_LOCAL, .is_fast = true,
	  .group = "connection", .summary = "Lets a replica answer this connection's reads.",
	  .run = cmd_readonly },
	{ NAME("readwrite"), .arity = 1, .kind = GATEWAY_LOCAL, .is_fast = true,
	  .group = "connection", .summary = "Takes READONLY back.", .run = cmd_readwrite },
	/* server */
	{ NAME("command"), .arity = -1, .kind = GATEWAY_LOCAL, .group = "server",
	  .subcommands = "count\0docs\0info\0list\0",
	  .summary = "COUNT, LIST, INFO and DOCS of the commands there are.", .run = cmd_command },
	{ NAME("info"), .arity = -1, .kind = GATEWAY_LOCAL, .group = "server",
	  .summary = "Returns facts about the server.", .run = cmd_info },
	{ NAME("role"), .arity = 1, .kind = GATEWAY_LOCAL, .is_fast = true, .group = "server",
	  .summary = "Returns the replication role.", .run = cmd_role },
	{ NAME("config"), .arity = -2, .kind = GATEWAY_LOCAL, .group = "server",
	  .subcommands = "get\0", .summary = "GET of the settings that clients ask for.",
	  .run = cmd_config },
	{ NAME("time"), .arity = 1, .kind = GATEWAY_LOCAL, .is_fast = true, .group = "server",
	  .summary = "Returns the server's time.", .run = cmd_time },
	/* finding the master */
	{ NAME("sentinel"), .arity = -2, .kind = GATEWAY_LOCAL, .group = "server",
	  .subcommands = "ckquorum\0get-master-addr-by-name\0master\0masters\0myid\0replicas\0"
			 "sentinels\0slaves\0",
	  .summary = "Says who is master, as Redis Sentinel would.", .run = cmd_sentinel },
	{ NAME("subscribe"), .arity = -2, .kind = GATEWAY_LOCAL, .group = "pubsub",
	  .summary = "Subscribes to Sentinel events: +switch-master.", .run = cmd_subscribe },
	{ NAME("psubscribe"), .arity = -2, .kind = GATEWAY_LOCAL, .group = "pubsub",
	  .summary = "Subscribes to patterns of Sentinel events.", .run = cmd_subscribe },
	{ NAME("unsubscribe"), .arity = -1, .kind = GATEWAY_LOCAL, .group = "pubsub",
	  .summary = "Ends subscriptions.", .run = cmd_subscribe },
	{ NAME("punsubscribe"), .arity = -1, .kind = GATEWAY_LOCAL, .group = "pubsub",
	  .summary = "Ends subscriptions to patterns.", .run = cmd_subscribe },
};

#define COMMANDS_COUNT ((uint32_t)(sizeof(commands) / sizeof(commands[0])))

const struct gateway_command *
gateway_command_find(struct resp_arg name)
{
	for (uint32_t i = 0; i < COMMANDS_COUNT; i++) {
		if (commands[i].name_bytes == name.bytes && resp_is(name, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

const struct gateway_command *
gateway_command_at(uint32_t index)
{
	return index < COMMANDS_COUNT ? &commands[index] : NULL;
}

bool
gateway_command_arity_fits(const struct gateway_command *command, uint32_t args_count)
{
	INVARIANT(command->arity != 0);
	if (command->arity > 0)
		return args_count == (uint32_t)command->arity;
	return args_count >= (uint32_t)-command->arity;
}
