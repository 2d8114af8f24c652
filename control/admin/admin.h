/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin socket of a daemon: newline-delimited JSON over a unix stream socket.
 *
 *	-> {"api":"admin/v1","verb":"status", ...arguments}
 *	<- {"api":"admin/v1","ok":true,"result":{...}}
 *	<- {"api":"admin/v1","ok":false,"error":"text","exit":5}
 *
 * One thread of its own accepts, reads, calls handlers and answers, one request at a time; a
 * handler may block for a bounded time. It never touches a data lcore except through struct
 * status_cell, struct submit_channel and a state_reader, which belong to the handlers' context.
 *
 * Limits: ADMIN_CLIENTS_MAX connections (one more is answered "busy" and closed; without a
 * descriptor for it, it waits), a request line of ADMIN_REQUEST_MAX bytes, a reply of
 * ADMIN_REPLY_MAX bytes; a client that does not take its reply within ADMIN_SEND_MS is closed.
 */
#ifndef TERN_ADMIN_ADMIN_H
#define TERN_ADMIN_ADMIN_H

#include <stdint.h>

#include <jansson.h>

#include "control/config/node_config.h"
#include "dataplane/base/err.h"
#include "dataplane/core/core.h"
#include "dataplane/runtime/status.h"

#define ADMIN_API         "admin/v1"
#define ADMIN_CLIENTS_MAX 16u
#define ADMIN_REQUEST_MAX 65536u
#define ADMIN_REPLY_MAX   (4u << 20)
#define ADMIN_SEND_MS     2000

/* Exit codes of the command-line tool; errors on the admin socket carry them too. */
enum admin_exit {
	ADMIN_EXIT_OK = 0,
	ADMIN_EXIT_FAILED = 1,
	ADMIN_EXIT_USAGE = 2,
	ADMIN_EXIT_DEGRADED = 3,
	ADMIN_EXIT_CRITICAL = 4,
	ADMIN_EXIT_REFUSED = 5, /* by a safety check */
	ADMIN_EXIT_UNKNOWN = 6, /* outcome unknown */
	ADMIN_EXIT_UNREACHABLE = 7,
	ADMIN_EXIT_CONFIG = 8,
};

/* Answers one verb, on the admin thread. Borrows @request until return. Returns a new reference: a
 * result object, or admin_refuse(). NULL is answered as an internal error. */
typedef json_t *(*admin_handler)(void *context, const json_t *request);

struct admin_verb {
	const char *name;
	admin_handler handle;
};

struct admin_options {
	const char *socket_path; /* at most NODE_CONFIG_SOCKET_MAX - 1 bytes; a dead socket file is
				  * replaced, a live one is refused */
	const struct admin_verb *verbs; /* borrowed until admin_stop */
	uint32_t verb_count;
	void *context;
	/* On the admin thread, before the first and after the last request: for what belongs to a
	 * thread, such as a state_reader. May be NULL. */
	void (*thread_begin)(void *context);
	void (*thread_end)(void *context);
};

struct admin;

/* BUSY: another process answers on that socket. IO. @text says what failed; on success *@admin runs
 * until admin_stop. */
TERN_CHECKED enum tern_err admin_start(const struct admin_options *options, struct admin **admin,
				       char *text, size_t text_bytes);
/* Ends the thread, closes every connection, removes the socket file. Takes @admin always; NULL is
 * fine. */
void admin_stop(struct admin *admin);

/* A handler's refusal. @text names what is wrong and the next step. */
json_t *
admin_refuse(enum admin_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- what a node says of itself ---- */

/* The object of one node in status/v1, from a consistent copy of its status. */
json_t *admin_status_json(const struct node_config *config, const struct node_status *status);
/* The array "jobs" of it. */
json_t *admin_jobs_json(const struct node_status *status);
/* DUPLEX, SOLO, REPLICA, CATCHUP, WITNESS or DOWN. A master on its way to SOLO shows SOLO with
 * "serving": false and copies 0; a node that knows no master shows CATCHUP. Static. */
const char *admin_mode_name(uint8_t core_mode);
/* "master", "replica", "candidate", "witness". Static. */
const char *admin_role_name(uint8_t core_role);
/* "ack_forgotten" and so on, by enum core_alarm; "" for none. Static. */
const char *admin_alarm_name(uint32_t core_alarm);
/* A line for each alarm that was raised since the last call; @told is zero at first and keeps what
 * was said. */
void admin_alarms_tell(const char *node, const struct node_status *status,
		       uint64_t told[CORE_ALARM_LAST + 1]);
/* 16 lower-case digits and an end. */
void admin_hex64(uint64_t value, char out[17]);

#endif
