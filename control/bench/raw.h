/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of this machine, measured through the adapters that the daemons use: the device
 * (hw/nvme_uring, O_DIRECT and RWF_DSYNC) with several writers at once, and the port (hw/nic_dpdk,
 * net_memif between two processes), which a program of its own measures because it needs DPDK.
 */
#ifndef TERN_BENCH_RAW_H
#define TERN_BENCH_RAW_H

#include "control/bench/bench.h"
#include "control/bench/scratch.h"

#define BENCH_WRITERS_MAX    4u
#define BENCH_SMALL_BYTES    4096u
#define BENCH_LARGE_BYTES    (256u * 1024u)
#define BENCH_LARGE_DEPTH    4u /* large writes in flight, a writer */
#define BENCH_FRAME_SHORT    64u
#define BENCH_FRAME_LONG     1400u
#define BENCH_FRAME_JUMBO    9014u
#define BENCH_PORT_MS_MAX    60000u
#define BENCH_PORT_HDR_BYTES 42u /* Ethernet, IPv4, UDP: part of a frame's length */

/* Files of the measurement, one a writer, zero-written below a directory. */
struct bench_disk {
	uint32_t writers;
	const char *directory;
	struct bench_scratch files[BENCH_WRITERS_MAX];
};

struct bench_disk_result {
	struct histogram small;    /* 4 KiB, one in flight a writer; all writers together */
	double small_writes_per_s; /* all writers */
	double large_bytes_per_s;  /* 256 KiB sequential, all writers */
	char mode[64];             /* what the adapter says of itself */
};

/* Makes the files. Borrows @directory until bench_disk_close. False: @text says why; nothing is
 * left. */
bool bench_disk_open(struct bench_disk *disk, const char *directory, uint32_t writers, char *text,
		     size_t text_bytes);
/* Measures both for @duration_ns each. False: @text says why. */
bool bench_disk_measure(const struct bench_disk *disk, uint64_t duration_ns,
			struct bench_disk_result *result, char *text, size_t text_bytes);
/* Removes the files. */
void bench_disk_close(struct bench_disk *disk);

struct bench_port_result {
	double short_frames_per_s, long_frames_per_s, jumbo_frames_per_s; /* one way, received */
	double short_p50_ns, short_p99_ns;                                /* round trips */
	double long_p50_ns, long_p99_ns;
	uint32_t late; /* round trips of over 20 ms: given up, and counted with what they waited */
};

/* Runs @program (tern-bench-port), which measures each of five things for @duration_ns, at most
 * BENCH_PORT_MS_MAX. False: @text says why, also where nothing came through. */
bool bench_port_measure(const char *program, uint64_t duration_ns, struct bench_port_result *result,
			char *text, size_t text_bytes);

#endif
