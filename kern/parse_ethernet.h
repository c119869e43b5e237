/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ethernet and VLAN tags, at XDP only: an skb in the raw table is at its network header already. */
#ifndef PYXDP_PARSE_ETHERNET_H
#define PYXDP_PARSE_ETHERNET_H

#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>

#include "cursor.h"

#define VLAN_ID_MASK 0x0fff

struct vlan_header {
	__be16 tci;
	__be16 protocol;
};

static __always_inline bool is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/*
 * Moves the cursor to the network header and stores its ethertype (network order). Returns PYXDP_PASS_ALLOWED when policy should look at
 * the packet, otherwise the reason of its verdict.
 *
 * A tag with VLAN 0 carries a priority only: the kernel hands the frame to this very interface, so it is judged like an
 * untagged one. Any other VLAN belongs to a sub-interface, which has a host endpoint of its own or none.
 */
static __always_inline enum pyxdp_reason parse_ethernet(struct cursor *cursor, __be16 *protocol)
{
	struct vlan_header tag;
	struct ethhdr ethernet;

	if (!pull(cursor, &ethernet, sizeof(ethernet)))
		return PYXDP_DROP_SHORT_ETHERNET;
	*protocol = ethernet.h_proto;
	for (int depth = 0; depth < 2 && is_vlan(*protocol); depth++) {
		if (!pull(cursor, &tag, sizeof(tag)))
			return PYXDP_DROP_SHORT_ETHERNET;
		if (tag.tci & bpf_htons(VLAN_ID_MASK))
			return PYXDP_PASS_VLAN;
		*protocol = tag.protocol;
	}
	return is_vlan(*protocol) ? PYXDP_DROP_VLAN_DEPTH : PYXDP_PASS_ALLOWED;
}

#endif
