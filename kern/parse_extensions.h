/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv6 extension headers. Few packets have any, so the walk is a function of its own, global and verified once: inlined, each
 * of its exits would make the verifier go through everything that follows again.
 */
#ifndef PYXDP_PARSE_EXTENSIONS_H
#define PYXDP_PARSE_EXTENSIONS_H

#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_endian.h>

#include "cursor.h"

#define EXTENSIONS_MAX 8
#define EXTENSION_REST_MASK 0x7ff /* the longest is 255 * 8 */
#define FRAGMENT_OFFSET_SHIFT 3

/* What every extension header begins with, and the fragment header whole. */
struct extension_header {
	__u8 next;
	__u8 length; /* in units of 8 bytes beyond the first 8; AH: of 4 bytes; fragment: reserved */
	__be16 fragment;
	__be32 identification;
};

/* Result of the walk; fits a register, because that is all that a global function can return. */
struct extensions {
	__u8 reason;           /* PYXDP_PASS_ALLOWED, or the packet's final reason */
	__u8 protocol;         /* of the header behind the chain */
	__u16 fragment_offset; /* in units of 8 bytes; 0: whole, or the first fragment */
	__u32 length;          /* of the chain in bytes */
};

union packed_extensions {
	struct extensions extensions;
	__u64 packed;
};

static __always_inline bool is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_AH;
}

static __always_inline __u32 extension_length(__u8 protocol, __u8 units)
{
	if (protocol == IPPROTO_FRAGMENT)
		return sizeof(struct extension_header);
	return sizeof(struct extension_header) + units * (protocol == IPPROTO_AH ? 4 : 8);
}

static __always_inline __u64 walk_chain(struct cursor *cursor, __u8 protocol)
{
	union packed_extensions result = { .extensions = { .reason = PYXDP_DROP_EXTENSIONS } };
	struct extensions *extensions = &result.extensions;
	struct extension_header header;
	__u32 length, rest;

	for (int i = 0; i < EXTENSIONS_MAX && is_extension(protocol); i++) {
		if (!pull(cursor, &header, sizeof(header)))
			return result.packed;
		length = extension_length(protocol, header.length);
		rest = length - sizeof(header);
		/* clang would drop a mask that is of no use but to verifiers before Linux 6.2 */
		asm volatile("" : "+r"(rest));
		skip(cursor, rest & EXTENSION_REST_MASK);
		extensions->length += length;
		extensions->protocol = header.next;
		if (protocol == IPPROTO_FRAGMENT)
			extensions->fragment_offset = bpf_ntohs(header.fragment) >> FRAGMENT_OFFSET_SHIFT;
		protocol = header.next;
		if (extensions->fragment_offset)
			break;
	}
	/* A later fragment whose transport protocol is behind headers that only the first one has: that one decides. */
	if (!is_extension(protocol))
		extensions->reason = PYXDP_PASS_ALLOWED;
	else if (extensions->fragment_offset)
		extensions->reason = PYXDP_PASS_FRAGMENT;
	return result.packed;
}

/* offset: of the first extension header from the start of the frame. */
__noinline __u64 pyxdp_xdp_extensions(struct xdp_md *ctx, __u32 offset, __u8 protocol)
{
	struct cursor cursor = xdp_cursor(ctx);

	skip(&cursor, offset);
	return walk_chain(&cursor, protocol);
}

/* offset: of the first extension header from the network header. */
__noinline __u64 pyxdp_skb_extensions(struct __sk_buff *skb, __u32 offset, __u8 protocol)
{
	struct cursor cursor = skb_cursor(skb);

	skip(&cursor, offset);
	return walk_chain(&cursor, protocol);
}

/* The chain that begins at the cursor with a header of this protocol. The cursor stays. */
static __always_inline struct extensions walk_extensions(struct cursor *cursor, __u8 protocol)
{
	union packed_extensions result;

	if (cursor->skb)
		result.packed = pyxdp_skb_extensions(cursor->skb, cursor->offset, protocol);
	else
		result.packed = pyxdp_xdp_extensions(cursor->xdp, cursor->position - cursor->start, protocol);
	return result.extensions;
}

#endif
