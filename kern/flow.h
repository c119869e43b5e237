/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What parsing yields. Nothing behind the parsers sees a context or a packet byte. Handed over whole to early drop. */
#ifndef PYXDP_FLOW_H
#define PYXDP_FLOW_H

#include <linux/types.h>
#include <stdbool.h>

#include "pyxdp/abi.h"

/* An address in host order: IPv4 in the low 32 bits of high with low == 0, IPv6 as two 64-bit halves. */
struct address {
	__u64 high;
	__u64 low;
};

struct flow {
	struct address source;
	struct address destination;
	__u32 service;    /* enum pyxdp_service << 16 | destination port, ICMP type << 8 | code, or protocol number */
	__u32 length;     /* bytes, see struct pyxdp_counter */
	__u16 sport;      /* host order; 0 without ports */
	__u8 family;      /* 4 or 6 */
	__u8 protocol;    /* of the transport header */
	bool has_ports;   /* sport is a port of this packet */
	bool is_fragment; /* not the first fragment: neither ports nor ICMP type are known */
	bool is_plain;    /* no fragment at all, and nothing between the IP header and the transport header */
};

#endif
