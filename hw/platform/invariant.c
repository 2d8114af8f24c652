/* SPDX-License-Identifier: Apache-2.0 */
/* A file of its own, so that a test program that brings its own does not get this one. */
#include "dataplane/base/invariant.h"

#include <stdlib.h>

#include "hw/platform/platform.h"

void
tern_invariant_failed(const char *text, const char *file, int line)
{
	platform_diag(PLATFORM_ERROR, "invariant_failed expr=\"%s\" file=%s line=%d", text, file,
		      line);
	abort();
}
