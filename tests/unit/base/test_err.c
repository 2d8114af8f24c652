/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/err.h"

#include <string.h>

#include "tests/support/check.h"

/* Every code has a text of its own, and a number that is none has one too. */
static void
test_texts_differ(void **context)
{
	(void)context;
	for (int a = TERN_OK; a <= TERN_ERR_CONFIG; a++) {
		const char *text = tern_err_text((enum tern_err)a);
		assert_non_null(text);
		assert_int_not_equal(strlen(text), 0);
		for (int b = TERN_OK; b < a; b++)
			assert_string_not_equal(text, tern_err_text((enum tern_err)b));
		assert_string_not_equal(text, "unknown error");
	}
	assert_string_equal(tern_err_text((enum tern_err)10000), "unknown error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts_differ) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
