/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Equivalence classes of addresses, services and source ports. MISS: the image is damaged. */
#ifndef PYXDP_ADDRESS_H
#define PYXDP_ADDRESS_H

#include "flow.h"
#include "maps.h"

#define MISS 0xffffffffU
/* 2^RANGE_STEPS ranges in one bucket can be searched. */
#define RANGE_STEPS 24

static __always_inline __u32 page_entry(__u32 slot, __u32 page, __u32 index)
{
	__u32 key = slot * pyxdp_half_pages + page * PYXDP_PAGE_ENTRIES + index;
	__u32 *entry = bpf_map_lookup_elem(&pyxdp_pages, &key);

	return entry ? *entry : MISS;
}

static __always_inline __u32 class_of_ipv4(__u32 slot, __u32 address)
{
	__u32 entry = page_entry(slot, PYXDP_PAGE_IPV4, address >> 16);

	if (!(entry & PYXDP_LEAF))
		entry = page_entry(slot, entry, (address >> 8) & 0xff);
	if (!(entry & PYXDP_LEAF))
		entry = page_entry(slot, entry, address & 0xff);
	return entry;
}

static __always_inline __u32 class_of_service(__u32 slot, __u32 service)
{
	__u32 entry = page_entry(slot, PYXDP_PAGE_SERVICE, service >> 8);

	return entry & PYXDP_LEAF ? entry : page_entry(slot, entry, service & 0xff);
}

static __always_inline __u32 class_of_sport(__u32 slot, const struct flow *flow)
{
	__u32 entry;

	if (!flow->has_ports)
		return PYXDP_LEAF | (flow->is_fragment ? PYXDP_SPORT_UNKNOWN : PYXDP_SPORT_NONE);
	entry = page_entry(slot, PYXDP_PAGE_SPORT, flow->sport >> 8);
	return entry & PYXDP_LEAF ? entry : page_entry(slot, entry, flow->sport & 0xff);
}

/*
 * Index of the last of count ranges from first on that starts at or before key; the first one always does. Global and with numbers
 * as arguments only, so that the verifier looks at it once, and so on kernels before 5.12 too.
 */
__noinline __u32 pyxdp_find_range(__u32 first, __u32 count, __u64 key)
{
	struct pyxdp_range *range;
	__u32 middle;

	for (int i = 0; i < RANGE_STEPS && count > 1; i++) {
		middle = first + count / 2;
		range = bpf_map_lookup_elem(&pyxdp_ranges, &middle);
		if (range && range->start <= key) {
			first = middle;
			count -= count / 2;
		} else {
			count /= 2;
		}
	}
	return first;
}

static __always_inline const struct pyxdp_range *find_range(__u32 first, __u32 count, __u64 key)
{
	__u32 index = count > 1 ? pyxdp_find_range(first, count, key) : first;

	return bpf_map_lookup_elem(&pyxdp_ranges, &index);
}

static __always_inline __u64 range_index(__u32 slot, __u32 entry)
{
	__u32 key = slot * pyxdp_half_range_index + entry;
	__u64 *value = bpf_map_lookup_elem(&pyxdp_range_index, &key);

	return value ? *value : ~0ULL;
}

/* Which bucket of the index the upper half of an address is in. */
static __always_inline __u32 bucket_of(__u32 slot, __u64 key)
{
	__u64 origin = range_index(slot, PYXDP_INDEX_ORIGIN), shape = range_index(slot, PYXDP_INDEX_SHAPE), bucket;
	__u32 last = shape >> 32;

	if (key < origin)
		return 0;
	bucket = 1 + ((key - origin) >> (shape & 63));
	return bucket < last ? bucket : last;
}

static __always_inline __u32 class_of_ipv6(__u32 slot, const struct address *address)
{
	__u64 bucket = range_index(slot, PYXDP_INDEX_BUCKETS + bucket_of(slot, address->high));
	__u32 base = slot * pyxdp_half_ranges, count = bucket >> 32;
	const struct pyxdp_range *range;

	if (!count)
		return bucket;
	range = find_range(base + (__u32)bucket, count, address->high);
	if (range && range->length)
		range = find_range(base + range->value, range->length, address->low);
	return range ? range->value : MISS;
}

static __always_inline __u32 class_of_address(__u32 slot, const struct flow *flow, const struct address *address)
{
	if (flow->family == 4)
		return class_of_ipv4(slot, address->high);
	return class_of_ipv6(slot, address);
}

#endif
