/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv4 and IPv6 headers up to the transport header. Every function returns PYXDP_PASS_ALLOWED when policy should look at
 * the flow, otherwise the reason of its verdict.
 */
#ifndef PYXDP_PARSE_IP_H
#define PYXDP_PARSE_IP_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>

#include "parse_extensions.h"
#include "parse_transport.h"

#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_FRAGMENT_MASK 0x3fff /* the offset, and that more fragments follow */

/*
 * Transport part of a packet whose fragment offset is known, in units of 8 bytes. RFC 1858 and RFC 3128: a TCP fragment at
 * offset 8 would overwrite the flags and ports that were judged in the first one.
 */
static __always_inline enum pyxdp_reason parse_payload(struct cursor *cursor, struct flow *flow, __u32 fragment_offset,
						       __u32 length)
{
	if (!fragment_offset)
		return parse_transport(cursor, flow, length);
	if (flow->protocol == IPPROTO_TCP && fragment_offset == 1)
		return PYXDP_DROP_BAD_FRAGMENT;
	flow->is_fragment = true;
	flow->service = PYXDP_SERVICE_FRAGMENT << 16 | flow->protocol;
	return PYXDP_PASS_ALLOWED;
}

static __always_inline enum pyxdp_reason parse_ipv4(struct cursor *cursor, struct flow *flow)
{
	__u32 available = remaining(cursor), header_length, total;
	struct iphdr ip;

	if (!pull(cursor, &ip, sizeof(ip)))
		return PYXDP_DROP_SHORT_IP;
	if (ip.version != 4 || ip.ihl < 5)
		return PYXDP_DROP_BAD_IP;
	header_length = ip.ihl * 4;
	total = bpf_ntohs(ip.tot_len);
	/* An skb may be many segments merged into one, longer than its length field can say. */
	if (cursor->skb)
		total = cursor->skb->len;
	if (total > available || total < header_length)
		return PYXDP_DROP_SHORT_IP;
	if (header_length > sizeof(ip))
		skip(cursor, header_length - sizeof(ip));
	flow->family = 4;
	flow->protocol = ip.protocol;
	flow->is_plain = ip.ihl == 5 && !(ip.frag_off & bpf_htons(IPV4_FRAGMENT_MASK));
	flow->source.high = bpf_ntohl(ip.saddr);
	flow->destination.high = bpf_ntohl(ip.daddr);
	return parse_payload(cursor, flow, bpf_ntohs(ip.frag_off) & IPV4_OFFSET_MASK, total - header_length);
}

static __always_inline enum pyxdp_reason parse_ipv6(struct cursor *cursor, struct flow *flow)
{
	struct extensions extensions = {};
	struct ipv6hdr ip;
	__be64 words[4];
	__u32 length;

	if (!pull(cursor, &ip, sizeof(ip)))
		return PYXDP_DROP_SHORT_IP;
	if (ip.version != 6)
		return PYXDP_DROP_BAD_IP;
	length = cursor->skb ? cursor->skb->len - sizeof(ip) : bpf_ntohs(ip.payload_len);
	if (length > remaining(cursor))
		return PYXDP_DROP_SHORT_IP;
	__builtin_memcpy(words, &ip.saddr, sizeof(words));
	flow->family = 6;
	flow->protocol = ip.nexthdr;
	flow->is_plain = !is_extension(ip.nexthdr);
	flow->source.high = bpf_be64_to_cpu(words[0]);
	flow->source.low = bpf_be64_to_cpu(words[1]);
	flow->destination.high = bpf_be64_to_cpu(words[2]);
	flow->destination.low = bpf_be64_to_cpu(words[3]);
	if (is_extension(ip.nexthdr)) {
		extensions = walk_extensions(cursor, ip.nexthdr);
		if (extensions.reason != PYXDP_PASS_ALLOWED)
			return extensions.reason;
		if (extensions.length > length)
			return PYXDP_DROP_EXTENSIONS;
		skip(cursor, extensions.length);
		length -= extensions.length;
		flow->protocol = extensions.protocol;
	}
	return parse_payload(cursor, flow, extensions.fragment_offset, length);
}

#endif
