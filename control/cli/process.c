/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* pipe2, setns */
#include "control/cli/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMBERS_MAX 64u

/* Fields of /proc/PID/stat. */
struct facts {
	char letter;
	pid_t group, session;
	uint64_t start_time;
};

static bool
facts_read(pid_t pid, struct facts *facts)
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
	at += 2;
	*facts = (struct facts){ .letter = *at };
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
		if (at && field + 1 == 5)
			facts->group = (pid_t)strtol(at, NULL, 10);
		if (at && field + 1 == 6)
			facts->session = (pid_t)strtol(at, NULL, 10);
	}
	if (!at)
		return false;
	facts->start_time = strtoull(at, NULL, 10);
	return true;
}

bool
process_stat(pid_t pid, char *letter, uint64_t *start_time)
{
	struct facts facts;

	if (!facts_read(pid, &facts))
		return false;
	*letter = facts.letter;
	*start_time = facts.start_time;
	return true;
}

uint64_t
process_boot_id(void)
{
	FILE *stream = fopen("/proc/sys/kernel/random/boot_id", "re");
	char text[64] = "", digits[17] = "";
	size_t count = 0;

	if (!stream)
		return 0;
	const size_t bytes = fread(text, 1, sizeof(text) - 1, stream);
	(void)fclose(stream);
	for (size_t i = 0; i < bytes && count < 16; i++)
		if (text[i] != '-')
			digits[count++] = text[i];
	return strtoull(digits, NULL, 16);
}

enum process_state
process_state_of(const struct process *process)
{
	uint64_t start_time;
	char letter;

	if (!process_stat(process->pid, &letter, &start_time) ||
	    start_time != process->start_time || letter == 'Z' || letter == 'X' ||
	    (process->boot_id != 0 && process->boot_id != process_boot_id()))
		return PROCESS_DEAD;
	return letter == 'T' || letter == 't' ? PROCESS_STOPPED : PROCESS_RUNNING;
}

/* Opens what else runs in the group and session that @leader leads: these are this node's and
 * nobody else's. Returns how many; each one is what it was when it was looked at. */
static uint32_t
members_open(pid_t leader, int fds[MEMBERS_MAX])
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	uint32_t count = 0;

	while (proc && count < MEMBERS_MAX && (entry = readdir(proc))) {
		const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		struct facts facts;
		if (pid <= 0 || pid == leader || !facts_read(pid, &facts) ||
		    facts.group != leader || facts.session != leader)
			continue;
		const int fd = pidfd_open(pid, 0);
		if (fd < 0)
			continue;
		if (facts_read(pid, &facts) && facts.group == leader && facts.session == leader)
			fds[count++] = fd;
		else
			(void)close(fd);
	}
	if (proc)
		(void)closedir(proc);
	return count;
}

bool
process_signal(const struct process *process, int signal)
{
	const int leader = process->pid > 0 ? pidfd_open(process->pid, 0) : -1;
	int members[MEMBERS_MAX];

	if (leader < 0)
		return false;
	const uint32_t count = members_open(process->pid, members);
	/* Only now: as long as the recorded process lives, its pid names no other group. */
	const bool is_ours = process_state_of(process) != PROCESS_DEAD;
	/* The leader last: what waits for its end to say something is not to say it, as if the
	 * machine had failed. */
	for (uint32_t i = 0; i < count; i++) {
		if (is_ours)
			(void)pidfd_send_signal(members[i], signal, NULL, 0);
		(void)close(members[i]);
	}
	const bool is_sent = is_ours && pidfd_send_signal(leader, signal, NULL, 0) == 0;
	(void)close(leader);
	return is_sent;
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
	process->boot_id = process_boot_id();
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
