/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of devices that may never answer, beside the port that the data thread has. Whoever waits
 * in the kernel for such a device cannot be called back: so each read has a thread of its own, and
 * that one is left behind when it takes too long. It keeps what it was given, for the device may
 * still write there; that memory and the thread go with the process.
 *
 * Thread: the one that began the work ends it.
 */
#ifndef TERN_DAEMON_PATIENT_H
#define TERN_DAEMON_PATIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "dataplane/base/err.h"

#define PATIENT_FOR_EVER UINT64_MAX

struct patient {
	pthread_t thread;
	struct timespec until;
	bool is_for_ever;
};

/* Runs @work(@memory) on a thread of its own, which has @patience_ns from now on. Takes @memory on
 * TERN_OK, until patient_wait says that it ended. IO: there is no thread. */
TERN_CHECKED enum tern_err patient_begin(struct patient *patient, void *(*work)(void *memory),
					 void *memory, uint64_t patience_ns);
/* Waits for its end. True: @memory is the caller's again. False: it took too long, and goes on: it
 * is to be waited for without a limit, or to be left alone, with @memory, for ever. */
TERN_CHECKED bool patient_wait(struct patient *patient);
void patient_wait_for_ever(struct patient *patient);
void patient_leave(struct patient *patient);

/* Reads @bytes of @fd, O_DIRECT or not, at @at. @data is written on TERN_OK only. BUSY: not within
 * @patience_ns. IO: not all of it can be read. NO_MEMORY. */
TERN_CHECKED enum tern_err
patient_pread(int fd, void *data, size_t bytes, off_t at, uint64_t patience_ns);

#endif
