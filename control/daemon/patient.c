/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/patient.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/bits.h"
#include "dataplane/wire/page.h"

#define NS_PER_S 1000000000u

enum tern_err
patient_begin(struct patient *patient, void *(*work)(void *memory), void *memory,
	      uint64_t patience_ns)
{
	struct timespec *until = &patient->until;

	patient->is_for_ever = patience_ns == PATIENT_FOR_EVER;
	clock_gettime(CLOCK_MONOTONIC, until);
	if (!patient->is_for_ever) {
		const uint64_t ns = (uint64_t)until->tv_nsec + patience_ns % NS_PER_S;
		until->tv_sec += (time_t)(patience_ns / NS_PER_S + ns / NS_PER_S);
		until->tv_nsec = (long)(ns % NS_PER_S);
	}
	return pthread_create(&patient->thread, NULL, work, memory) == 0 ? TERN_OK : TERN_ERR_IO;
}

bool
patient_wait(struct patient *patient)
{
	if (patient->is_for_ever)
		return pthread_join(patient->thread, NULL) == 0;
	return pthread_clockjoin_np(patient->thread, NULL, CLOCK_MONOTONIC, &patient->until) == 0;
}

void
patient_wait_for_ever(struct patient *patient)
{
	(void)pthread_join(patient->thread, NULL);
}

void
patient_leave(struct patient *patient)
{
	(void)pthread_detach(patient->thread);
}

struct reading {
	uint8_t *data; /* page aligned */
	size_t bytes;
	off_t at;
	int fd;
	bool is_good;
};

static void *
read_work(void *memory)
{
	struct reading *reading = memory;

	reading->is_good = pread(reading->fd, reading->data, reading->bytes, reading->at) ==
			   (ssize_t)reading->bytes;
	return NULL;
}

static void
reading_free(struct reading *reading)
{
	if (reading != NULL)
		free(reading->data);
	free(reading);
}

enum tern_err
patient_pread(int fd, void *data, size_t bytes, off_t at, uint64_t patience_ns)
{
	struct reading *reading = malloc(sizeof(*reading));
	uint8_t *room = aligned_alloc(PAGE_BYTES, align_up_u64(bytes, PAGE_BYTES));
	struct patient patient;

	if (reading == NULL || room == NULL) {
		free(reading);
		free(room);
		return TERN_ERR_NO_MEMORY;
	}
	*reading = (struct reading){ .data = room, .bytes = bytes, .at = at, .fd = fd };
	enum tern_err err = patient_begin(&patient, read_work, reading, patience_ns);
	if (err == TERN_OK && !patient_wait(&patient)) {
		patient_leave(&patient); /* it keeps what it has */
		return TERN_ERR_BUSY;
	}
	if (err == TERN_OK && !reading->is_good)
		err = TERN_ERR_IO;
	if (err == TERN_OK)
		memcpy(data, room, bytes);
	reading_free(reading);
	return err;
}
