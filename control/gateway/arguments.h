/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an argument can be what it stands for: a key, a value, a name. Borrows what it is passed
 * until return. Owner: the gateway thread. */
#ifndef TERN_GATEWAY_ARGUMENTS_H
#define TERN_GATEWAY_ARGUMENTS_H

#include <stdbool.h>

#include "control/gateway/resp_parse.h"
#include "dataplane/wire/command.h"

struct command_call;

static inline bool
gateway_key_fits(struct resp_arg key)
{
	return key.bytes >= 1 && key.bytes <= COMMAND_KEY_BYTES_MAX;
}

/* NULL, or what is wrong with @value: a text that lasts until the next refusal. */
const char *gateway_value_wrong(const struct command_call *call, struct resp_arg value);

/* Names may hold anything that is printed and is no space: they appear in listings. */
bool gateway_name_is_fit(struct resp_arg name);
/* @to: CONNECTION_NAME_BYTES_MAX. */
void gateway_name_set(char *to, struct resp_arg name);

#endif
