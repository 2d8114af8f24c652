/* SPDX-License-Identifier: Apache-2.0 */
/* One request to an admin socket and its reply, bounded in time. Blocking; any thread. */
#ifndef TERN_ADMIN_ADMIN_CLIENT_H
#define TERN_ADMIN_ADMIN_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/admin/admin.h"

/* Calls @verb on the daemon at @socket_path. @arguments: an object or NULL, borrowed.
 * ADMIN_EXIT_OK: *@result is a new reference. Otherwise *@result is NULL and @text says why:
 * ADMIN_EXIT_UNREACHABLE: nobody answered within @timeout_ms; any other code: the daemon's own. */
enum admin_exit admin_call(const char *socket_path, const char *verb, const json_t *arguments,
			   uint32_t timeout_ms, json_t **result, char *text, size_t text_bytes);

#endif
