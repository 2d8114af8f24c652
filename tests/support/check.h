/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with its prerequisites, for unit tests. A failed INVARIANT becomes a mock_assert failure,
 * so expect_assert_failure() tests refusals. */
#ifndef TERN_TESTS_SUPPORT_CHECK_H
#define TERN_TESTS_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
