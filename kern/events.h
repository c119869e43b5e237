/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Log rules: one event a packet into the ring buffer, no more than a fixed number a second and CPU. */
#ifndef PYXDP_EVENTS_H
#define PYXDP_EVENTS_H

#include <bpf/bpf_endian.h>

#include "counters.h"
#include "flow.h"

#define NANOSECONDS 1000000000ULL

static __always_inline bool within_rate(__u64 now)
{
	__u64 second = now / NANOSECONDS;
	struct log_window *window;
	__u32 zero = 0;

	window = bpf_map_lookup_elem(&pyxdp_log_rate, &zero);
	if (!window)
		return false;
	if (window->second != second) {
		window->second = second;
		window->events = 0;
	}
	return window->events++ < pyxdp_log_per_second;
}

static __always_inline void store_address(__u8 to[16], const struct flow *flow, const struct address *address)
{
	__be64 words[2] = {};

	if (flow->family == 4) {
		words[0] = bpf_cpu_to_be64(address->high << 32);
	} else {
		words[0] = bpf_cpu_to_be64(address->high);
		words[1] = bpf_cpu_to_be64(address->low);
	}
	__builtin_memcpy(to, words, sizeof(words));
}

/* Global, so that the verifier looks at it once. Returns 0: a global function returns a number. */
__noinline int pyxdp_emit_event(const struct flow *flow, __u32 counter, __u32 place)
{
	struct pyxdp_event *event = NULL;
	__u64 now = bpf_ktime_get_ns();

	if (!flow)
		return 0;
	if (within_rate(now))
		event = bpf_ringbuf_reserve(&pyxdp_events, sizeof(*event), 0);
	if (!event) {
		count_reason(place, PYXDP_LOG_SUPPRESSED);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now;
	store_address(event->source, flow, &flow->source);
	store_address(event->destination, flow, &flow->destination);
	event->counter = counter;
	event->endpoint = endpoint_at(place);
	event->length = flow->length;
	event->source_port = flow->sport;
	event->destination_port = flow->service >> 16 == PYXDP_SERVICE_OTHER || flow->is_fragment ? 0 : flow->service;
	event->family = flow->family;
	event->protocol = flow->protocol;
	event->direction = direction_at(place);
	event->fragment = flow->is_fragment;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

#endif
