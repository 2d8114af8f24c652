/* SPDX-License-Identifier: Apache-2.0 */
/* The local cluster: start, end and watch its processes. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/admin/admin_client.h"
#include "control/cli/dev.h"
#include "control/config/config_units.h"
#include "dataplane/stripe/layout.h"
#include "hw/platform/platform.h"

#define UP_TIMEOUT_MS   60000u
#define DOWN_TIMEOUT_MS 10000u
#define KILL_TIMEOUT_MS 10000u
#define LOG_BYTES       (2ull << 30)
#define LOG_BYTES_RAM   (512ull << 20)
#define LOG_TAIL_BYTES  600
#define REAP_TRIES      400u

static uint64_t
now_ms(void)
{
	return platform_monotonic_ns() / 1000000;
}

static void
pause_ms(long ms)
{
	const struct timespec pause = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&pause, NULL);
}

/* "stopped": not started, or ended by `tern dev down`. "dead": ended in any other way. */
static const char *
state_word(const struct process *process, enum process_state state)
{
	switch (state) {
	case PROCESS_RUNNING:
		return "running";
	case PROCESS_STOPPED:
		return "paused";
	case PROCESS_DEAD:
		break;
	}
	return process->pid == 0 ? "stopped" : "dead";
}

static json_t *
dev_json(const struct dev *dev)
{
	json_t *nodes = json_array();
	char id[17], resp[32], client[32], socket[NODE_CONFIG_SOCKET_MAX];

	for (uint32_t i = 0; i < dev->node_count; i++) {
		const struct dev_node *node = &dev->nodes[i];
		const enum process_state state = process_state_of(&node->process);
		dev_admin_socket(dev, node, socket);
		(void)snprintf(resp, sizeof(resp), "%s:%u", dev_net_loopback(dev), node->resp_port);
		(void)snprintf(client, sizeof(client), "%s:%u", dev_net_loopback(dev),
			       node->client_port);
		json_t *entry =
		    json_pack("{s:s,s:i,s:s,s:s,s:i,s:s}", "name", node->name, "id", (int)node->id,
			      "kind", node->is_witness ? "witness" : "data", "state",
			      state_word(&node->process, state), "pid",
			      state == PROCESS_DEAD ? 0 : (int)node->process.pid, "admin", socket);
		(void)json_object_set_new(entry, "resp", json_string(resp));
		(void)json_object_set_new(entry, "client",
					  node->is_witness ? json_null() : json_string(client));
		(void)json_array_append_new(nodes, entry);
	}
	admin_hex64(dev->cluster_id, id);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:o}", "api", "dev/v1", "cluster_id", id,
			 "dir", dev->dir, "run_dir", dev->run_dir, "net", dev_net_name(dev->net),
			 "mtu", (int)dev->mtu, "links", (int)dev->links, "ip", dev->is_ipv6 ? 6 : 4,
			 "nodes", nodes);
}

static void
print_dev(struct cli *cli, const struct dev *dev)
{
	static const char *const heads[] = { "NODE", "KIND", "STATE", "PID", "RESP", "ADMIN" };
	json_t *object = dev_json(dev);
	const json_t *nodes = json_object_get(object, "nodes");
	struct cli_table table = { 0 };

	if (cli->is_json) {
		cli_print_json(cli, object);
		return;
	}
	cli_table_row(&table, 6, heads);
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *node = json_array_get(nodes, i);
		const char *resp = json_string_value(json_object_get(node, "resp"));
		char pid[16] = "-";
		const char *admin = json_string_value(json_object_get(node, "admin"));
		const int number = (int)json_integer_value(json_object_get(node, "pid"));
		if (number != 0)
			(void)snprintf(pid, sizeof(pid), "%d", number);
		const char *const cells[] = { json_string_value(json_object_get(node, "name")),
					      json_string_value(json_object_get(node, "kind")),
					      json_string_value(json_object_get(node, "state")),
					      pid,
					      resp ? resp : "-",
					      admin && admin[0] != 0 ? admin : "-" };
		cli_table_row(&table, 6, cells);
	}
	cli_table_print(&table, cli->out);
	json_decref(object);
}

/* ---- starting ---- */

static enum admin_exit
start_node(struct cli *cli, struct dev *dev, struct dev_node *node)
{
	const char *name = node->is_witness ? "tern-witness" : "ternd";
	char program[NODE_CONFIG_PATH_MAX + 64], file[NODE_CONFIG_PATH_MAX];
	char log[NODE_CONFIG_PATH_MAX], text[768];

	if (process_state_of(&node->process) != PROCESS_DEAD)
		return ADMIN_EXIT_OK;
	if (!process_find(name, program, sizeof(program)))
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"%s was not found beside tern; build or install it", name);
	dev_path(dev, node, "node.conf", file);
	dev_path(dev, node, "log", log);
	struct process_place place;
	enum admin_exit code = dev_net_place(cli, dev, node, &place);
	if (code)
		return code;
	const bool is_handed = place.passed_fds[0] >= 0, is_client = place.passed_fds[1] >= 0;
	const char *const argv[] = { program,
				     "--config",
				     file,
				     is_handed ? "--resp-fd" : NULL,
				     is_handed ? "3" : NULL,
				     is_client ? "--client-fd" : NULL,
				     is_client ? "4" : NULL,
				     NULL };
	static_assert(PROCESS_PASSED_FD == 3, "the options name that descriptor and the next");
	const bool is_started =
	    process_spawn_at(argv, log, &place, &node->process, text, sizeof(text));
	dev_net_place_close(&place);
	if (!is_started)
		return cli_fail(cli, ADMIN_EXIT_FAILED, "node %s: %s", node->name, text);
	/* At once: a process whose pid is not recorded can never be ended by us. */
	code = dev_save(cli, dev);
	if (code)
		(void)process_signal(&node->process, SIGKILL);
	return code;
}

/* The end of a node's log in one line, for the error message. */
static void
log_tail(const struct dev *dev, const struct dev_node *node, char *out, size_t out_bytes)
{
	char path[NODE_CONFIG_PATH_MAX];
	size_t bytes = 0;

	dev_path(dev, node, "log", path);
	FILE *stream = fopen(path, "re");
	if (stream && fseek(stream, -(long)(out_bytes - 1), SEEK_END) != 0)
		rewind(stream);
	if (stream) {
		bytes = fread(out, 1, out_bytes - 1, stream);
		(void)fclose(stream);
	}
	while (bytes > 0 && out[bytes - 1] == '\n')
		bytes--;
	out[bytes] = 0;
}

/* The exit status of a child of ours; false: it is none, or has not ended after @tries. */
static bool
reap(pid_t pid, int *status, uint32_t tries)
{
	pid_t found = pid > 0 ? waitpid(pid, status, WNOHANG) : -1;

	for (uint32_t i = 1; i < tries && found == 0; i++) {
		pause_ms(5);
		found = waitpid(pid, status, WNOHANG);
	}
	return pid > 0 && found == pid;
}

/* A node that ended by itself: says so with the end of its log. OK: all run. */
static enum admin_exit
check_alive(struct cli *cli, const struct dev *dev, const struct dev_node *node)
{
	char path[NODE_CONFIG_PATH_MAX], tail[LOG_TAIL_BYTES];
	int status = 0;

	bool is_reaped = reap(node->process.pid, &status, 1);
	if (!is_reaped && process_state_of(&node->process) != PROCESS_DEAD)
		return ADMIN_EXIT_OK;
	/* Its first thread may have ended before the others have. */
	if (!is_reaped)
		is_reaped = reap(node->process.pid, &status, REAP_TRIES);
	const bool is_config =
	    is_reaped && WIFEXITED(status) && WEXITSTATUS(status) == ADMIN_EXIT_CONFIG;
	dev_path(dev, node, "log", path);
	log_tail(dev, node, tail, sizeof(tail));
	char how[48] = "by itself";
	if (is_reaped && WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "by signal %d", WTERMSIG(status));
	else if (is_reaped)
		(void)snprintf(how, sizeof(how), "with exit code %d", WEXITSTATUS(status));
	return cli_fail(cli, is_config ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_FAILED,
			"node %s ended %s; the end of %s:\n%s", node->name, how, path, tail);
}

static enum admin_exit
wait_serving(struct cli *cli, const struct dev *dev, uint32_t timeout_ms)
{
	const uint64_t deadline = now_ms() + timeout_ms;
	struct cluster cluster;
	enum admin_exit health = cluster_find(cli, &cluster);

	if (health)
		return health;
	do {
		for (uint32_t i = 0; i < dev->node_count; i++) {
			const enum admin_exit code = check_alive(cli, dev, &dev->nodes[i]);
			if (code)
				return code;
		}
		json_decref(cluster_status(&cluster, 500, &health));
		if (health == ADMIN_EXIT_OK)
			return ADMIN_EXIT_OK;
		pause_ms(20);
	} while (now_ms() < deadline);
	return cli_fail(cli, health,
			health == ADMIN_EXIT_CRITICAL
			    ? "no master serves after %u ms; see `tern status` and %s/*/log"
			    : "the data nodes are not in sync after %u ms; see `tern status` and "
			      "%s/*/log",
			timeout_ms, dev->dir);
}

/* A new cluster takes the topology that is asked for; one that exists keeps its own. */
static bool
choose_topology(struct dev *dev, const char *wanted)
{
	static const struct {
		const char *name;
		uint32_t data_count, node_count, spare_count;
	} known[] = { { "2+w", 2, 3, 0 },
		      { "3", 3, 3, 0 },
		      { "3+w", 3, 4, 0 },
		      { "1", 1, 1, 0 },
		      { "2+w+1", 3, 4, 1 } };

	if (!wanted && dev->cluster_id != 0)
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, wanted ? wanted : "2+w") != 0)
			continue;
		if (dev->cluster_id != 0)
			return dev->data_count == known[i].data_count &&
			       dev->spare_count == known[i].spare_count &&
			       dev->node_count == known[i].node_count;
		dev->data_count = known[i].data_count;
		dev->node_count = known[i].node_count;
		dev->spare_count = known[i].spare_count;
		return true;
	}
	return false;
}

/* How many files a data node has. Kept; a new cluster has one. */
static enum admin_exit
choose_geometry(struct cli *cli, struct dev *dev)
{
	const char *text = cli->values[CLI_EC];
	struct stripe_geometry wanted;

	if (!text)
		return ADMIN_EXIT_OK;
	if (!config_parse_geometry(text, &wanted.k, &wanted.m) || !stripe_geometry_is_valid(wanted))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--ec \"%.32s\", allowed K+M such as 4+2, K 1 to %u, M 0 to %u",
				text, STRIPE_K_MAX, STRIPE_M_MAX);
	if (dev->cluster_id != 0 && (wanted.k != dev->ec_k || wanted.m != dev->ec_m))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"the cluster in %s has %u+%u already; leave --ec away, or give "
				"another --dir",
				dev->dir, dev->ec_k, dev->ec_m);
	if (dev->is_log_ram && wanted.k + wanted.m != 1)
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--log ram has one device");
	dev->ec_k = wanted.k;
	dev->ec_m = wanted.m;
	return ADMIN_EXIT_OK;
}

static enum admin_exit
check_up_options(struct cli *cli, struct dev *dev)
{
	const char *topology = cli->values[CLI_TOPOLOGY];
	const char *log_size = cli->values[CLI_LOG_SIZE];
	const char *log = cli->values[CLI_LOG];
	const bool is_log_ram = log && strcmp(log, "ram") == 0;
	uint64_t log_bytes = is_log_ram ? LOG_BYTES_RAM : LOG_BYTES;

	if (log && !is_log_ram && strcmp(log, "file") != 0)
		return cli_fail(cli, ADMIN_EXIT_USAGE, "--log \"%.32s\", allowed file, ram", log);
	if (dev->cluster_id != 0 && log && is_log_ram != dev->is_log_ram)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"the cluster in %s has its logs in %s already; leave --log away, "
				"or give another --dir",
				dev->dir, dev->is_log_ram ? "RAM" : "files");
	if (!choose_topology(dev, topology))
		return cli_fail(
		    cli, ADMIN_EXIT_USAGE,
		    dev->cluster_id == 0
			? "--topology \"%.32s\", allowed 2+w, 3, 3+w, 1, 2+w+1"
			: "--topology \"%.32s\" is not what the cluster in this directory "
			  "has; leave it away, or give another --dir",
		    topology ? topology : "");
	if (log_size && (!config_parse_bytes(log_size, &log_bytes) || log_bytes < (8ull << 20) ||
			 log_bytes % (1ull << 20) != 0))
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"--log-size \"%.32s\", allowed whole MiB from \"8MiB\"", log_size);
	if (dev->cluster_id != 0 && log_size && log_bytes != dev->log_bytes)
		return cli_fail(cli, ADMIN_EXIT_USAGE,
				"the cluster in %s has logs of %llu MiB already; leave --log-size "
				"away, or give another --dir",
				dev->dir, (unsigned long long)(dev->log_bytes >> 20));
	if (dev->cluster_id == 0) {
		dev->ec_k = 1;
		dev->log_bytes = log_bytes;
		dev->is_log_ram = is_log_ram;
	}
	const enum admin_exit code = choose_geometry(cli, dev);
	return code ? code : dev_net_choose(cli, dev);
}

/* Under the lock: everything that changes what is recorded. */
static enum admin_exit
bring_up(struct cli *cli, struct dev *dev)
{
	enum admin_exit code = check_up_options(cli, dev);

	if (!code && dev->cluster_id == 0)
		code = dev_choose(cli, dev);
	if (!code)
		code = dev_make(cli, dev);
	for (uint32_t i = 0; i < dev->node_count && !code; i++) {
		code = start_node(cli, dev, &dev->nodes[i]);
		if (process_state_of(&dev->nodes[i].process) == PROCESS_STOPPED)
			(void)process_signal(&dev->nodes[i].process, SIGCONT);
	}
	return code;
}

enum admin_exit
verb_dev_up(struct cli *cli)
{
	struct dev dev;
	enum admin_exit code = dev_open(cli, &dev, false);

	if (!code)
		code = bring_up(cli, &dev);
	dev_close(&dev);
	if (!code)
		code = wait_serving(cli, &dev, cli->timeout_ms ? cli->timeout_ms : UP_TIMEOUT_MS);
	if (!code)
		print_dev(cli, &dev);
	return code;
}

/* ---- ending ---- */

static void
end_all(struct dev *dev, uint32_t timeout_ms)
{
	const uint64_t deadline = now_ms() + timeout_ms;

	for (uint32_t i = 0; i < dev->node_count; i++) {
		if (process_signal(&dev->nodes[i].process, SIGTERM))
			(void)process_signal(&dev->nodes[i].process, SIGCONT);
	}
	for (uint32_t i = 0; i < dev->node_count; i++) {
		struct process *process = &dev->nodes[i].process;
		const uint64_t now = now_ms();
		if (!process_wait(process, now < deadline ? (uint32_t)(deadline - now) : 0) &&
		    process_signal(process, SIGKILL))
			(void)process_wait(process, KILL_TIMEOUT_MS);
	}
}

enum admin_exit
verb_dev_down(struct cli *cli)
{
	struct dev dev;
	char path[NODE_CONFIG_PATH_MAX];
	enum admin_exit code = dev_dir(cli, &dev);

	dev_path(&dev, NULL, "cluster.json", path);
	if (!code && access(path, F_OK) != 0) {
		if (cli->is_json)
			cli_print_json(cli, json_pack("{s:s,s:s,s:[]}", "api", "dev/v1", "dir",
						      dev.dir, "nodes"));
		else
			(void)fprintf(cli->out, "no local cluster in %s: nothing to do\n", dev.dir);
		return ADMIN_EXIT_OK;
	}
	if (!code)
		code = dev_open(cli, &dev, true);
	if (!code) {
		end_all(&dev, cli->timeout_ms ? cli->timeout_ms : DOWN_TIMEOUT_MS);
		bool is_any_left = false;
		for (uint32_t i = 0; i < dev.node_count; i++) {
			if (process_state_of(&dev.nodes[i].process) != PROCESS_DEAD)
				is_any_left = true;
			else
				dev.nodes[i].process = (struct process){ 0 };
		}
		if (!is_any_left)
			dev_remove_run(&dev);
		code = dev_save(cli, &dev);
		if (!code && !is_any_left && dev.run_dir[0] != 0)
			code = cli_fail(cli, ADMIN_EXIT_FAILED,
					"network namespaces %s-* cannot be removed; run `tern dev "
					"down` as root",
					strrchr(dev.run_dir, '/') + 1);
		if (!code && is_any_left)
			code = cli_fail(cli, ADMIN_EXIT_FAILED,
					"a process does not end; see `tern dev status`");
	}
	if (!code)
		print_dev(cli, &dev);
	dev_close(&dev);
	return code;
}

enum admin_exit
verb_dev_status(struct cli *cli)
{
	struct dev dev;
	enum admin_exit code = dev_dir(cli, &dev);

	if (code)
		return code;
	if (!dev_load(&dev))
		return cli_fail(cli, ADMIN_EXIT_UNREACHABLE,
				"no local cluster in %s; start one with `tern dev up`", dev.dir);
	for (uint32_t i = 0; i < dev.node_count; i++) {
		if (process_state_of(&dev.nodes[i].process) != PROCESS_RUNNING)
			code = ADMIN_EXIT_DEGRADED;
	}
	print_dev(cli, &dev);
	return code;
}

/* ---- one node ---- */

/* Opens the cluster and finds the node that the first argument names. */
static enum admin_exit
open_node(struct cli *cli, struct dev *dev, struct dev_node **node)
{
	const enum admin_exit code = dev_open(cli, dev, true);

	*node = code ? NULL : dev_find(cli, dev, cli->arguments[0]);
	return code ? code : *node ? ADMIN_EXIT_OK : ADMIN_EXIT_USAGE;
}

static enum admin_exit
report_node(struct cli *cli, const struct dev *dev, const struct dev_node *node, const char *what)
{
	if (cli->is_json)
		print_dev(cli, dev);
	else
		(void)fprintf(cli->out, "node %s: %s\n", node->name, what);
	return ADMIN_EXIT_OK;
}

enum admin_exit
verb_dev_kill(struct cli *cli)
{
	struct dev dev;
	struct dev_node *node;
	enum admin_exit code = open_node(cli, &dev, &node);

	if (!code) {
		const bool was_running = process_signal(&node->process, SIGKILL);
		if (was_running && !process_wait(&node->process, KILL_TIMEOUT_MS))
			code = cli_fail(cli, ADMIN_EXIT_FAILED,
					"node %s was signalled and does not end", node->name);
		else
			code = report_node(cli, &dev, node,
					   was_running ? "killed" : "was not running");
	}
	dev_close(&dev);
	return code;
}

static enum admin_exit
signal_node(struct cli *cli, int signal, enum process_state wanted, const char *what)
{
	struct dev dev;
	struct dev_node *node;
	enum admin_exit code = open_node(cli, &dev, &node);

	if (!code && !process_signal(&node->process, signal))
		code = cli_fail(cli, ADMIN_EXIT_FAILED,
				"node %s does not run; start it with `tern dev start %s`",
				node->name, node->name);
	/* The kernel stops each thread when it next looks at its signals. */
	for (int i = 0; !code && i < 1000 && process_state_of(&node->process) != wanted; i++)
		pause_ms(1);
	if (!code)
		code = report_node(cli, &dev, node, what);
	dev_close(&dev);
	return code;
}

enum admin_exit
verb_dev_stop(struct cli *cli)
{
	return signal_node(cli, SIGSTOP, PROCESS_STOPPED, "paused");
}

enum admin_exit
verb_dev_cont(struct cli *cli)
{
	return signal_node(cli, SIGCONT, PROCESS_RUNNING, "goes on");
}

/* Waits until the node's admin socket answers. */
static enum admin_exit
wait_answer(struct cli *cli, const struct dev *dev, const struct dev_node *node,
	    uint32_t timeout_ms)
{
	const uint64_t deadline = now_ms() + timeout_ms;
	char socket[NODE_CONFIG_SOCKET_MAX], text[512];
	json_t *result = NULL;

	dev_admin_socket(dev, node, socket);
	do {
		enum admin_exit code = check_alive(cli, dev, node);
		if (code)
			return code;
		code = admin_call(socket, "status", NULL, 500, &result, text, sizeof(text));
		json_decref(result);
		if (!code)
			return ADMIN_EXIT_OK;
		pause_ms(5);
	} while (now_ms() < deadline);
	return cli_fail(cli, ADMIN_EXIT_UNREACHABLE, "node %s does not answer after %u ms: %s",
			node->name, timeout_ms, text);
}

enum admin_exit
verb_dev_start(struct cli *cli)
{
	struct dev dev;
	struct dev_node *node;
	enum admin_exit code = open_node(cli, &dev, &node);
	bool was_running = false;

	if (!code)
		code = dev_make(cli, &dev);
	if (!code) {
		was_running = process_state_of(&node->process) != PROCESS_DEAD;
		code = start_node(cli, &dev, node);
	}
	dev_close(&dev);
	if (!code && !was_running)
		code =
		    wait_answer(cli, &dev, node, cli->timeout_ms ? cli->timeout_ms : UP_TIMEOUT_MS);
	if (!code)
		code = report_node(cli, &dev, node, was_running ? "runs already" : "started");
	return code;
}

/* ---- links ---- */

static enum admin_exit
write_byte(struct cli *cli, const struct dev *dev, off_t at, uint8_t value)
{
	char path[NODE_CONFIG_PATH_MAX];

	dev_path(dev, NULL, "filter", path);
	/* In place, because the daemons have this very file mapped. */
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const bool is_good = fd >= 0 && pwrite(fd, &value, 1, at) == 1;
	if (fd >= 0)
		(void)close(fd);
	if (!is_good)
		return cli_fail(cli, ADMIN_EXIT_FAILED,
				"%s cannot be written: %s; `tern dev up` "
				"makes it",
				path, strerror(errno));
	return ADMIN_EXIT_OK;
}

static enum admin_exit
write_cell(struct cli *cli, const struct dev *dev, uint16_t from, uint16_t to, uint8_t value)
{
	return write_byte(cli, dev, (off_t)from * NET_NODES_MAX + to, value);
}

static enum admin_exit
set_link(struct cli *cli, uint8_t value)
{
	struct dev dev;
	struct dev_node *x, *y = NULL;
	enum admin_exit code = open_node(cli, &dev, &x);

	if (!code) {
		y = dev_find(cli, &dev, cli->arguments[1]);
		code = y ? ADMIN_EXIT_OK : ADMIN_EXIT_USAGE;
	}
	if (!code && x == y)
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "a node has no link to itself");
	if (!code)
		code = write_cell(cli, &dev, x->id, y->id, value);
	if (!code && !cli->values[CLI_ONE_WAY])
		code = write_cell(cli, &dev, y->id, x->id, value);
	if (!code && cli->is_json)
		cli_print_json(cli, json_pack("{s:s,s:s,s:s,s:b,s:b}", "api", "dev-link/v1", "from",
					      x->name, "to", y->name, "cut", (int)value, "one_way",
					      (int)(cli->values[CLI_ONE_WAY] != NULL)));
	else if (!code)
		(void)fprintf(cli->out, "%s %s %s: %s\n", x->name,
			      cli->values[CLI_ONE_WAY] ? "->" : "<->", y->name,
			      value ? "cut" : "healed");
	dev_close(&dev);
	return code;
}

enum admin_exit
verb_dev_cut(struct cli *cli)
{
	return set_link(cli, 1);
}

/* "DEVICE=KIND" */
static bool
parse_fault(const char *text, uint32_t devices, uint32_t *device, uint8_t *kind)
{
	static const char *const kinds[] = { "none", "eio", "hang" }; /* enum faulty_kind */
	char *end;

	const unsigned long number = strtoul(text, &end, 10);
	if (end == text || *end != '=' || number >= devices)
		return false;
	for (uint8_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(end + 1, kinds[i]) != 0)
			continue;
		*device = (uint32_t)number;
		*kind = i;
		return true;
	}
	return false;
}

enum admin_exit
verb_dev_fault(struct cli *cli)
{
	struct dev dev;
	struct dev_node *node;
	uint32_t device = 0;
	uint8_t kind = 0;
	enum admin_exit code = open_node(cli, &dev, &node);

	if (!code && node->is_witness)
		code = cli_fail(cli, ADMIN_EXIT_USAGE, "a witness has no devices");
	if (!code && !parse_fault(cli->arguments[1], dev.ec_k + dev.ec_m, &device, &kind))
		code = cli_fail(cli, ADMIN_EXIT_USAGE,
				"\"%.32s\", allowed DEVICE=KIND, with DEVICE 0 to %u and KIND eio, "
				"hang or none",
				cli->arguments[1], dev.ec_k + dev.ec_m - 1);
	if (!code)
		code = write_byte(cli, &dev,
				  (off_t)FILTER_BYTES + (off_t)node->id * FILTER_DEVICES_MAX +
				      (off_t)device,
				  kind);
	if (!code && cli->is_json)
		cli_print_json(cli,
			       json_pack("{s:s,s:s,s:i,s:i}", "api", "dev-fault/v1", "node",
					 node->name, "device", (int)device, "kind", (int)kind));
	else if (!code)
		(void)fprintf(cli->out, "%s: device %u: %s\n", node->name, device,
			      strchr(cli->arguments[1], '=') + 1);
	dev_close(&dev);
	return code;
}

enum admin_exit
verb_dev_heal(struct cli *cli)
{
	return set_link(cli, 0);
}
