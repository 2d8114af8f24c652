/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of samples share. */
#ifndef TERN_TESTS_WIRE_SAMPLES_PARTS_H
#define TERN_TESTS_WIRE_SAMPLES_PARTS_H

#include "tests/unit/wire/samples.h"

struct sample *sample_add(struct samples *samples, const char *name,
			  enum tern_err (*turn)(uint8_t *data, uint32_t bytes));

/* samples_net.c */
void packet_samples_make(struct samples *samples);
void native_samples_make(struct samples *samples);

#endif
