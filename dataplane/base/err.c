/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/base/err.h"

const char *
tern_err_text(enum tern_err err)
{
	switch (err) {
	case TERN_OK:
		return "ok";
	case TERN_ERR_MALFORMED:
		return "malformed";
	case TERN_ERR_VERSION:
		return "unknown version";
	case TERN_ERR_FOREIGN:
		return "foreign";
	case TERN_ERR_STALE_TERM:
		return "stale term";
	case TERN_ERR_NOT_MASTER:
		return "not master";
	case TERN_ERR_QUEUE_FULL:
		return "queue full";
	case TERN_ERR_LOG_FULL:
		return "log full";
	case TERN_ERR_TOO_LARGE:
		return "too large";
	case TERN_ERR_NO_MEMORY:
		return "no memory";
	case TERN_ERR_NOT_FOUND:
		return "not found";
	case TERN_ERR_BLANK:
		return "blank";
	case TERN_ERR_CORRUPT:
		return "corrupt";
	case TERN_ERR_IO:
		return "input/output error";
	case TERN_ERR_BUSY:
		return "busy";
	case TERN_ERR_UNSUPPORTED:
		return "unsupported";
	case TERN_ERR_CONFIG:
		return "bad configuration";
	}
	return "unknown error";
}
