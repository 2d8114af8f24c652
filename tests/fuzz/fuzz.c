/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

void
tern_invariant_failed(const char *text, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, text);
	abort();
}
