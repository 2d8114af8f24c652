/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program takes from the operating system: memory maps, clocks, pinning, random seeds,
 * the one way to write a line for people, and the lock that keeps a second process off a node's
 * files. It also supplies tern_invariant_failed to the programs (one line to stderr, then abort).
 *
 * Promises: nothing here allocates from the heap; every map is made once at start-up.
 * Threads: clocks and platform_random_u64 may be used by any thread; platform_diag by control
 * threads only, never by a data lcore; the rest at start-up.
 */
#ifndef TERN_HW_PLATFORM_PLATFORM_H
#define TERN_HW_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "hw/seam/clock_ops.h"

#define PLATFORM_PAGE_BYTES 4096u

/* Memory that is mapped twice in a row: ring[i] and ring[i + bytes] are the same byte, so that what
 * wraps around stays contiguous. @bytes: a multiple of PLATFORM_PAGE_BYTES. Zeroed. NULL: no
 * memory. */
uint8_t *platform_ring_map(size_t bytes);
void platform_ring_unmap(uint8_t *ring, size_t bytes);

/* Zeroed, page-aligned memory that is populated now, so that a data lcore takes no page fault
 * later.
 * @bytes is rounded up to whole pages. NULL: no memory. */
void *platform_arena_map(size_t bytes);
/* The same, populated page by page when it is used: for development, where starts are many and most
 * of the memory is never needed. Too little memory shows late. */
void *platform_arena_map_lazily(size_t bytes);
void platform_arena_unmap(void *arena, size_t bytes);

/* CLOCK_BOOTTIME, which goes on while the machine is suspended, so that a master that was has no
 * lease, and CLOCK_REALTIME. */
struct clock_port platform_clock(void);
uint64_t platform_monotonic_ns(void);
uint64_t platform_wall_ns(void);
/* Cycles of the time stamp counter: for measuring, never for deciding. */
static inline uint64_t
platform_cycles(void)
{
	return __builtin_ia32_rdtsc();
}

/* Pins the calling thread to @cpu. CONFIG: no such CPU, or not ours to use. */
TERN_CHECKED enum tern_err platform_pin_thread(uint32_t cpu);
/* CPUs that this process may use now; at least 1. */
uint32_t platform_cpu_count(void);

/* Lets this process, and those that it begins later, have as many descriptors open as the system
 * allows it at most, and says how many that are. Before any thread is made. */
uint64_t platform_descriptors_raise(void);

/* Blocks the signals that end a process, and gives a descriptor for them; SIGPIPE is ignored.
 * Before any thread is made, so that all inherit the mask. -1: errno says why. */
int platform_signal_fd(void);

/* From the kernel's generator; for seeds, cluster ids. Ends the process when there is none. */
uint64_t platform_random_u64(void);

/* Error: someone must act. Info: role and membership changes, start and stop. */
enum platform_level { PLATFORM_ERROR = 1, PLATFORM_WARNING, PLATFORM_INFO };

/* One line to stderr in one write: `<monotonic seconds> <level> <text>`, where the text is
 * `event key=value ...`. Longer than 1000 bytes is cut. Control characters become '?'. */
__attribute__((format(printf, 2, 3))) void
platform_diag(enum platform_level level, const char *format, ...);

/* Creates @path if need be and locks it for this process's life (or until @fd is closed).
 * BUSY: another process holds it. IO: it cannot be created or opened. */
TERN_CHECKED enum tern_err platform_file_lock(const char *path, int *fd);

/* Takes the inherited socket whose number is @text: a listening one if @kind is SOCK_STREAM, else
 * one of that @kind. It does not block and is not inherited further. False: there is no such
 * socket. */
bool platform_take_socket(const char *text, int kind, int *fd);

#define PLATFORM_TCP_GONE_S 120

/* For the accepted connection @fd of a client: small replies leave at once, and the kernel ends the
 * connection when its peer is gone without a word, or has taken nothing of what was sent to it, for
 * PLATFORM_TCP_GONE_S. What the socket cannot do is left out. */
void platform_tcp_watch(int fd);

/* Makes the name @path durable: flushes the directory that holds it. IO; TOO_LARGE: over 4000
 * bytes. */
TERN_CHECKED enum tern_err platform_directory_sync(const char *path);

/* Makes the directory @path, and what is missing above it; what is there stays as it is. IO: errno
 * says why; TOO_LARGE: over 4000 bytes. */
TERN_CHECKED enum tern_err platform_directory_make(const char *path);

#endif
