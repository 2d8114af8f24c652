/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <stdlib.h>

#include "dataplane/base/invariant.h"

void
tern_invariant_failed(const char *text, const char *file, int line)
{
	mock_assert(0, text, file, line);
	abort();
}
