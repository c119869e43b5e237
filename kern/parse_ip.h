/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv4 and IPv6 headers up to the transport header. Every function returns PYXDP_PASS_ALLOWED when policy should look at
 * the flow, otherwise the reason of its verdict.
 */
#ifndef PYXDP_PARSE_IP_H
#define PYXDP_PARSE_IP_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>

#include "parse_transport.h"

#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK 0x1fff
#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV6_OFFSET_SHIFT 3
#define IPV6_EXTENSIONS_MAX 8

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
		total = ~0U;
	if (total > available || total < header_length)
		return PYXDP_DROP_SHORT_IP;
	if (header_length > sizeof(ip))
		skip(cursor, header_length - sizeof(ip));
	flow->family = 4;
	flow->protocol = ip.protocol;
	flow->source.high = bpf_ntohl(ip.saddr);
	flow->destination.high = bpf_ntohl(ip.daddr);
	return parse_payload(cursor, flow, bpf_ntohs(ip.frag_off) & IPV4_OFFSET_MASK, total - header_length);
}

/* Two bytes that every IPv6 extension header begins with, and the fragment header whole. */
struct ipv6_extension {
	__u8 next;
	__u8 length; /* in units of 8 bytes beyond the first 8; AH: of 4 bytes beyond the first 8; fragment: reserved */
	__be16 fragment;
	__be32 identification;
};

static __always_inline bool is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_AH;
}

/*
 * Walks at most IPV6_EXTENSIONS_MAX headers, beginning with flow->protocol. Leaves the transport protocol there, the bytes behind the
 * headers in length, and the offset of the last fragment header, in units of 8 bytes.
 */
static __always_inline enum pyxdp_reason parse_extensions(struct cursor *cursor, struct flow *flow, __u32 *length,
							  __u32 *fragment_offset)
{
	struct ipv6_extension extension;
	__u32 size;

	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (!is_extension(flow->protocol) || *fragment_offset)
			return PYXDP_PASS_ALLOWED;
		if (!pull(cursor, &extension, sizeof(extension)))
			return PYXDP_DROP_EXTENSIONS;
		size = sizeof(extension);
		if (flow->protocol == IPPROTO_FRAGMENT)
			*fragment_offset = bpf_ntohs(extension.fragment) >> IPV6_OFFSET_SHIFT;
		else if (flow->protocol == IPPROTO_AH)
			size += extension.length * 4;
		else
			size += extension.length * 8;
		if (size > *length)
			return PYXDP_DROP_EXTENSIONS;
		skip(cursor, size - sizeof(extension));
		*length -= size;
		flow->protocol = extension.next;
	}
	return is_extension(flow->protocol) && !*fragment_offset ? PYXDP_DROP_EXTENSIONS : PYXDP_PASS_ALLOWED;
}

static __always_inline enum pyxdp_reason parse_ipv6(struct cursor *cursor, struct flow *flow)
{
	__u32 available, fragment_offset = 0, length;
	enum pyxdp_reason reason;
	struct ipv6hdr ip;
	__be64 words[4];

	if (!pull(cursor, &ip, sizeof(ip)))
		return PYXDP_DROP_SHORT_IP;
	if (ip.version != 6)
		return PYXDP_DROP_BAD_IP;
	available = remaining(cursor);
	length = cursor->skb ? ~0U : bpf_ntohs(ip.payload_len);
	if (length > available)
		return PYXDP_DROP_SHORT_IP;
	__builtin_memcpy(words, &ip.saddr, sizeof(words));
	flow->family = 6;
	flow->protocol = ip.nexthdr;
	flow->source.high = bpf_be64_to_cpu(words[0]);
	flow->source.low = bpf_be64_to_cpu(words[1]);
	flow->destination.high = bpf_be64_to_cpu(words[2]);
	flow->destination.low = bpf_be64_to_cpu(words[3]);
	reason = parse_extensions(cursor, flow, &length, &fragment_offset);
	if (reason != PYXDP_PASS_ALLOWED)
		return reason;
	/* A later fragment whose transport protocol is behind headers that only the first one has. */
	if (fragment_offset && is_extension(flow->protocol))
		return PYXDP_PASS_FRAGMENT;
	return parse_payload(cursor, flow, fragment_offset, length);
}

#endif
