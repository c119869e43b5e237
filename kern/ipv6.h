/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The class of an IPv6 address: a walk through blocks of one cache line each, see enum pyxdp_ipv6_entry. */
#ifndef PYXDP_IPV6_H
#define PYXDP_IPV6_H

#include "maps.h"

#define MISS 0xffffffffU
/* Blocks of parts in a row that are gone through without a call: one that finds a cluster of prefixes, one that finds a place in it. */
#define PARTS_AT_ONCE 2
/* Steps of a walk that one call takes; few walks are longer. */
#define STEPS_AT_ONCE 12
/* The walk goes on by the lower half of the address. */
#define WALKS_LOWER (1ULL << 32)

static __always_inline const struct pyxdp_cuts *ipv6_block(__u32 number)
{
	return bpf_map_lookup_elem(&pyxdp_ipv6, &number);
}

/* 1 if key is before start, else 0; without a branch that would be guessed wrongly. No block is of more than 2^63 keys. */
static __always_inline __u64 is_before(__u64 start, __u64 key)
{
	__u64 before = (key - start) >> 63;

	/* A sum of these is as bounded as verifiers can see; clang would make something else of it. */
	asm("" : "+r"(before));
	return before;
}

/* Of parts of a kind, with their shift in its lower 8 bits, the one at a place. The instruction takes 6 bits by itself, or 7. */
static __always_inline __u64 part_at(__u64 place, __u64 kind)
{
	asm("%0 >>= %1" : "+r"(place) : "r"(kind));
	return place;
}

static __always_inline __u32 entry_in_cuts(const struct pyxdp_cuts *cuts, __u64 key)
{
	__u64 before = is_before(cuts->start[0], key) + is_before(cuts->start[1], key) +
		       is_before(cuts->start[2], key) + is_before(cuts->start[3], key);

	return cuts->value[PYXDP_BLOCK_CUTS - before];
}

/*
 * Only the last range that begins before the key, or with it, can hold it. One branch is guessed wrongly at times; without any it takes
 * longer, see docs/design/datapath.md. low: the lower half of the address, where key is the upper one.
 */
static __always_inline __u32 entry_in_ranges(const struct pyxdp_ranges *ranges, __u64 key, __u64 low)
{
	__u64 n = is_before(ranges->first[0], key) + is_before(ranges->first[1], key);
	__u64 distance = key - ranges->first[n], span = ranges->span[n];
	__u32 entry = ranges->value[n];

	if (!(entry & PYXDP_IPV6_HOST))
		return distance > span ? ranges->beside : entry;
	distance |= low ^ span;
	/* One comparison instead of two. */
	asm("" : "+r"(distance));
	return distance ? ranges->beside : entry & ~PYXDP_IPV6_HOST;
}

/*
 * The next steps of a walk: from a block on, by a key, which is a half of the address. base: the first block of the slot. none: 0; as an
 * argument it is any number to the verifier, and so is every sum with it: all ways through the loop look alike. The entry found, or where
 * to go on: a block, and above its 32 bits whether the key is the lower half from there on. Global and with numbers as arguments only, so
 * that the verifier looks at it once, and so on kernels before 5.12 too; of few steps, since the verifier goes through each of them.
 */
__noinline __u64 pyxdp_step_ipv6(__u64 block, __u64 key, __u64 low, __u64 base, __u64 none)
{
	const struct pyxdp_parts *parts;
	const struct pyxdp_cuts *cuts;
	__u64 place, entry, kind, lower = 0;

	for (__u64 i = 0; i < STEPS_AT_ONCE; i++) {
		/* Sums that clang keeps from one round to the next would be the same number to the verifier, not any. */
		asm volatile("" : "+r"(none));
		cuts = ipv6_block(block);
		if (!cuts)
			return MISS;
		parts = (const void *)cuts;
		place = key - parts->first;
		if (cuts->kind == PYXDP_IPV6_CUTS) {
			entry = entry_in_cuts(cuts, key);
		} else if (place > parts->span) {
			entry = (__s64)place < 0 ? parts->before : parts->behind;
		} else {
			kind = parts->kind;
			place = part_at(place, kind);
			block = none + base + parts->block;
			kind &= ~(__u64)PYXDP_IPV6_SHIFT_MASK;
			if (kind == PYXDP_IPV6_BLOCKS) {
				block += place;
				continue;
			}
			if (kind == PYXDP_IPV6_FAN) {
				cuts = ipv6_block(block + place / PYXDP_BLOCK_ENTRIES);
				if (!cuts)
					return MISS;
				entry = ((const struct pyxdp_fan *)cuts)->entry[place % PYXDP_BLOCK_ENTRIES];
			} else {
				cuts = ipv6_block(block + place);
				if (!cuts)
					return MISS;
				entry = entry_in_ranges((const void *)cuts, key, low);
			}
		}
		if (entry & PYXDP_LEAF)
			return entry;
		block = none + base + (entry & PYXDP_IPV6_BLOCK_MASK);
		if (entry & PYXDP_IPV6_LOWER) {
			key = none + low;
			block += low >> 63;
			lower = WALKS_LOWER;
		}
	}
	return (block & 0xffffffff) | lower;
}

/* What is left of a walk of many steps. at: as pyxdp_step_ipv6() returned it. */
__noinline __u32 pyxdp_walk_ipv6(__u64 at, __u64 key, __u64 low, __u64 base)
{
	for (__u64 i = 1; i < PYXDP_IPV6_STEPS / STEPS_AT_ONCE && !(at & PYXDP_LEAF); i++) {
		if (at & WALKS_LOWER)
			key = low;
		at = pyxdp_step_ipv6((__u32)at, key, low, base, 0);
	}
	return at & PYXDP_LEAF ? at : MISS;
}

/* Without a call where the way is as short as it is for most addresses. */
static __always_inline __u32 class_of_ipv6(__u32 slot, const struct address *address)
{
	__u64 base = slot * pyxdp_half_ipv6, key = address->high, number = key >> 63, kind, place, found;
	const struct pyxdp_cuts *cuts = ipv6_block(base + number);
	const struct pyxdp_parts *parts;
	__u32 entry;

	/* In this shape clang unrolls it, and keeps the key in a register. */
	for (int i = 0; i < PARTS_AT_ONCE; i++) {
		if (!cuts)
			return MISS;
		kind = cuts->kind;
		if (kind < PYXDP_IPV6_BLOCKS)
			break;
		parts = (const void *)cuts;
		place = key - parts->first;
		if (place > parts->span)
			break;
		number = parts->block + part_at(place, kind);
		cuts = ipv6_block(base + number);
		if (kind >= PYXDP_IPV6_RANGES) {
			if (!cuts)
				return MISS;
			entry = entry_in_ranges((const void *)cuts, key, address->low);
			goto found;
		}
	}
	if (!cuts)
		return MISS;
	entry = cuts->kind == PYXDP_IPV6_CUTS ? entry_in_cuts(cuts, key) : number;
found:
	if (entry & PYXDP_LEAF)
		return entry;
	found = base + (entry & PYXDP_IPV6_BLOCK_MASK);
	if (entry & PYXDP_IPV6_LOWER)
		found = pyxdp_step_ipv6(found + (address->low >> 63), address->low, address->low, base, 0) |
			WALKS_LOWER;
	else
		found = pyxdp_step_ipv6(found, key, address->low, base, 0);
	return found & PYXDP_LEAF ? found : pyxdp_walk_ipv6(found, key, address->low, base);
}

#endif
