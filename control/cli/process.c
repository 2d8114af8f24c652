// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE /* pipe2, setns */
#include "control/cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool
process_stat(pid_t pid, char *letter, uint64_t *start_time)
{
	char path[64], text[1024];
	FILE *stream;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stream = pid > 0 ? fopen(path, "re") : NULL;
	if (!stream)
		return false;
	const size_t bytes = fread(text, 1, sizeof(text) - 1, stream);
	(void)fclose(stream);
	text[bytes] = 0;
	/* The name, field 2, may hold anything; fields 3.. follow its last parenthesis. */
	char *at = strrchr(text, ')');
	if (!at || at[1] != ' ')
		return false;
	*letter = at[2];
	at += 2;
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	if (!at)
		return false;
	*start_time = strtoull(at, NULL, 10);
	return true;
}

enum process_state
process_state_of(const struct process *process)
{
	uint64_t start_time;
	char letter;

	if (!process_stat(process->pid, &letter, &start_time) ||
	    start_time != process->start_time || letter == 'Z' || letter == 'X')
		return PROCESS_DEAD;
	return letter == 'T' || letter == 't' ? PROCESS_STOPPED : PROCESS_RUNNING;
}

bool
process_signal(const struct process *process, int signal)
{
	if (process_state_of(process) == PROCESS_DEAD)
		return false;
	/* It leads its own session, so the group is this node's and nobody else's. */
	if (getpgid(process->pid) == process->pid)
		return kill(-process->pid, signal) == 0;
	return kill(process->pid, signal) == 0;
}

bool
process_wait(const struct process *process, uint32_t timeout_ms)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	for (uint32_t waited_ms = 0;; waited_ms += 5) {
		if (process->pid > 0)
			(void)waitpid(process->pid, NULL, WNOHANG);
		if (process_state_of(process) == PROCESS_DEAD)
			return true;
		if (waited_ms >= timeout_ms)
			return false;
		(void)nanosleep(&pause, NULL);
	}
}

/* The child's side. The parent reads errno from @report, or its end when exec succeeded. */
static _Noreturn void
become(const char *const *argv, int log_fd, const struct process_place *place, int report)
{
	const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	(void)setsid();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Out of the way of the descriptors with a fixed number. */
	report = fcntl(report, F_DUPFD_CLOEXEC, 10);
	bool is_good = (place->netns_fd < 0 || setns(place->netns_fd, CLONE_NEWNET) == 0) &&
		       null_fd >= 0 && dup2(null_fd, 0) >= 0 && dup2(log_fd, 1) >= 0 &&
		       dup2(log_fd, 2) >= 0;
	int high[2] = { -1, -1 };
	for (int i = 0; i < 2 && is_good; i++)
		if (place->passed_fds[i] >= 0)
			is_good = (high[i] = fcntl(place->passed_fds[i], F_DUPFD_CLOEXEC, 10)) >= 0;
	for (int i = 0; i < 2 && is_good; i++)
		if (high[i] >= 0)
			is_good = dup2(high[i], PROCESS_PASSED_FD + i) >= 0;
	if (is_good)
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	const int reason = errno;
	/* Nobody is left to tell when this fails. */
	if (write(report, &reason, sizeof(reason)) < 0)
		_exit(126);
	_exit(127);
}

bool
process_spawn(const char *const *argv, const char *log, struct process *process, char *text,
	      size_t text_bytes)
{
	const struct process_place here = { .netns_fd = -1, .passed_fds = { -1, -1 } };

	return process_spawn_at(argv, log, &here, process, text, text_bytes);
}

bool
process_spawn_at(const char *const *argv, const char *log, const struct process_place *place,
		 struct process *process, char *text, size_t text_bytes)
{
	int report[2], reason = 0;
	char letter;
	const int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	*process = (struct process){ 0 };
	if (log_fd < 0 || pipe2(report, O_CLOEXEC) != 0) {
		(void)snprintf(text, text_bytes, "%s: %s", log, strerror(errno));
		if (log_fd >= 0)
			(void)close(log_fd);
		return false;
	}
	const pid_t pid = fork();
	if (pid == 0)
		become(argv, log_fd, place, report[1]);
	(void)close(log_fd);
	(void)close(report[1]);
	ssize_t got = pid > 0 ? read(report[0], &reason, sizeof(reason)) : -1;
	if (pid < 0)
		reason = errno;
	(void)close(report[0]);
	if (pid < 0 || got != 0) {
		(void)snprintf(text, text_bytes, "%s cannot be started: %s", argv[0],
			       strerror(reason));
		if (pid > 0)
			(void)waitpid(pid, NULL, 0);
		return false;
	}
	process->pid = pid;
	/* A program that ended at once is still there as a zombie: it is our child. */
	return process_stat(pid, &letter, &process->start_time);
}

bool
process_find(const char *name, char *out, size_t out_bytes)
{
	static const char *const places[] = { "", "../daemon/", "../witness/", "../bench/" };
	char self[PATH_MAX];
	const ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (bytes <= 0)
		return false;
	self[bytes] = 0;
	char *slash = strrchr(self, '/');
	if (!slash)
		return false;
	slash[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const int length = snprintf(out, out_bytes, "%s%s%s", self, places[i], name);
		if (length > 0 && (size_t)length < out_bytes && access(out, X_OK) == 0)
			return true;
	}
	return false;
}
