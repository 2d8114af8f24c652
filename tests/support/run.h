/* SPDX-License-Identifier: Apache-2.0 */
/* A client of tests with real processes: its clock, and its end, which is SIGTERM. */
#ifndef TERN_SUPPORT_RUN_H
#define TERN_SUPPORT_RUN_H

#include <stdbool.h>
#include <stdint.h>

uint64_t run_now_ns(void);
/* From here on the signal is noted and ends nothing by itself. */
void run_until_signal(void);
bool run_is_over(void);

#endif
