/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that we started and may end. One is named by its pid, its start time (field 22 of
 * /proc/PID/stat) and the boot of the kernel, because pids are used again, and start times after a
 * reboot: a process that differs in one of them is never signalled. Signals go through pidfds that
 * were opened before the names were compared, so that they reach the process that was looked at.
 */
#ifndef TERN_CLI_PROCESS_H
#define TERN_CLI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;           /* 0: none */
	uint64_t start_time; /* clock ticks since boot */
	uint64_t boot_id;    /* of the kernel's boot; 0: not recorded, any */
};

enum process_state { PROCESS_DEAD = 0, PROCESS_RUNNING, PROCESS_STOPPED };

/* What /proc says of @pid; false: no such process. @letter: 'R', 'S', 'T', 'Z', ... */
bool process_stat(pid_t pid, char *letter, uint64_t *start_time);
/* The first 64 bits of the kernel's random boot id; 0: it says none. */
uint64_t process_boot_id(void);
/* DEAD also for a zombie, and for another process under the same pid. */
enum process_state process_state_of(const struct process *process);
/* Signals the process and its group when it is the recorded one; false: it is not, nothing was
 * signalled. */
bool process_signal(const struct process *process, int signal);
/* Waits until it is DEAD; false: @timeout_ms passed first. Reaps it when it is a child. */
bool process_wait(const struct process *process, uint32_t timeout_ms);
/* The program @name of ours: beside this one, or where the build puts it; false: nowhere. */
bool process_find(const char *name, char *out, size_t out_bytes);
/* Where a process starts and what it is given. */
struct process_place {
	int netns_fd; /* network namespace that it enters; -1: ours */
	/* Become its descriptors PROCESS_PASSED_FD and the next; -1: none. */
	int passed_fds[2];
};
#define PROCESS_PASSED_FD 3

/* Starts @argv[0] in a session of its own, with stdout and stderr appended to @log. False: @text
 * says why (also when the program cannot be executed). */
bool process_spawn(const char *const *argv, const char *log, struct process *process, char *text,
		   size_t text_bytes);
/* The same at @place, whose descriptors stay the caller's. */
bool process_spawn_at(const char *const *argv, const char *log, const struct process_place *place,
		      struct process *process, char *text, size_t text_bytes);

#endif
