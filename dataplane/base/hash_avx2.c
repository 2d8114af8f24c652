/* SPDX-License-Identifier: Apache-2.0 */
/* Built with -mavx2; called only after the CPU was asked. */
#include <assert.h>
#define HASH_UNIT(name) name##_avx2
#include "dataplane/base/hash_unit.h"
