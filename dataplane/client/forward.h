/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gateway that forwards needs of libtern beyond tern.h, which is for users: any command of
 * the log that the native front end takes (control/endpoint), encoded already, and its whole reply.
 * The rules are those of tern_submit: the command gets a number of the client's session and is sent
 * under it until a node says what became of it, so it is executed at most once.
 */
#ifndef TERN_CLIENT_FORWARD_H
#define TERN_CLIENT_FORWARD_H

#include "dataplane/client/tern.h"
#include "dataplane/wire/command.h"

/* Takes a copy of @command, which is in no session. 0, -EAGAIN, -EMSGSIZE as tern_submit. */
int client_submit_command(struct tern_client *client, const uint8_t *command, uint32_t bytes,
			  tern_callback *done, void *context);
/* What the cluster answered, of the result that the callback of client_submit_command was given:
 * lent until it returns, without bytes. NULL: no node has executed or refused it; result->status
 * and reason say what is known. */
const struct reply *client_reply(const struct tern_result *result);

#endif
