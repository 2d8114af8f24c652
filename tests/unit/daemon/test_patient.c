/* SPDX-License-Identifier: Apache-2.0 */
/* Work that is not waited for any longer, and reads that are done so. */
#include "tests/support/check.h"

#include <fcntl.h>
#include <semaphore.h>
#include <unistd.h>

#include "control/daemon/patient.h"

#define PATH "test-patient"
#define MS   1000000u

/* Goes on when it is told to. */
static void *
held(void *memory)
{
	while (sem_wait(memory) != 0)
		;
	return NULL;
}

static void *
slow(void *memory)
{
	usleep(100000);
	*(bool *)memory = true;
	return NULL;
}

static void
test_patience(void **state)
{
	static sem_t go, never; /* the last thread has it until the program ends */
	struct patient patient;
	bool is_done = false;

	(void)state;
	(void)sem_init(&go, 0, 0);
	(void)sem_init(&never, 0, 0);
	assert_int_equal(patient_begin(&patient, slow, &is_done, PATIENT_FOR_EVER), TERN_OK);
	assert_true(patient_wait(&patient));
	assert_true(is_done);
	is_done = false;
	assert_int_equal(patient_begin(&patient, slow, &is_done, 60000000000u), TERN_OK);
	assert_true(patient_wait(&patient));
	assert_true(is_done);
	assert_int_equal(patient_begin(&patient, held, &go, MS), TERN_OK);
	assert_false(patient_wait(&patient));
	(void)sem_post(&go);
	patient_wait_for_ever(&patient);
	assert_int_equal(patient_begin(&patient, held, &never, MS), TERN_OK);
	assert_false(patient_wait(&patient));
	patient_leave(&patient);
}

static void
test_pread(void **state)
{
	char text[8] = "before";
	const int fd = open(PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);

	(void)state;
	assert_int_equal(pwrite(fd, "0123456789", 10, 0), 10);
	assert_int_equal(patient_pread(fd, text, 8, 4, 60000000000u), TERN_ERR_IO);
	assert_string_equal(text, "before");
	assert_int_equal(patient_pread(fd, text, 6, 4, 60000000000u), TERN_OK);
	assert_memory_equal(text, "456789", 6);
	close(fd);
	(void)unlink(PATH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_pread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
