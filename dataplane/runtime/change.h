/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that change who the cluster is made of, or who leads it; private to this room. Each is
 * answered at once: what it asks for has begun, or why it cannot.
 */
#ifndef TERN_RUNTIME_CHANGE_H
#define TERN_RUNTIME_CHANGE_H

#include <stdint.h>

struct runtime;
struct submit_request;

/* SUBMIT_CHANGE. Seals a CONFIG block and takes it at once: nothing can come between the judgement
 * and it. No block is open (INVARIANT). */
void change_members(struct runtime *rt, uint32_t channel, const struct submit_request *request);
/* SUBMIT_TRANSFER: mastership goes to another node. No block is open. */
void change_transfer(struct runtime *rt, uint32_t channel, const struct submit_request *request);
/* SUBMIT_FORCE: a person says that this node alone is the cluster from now on, see force.h. */
void change_force(struct runtime *rt, uint32_t channel, const struct submit_request *request);

#endif
