/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting: rules by identity, packets by reason. */
#ifndef PYXDP_COUNTERS_H
#define PYXDP_COUNTERS_H

#include "maps.h"
#include "place.h"

static __always_inline void count_rule(__u32 counter, __u32 length)
{
	struct pyxdp_counter *value = bpf_map_lookup_elem(&pyxdp_counters, &counter);

	if (!value)
		return;
	value->packets++;
	value->bytes += length;
}

static __always_inline void count_reason(__u32 place, enum pyxdp_reason reason)
{
	__u32 index = endpoint_at(place) * 2 + direction_at(place), number = reason;
	struct pyxdp_reasons *value = bpf_map_lookup_elem(&pyxdp_reasons, &index);

	/* clang may know that the mask is of no use, verifiers may not. */
	asm volatile("" : "+r"(number));
	if (value)
		value->packets[number & (PYXDP_REASONS - 1)]++;
}

#endif
