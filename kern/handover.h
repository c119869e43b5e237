/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What XDP knows of a packet, where early drop finds it: a tail call takes nothing but the context along. It is not on the stack, of which
 * the verifier would remember what every way through the parser has left there, and judge each of them by itself.
 *
 * Only packets that have ports, and nothing that a reassembly or an option could change, are handed over.
 */
#ifndef PYXDP_HANDOVER_H
#define PYXDP_HANDOVER_H

#include "flow.h"
#include "maps.h"

struct handover {
	struct flow flow;
	__u32 slot; /* by whose policy pyxdp_xdp has judged the packet */
	__u32 endpoint;
};

/* Writer: pyxdp_xdp, which nothing that runs on this CPU interrupts to do the same. Reader: pyxdp_xdp, pyxdp_early_drop. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct handover);
} pyxdp_handover SEC(".maps");

static __always_inline struct handover *handover(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&pyxdp_handover, &zero);
}

#endif
