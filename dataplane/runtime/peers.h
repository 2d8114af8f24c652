/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other nodes, as this one knows them, and the core's messages to them; private to this room.
 *
 * A data peer has a slot, its position among the other data nodes in id order: streams, their
 * readers and heartbeats are kept by it.
 */
#ifndef TERN_RUNTIME_PEERS_H
#define TERN_RUNTIME_PEERS_H

#include <stdbool.h>
#include <stdint.h>

struct core_effect;
struct runtime;

uint32_t peers_slot(const struct runtime *rt, uint16_t node); /* UINT32_MAX: no data peer */
/* A node may be none of the voters, but its node file has to name them, and the witness. */
bool peers_are_known(const struct runtime *rt, uint64_t voters, uint16_t witness_id);
/* What all voters hold durably, as far as this node knows as master; otherwise 0. Nobody waits for
 * learners: one that is away would keep the whole log. */
uint64_t peers_common_index(const struct runtime *rt);
/* SEND. An acknowledgement of blocks is kept for the end of the turn. */
void peers_send(struct runtime *rt, const struct core_effect *effect);
/* Sends the acknowledgement that is kept, with the credit of now. */
void peers_acknowledge(struct runtime *rt);

#endif
