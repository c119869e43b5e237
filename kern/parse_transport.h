/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Transport headers: only what policy matches, but the header must be there whole. */
#ifndef PYXDP_PARSE_TRANSPORT_H
#define PYXDP_PARSE_TRANSPORT_H

#include <linux/in.h>

#include <bpf/bpf_endian.h>

#include "cursor.h"

/* Lengths of headers without options, in bytes. A first fragment that is shorter is refused (RFC 1858, RFC 7112). */
enum transport_length {
	TCP_LENGTH = 20,
	UDP_LENGTH = 8, /* UDPLite too */
	SCTP_LENGTH = 12,
	ICMP_LENGTH = 8, /* ICMPv6 too */
};

/* The first four bytes of TCP, UDP, UDPLite and SCTP; those of ICMP are type, code, checksum. */
struct ports {
	__be16 source;
	__be16 destination;
};

static __always_inline enum pyxdp_service service_of(__u8 protocol, __u32 *header_length)
{
	switch (protocol) {
	case IPPROTO_TCP:
		*header_length = TCP_LENGTH;
		return PYXDP_SERVICE_TCP;
	case IPPROTO_UDP:
		*header_length = UDP_LENGTH;
		return PYXDP_SERVICE_UDP;
	case IPPROTO_SCTP:
		*header_length = SCTP_LENGTH;
		return PYXDP_SERVICE_SCTP;
	case IPPROTO_UDPLITE:
		*header_length = UDP_LENGTH;
		return PYXDP_SERVICE_UDPLITE;
	case IPPROTO_ICMP:
		*header_length = ICMP_LENGTH;
		return PYXDP_SERVICE_ICMP;
	case IPPROTO_ICMPV6:
		*header_length = ICMP_LENGTH;
		return PYXDP_SERVICE_ICMPV6;
	default:
		return PYXDP_SERVICE_OTHER;
	}
}

/* length: bytes that the IP header leaves for the transport header and its payload. */
static __always_inline enum pyxdp_reason parse_transport(struct cursor *cursor, struct flow *flow, __u32 length)
{
	__u32 header_length = 0;
	enum pyxdp_service service = service_of(flow->protocol, &header_length);
	struct ports ports;

	if (service == PYXDP_SERVICE_OTHER) {
		flow->service = PYXDP_SERVICE_OTHER << 16 | flow->protocol;
		return PYXDP_PASS_ALLOWED;
	}
	/* The IP length was held against the frame already: what it promises is there. */
	if (length < header_length || !pull(cursor, &ports, sizeof(ports)))
		return PYXDP_DROP_SHORT_L4;
	flow->service = service << 16 | bpf_ntohs(ports.destination);
	if (service == PYXDP_SERVICE_ICMP || service == PYXDP_SERVICE_ICMPV6) {
		flow->service = service << 16 | bpf_ntohs(ports.source); /* type << 8 | code */
		return PYXDP_PASS_ALLOWED;
	}
	flow->sport = bpf_ntohs(ports.source);
	flow->has_ports = true;
	return PYXDP_PASS_ALLOWED;
}

#endif
