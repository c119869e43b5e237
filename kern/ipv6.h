/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The class of an IPv6 address: a walk through blocks of one cache line each, see enum pyxdp_ipv6_entry. */
#ifndef PYXDP_IPV6_H
#define PYXDP_IPV6_H

#include "maps.h"

#define MISS 0xffffffffU

/* 1 if key is at or behind start, else 0: the borrow of key - start, without a branch that would be guessed wrongly. */
static __always_inline __u32 has_reached(__u64 start, __u64 key)
{
	return 1 - (((~key & start) | ((~key | start) & (key - start))) >> 63);
}

/* Which value of cuts is a key's. */
static __always_inline __u32 place_in_cuts(const struct pyxdp_cuts *cuts, __u64 key)
{
	return has_reached(cuts->start[0], key) + has_reached(cuts->start[1], key) + has_reached(cuts->start[2], key) +
	       has_reached(cuts->start[3], key);
}

/*
 * base: the first block of the slot. none: 0, the bits of a key that are used up at its beginning. As an argument it is any number to the
 * verifier, like every sum that it is part of; it would follow each value that it knew through all the loop. Global and with numbers
 * as arguments only, so that the verifier looks at it once, and so on kernels before 5.12 too.
 */
__noinline __u32 pyxdp_class_of_ipv6(__u32 base, __u64 high, __u64 low, __u32 none)
{
	__u32 used = none, block = base, place = 0, bits, entry;
	const struct pyxdp_cuts *cuts;
	const struct pyxdp_fan *fan;
	__u64 key = high;

	fan = bpf_map_lookup_elem(&pyxdp_ipv6, &base);
	if (!fan)
		return MISS;
	entry = fan->entry[0];
	for (int i = 0; i < PYXDP_IPV6_STEPS && !(entry & PYXDP_LEAF); i++) {
		if (entry & PYXDP_IPV6_LOWER) {
			key = low;
			used = none;
		}
		bits = entry >> PYXDP_IPV6_BITS_SHIFT & PYXDP_IPV6_BITS_MASK;
		block = base + (entry & PYXDP_IPV6_BLOCK_MASK);
		if (bits) {
			place = key << (used & 63) >> (64 - bits);
			used += bits;
			block += place / PYXDP_BLOCK_ENTRIES;
		}
		fan = bpf_map_lookup_elem(&pyxdp_ipv6, &block);
		if (!fan)
			return MISS;
		if (bits) {
			entry = fan->entry[place % PYXDP_BLOCK_ENTRIES];
			continue;
		}
		cuts = (const struct pyxdp_cuts *)fan;
		place = place_in_cuts(cuts, key);
		if (place > PYXDP_BLOCK_CUTS)
			return MISS; /* never; for the verifier */
		entry = cuts->value[place];
		used = none + cuts->used[place];
	}
	return entry & PYXDP_LEAF ? entry : MISS;
}

#endif
