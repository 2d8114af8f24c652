/* SPDX-License-Identifier: Apache-2.0 */
/* Looking a command up in the table that the gateway was started with. */
#include "control/gateway/gateway_internal.h"
#include "dataplane/base/invariant.h"

const struct gateway_command *
gateway_command_find(const struct gateway *gateway, struct resp_arg name)
{
	const struct gateway_commands *commands = gateway->commands;

	for (uint32_t i = 0; i < commands->count; i++) {
		const struct gateway_command *command = &commands->list[i];
		if (command->name_bytes == name.bytes && resp_is(name, command->name))
			return command;
	}
	return NULL;
}

const struct gateway_command *
gateway_command_at(const struct gateway *gateway, uint32_t index)
{
	const struct gateway_commands *commands = gateway->commands;

	return index < commands->count ? &commands->list[index] : NULL;
}

bool
gateway_command_arity_fits(const struct gateway_command *command, uint32_t args_count)
{
	INVARIANT(command->arity != 0);
	if (command->arity > 0)
		return args_count == (uint32_t)command->arity;
	return args_count >= (uint32_t)-command->arity;
}
