/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the program that measures the port and reads what it says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/bench/raw.h"

#define ANSWER_BYTES 4096u

static double
number(const json_t *answer, const char *key)
{
	return json_number_value(json_object_get(answer, key));
}

static void
exec_program(const char *program, uint64_t duration_ns, int out)
{
	char ms[24];

	(void)snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(duration_ns / 1000000));
	if (dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
		(void)execl(program, program, ms, (char *)NULL);
	_exit(127);
}

/* All that the program writes, at most ANSWER_BYTES - 1. */
static void
read_answer(int fd, char answer[ANSWER_BYTES])
{
	size_t used = 0;

	while (used < ANSWER_BYTES - 1) {
		const ssize_t got = read(fd, answer + used, ANSWER_BYTES - 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	answer[used] = '\0';
}

bool
bench_port_measure(const char *program, uint64_t duration_ns, struct bench_port_result *result,
		   char *text, size_t text_bytes)
{
	char bytes[ANSWER_BYTES];
	int ends[2], status = 0;

	if (pipe(ends) != 0) {
		(void)snprintf(text, text_bytes, "no pipe: %s", strerror(errno));
		return false;
	}
	(void)fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0)
		exec_program(program, duration_ns, ends[1]);
	(void)close(ends[1]);
	read_answer(ends[0], bytes);
	(void)close(ends[0]);
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	json_t *answer = json_loads(bytes, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer == NULL) {
		(void)snprintf(text, text_bytes, "the port cannot be measured: %s",
			       error != NULL ? error : "tern-bench-port said nothing");
		json_decref(answer);
		return false;
	}
	*result = (struct bench_port_result){
		.short_frames_per_s = number(answer, "short_frames_per_s"),
		.long_frames_per_s = number(answer, "long_frames_per_s"),
		.jumbo_frames_per_s = number(answer, "jumbo_frames_per_s"),
		.short_p50_ns = number(answer, "short_p50_ns"),
		.short_p99_ns = number(answer, "short_p99_ns"),
		.long_p50_ns = number(answer, "long_p50_ns"),
		.long_p99_ns = number(answer, "long_p99_ns"),
		.late = (uint32_t)number(answer, "late"),
	};
	json_decref(answer);
	return true;
}
