/* SPDX-License-Identifier: Apache-2.0 */
/* All commands. Order is the order of the help. */
#include "control/cli/cli.h"

#define WHERE \
	(CLI_BIT(CLI_DIR) | CLI_BIT(CLI_NODE_FILE) | CLI_BIT(CLI_OUTPUT) | CLI_BIT(CLI_TIMEOUT))
#define DEV (CLI_BIT(CLI_DIR) | CLI_BIT(CLI_OUTPUT) | CLI_BIT(CLI_TIMEOUT))

const struct cli_option cli_options[CLI_OPTION_COUNT] = {
	[CLI_OUTPUT] = { "output", 'o', "FORMAT", "text (default) or json", "text json" },
	[CLI_DIR] = { "dir", 0, "DIR", "directory of the local cluster (default ./.tern)", NULL },
	[CLI_NODE_FILE] = { "node-file", 0, "FILE", "node file of a node of this machine", NULL },
	[CLI_TIMEOUT] = { "timeout", 0, "TIME", "how long to wait, such as \"500ms\" or \"30s\"",
			  NULL },
	[CLI_TOPOLOGY] = { "topology", 0, "NAME",
			   "2+w (default), 3, 3+w: three copies, 1: no redundancy, or 2+w+1: "
			   "a spare node besides",
			   "2+w 3 3+w 1 2+w+1" },
	[CLI_NET] = { "net", 0, "NAME",
		      "memif: shared-memory ports between processes; veth, veth-xdp: a network "
		      "namespace a node (root)",
		      "memif veth veth-xdp" },
	[CLI_LOG_SIZE] = { "log-size", 0, "SIZE",
			   "log area of each data node (default 2GiB, in RAM 512MiB)", NULL },
	[CLI_PROFILE] = { "profile", 0, "FILE",
			  "hardware profile, copied at the first start (default: dev-memif)",
			  NULL },
	[CLI_CONFIG] = { "config", 'c', "FILE", "the node file", NULL },
	[CLI_CLUSTER_ID] = { "cluster-id", 0, "HEX",
			     "1 to 16 hexadecimal digits, the same on every node", NULL },
	[CLI_TO] = { "to", 0, "WHERE",
		     "a file that does not exist yet; `backup create`: directories, by commas; "
		     "`backup "
		     "restore`: the last position (default: all)",
		     NULL },
	[CLI_MTU] = { "mtu", 0, "BYTES", "1500 (default) or 9000: jumbo frames on the data ports",
		      "1500 9000" },
	[CLI_LINKS] = { "links", 0, "N", "data links between any two data nodes (default 1)",
			"1 2" },
	[CLI_IP] = { "ip", 0, "VERSION", "addresses of all nodes: 4 (default) or 6", "4 6" },
	[CLI_ONE_WAY] = { "one-way", 0, NULL, "only frames from X to Y", NULL },
	[CLI_ADDRESS] = { "address", 0, "LIST",
			  "RESP addresses \"127.0.0.1:7001,...\" (default: the cluster's)", NULL },
	[CLI_RATE] = { "rate", 0, "N", "requests/s, open loop (default: closed loop)", NULL },
	[CLI_CONNECTIONS] = { "connections", 0, "N", "connections (default 64)", NULL },
	[CLI_PIPELINE] = { "pipeline", 0, "N", "requests outstanding on each (default 1)", NULL },
	[CLI_MIX] = { "mix", 0, "LIST", "weights of set, get, incr (default \"set=1\")", NULL },
	[CLI_READS] = { "reads", 0, "KIND",
			"what gets are answered from: linearizable (default), session, stale:MS, "
			"snapshot or dirty",
			"linearizable session stale:100 snapshot dirty" },
	[CLI_KEYS] = { "keys", 0, "N", "different keys (default 100000)", NULL },
	[CLI_VALUE_SIZE] = { "value-size", 0, "SIZE", "bytes of a SET's value (default 16)", NULL },
	[CLI_DURATION] = { "duration", 0, "TIME", "how long (default \"5s\")", NULL },
	[CLI_HISTORY] = { "history", 0, "FILE", "write every request with its outcome there",
			  NULL },
	[CLI_LOG] = { "log", 0, "KIND",
		      "file (default), or ram: volatile, a node that ends forgets its log",
		      "file ram" },
	[CLI_RUNS] = { "runs", 0, "N", "runs; medians are reported (default 5)", NULL },
	[CLI_CLASS] = { "class", 0, "NAME",
			"class of the commands: durable (default), memory or both",
			"durable memory both" },
	[CLI_EC] = { "ec", 0, "K+M",
		     "erasure code: K devices' worth of data, M devices may be lost (default: "
		     "`bench`, `backup` 4+2; `dev up` 1+0, one file)",
		     "1+0 1+1 2+1 4+2 8+3" },
	[CLI_FROM] = { "from", 0, "LIST", "the backup's directories, by commas, in any order",
		       NULL },
	[CLI_LEARNER] = { "learner", 0, NULL, "an asynchronous replica: never counted, no vote",
			  NULL },
	[CLI_WIPE] = { "wipe", 0, "LIST",
		       "devices whose content may go, by commas: serial numbers, or paths of files "
		       "and loop devices, or stable ids, as `tern device scan` shows them",
		       NULL },
	[CLI_INTERVAL] = { "interval", 0, "TIME", "report again and again, so far apart", NULL },
	[CLI_COUNT] = { "count", 0, "N", "so many reports (default: one, or until interrupted)",
			NULL },
	[CLI_DEEP] = { "deep", 0, NULL, "read the whole log and the newest checkpoint back", NULL },
	[CLI_FORCE] = { "i-know-what-may-be-lost", 0, "CLUSTER/NODE",
			"the cluster id and the node's name, as a person's word that all others "
			"are "
			"off, stay off, and may take along what they alone held",
			NULL },
	[CLI_CLUSTER_GEN] = { "cluster-gen", 0, "GENERATION",
			      "of the cluster, as `tern status -o json` says it (default "
			      "1-00000000: nobody was ever forced)",
			      NULL },
	[CLI_POINTS] = { "points", 0, "TEXT", "only loads whose name has this in it", NULL },
};

const struct cli_command cli_commands[] = {
	{ "status",
	  "show every node of the cluster",
	  "Asks every node. A node that does not answer is DOWN. Exit code 3: degraded (a node is "
	  "down, or the data nodes are not in sync); 4: no master serves.",
	  { { NULL, false, NULL } },
	  WHERE,
	  verb_status },
	{ "device scan",
	  "show the storage devices of this machine, and what they carry",
	  "Block devices, and with --config those of a node file. What carries a file system, a "
	  "partition table, swap, a member of a RAID or volume group, or Tern's own storage is "
	  "left alone by every verb unless --wipe names it; what is mounted or in use always is. "
	  "Nothing is written. Exit code 5: the one DEVICE that was asked about cannot be had.",
	  { { "DEVICE", true, "only this one: a device or a file" } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_OUTPUT),
	  verb_device_scan },
	{ "device list",
	  "show the devices of every data node",
	  "State, how many more each node may lose, and what to do next. Exit code 3: some are "
	  "lost; "
	  "4: a node has lost more than it bears.",
	  { { NULL, false, NULL } },
	  WHERE,
	  verb_device_list },
	{ "device show",
	  "show one device of a data node",
	  "And how its writes become durable. Exit code 3: it is lost.",
	  { { "NODE", false, "its name" }, { "DEVICE", false, "its position, from 0" } },
	  WHERE,
	  verb_device_show },
	{ "device can-remove",
	  "tell whether a node would bear the loss of a device",
	  "Exit code 5: it would not.",
	  { { "NODE", false, "its name" }, { "DEVICE", false, "its position, from 0" } },
	  WHERE,
	  verb_device_can_remove },
	{ "device add",
	  "give a node a spare device",
	  "Blank, as large as the node's others, or a file that is made; it is written with zeros "
	  "and stands in the node file from then on, by its stable id. The node knows it from its "
	  "next start on. k + m of a node is for ever: another geometry takes a new storage (`tern "
	  "node rejoin`). Exit code 5: refused, and why.",
	  { { "DEVICE", false, "path of a device or of a new file" } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_WIPE) | CLI_BIT(CLI_OUTPUT),
	  verb_device_add },
	{ "device remove",
	  "take a spare device from a node",
	  "Out of the node file; what it holds stays. Devices of the pool are refused with exit "
	  "code 5.",
	  { { "DEVICE", false, "as the node file names it" } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_OUTPUT),
	  verb_device_remove },
	{ "device fail",
	  "take a device out of a running node on purpose",
	  "Before it is pulled, or because it is suspect: it is recorded as failed on all others "
	  "and not asked again. Exit code 5: the node would not bear it, or it is out already; 6: "
	  "done, but not yet recorded when the time was over.",
	  { { "NODE", false, "its name" }, { "DEVICE", false, "its position, from 0" } },
	  WHERE,
	  verb_device_fail },
	{ "device iostat",
	  "show what the devices of the data nodes do",
	  "Requests, bytes, latency (mean and p99) and errors: since the nodes started, or with "
	  "--interval in each interval, until interrupted or --count times.",
	  { { "NODE", true, "only this one" } },
	  WHERE | CLI_BIT(CLI_INTERVAL) | CLI_BIT(CLI_COUNT),
	  verb_device_iostat },
	{ "device replace",
	  "put a blank device in the place of one that failed",
	  "With PATH, while the node runs: a new file or a blank block device, which the node "
	  "fills "
	  "at once; the failed one is out for good. Without, while the node is stopped: a blank "
	  "device at the same path, filled from the next start on. Exit code 5: the device is not "
	  "recorded as failed, or the node runs (without PATH); 7: it does not (with PATH); 8: "
	  "what "
	  "is there is not blank.",
	  { { "DEVICE", false, "its position, from 0" },
	    { "PATH", true, "the new device, of a node that runs" } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_WIPE) | CLI_BIT(CLI_OUTPUT) | CLI_BIT(CLI_TIMEOUT),
	  verb_device_replace },
	{ "device scrub start",
	  "verify all that the devices hold",
	  "In the background: every page of every device, log, checkpoints and superblocks; what "
	  "is wrong and can be decoded is written again. Exit code 5: one is under way.",
	  { { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_scrub_start },
	{ "device scrub pause",
	  "pause a scrub",
	  "It stays where it is until it is resumed. Exit code 5: none is under way.",
	  { { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_scrub_pause },
	{ "device scrub resume",
	  "go on with a paused scrub",
	  "Exit code 5: none is under way.",
	  { { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_scrub_resume },
	{ "device scrub cancel",
	  "end a scrub",
	  "What it has repaired stays repaired. Exit code 5: none is under way.",
	  { { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_scrub_cancel },
	{ "device scrub rate",
	  "set how fast a scrub goes",
	  "All devices of a node together, until its next start; disk.scrub_rate is what it begins "
	  "with.",
	  { { "RATE", false, "bytes a second, such as 64MiB" },
	    { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_scrub_rate },
	{ "device scrub status",
	  "show the last scrub and what it found",
	  "Exit code 3: it found what it could not repair.",
	  { { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_scrub_status },
	{ "device rebuild rate",
	  "set how fast a device is rebuilt",
	  "All devices of a node together, until its next start; disk.rebuild_rate is what it "
	  "begins with.",
	  { { "RATE", false, "bytes a second, such as 64MiB" },
	    { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_rebuild_rate },
	{ "device rebuild status",
	  "show the last rebuild, and what is left of it",
	  "Exit code 3: devices are lost or not yet whole.",
	  { { "NODE", true, "its name (default: all data nodes)" } },
	  WHERE,
	  verb_device_rebuild_status },
	{ "job list",
	  "list what the nodes do in the background",
	  "Rebuilds and scrubs, running and ended. An id is `NODE-NUMBER`.",
	  { { NULL, false, NULL } },
	  WHERE,
	  verb_job_list },
	{ "job show",
	  "show one job",
	  "Exit code 3: it failed or was cancelled; 5: there is no such job.",
	  { { "ID", false, "as `tern job list` shows it" } },
	  WHERE,
	  verb_job_show },
	{ "job wait",
	  "wait until a job has ended",
	  "Shows its progress. Interrupting it does not end the job. Exit code 3: it failed or was "
	  "cancelled; 5: there is no such job; 6: it was not over in --timeout.",
	  { { "ID", false, "as `tern job list` shows it" } },
	  WHERE,
	  verb_job_wait },
	{ "job cancel",
	  "end a job before it is done",
	  "Only a scrub: a rebuild gives the node back what it can lose. Exit code 5: refused, and "
	  "why.",
	  { { "ID", false, "as `tern job list` shows it" } },
	  WHERE,
	  verb_job_cancel },
	{ "node init",
	  "create a node's storage, once",
	  "Writes the superblock of a data node or the register of a witness. Existing storage is "
	  "refused with exit code 8 and left alone. Without --cluster-id a new id is made and "
	  "printed: give that one to the other nodes. A block device that carries anything, a "
	  "mounted "
	  "one, or one in use is refused with exit code 5; what --wipe names is emptied first, "
	  "unless "
	  "somebody uses it or it is this node's own storage.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_CLUSTER_ID) | CLI_BIT(CLI_CLUSTER_GEN) |
	      CLI_BIT(CLI_WIPE) | CLI_BIT(CLI_OUTPUT),
	  verb_node_init },
	{ "node rejoin",
	  "give new storage to a node whose storage is lost",
	  "For a data node of a cluster that lives. Nothing existing is touched: storage that this "
	  "node can start with, a running daemon, and the only data node are refused "
	  "with exit code 5. Then start ternd: it asks all other voters in which terms they are, "
	  "takes all data from the master, and has no vote until it holds all of it. What it alone "
	  "held is not coming back.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_CLUSTER_ID) | CLI_BIT(CLI_CLUSTER_GEN) |
	      CLI_BIT(CLI_WIPE) | CLI_BIT(CLI_OUTPUT),
	  verb_node_rejoin },
	{ "config check",
	  "check a node file and the profile it names",
	  "Exit code 8 and one line, \"file:line: key: what is wrong, allowed range\", when "
	  "something is wrong.",
	  { { "FILE", false, "the node file" } },
	  CLI_BIT(CLI_OUTPUT),
	  verb_config_check },
	{ "cluster switchover",
	  "hand mastership over",
	  "Asks the master to hand over to TO, or to the other data node, and waits until that "
	  "node "
	  "serves. Exit code 5: refused, for the replica is not in sync; 6: begun, end not seen.",
	  { { "TO", true, "name of the data node that is to be master" } },
	  WHERE,
	  verb_cluster_switchover },
	{ "cluster add",
	  "take a spare node into the cluster as a learner",
	  "A learner follows the master with what is committed, answers READONLY reads with the "
	  "age "
	  "of what it shows, and is neither counted nor elected. NODE stands in the node files as "
	  "a "
	  "spare node and runs. Waits for the commit of the new configuration, not for the learner "
	  "to catch up. Exit code 5: refused, and why; 6: begun, its commit not seen.",
	  { { "NODE", false, "name of the data node" } },
	  WHERE | CLI_BIT(CLI_LEARNER),
	  verb_cluster_add },
	{ "cluster remove",
	  "take a learner out of the cluster",
	  "It is sent nothing any more and stays as it is, a spare node. Voters are refused with "
	  "exit code 5; 6: begun, its commit not seen.",
	  { { "NODE", false, "name of the data node" } },
	  WHERE,
	  verb_cluster_remove },
	{ "cluster promote",
	  "make a voter of a learner: two with a witness become three",
	  "The change is joint: until it commits, commits and elections need the quorum of two "
	  "with "
	  "the witness and that of three. Then any two of three decide, and the witness only "
	  "observes. NODE has caught up, and both copies are in sync. Exit code 5: refused, and "
	  "why; "
	  "6: begun, its commit not seen.",
	  { { "NODE", false, "name of the learner" } },
	  WHERE,
	  verb_cluster_promote },
	{ "cluster demote",
	  "make a learner of a voter: three become two with a witness",
	  "Joint like `cluster promote`; the witness is told first and has a vote again. NODE is "
	  "not "
	  "the master, and may be down; `tern cluster remove` takes it out then. Exit codes as "
	  "there.",
	  { { "NODE", false, "name of the voter" } },
	  WHERE,
	  verb_cluster_demote },
	{ "cluster replace",
	  "put another node in the place of a dead one of two",
	  "While the other one goes on alone (mode SOLO). NEW becomes a learner and takes the log; "
	  "when it is near, OLD ceases to be a voter, the master alone is the configuration for a "
	  "moment, the witness is told, and NEW becomes a voter. OLD grants and gets no vote "
	  "again, "
	  "whatever it holds: switch it off. Exit code 5: refused, and why (OLD is there, NEW "
	  "lacks "
	  "too much of the log, the witness does not answer); asked again, it goes on.",
	  { { "OLD", false, "name of the dead node" },
	    { "NEW", false, "name of the node in its place" } },
	  WHERE,
	  verb_cluster_replace },
	{ "cluster replace-witness",
	  "put the witness's new register in the place of the lost one",
	  "First `tern node rejoin` on the witness's machine, and tern-witness started. In two "
	  "steps, each committed by both data nodes: the old register has no vote any more, and "
	  "the new one, which is told of the newest epoch first, has it. Until then no fault is "
	  "survived. Whatever comes back of the old one grants nothing. Exit code 5: refused, and "
	  "why (a copy is away, the witness does not answer); asked again, it goes on.",
	  { { NULL, false, NULL } },
	  WHERE,
	  verb_cluster_replace_witness },
	{ "cluster force-promote",
	  "let one node go on alone, without a quorum: data may be lost",
	  "For when the others are gone for good, or the witness refuses this node because it "
	  "lacks "
	  "what a dead master committed alone. Says what may be lost, as far as the node knows; "
	  "does it only with --i-know-what-may-be-lost. The node begins a new generation of the "
	  "cluster and is its only voter. Nothing of an earlier generation is heard any more: who "
	  "was left out never votes nor serves again, keeps what it has beyond the common history "
	  "as a divergent tail, and comes back by `tern node rejoin` only. Exit code 5: refused, "
	  "and why (a master, or a quorum, is there; the word is missing).",
	  { { "NODE", false, "name of the node, which runs on this machine" } },
	  WHERE | CLI_BIT(CLI_FORCE),
	  verb_cluster_force_promote },
	{ "log status",
	  "show the log of every data node",
	  "Indexes, use of the log area, chain.",
	  { { NULL, false, NULL } },
	  WHERE,
	  verb_log_status },
	{ "log verify",
	  "recompute the state hash on every data node and compare",
	  "Each data node scans its whole state and compares the hash with the one it keeps; nodes "
	  "are compared with each other at the same index. Exit code 4: they differ; 6: the nodes "
	  "never stood at the same index (load); 3: a node was not reached. With --deep each reads "
	  "its whole log back from its device, up to the newest block that all have committed, and "
	  "its newest checkpoint, at 128 MiB/s at most, and the nodes are compared by the chain "
	  "hash there; code 4 also says that blocks or a checkpoint are damaged, and which: such "
	  "blocks are replaced, run it again. Code 6: a node began anew meanwhile, or has given "
	  "the "
	  "log up to there to its checkpoint.",
	  { { NULL, false, NULL } },
	  WHERE | CLI_BIT(CLI_DEEP),
	  verb_log_verify },
	{ "log divergent list",
	  "list tails that were rolled back and kept",
	  "What a node had in its log and the cluster never committed is kept in files on that "
	  "node.",
	  { { NULL, false, NULL } },
	  WHERE,
	  verb_log_divergent_list },
	{ "log divergent export",
	  "print one kept tail, a JSON object a line",
	  "N is the number that `tern log divergent list` shows.",
	  { { "N", false, "number in the list" } },
	  WHERE | CLI_BIT(CLI_TO),
	  verb_log_divergent_export },
	{ "backup create",
	  "write a backup of a data node, which may be running",
	  "The newest checkpoint and the log behind it, up to what is committed, compressed and "
	  "coded "
	  "over K + M directories, --to. Any K of them are enough to restore it. What is written "
	  "is "
	  "read back and verified. Exit code 5: the node's log is in RAM, or it may lack what was "
	  "acknowledged; 4: its storage cannot be read whole.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_TO) | CLI_BIT(CLI_EC) | CLI_BIT(CLI_OUTPUT) |
	      CLI_BIT(CLI_TIMEOUT),
	  verb_backup_create },
	{ "backup list",
	  "list the backups in some directories",
	  "The newest first, with the positions that each covers and how many of its parts are "
	  "here.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_FROM) | CLI_BIT(CLI_OUTPUT),
	  verb_backup_list },
	{ "backup verify",
	  "read a whole backup and check it",
	  "Every page of every part, hashes of the checkpoint, chain of the log. Exit code 3: "
	  "parts are "
	  "missing or damaged, and it can be restored; 4: it cannot.",
	  { { "NAME", true, "of the backup (default: the newest)" } },
	  CLI_BIT(CLI_FROM) | CLI_BIT(CLI_OUTPUT),
	  verb_backup_verify },
	{ "backup restore",
	  "make a node's storage from a backup, for a new cluster",
	  "In place of `tern node init`, with the same --cluster-id on every data node. Existing "
	  "storage is refused with exit code 8. Exit code 4: the backup cannot be read whole; 5: "
	  "it does "
	  "not cover the position, or the node file allows less than it needs.",
	  { { "NAME", true, "of the backup (default: the newest)" } },
	  CLI_BIT(CLI_FROM) | CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_CLUSTER_ID) | CLI_BIT(CLI_TO) |
	      CLI_BIT(CLI_OUTPUT),
	  verb_backup_restore },
	{ "dev up",
	  "start a whole cluster on this machine",
	  "Nodes a, b (data) and w (witness), or a, b, c, or a alone, as processes of their own; "
	  "with 2+w+1 c is a spare node that waits for `tern cluster add`. "
	  "Storage, ports and node "
	  "files are made once and kept; what runs already is left alone. Waits until the cluster "
	  "serves with both copies in sync. With --net veth every node has a network namespace "
	  "of its own; --net, --mtu, --links and --ip are kept, and may change while no node runs. "
	  "With --log ram logs are lost when a process ends; a node that starts again votes only "
	  "after it has caught up.",
	  { { NULL, false, NULL } },
	  DEV | CLI_BIT(CLI_TOPOLOGY) | CLI_BIT(CLI_NET) | CLI_BIT(CLI_LOG_SIZE) |
	      CLI_BIT(CLI_PROFILE) | CLI_BIT(CLI_MTU) | CLI_BIT(CLI_LINKS) | CLI_BIT(CLI_IP) |
	      CLI_BIT(CLI_LOG) | CLI_BIT(CLI_EC),
	  verb_dev_up },
	{ "dev down",
	  "end the local cluster; storage stays",
	  "SIGTERM to every node, SIGKILL to what is left after the time-out; the run directory "
	  "and "
	  "network namespaces are removed.",
	  { { NULL, false, NULL } },
	  DEV,
	  verb_dev_down },
	{ "dev status",
	  "show the processes of the local cluster",
	  "Exit code 3: some do not run.",
	  { { NULL, false, NULL } },
	  DEV,
	  verb_dev_status },
	{ "dev kill",
	  "end a node at once (SIGKILL)",
	  "Every process of the node.",
	  { { "NODE", false, "a, b, c or w" } },
	  DEV,
	  verb_dev_kill },
	{ "dev stop",
	  "pause a node (SIGSTOP)",
	  "It keeps its memory and its sockets.",
	  { { "NODE", false, "a, b, c or w" } },
	  DEV,
	  verb_dev_stop },
	{ "dev cont",
	  "let a paused node go on (SIGCONT)",
	  "",
	  { { "NODE", false, "a, b, c or w" } },
	  DEV,
	  verb_dev_cont },
	{ "dev start",
	  "start a node again on the same storage",
	  "Waits until it answers.",
	  { { "NODE", false, "a, b, c or w" } },
	  DEV,
	  verb_dev_start },
	{ "dev cut",
	  "drop all frames between two nodes",
	  "At the lowest send and receive point of every adapter of both; it survives restarts.",
	  { { "X", false, "a node" }, { "Y", false, "another node" } },
	  DEV | CLI_BIT(CLI_ONE_WAY),
	  verb_dev_cut },
	{ "dev fault",
	  "let a device of a node fail, or be well again",
	  "eio: every request to it fails at once; hang: none is ever answered; none: it does what "
	  "it is asked. A device that has failed stays out of its pool until it is rebuilt.",
	  { { "NODE", false, "a, b or c" }, { "DEVICE=KIND", false, "0=eio, 1=hang, 0=none" } },
	  DEV,
	  verb_dev_fault },
	{ "dev heal",
	  "undo `tern dev cut`",
	  "",
	  { { "X", false, "a node" }, { "Y", false, "another node" } },
	  DEV | CLI_BIT(CLI_ONE_WAY),
	  verb_dev_heal },
	{ "bench run",
	  "put RESP load on the cluster and measure it",
	  "Closed loop, or open loop with --rate: then latency counts from the time at which a "
	  "request was meant to be sent. Follows the master over a failover. Gets alone whose "
	  "--reads any node answers go to all nodes. A run in which mode or epoch changed says so.",
	  { { NULL, false, NULL } },
	  WHERE | CLI_BIT(CLI_ADDRESS) | CLI_BIT(CLI_RATE) | CLI_BIT(CLI_CONNECTIONS) |
	      CLI_BIT(CLI_PIPELINE) | CLI_BIT(CLI_MIX) | CLI_BIT(CLI_KEYS) | CLI_BIT(CLI_READS) |
	      CLI_BIT(CLI_VALUE_SIZE) | CLI_BIT(CLI_DURATION) | CLI_BIT(CLI_HISTORY),
	  verb_bench_run },
	{ "bench compare",
	  "put two reports of `tern bench` side by side",
	  "Files of `tern bench ... -o json`. Shows what differs besides the measures, too.",
	  { { "A", false, "a report" }, { "B", false, "another of the same kind" } },
	  CLI_BIT(CLI_OUTPUT),
	  verb_bench_compare },
	{ "bench raw",
	  "measure the device and the port of this machine",
	  "Two writers at once below --dir (default: here), O_DIRECT and RWF_DSYNC, 4 KiB with one "
	  "in flight and 256 KiB sequential; net_memif between two processes, 64 and 1400 bytes, "
	  "one way and round trip. --duration is that of each measurement.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_DIR) | CLI_BIT(CLI_OUTPUT) | CLI_BIT(CLI_RUNS) | CLI_BIT(CLI_DURATION),
	  verb_bench_raw },
	{ "bench ec",
	  "measure the erasure code of write groups",
	  "Encoding and decoding on one core, beside ISA-L called raw on the same memory, in turn. "
	  "--duration is that of each measurement.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_EC) | CLI_BIT(CLI_OUTPUT) | CLI_BIT(CLI_RUNS) | CLI_BIT(CLI_DURATION),
	  verb_bench_ec },
	{ "bench disk",
	  "measure the store of write groups beside its raw devices",
	  "Files below --dir (default: here) through the storage adapter of ternd, every write "
	  "durable: blocks of 1, 16 and 64 KiB as write groups, beside the same requests handed to "
	  "the devices as they are, in turn. Without --ec: 1+0, 1+1, 2+1 and 4+2. --duration is "
	  "that "
	  "of each measurement.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_DIR) | CLI_BIT(CLI_EC) | CLI_BIT(CLI_OUTPUT) | CLI_BIT(CLI_RUNS) |
	      CLI_BIT(CLI_DURATION),
	  verb_bench_disk },
	{ "bench replicate",
	  "measure replication beside the floor of the machine",
	  "Device, port and Tern in turns, with load made inside the master: single commands, "
	  "blocks "
	  "of one command up to full, 64 bytes and 1 KiB; with the cycles that each stage takes on "
	  "each data node. Writes all --keys first. A load is void "
	  "when mode or epoch changed, or a node did not count every command. Exit code 4: states "
	  "differ; 5: the log or the state has no room.",
	  { { NULL, false, NULL } },
	  WHERE | CLI_BIT(CLI_RUNS) | CLI_BIT(CLI_DURATION) | CLI_BIT(CLI_KEYS) |
	      CLI_BIT(CLI_CLASS) | CLI_BIT(CLI_POINTS),
	  verb_bench_replicate },
	{ "version",
	  "show the version",
	  "",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_OUTPUT),
	  verb_version },
	{ "commands",
	  "list every command",
	  "With -o json: the whole command table for tools.",
	  { { NULL, false, NULL } },
	  CLI_BIT(CLI_OUTPUT),
	  verb_commands },
	{ "completion",
	  "print a completion script",
	  "For bash: source <(tern completion bash)",
	  { { "SHELL", false, "bash" } },
	  0,
	  verb_completion },
	{ "man",
	  "print the source of the manual page",
	  "In scdoc form: tern man | scdoc > tern.1",
	  { { NULL, false, NULL } },
	  0,
	  verb_man },
};
const uint32_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);
