/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a TCP connection within this process. */
#ifndef TERN_TESTS_SUPPORT_TCP_END_H
#define TERN_TESTS_SUPPORT_TCP_END_H

/* Fails unless whoever accepted the connection of @client, an IPv4 socket, lets the kernel look
 * after it (platform_tcp_watch). */
void tcp_end_check_watched(int client);

#endif
