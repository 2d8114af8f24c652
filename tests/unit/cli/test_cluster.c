/* SPDX-License-Identifier: Apache-2.0 */
/* What `tern status` makes of the entries of the nodes. */
#include "tests/support/check.h"

#include <string.h>

#include "control/cli/cli.h"

struct limits {
	int capacity, value_max, sessions_max;
};

static json_t *
data_node(const char *name, const char *role, const char *mode, struct limits limits)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:b,s:i,s:{s:i,s:i,s:i}}", "name", name, "kind", "data",
			 "role", role, "mode", mode, "serving", strcmp(role, "master") == 0, "term",
			 3, "state_limits", "capacity", limits.capacity, "value_max",
			 limits.value_max, "sessions_max", limits.sessions_max);
}

static json_t *
pair(const char *role_a, const char *mode_a, struct limits a, struct limits b)
{
	return json_pack("{s:[o,o,{s:s,s:s,s:s,s:s}]}", "nodes", data_node("a", role_a, mode_a, a),
			 data_node("b", "replica", "REPLICA", b), "name", "w", "kind", "witness",
			 "role", "witness", "mode", "WITNESS");
}

static const char *
warning(const json_t *status, size_t number)
{
	return json_string_value(json_array_get(json_object_get(status, "warnings"), number));
}

static const struct limits usual = { 1000, 100, 10 };

static void
equal_limits_are_fine(void **unused)
{
	json_t *status = pair("master", "DUPLEX", usual, usual);

	(void)unused;
	assert_int_equal(cluster_judge(status), ADMIN_EXIT_OK);
	assert_int_equal(json_array_size(json_object_get(status, "warnings")), 0);
	assert_string_equal(json_string_value(json_object_get(status, "health")), "ok");
	json_decref(status);
}

static void
different_limits_degrade(void **unused)
{
	static const struct limits others[] = { { 999, 100, 10 },
						{ 1000, 99, 10 },
						{ 1000, 100, 9 } };
	static const char *const texts[] = { "state.capacity is 1000 on a and 999 on b",
					     "state.value_max is 100 on a and 99 on b",
					     "state.sessions_max is 10 on a and 9 on b" };

	(void)unused;
	for (size_t i = 0; i < 3; i++) {
		json_t *status = pair("master", "DUPLEX", usual, others[i]);
		assert_int_equal(cluster_judge(status), ADMIN_EXIT_DEGRADED);
		assert_int_equal(json_array_size(json_object_get(status, "warnings")), 1);
		assert_non_null(strstr(warning(status, 0), texts[i]));
		json_decref(status);
	}
	json_t *status = pair("master", "DUPLEX", usual, (struct limits){ 1, 2, 3 });
	assert_int_equal(cluster_judge(status), ADMIN_EXIT_DEGRADED);
	assert_int_equal(json_array_size(json_object_get(status, "warnings")), 3);
	json_decref(status);
}

static void
no_master_is_worse(void **unused)
{
	json_t *status = pair("candidate", "CATCHUP", usual, (struct limits){ 1, 2, 3 });

	(void)unused;
	assert_int_equal(cluster_judge(status), ADMIN_EXIT_CRITICAL);
	assert_string_equal(json_string_value(json_object_get(status, "health")), "critical");
	assert_int_equal(json_array_size(json_object_get(status, "warnings")), 3);
	json_decref(status);
}

static void
a_node_that_is_down_has_no_limits(void **unused)
{
	json_t *status = pair("master", "SOLO", usual, usual);
	json_t *b = json_array_get(json_object_get(status, "nodes"), 1);

	(void)unused;
	(void)json_object_set_new(b, "state_limits", json_null());
	(void)json_object_set_new(b, "mode", json_string("DOWN"));
	assert_int_equal(cluster_judge(status), ADMIN_EXIT_DEGRADED);
	assert_int_equal(json_array_size(json_object_get(status, "warnings")), 0);
	json_decref(status);
}

static void
storage_of_two_clusters_is_said(void **unused)
{
	json_t *status = pair("master", "SOLO", usual, usual);
	json_t *nodes = json_object_get(status, "nodes");

	(void)unused;
	for (size_t i = 0; i < json_array_size(nodes); i++)
		(void)json_object_set_new(json_array_get(nodes, i), "cluster_id",
					  json_string(i == 1 ? "bb" : "aa"));
	assert_int_equal(cluster_judge(status), ADMIN_EXIT_DEGRADED);
	assert_int_equal(json_array_size(json_object_get(status, "warnings")), 1);
	assert_non_null(
	    strstr(warning(status, 0), "a has storage of cluster aa and b of cluster bb"));
	json_decref(status);
}

/* What is left of the reserve, and that nothing is. */
static void
a_log_that_is_used_up_warns(void **unused)
{
	static const struct {
		json_int_t used_pages;
		const char *text; /* NULL: no warning */
	} cases[] = {
		{ 949, NULL },
		{ 950, "the log of a has 50 pages left: writes are refused" },
		{ 999, "the log of a has 1 pages left" },
		{ 1000, "the log of a is full: no change of master or mode can be written" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *status = pair("master", "DUPLEX", usual, usual);
		json_t *a = json_array_get(json_object_get(status, "nodes"), 0);
		(void)json_object_set_new(a, "log_area_bytes", json_integer(1000 * 4096));
		(void)json_object_set_new(a, "log_used_bytes",
					  json_integer(cases[i].used_pages * 4096));
		assert_int_equal(cluster_judge(status), ADMIN_EXIT_OK);
		assert_int_equal(json_array_size(json_object_get(status, "warnings")),
				 cases[i].text != NULL);
		if (cases[i].text != NULL)
			assert_non_null(strstr(warning(status, 0), cases[i].text));
		json_decref(status);
	}
}

static void
checkpoints_that_fail_are_said(void **unused)
{
	json_t *status = pair("master", "DUPLEX", usual, usual);
	json_t *b = json_array_get(json_object_get(status, "nodes"), 1);

	(void)unused;
	(void)json_object_set_new(b, "checkpoints_failing", json_integer(3));
	assert_int_equal(cluster_judge(status), ADMIN_EXIT_OK); /* nothing is lost yet */
	assert_int_equal(json_array_size(json_object_get(status, "warnings")), 1);
	assert_non_null(strstr(warning(status, 0), "b has given up its last 3 checkpoints"));
	json_decref(status);
}

static void
logs_of_two_kinds_are_said(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		json_t *status = pair("master", "DUPLEX", usual, usual);
		json_t *nodes = json_object_get(status, "nodes");
		(void)json_object_set_new(json_array_get(nodes, 0), "log_volatile", json_true());
		(void)json_object_set_new(json_array_get(nodes, 1), "log_volatile",
					  json_boolean(i == 0));
		assert_int_equal(cluster_judge(status),
				 i == 0 ? ADMIN_EXIT_OK : ADMIN_EXIT_DEGRADED);
		assert_int_equal(json_array_size(json_object_get(status, "warnings")), i);
		if (i == 1)
			assert_non_null(strstr(warning(status, 0), "the log of b is on its device "
								   "and that of a in RAM"));
		json_decref(status);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_limits_are_fine),
		cmocka_unit_test(different_limits_degrade),
		cmocka_unit_test(no_master_is_worse),
		cmocka_unit_test(storage_of_two_clusters_is_said),
		cmocka_unit_test(a_node_that_is_down_has_no_limits),
		cmocka_unit_test(a_log_that_is_used_up_warns),
		cmocka_unit_test(checkpoints_that_fail_are_said),
		cmocka_unit_test(logs_of_two_kinds_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
