/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* pipe2 */
#include "tests/support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cli/process.h"

#define WAIT_MS 60000

static char log_path[] = "/tmp/tern-process-XXXXXX";
static char text[512];

static struct process
spawn_sleep(void)
{
	static const char *const argv[] = { "/bin/sleep", "600", NULL };
	struct process process;

	assert_true(process_spawn(argv, log_path, &process, text, sizeof(text)));
	assert_true(process.pid > 1);
	assert_true(process.start_time > 0);
	return process;
}

static void
wait_state(const struct process *process, enum process_state wanted)
{
	for (int i = 0; i < WAIT_MS && process_state_of(process) != wanted; i++)
		(void)usleep(1000);
	assert_int_equal(process_state_of(process), wanted);
}

static void
life(void **unused)
{
	const struct process process = spawn_sleep();

	(void)unused;
	assert_int_equal(process_state_of(&process), PROCESS_RUNNING);
	assert_int_equal(getpgid(process.pid), process.pid);
	assert_int_equal(getsid(process.pid), process.pid);
	assert_true(process_signal(&process, SIGSTOP));
	wait_state(&process, PROCESS_STOPPED);
	assert_true(process_signal(&process, SIGCONT));
	wait_state(&process, PROCESS_RUNNING);
	assert_false(process_wait(&process, 10));
	assert_true(process_signal(&process, SIGKILL));
	assert_true(process_wait(&process, WAIT_MS));
	assert_int_equal(process_state_of(&process), PROCESS_DEAD);
	assert_false(process_signal(&process, SIGKILL));
}

/* The child has what it was given as descriptor 3. */
static void
passed_descriptor(void **unused)
{
	static const char *const argv[] = {
		"/bin/sh", "-c",
		"read -r word <&3; test -p /proc/self/fd/4 && test \"$word\" = given", NULL
	};
	struct process_place place = { .netns_fd = -1, .passed_fds = { -1, -1 } };
	struct process process;
	int ends[2], status = -1;

	(void)unused;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "given\n", 6), 6);
	place.passed_fds[0] = ends[0];
	place.passed_fds[1] = ends[1];
	assert_true(process_spawn_at(argv, log_path, &place, &process, text, sizeof(text)));
	assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
	assert_int_equal(status, 0);
	/* A descriptor that is no namespace: nothing is started. */
	place.netns_fd = ends[0];
	assert_false(process_spawn_at(argv, log_path, &place, &process, text, sizeof(text)));
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void
another_start_time_is_never_signalled(void **unused)
{
	const struct process process = spawn_sleep();
	const struct process earlier = { .pid = process.pid, .start_time = process.start_time - 1 };
	const struct process later = { .pid = process.pid, .start_time = process.start_time + 1 };
	const struct process other_boot = { process.pid, process.start_time, process.boot_id ^ 1 };
	const struct process any_boot = { process.pid, process.start_time, 0 };
	const struct process nobody = { 0 };

	(void)unused;
	assert_int_equal(process_state_of(&earlier), PROCESS_DEAD);
	assert_false(process_signal(&earlier, SIGKILL));
	assert_false(process_signal(&later, SIGKILL));
	assert_false(process_signal(&nobody, SIGKILL));
	assert_int_not_equal(process.boot_id, 0);
	assert_int_equal(process_state_of(&other_boot), PROCESS_DEAD);
	assert_false(process_signal(&other_boot, SIGKILL));
	assert_int_equal(process_state_of(&any_boot), PROCESS_RUNNING);
	assert_true(process_wait(&nobody, 0));
	/* A signal would have been delivered by the time waitpid looks. */
	assert_int_equal(waitpid(process.pid, NULL, WNOHANG), 0);
	assert_int_equal(process_state_of(&process), PROCESS_RUNNING);
	assert_true(process_signal(&process, SIGKILL));
	assert_true(process_wait(&process, WAIT_MS));
}

static void
a_group_dies_whole(void **unused)
{
	static const char *const argv[] = { "/bin/sh", "-c", "sleep 600 & echo $!; wait", NULL };
	struct process process, child = { 0 };
	char line[64] = "", letter;

	(void)unused;
	assert_int_equal(truncate(log_path, 0), 0);
	assert_true(process_spawn(argv, log_path, &process, text, sizeof(text)));
	for (int i = 0; i < WAIT_MS && child.pid == 0; i++) {
		FILE *stream = fopen(log_path, "r");
		assert_non_null(stream);
		if (fgets(line, sizeof(line), stream) && strchr(line, '\n'))
			child.pid = atoi(line);
		(void)fclose(stream);
		(void)usleep(1000);
	}
	assert_true(process_stat(child.pid, &letter, &child.start_time));
	assert_true(process_signal(&process, SIGKILL));
	assert_true(process_wait(&process, WAIT_MS));
	wait_state(&child, PROCESS_DEAD);
}

static void
a_zombie_is_dead(void **unused)
{
	const pid_t pid = fork();
	struct process process = { .pid = pid };
	char letter;

	(void)unused;
	if (pid == 0)
		_exit(0);
	assert_true(process_stat(pid, &letter, &process.start_time));
	wait_state(&process, PROCESS_DEAD);
	assert_true(process_stat(pid, &letter, &process.start_time));
	assert_int_equal(letter, 'Z');
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
programs_that_cannot_start(void **unused)
{
	static const char *const absent[] = { "/nonexistent/program", NULL };
	struct process process;

	(void)unused;
	assert_false(process_spawn(absent, log_path, &process, text, sizeof(text)));
	assert_int_equal(process.pid, 0);
	assert_non_null(strstr(text, "/nonexistent/program cannot be started: No such file"));
	assert_false(process_spawn(absent, "/nonexistent/log", &process, text, sizeof(text)));
	assert_non_null(strstr(text, "/nonexistent/log"));
}

static void
stat_of_names_with_parentheses(void **unused)
{
	char link_path[64], letter;
	struct process process;
	uint64_t start_time;

	(void)unused;
	(void)snprintf(link_path, sizeof(link_path), "%s) S (", log_path);
	assert_int_equal(symlink("/bin/sleep", link_path), 0);
	const char *const argv[] = { link_path, "600", NULL };
	assert_true(process_spawn(argv, log_path, &process, text, sizeof(text)));
	assert_true(process_stat(process.pid, &letter, &start_time));
	assert_int_equal(start_time, process.start_time);
	assert_true(process_signal(&process, SIGKILL));
	assert_true(process_wait(&process, WAIT_MS));
	assert_int_equal(unlink(link_path), 0);
	assert_false(process_stat(-1, &letter, &start_time));
}

static int
make_log(void **unused)
{
	const int fd = mkstemp(log_path);

	(void)unused;
	return fd >= 0 ? close(fd) : -1;
}

static int
remove_log(void **unused)
{
	(void)unused;
	return unlink(log_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(passed_descriptor),
		cmocka_unit_test(another_start_time_is_never_signalled),
		cmocka_unit_test(a_group_dies_whole),
		cmocka_unit_test(a_zombie_is_dead),
		cmocka_unit_test(programs_that_cannot_start),
		cmocka_unit_test(stat_of_names_with_parentheses),
	};

	return cmocka_run_group_tests(tests, make_log, remove_log);
}
