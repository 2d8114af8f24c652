/* SPDX-License-Identifier: Apache-2.0 */
/* A file of its own, so that a test program that brings its own does not get this one. */
#include "dataplane/base/invariant.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
tern_invariant_failed(const char *text, const char *file, int line)
{
	const char head[] = "libtern: invariant failed: ";

	(void)file;
	(void)line;
	if (write(STDERR_FILENO, head, sizeof(head) - 1) < 0 ||
	    write(STDERR_FILENO, text, strlen(text)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		abort();
	abort();
}
