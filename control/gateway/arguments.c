/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateway/arguments.h"

#include <stdio.h>
#include <string.h>

#include "control/gateway/gateway_internal.h"

const char *
gateway_value_wrong(const struct command_call *call, struct resp_arg value)
{
	struct gateway *gateway = call->gateway;

	if (value.bytes <= gateway->value_bytes_max)
		return NULL;
	(void)snprintf(gateway->refusal, sizeof(gateway->refusal),
		       "ERR value is too large: %u bytes, at most %u", value.bytes,
		       gateway->value_bytes_max);
	return gateway->refusal;
}

bool
gateway_name_is_fit(struct resp_arg name)
{
	if (name.bytes >= CONNECTION_NAME_BYTES_MAX)
		return false;
	for (uint32_t i = 0; i < name.bytes; i++) {
		if (name.data[i] < '!' || name.data[i] > '~')
			return false;
	}
	return true;
}

void
gateway_name_set(char *to, struct resp_arg name)
{
	memcpy(to, name.data, name.bytes);
	to[name.bytes] = 0;
}
