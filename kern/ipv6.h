/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The class of an IPv6 address: a walk through blocks of one cache line each, see enum pyxdp_ipv6_entry. */
#ifndef PYXDP_IPV6_H
#define PYXDP_IPV6_H

#include "maps.h"

#define MISS 0xffffffffU

/* -1 if key is before start, else 0; without a branch that would be guessed wrongly. No cuts are of more than 2^63 keys. */
static __always_inline __s64 is_before(__u64 start, __u64 key)
{
	return (__s64)(key - start) >> 63;
}

/* Which value of cuts is a key's. */
static __always_inline __u64 place_in_cuts(const struct pyxdp_cuts *cuts, __u64 key)
{
	return PYXDP_BLOCK_CUTS + is_before(cuts->start[0], key) + is_before(cuts->start[1], key) +
	       is_before(cuts->start[2], key) + is_before(cuts->start[3], key);
}

/* What cuts lead a key to: the entry in the lower half, the bits of the key that are used up in the upper half; MISS if there is no such block. */
static __always_inline __u64 cut(__u32 block, __u64 key)
{
	const struct pyxdp_cuts *cuts = bpf_map_lookup_elem(&pyxdp_ipv6, &block);
	__u64 place;

	if (!cuts)
		return MISS;
	place = place_in_cuts(cuts, key);
	/* clang knows that it is 4 at most and would leave the mask out, without which verifiers of 2021 know no bound. */
	asm volatile("" : "+r"(place));
	place &= 7;
	return (__u64)cuts->used[place] << 32 | ((const struct pyxdp_fan *)cuts)->entry[2 * PYXDP_BLOCK_CUTS + place];
}

/*
 * The walk behind the first block. at: the first block of the slot in the upper half, an entry in the lower half. used: bits of the key that
 * are used up. none: 0; as an argument it is any number to the verifier, and so is every sum with it: all ways through the loop look
 * alike. Global and with numbers as arguments only, so that the verifier looks at it once, and so on kernels before 5.12 too.
 */
__noinline __u32 pyxdp_walk_ipv6(__u64 at, __u64 high, __u64 low, __u64 used, __u64 none)
{
	__u32 base = at >> 32, entry = at, block, bits;
	const struct pyxdp_fan *fan;
	__u64 key = high, place;

	for (__u64 i = 1; i < PYXDP_IPV6_STEPS; i++) {
		if (entry & PYXDP_IPV6_LOWER) {
			key = low;
			used = none;
		}
		bits = entry >> PYXDP_IPV6_BITS_SHIFT & PYXDP_IPV6_BITS_MASK;
		place = key << used >> 1 >> (63 - bits);
		block = base + (entry & PYXDP_IPV6_BLOCK_MASK);
		if (entry & PYXDP_IPV6_FAN) {
			block += place / PYXDP_BLOCK_ENTRIES;
			fan = bpf_map_lookup_elem(&pyxdp_ipv6, &block);
			if (!fan)
				return MISS;
			entry = fan->entry[place % PYXDP_BLOCK_ENTRIES];
			used += bits;
		} else {
			place = cut(block + place, key);
			entry = place;
			used = none + (place >> 32);
		}
		if (entry & PYXDP_LEAF)
			return entry;
	}
	return MISS;
}

/* Few tables are more than one block for each first bit. */
static __always_inline __u32 class_of_ipv6(__u32 slot, const struct address *address)
{
	__u32 base = slot * pyxdp_half_ipv6;
	__u64 found = cut(base + (address->high >> 63), address->high);

	if (found & PYXDP_LEAF)
		return found;
	return pyxdp_walk_ipv6((__u64)base << 32 | (__u32)found, address->high, address->low, found >> 32, 0);
}

#endif
