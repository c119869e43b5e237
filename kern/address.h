/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Equivalence classes of addresses, services and source ports, with PYXDP_LEAF set. MISS: the image is damaged. */
#ifndef PYXDP_ADDRESS_H
#define PYXDP_ADDRESS_H

#include "flow.h"
#include "ipv6.h"
#include "maps.h"

static __always_inline __u32 page_entry(__u32 slot, __u32 page, __u8 index)
{
	const struct pyxdp_entries *entries;
	__u32 key = slot * pyxdp_half_pages + page;

	entries = bpf_map_lookup_elem(&pyxdp_pages, &key);
	return entries ? entries->entry[index] : MISS;
}

static __always_inline const struct pyxdp_pieces *unit_at(__u32 unit)
{
	return bpf_map_lookup_elem(&pyxdp_pieces, &unit);
}

/* 1 if a piece begins at or before the value that wanted was made of, else 0; without a branch that would be guessed wrongly. */
static __always_inline __u32 has_begun(__u32 piece, __u32 wanted)
{
	return 1 - (((__u64)wanted - piece) >> 63);
}

/* The class of a last byte whose pieces are in the list that a page entry names. */
static __always_inline __u32 class_in_pieces(__u32 slot, __u32 entry, __u8 byte)
{
	__u32 wanted = (__u32)byte << PYXDP_PIECE_FIRST_SHIFT | PYXDP_PIECE_CLASS_MASK;
	__u32 unit = slot * pyxdp_half_pieces + (entry & PYXDP_ENTRY_NUMBER_MASK);
	__u32 half = 1U << (entry >> PYXDP_ENTRY_PIECES_SHIFT) >> 2;
	const struct pyxdp_pieces *pieces;
	__u32 last;

	/* The list has 2 * half units. */
	for (__u64 i = 1; i < PYXDP_ENTRY_PIECES_MAX && half; i++) {
		pieces = unit_at(unit + half);
		if (!pieces)
			return MISS;
		unit += half * has_begun(pieces->piece[0], wanted);
		half /= 2;
	}
	pieces = unit_at(unit);
	if (!pieces)
		return MISS;
	last = has_begun(pieces->piece[1], wanted) + has_begun(pieces->piece[2], wanted) +
	       has_begun(pieces->piece[3], wanted);
	return PYXDP_LEAF | (pieces->piece[last & 3] & PYXDP_PIECE_CLASS_MASK);
}

static __always_inline __u32 class_of_ipv4(__u32 slot, __u32 address)
{
	__u32 entry = page_entry(slot, PYXDP_PAGE_IPV4 + (address >> 24), address >> 16);

	if (!(entry & PYXDP_LEAF)) {
		entry = page_entry(slot, entry, address >> 8);
		if (!(entry & PYXDP_LEAF))
			entry = entry >> PYXDP_ENTRY_PIECES_SHIFT ? class_in_pieces(slot, entry, address)
								  : page_entry(slot, entry, address);
	}
	return entry;
}

static __always_inline __u32 class_of_service(__u32 slot, __u32 service)
{
	__u32 entry = page_entry(slot, PYXDP_PAGE_SERVICE + (service >> 16), service >> 8);

	return entry & PYXDP_LEAF ? entry : page_entry(slot, entry, service);
}

static __always_inline __u32 class_of_sport(__u32 slot, const struct flow *flow)
{
	__u32 entry;

	if (!flow->has_ports)
		return PYXDP_LEAF | (flow->is_fragment ? PYXDP_SPORT_UNKNOWN : PYXDP_SPORT_NONE);
	entry = page_entry(slot, PYXDP_PAGE_SPORT, flow->sport >> 8);
	return entry & PYXDP_LEAF ? entry : page_entry(slot, entry, flow->sport);
}

static __always_inline __u32 class_of_address(__u32 slot, const struct flow *flow, const struct address *address)
{
	if (flow->family == 4)
		return class_of_ipv4(slot, address->high);
	return class_of_ipv6(slot, address);
}

#endif
