/* SPDX-License-Identifier: Apache-2.0 */
/* The process begins anew, from its first line on, under its old id. Main thread. */
#ifndef TERN_DAEMON_AGAIN_H
#define TERN_DAEMON_AGAIN_H

#include <stdint.h>

#define AGAIN_SOCKETS_MAX 4u

struct again {
	int numbers[AGAIN_SOCKETS_MAX], kept[AGAIN_SOCKETS_MAX];
	uint32_t count;
};

/* Before the sockets that the arguments name are used: whoever uses them may close them. */
void again_keep_sockets(struct again *again, int argc, char **argv);
/* When all other threads have ended. Returns only if it cannot be done. */
void again_run(const struct again *again, char **argv);

#endif
