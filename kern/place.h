/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a judgement belongs: endpoint, class and direction in one number, which is the index of their ruleset in a slot. One argument
 * instead of three for everything that judges or counts.
 */
#ifndef PYXDP_PLACE_H
#define PYXDP_PLACE_H

#include <linux/types.h>

#include "pyxdp/abi.h"

static __always_inline __u32 place_of(__u32 endpoint, enum pyxdp_class class, enum pyxdp_direction direction)
{
	return endpoint * PYXDP_RULESETS_PER_ENDPOINT + class * 2 + direction;
}

static __always_inline __u32 endpoint_at(__u32 place)
{
	return place / PYXDP_RULESETS_PER_ENDPOINT;
}

static __always_inline enum pyxdp_class class_at(__u32 place)
{
	return place % PYXDP_RULESETS_PER_ENDPOINT / 2;
}

static __always_inline enum pyxdp_direction direction_at(__u32 place)
{
	return place % 2;
}

#endif
