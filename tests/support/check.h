/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test builds on: cmocka with its prerequisites, and how many seeds this build
 * runs. A failed INVARIANT becomes a mock_assert failure, so expect_assert_failure() tests
 * refusals. */
#ifndef TERN_TESTS_SUPPORT_CHECK_H
#define TERN_TESTS_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* How many of @all seeds run here: each takes several times as long under the address sanitizer,
 * and what that finds is in many of them. All run in the other builds. */
#ifdef __SANITIZE_ADDRESS__
#define CHECK_SEEDS(all) ((all) / 3)
#else
#define CHECK_SEEDS(all) (all)
#endif

#endif
