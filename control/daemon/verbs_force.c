/* SPDX-License-Identifier: Apache-2.0 */
/* The admin verb by which a person promotes this node without a quorum (docs/how-to). */
#include "control/daemon/ternd.h"

#include <string.h>
#include <sys/random.h>

#define CONFIRM_BYTES (16u + 1u + NODE_CONFIG_NAME_MAX + 1u)

static const char *
verdict_name(enum core_force verdict)
{
	switch (verdict) {
	case CORE_FORCE_ALLOWED:
		return "allowed";
	case CORE_FORCE_MASTER:
		return "master";
	case CORE_FORCE_EARLY:
		return "early";
	case CORE_FORCE_QUORUM:
		return "quorum";
	case CORE_FORCE_NO_VOTER:
		return "no_voter";
	case CORE_FORCE_LACKS:
		return "lacks";
	case CORE_FORCE_BUSY:
		return "busy";
	case CORE_FORCE_STORAGE:
		return "storage";
	case CORE_FORCE_SUPERSEDED:
		return "superseded";
	case CORE_FORCE_LAST:
		return "last";
	case CORE_FORCE_FULL:
		return "full";
	}
	return "unknown";
}

static const char *
verdict_text(enum core_force verdict)
{
	switch (verdict) {
	case CORE_FORCE_ALLOWED:
		return "";
	case CORE_FORCE_MASTER:
		return "there is a master: `tern cluster switchover` hands over without loss";
	case CORE_FORCE_EARLY:
		return "a master was here a moment ago, or this node has just been started: wait, "
		       "then try again";
	case CORE_FORCE_QUORUM:
		return "enough voters are there to elect a master: wait for that, or see `tern "
		       "status` for what keeps them from it";
	case CORE_FORCE_NO_VOTER:
		return "it is no voter: what it holds was never counted on";
	case CORE_FORCE_LACKS:
		return "it knows that its log is not what it was (new storage, damage, a log in "
		       "RAM): restore a backup instead";
	case CORE_FORCE_BUSY:
		return "its storage is being written to: try again";
	case CORE_FORCE_STORAGE:
		return "its storage failed";
	case CORE_FORCE_SUPERSEDED:
		return "it was left out of a later generation of this cluster, which goes on "
		       "elsewhere";
	case CORE_FORCE_LAST:
		return "no generation is left: restore a backup into a new cluster";
	case CORE_FORCE_FULL:
		return "its log is full: restore a backup into a new cluster";
	}
	return "refused";
}

/* What may be lost, as far as this node knows. */
static json_t *
facts_json(const struct ternd *node, const struct node_status *s)
{
	json_t *object = json_object(), *peers = json_array();
	char generation[GENERATION_TEXT_BYTES], cluster_id[17];

	generation_print(&s->generation, generation);
	admin_hex64(s->cluster_id, cluster_id);
	(void)json_object_set_new(object, "node", json_string(node->config.name));
	(void)json_object_set_new(object, "cluster_id", json_string(cluster_id));
	(void)json_object_set_new(object, "cluster_gen", json_string(generation));
	(void)json_object_set_new(object, "verdict",
				  json_string(verdict_name((enum core_force)s->force_verdict)));
	(void)json_object_set_new(object, "why",
				  json_string(verdict_text((enum core_force)s->force_verdict)));
	(void)json_object_set_new(object, "last_index", json_integer((json_int_t)s->last_index));
	(void)json_object_set_new(object, "durable_index",
				  json_integer((json_int_t)s->durable_index));
	(void)json_object_set_new(object, "commit_index",
				  json_integer((json_int_t)s->commit_index));
	(void)json_object_set_new(object, "told_commit_index",
				  json_integer((json_int_t)s->force.told_commit_index));
	(void)json_object_set_new(object, "masterless_ms",
				  json_integer((json_int_t)(s->force.masterless_ns / 1000000)));
	for (uint32_t i = 0; i < s->force.peer_count; i++) {
		const struct node_config_node *peer =
		    node_config_find(&node->config, s->force.peers[i].node);
		if (peer == NULL ||
		    (peer->kind == NODE_DATA && (s->voters >> s->force.peers[i].node & 1) == 0))
			continue;
		(void)json_array_append_new(
		    peers, json_pack("{s:s,s:o}", "name", peer->name, "silent_ms",
				     s->force.peers[i].was_heard
					 ? json_integer(
					       (json_int_t)(s->force.peers[i].silent_ns / 1000000))
					 : json_null()));
	}
	(void)json_object_set_new(object, "peers", peers);
	return object;
}

static bool
is_confirmed(const struct ternd *node, const struct node_status *s, const char *confirm)
{
	char cluster_id[17], wanted[CONFIRM_BYTES];

	admin_hex64(s->cluster_id, cluster_id);
	(void)snprintf(wanted, sizeof(wanted), "%s/%s", cluster_id, node->config.name);
	return strcmp(wanted, confirm) == 0;
}

static uint32_t
draw_id(void)
{
	uint32_t id = 0;

	for (uint32_t i = 0; i < 8 && id == 0; i++)
		if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
			return 0;
	return id;
}

/* {} -> what may be lost, and whether it would be allowed. {"confirm":"CLUSTER/NODE"}: does it; the
 * node starts anew, and serves in the next generation. */
json_t *
ternd_verb_force_promote(void *context, const json_t *request)
{
	struct ternd *node = context;
	const char *confirm = json_string_value(json_object_get(request, "confirm"));
	struct submit_completion completion;
	struct node_status status;

	status_read(node->status, &status);
	if (confirm == NULL)
		return facts_json(node, &status);
	if (!is_confirmed(node, &status, confirm))
		return admin_refuse(ADMIN_EXIT_USAGE,
				    "the confirmation has to name this cluster and this node");
	const struct submit_request wanted = { .tag = ++node->admin_tag,
					       .kind = SUBMIT_FORCE,
					       .value = draw_id() };
	if (wanted.value == 0)
		return admin_refuse(ADMIN_EXIT_FAILED, "no randomness for a generation");
	if (!ternd_submit_and_wait(node, &wanted, &completion))
		return admin_refuse(ADMIN_EXIT_UNKNOWN,
				    "the data thread did not answer; see `tern status`");
	if (completion.outcome != SUBMIT_DONE)
		return admin_refuse(ADMIN_EXIT_REFUSED, "%s",
				    verdict_text((enum core_force)completion.change));
	return json_pack("{s:s, s:I}", "node", node->config.name, "log_index",
			 (json_int_t)completion.log_index);
}
