/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds and times of the runtime. Tiny limits, a build for tests, make waiting and wrapping round
 * the rule. */
#ifndef TERN_RUNTIME_LIMITS_H
#define TERN_RUNTIME_LIMITS_H

#include "dataplane/cmdlog/cmdlog.h"
#include "dataplane/stripe/store.h"

#define RUNTIME_EVENTS_MAX   16u
#define RUNTIME_METAS_MAX    16u
#define RUNTIME_MGMT_POLL_NS 50000u
/* Of all readers together. Those of several devices need memory that can be decoded in, three times
 * as much with m = 2. */
#define RUNTIME_READS_ONE_DEVICE_MAX STRIPE_READS_MAX
#define RUNTIME_READS_DEVICES_MAX    8u
#define RUNTIME_QUIET_NS             200000u  /* without traffic */
#define RUNTIME_MEMORY_NS            5000000u /* after one memory command others may follow */
#define RUNTIME_WAKE_NS              2000000u /* without blocks so long, a peer may sleep deeply */
#define RUNTIME_WAKE_BEATS           4u       /* a peer unheard for so many beats wakes nobody */

/* What one turn does at most, and what may wait. */
#ifdef TERN_TINY_LIMITS
#define RUNTIME_READS_MAX            16u
#define RUNTIME_RX_BURSTS_MAX        1u
#define RUNTIME_TX_FRAMES_MAX        3u
#define RUNTIME_REQUESTS_MAX         5u
#define RUNTIME_FULL_BLOCKS_MAX      2u
#define RUNTIME_APPLY_COMMANDS_MAX   3u
#define RUNTIME_READER_PAGES         1u
#define RUNTIME_SCAN_ROWS            8u
#define RUNTIME_SCAN_GROUPS_MAX      2u
#define RUNTIME_DIVERGENT_BLOCKS_MAX 2u
#define RUNTIME_WINDOW_BLOCKS_MAX    8u
#define RUNTIME_STREAM_BYTES_MAX     (64u * 1024u)
#define FLOW_BURST_PAGES             8u
#define FLOW_PAGE_NS                 16000000u
#else
#define RUNTIME_READS_MAX            8192u
#define RUNTIME_RX_BURSTS_MAX        4u
#define RUNTIME_TX_FRAMES_MAX        64u
#define RUNTIME_REQUESTS_MAX         1024u /* of one channel */
#define RUNTIME_FULL_BLOCKS_MAX      8u    /* while all write groups are in flight */
#define RUNTIME_APPLY_COMMANDS_MAX   2048u
#define RUNTIME_READER_PAGES         64u  /* of a window, or one larger block */
#define RUNTIME_SCAN_ROWS            256u /* of each device in one read; more for large blocks */
#define RUNTIME_SCAN_GROUPS_MAX      64u
#define RUNTIME_DIVERGENT_BLOCKS_MAX 256u /* blocks of a tail named in one record */
#define RUNTIME_WINDOW_BLOCKS_MAX    4096u
#define RUNTIME_STREAM_BYTES_MAX     (4u * 1024u * 1024u)
#define FLOW_BURST_PAGES             1024u    /* written while a copy comes back, see flow.h */
#define FLOW_PAGE_NS                 1000000u /* and besides: 4 MB/s */
#endif

/* So long at most writes, and what is behind them, wait for a full log that is to be freed. */
#define RUNTIME_LOG_WAIT_NS 1000000000u

/* A checkpoint that another node fetches. A peer that lacks a part of the log is waited for up to
 * RUNTIME_LOG_KEPT of 16 parts of the area; then it goes, and that peer needs a checkpoint. */
#define RUNTIME_LOG_KEPT          14u
#define RUNTIME_TRANSFER_SHARE    4u             /* of the area, for what is written meanwhile */
#define RUNTIME_TRANSFER_PATIENCE 25u            /* times resend_ns without a part */
#define RUNTIME_TRANSFER_HOLD_NS  10000000000ull /* who fetched one may be starting anew from it */
#ifdef TERN_TINY_LIMITS
#define RUNTIME_TRANSFER_UNITS_MAX  3u /* asked for at once */
#define RUNTIME_TRANSFER_FRAMES_MAX 2u /* sent in a turn */
#else
#define RUNTIME_TRANSFER_UNITS_MAX  32u
#define RUNTIME_TRANSFER_FRAMES_MAX 16u
#endif

/* What making a device whole, and a scrub, take of the devices unless they are told otherwise. */
#define RUNTIME_REBUILD_BYTES_S (256u << 20)
#define RUNTIME_SCRUB_BYTES_S   (64u << 20)
/* What a deep verify may read. */
#define RUNTIME_DEEP_BYTES_PER_S (128u << 20)
#define RUNTIME_DEEP_RETRY_NS    1000000u /* when all reads are taken */

/* Bytes of requests that make a full block, whatever they are. */
#define RUNTIME_FULL_BLOCK_WAITING (2u * CMDLOG_BLOCK_BYTES_TARGET)

#endif
