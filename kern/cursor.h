/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One way to read headers from the two kinds of packet there are: direct access at XDP, bpf_skb_load_bytes() in netfilter
 * (socket filters may not touch packet memory). Everything is inlined and skb is a compile-time NULL or not, so that each
 * program keeps only its own half.
 *
 * At every hook of netfilter, those of packets that this host sends included, an skb begins with its network header. It may have no
 * link-layer header, and its transport header may be in a page fragment (AF_PACKET rings, taps), where the relative variant of the helper
 * does not look.
 */
#ifndef PYXDP_CURSOR_H
#define PYXDP_CURSOR_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "flow.h"

/*
 * What clang may believe of the alignment of headers. They have none, but the verifier knows whether the machine minds; without
 * this every field would be read byte by byte.
 */
#define ALIGNMENT 8

struct cursor {
	struct xdp_md *xdp;
	void *start;    /* XDP: first byte of the frame */
	void *position; /* XDP: next byte */
	void *end;      /* XDP: behind the last byte */
	struct __sk_buff *skb;
	__u32 offset; /* skb: next byte, counted from the network header */
};

static __always_inline struct cursor xdp_cursor(struct xdp_md *xdp)
{
	void *start = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;

	return (struct cursor){ .xdp = xdp, .start = start, .position = start, .end = end };
}

static __always_inline struct cursor skb_cursor(struct __sk_buff *skb)
{
	if (!skb)
		__builtin_unreachable(); /* clang then drops what is for XDP */
	return (struct cursor){ .skb = skb };
}

/* Copies the next size bytes and moves past them; false if the packet has fewer. size is a constant. */
static __always_inline bool pull(struct cursor *cursor, void *to, __u32 size)
{
	if (cursor->skb) {
		if (bpf_skb_load_bytes(cursor->skb, cursor->offset, to, size))
			return false;
		cursor->offset += size;
		return true;
	}
	if (cursor->position + size > cursor->end)
		return false;
	__builtin_memcpy(to, __builtin_assume_aligned(cursor->position, ALIGNMENT), size);
	cursor->position += size;
	return true;
}

/* Moves past count bytes that nobody reads; the next pull() finds out whether they are there. count < 2^15. */
static __always_inline void skip(struct cursor *cursor, __u32 count)
{
	if (cursor->skb)
		cursor->offset += count;
	else
		cursor->position += count & 0x7fff; /* the verifier wants a bounded offset */
}

/* Bytes from here to the end of an XDP frame; what the kernel has already checked in an skb. */
static __always_inline __u32 remaining(const struct cursor *cursor)
{
	return cursor->skb ? ~0U : (__u32)(cursor->end - cursor->position);
}

#endif
