/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbour discovery (RFC 4861): what ARP is to IPv4. */
#include <string.h>

#include "dataplane/wire/inet.h"
#include "dataplane/wire/inet_bytes.h"

#define IP_PROTOCOL_ICMP6   58u
#define HOP_LIMIT           255u /* nothing that was routed has it */
#define ICMP6_SOLICITATION  135u
#define ICMP6_ADVERTISEMENT 136u
#define ICMP6_ND_BYTES      24u /* header and target */
#define OPTION_SOURCE_LINK  1u
#define OPTION_TARGET_LINK  2u
#define OPTION_LINK_BYTES   8u
#define FLAG_SOLICITED      0x40u
#define FLAG_OVERRIDE       0x20u
#define IP6_MULTICAST       0xffu
#define CHECKSUM_AT         2u

struct inet_addr
inet_nd_group(const struct inet_addr *ip)
{
	struct inet_addr group = { { IP6_MULTICAST, 0x02, [11] = 1, [12] = 0xff } };

	memcpy(group.bytes + 13, ip->bytes + 13, 3);
	return group;
}

void
inet_nd_group_mac(const struct inet_addr *group, uint8_t mac[INET_MAC_BYTES])
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group->bytes + 12, 4);
}

void
inet_nd_encode(uint8_t *out, const struct inet_nd *nd)
{
	uint8_t *ip = out + ETHER_HDR_BYTES;
	uint8_t *icmp = ip + IP6_HDR_BYTES;
	uint8_t *option = icmp + ICMP6_ND_BYTES;

	memset(out, 0, INET_ND_BYTES);
	memcpy(out, nd->mac_to, INET_MAC_BYTES);
	memcpy(out + 6, nd->mac_from, INET_MAC_BYTES);
	inet_put16(out + 12, ETHER_TYPE_IPV6);
	ip[0] = 6u << 4;
	inet_put16(ip + 4, ICMP6_ND_BYTES + OPTION_LINK_BYTES);
	ip[6] = IP_PROTOCOL_ICMP6;
	ip[7] = HOP_LIMIT;
	memcpy(ip + 8, nd->ip_from.bytes, INET_ADDR_BYTES);
	memcpy(ip + 24, nd->ip_to.bytes, INET_ADDR_BYTES);
	icmp[0] = nd->is_solicitation ? ICMP6_SOLICITATION : ICMP6_ADVERTISEMENT;
	if (!nd->is_solicitation)
		icmp[4] = (uint8_t)(FLAG_OVERRIDE | (nd->is_solicited ? FLAG_SOLICITED : 0));
	memcpy(icmp + 8, nd->target.bytes, INET_ADDR_BYTES);
	option[0] = nd->is_solicitation ? OPTION_SOURCE_LINK : OPTION_TARGET_LINK;
	option[1] = OPTION_LINK_BYTES / 8;
	memcpy(option + 2, nd->link, INET_MAC_BYTES);
	const uint16_t sum =
	    (uint16_t)~inet_sum_ip6(ip, IP_PROTOCOL_ICMP6, ICMP6_ND_BYTES + OPTION_LINK_BYTES);
	memcpy(icmp + CHECKSUM_AT, &sum, sizeof(sum));
}

/* Finds the link-layer option among @bytes of options. False: one has no length, or is cut off. */
static bool
options_read(const uint8_t *option, uint32_t bytes, struct inet_nd *nd)
{
	const uint8_t wanted = nd->is_solicitation ? OPTION_SOURCE_LINK : OPTION_TARGET_LINK;

	for (uint32_t at = 0; at < bytes;) {
		const uint32_t length = bytes - at < 2 ? 0 : option[at + 1] * 8u;
		if (length == 0 || length > bytes - at)
			return false;
		if (option[at] == wanted && length == OPTION_LINK_BYTES && !nd->has_link) {
			nd->has_link = true;
			memcpy(nd->link, option + at + 2, INET_MAC_BYTES);
		}
		at += length;
	}
	return true;
}

enum tern_err
inet_nd_decode(const uint8_t *packet, uint32_t bytes, struct inet_nd *nd)
{
	const uint8_t *ip = packet + ETHER_HDR_BYTES;
	const uint8_t *icmp = ip + IP6_HDR_BYTES;

	memset(nd, 0, sizeof(*nd));
	if (bytes < ETHER_HDR_BYTES + IP6_HDR_BYTES + 8 ||
	    inet_get16(packet + 12) != ETHER_TYPE_IPV6 || ip[0] >> 4 != 6 ||
	    ip[6] != IP_PROTOCOL_ICMP6 ||
	    (icmp[0] != ICMP6_SOLICITATION && icmp[0] != ICMP6_ADVERTISEMENT))
		return TERN_ERR_UNSUPPORTED;
	const uint32_t icmp_bytes = inet_get16(ip + 4);
	if (icmp_bytes < ICMP6_ND_BYTES || icmp_bytes > bytes - ETHER_HDR_BYTES - IP6_HDR_BYTES ||
	    ip[7] != HOP_LIMIT || icmp[1] != 0 ||
	    inet_sum_ip6(ip, IP_PROTOCOL_ICMP6, icmp_bytes) != UINT16_MAX)
		return TERN_ERR_MALFORMED;
	nd->is_solicitation = icmp[0] == ICMP6_SOLICITATION;
	nd->is_solicited = !nd->is_solicitation && (icmp[4] & FLAG_SOLICITED) != 0;
	memcpy(nd->mac_to, packet, INET_MAC_BYTES);
	memcpy(nd->mac_from, packet + 6, INET_MAC_BYTES);
	memcpy(nd->ip_from.bytes, ip + 8, INET_ADDR_BYTES);
	memcpy(nd->ip_to.bytes, ip + 24, INET_ADDR_BYTES);
	memcpy(nd->target.bytes, icmp + 8, INET_ADDR_BYTES);
	const bool is_multicast = nd->ip_to.bytes[0] == IP6_MULTICAST;
	const struct inet_addr group = inet_nd_group(&nd->target);
	if (!options_read(icmp + ICMP6_ND_BYTES, icmp_bytes - ICMP6_ND_BYTES, nd) ||
	    nd->target.bytes[0] == IP6_MULTICAST || (nd->is_solicited && is_multicast))
		return TERN_ERR_MALFORMED;
	/* Who has no address yet may ask only in the group, and has nothing to tell. */
	if (nd->is_solicitation && inet_addr_is_none(&nd->ip_from) &&
	    (nd->has_link || !inet_addr_equal(&nd->ip_to, &group)))
		return TERN_ERR_MALFORMED;
	return TERN_OK;
}
