/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next incarnation of this process, without anybody who would start it: the same program, with
 * the same arguments and the sockets that were left open for it, as after a crash and a start.
 */
#include "control/daemon/again.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
again_keep_sockets(struct again *again, int argc, char **argv)
{
	again->count = 0;
	for (int i = 3; i + 1 < argc && again->count < AGAIN_SOCKETS_MAX; i += 2) {
		const int number = (int)strtol(argv[i + 1], NULL, 10);
		const int kept = fcntl(number, F_DUPFD_CLOEXEC, 3);
		if (kept < 0)
			continue;
		again->numbers[again->count] = number;
		again->kept[again->count++] = kept;
	}
}

void
again_run(const struct again *again, char **argv)
{
	char path[PATH_MAX];
	const ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);

	/* Whatever a library left open is closed, or peers would not see that this one is gone. */
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
		return;
	for (uint32_t i = 0; i < again->count; i++)
		if (dup3(again->kept[i], again->numbers[i], 0) < 0)
			return;
	if (bytes > 0) {
		path[bytes] = '\0';
		(void)execv(path, argv);
	}
	(void)execv("/proc/self/exe", argv); /* the file was replaced meanwhile */
}
