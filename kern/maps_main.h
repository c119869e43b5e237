/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What only the main object has: the constant of each instance, what people read, and where its programs hand packets on. */
#ifndef PYXDP_MAPS_MAIN_H
#define PYXDP_MAPS_MAIN_H

#include <stdbool.h>

#include "maps.h"

/* Number of this instance's endpoint. */
const volatile __u32 pyxdp_endpoint_number = 0;
/*
 * Whether the kernel can have early drop at all. Not: XDP has no tail call, which JITs without tail calls in programs with functions
 * (arm64 before Linux 6.0) would refuse to load.
 */
const volatile bool pyxdp_early_possible = true;

/* Writer: user space, the spare slot only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, struct pyxdp_slot);
} pyxdp_slots SEC(".maps");

/* Read by people and user space only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pyxdp_name);
} pyxdp_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PYXDP_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct pyxdp_endpoint);
} pyxdp_endpoints SEC(".maps");

/*
 * Entry 0: pyxdp_answer, which answers the questions of all socket filters of this object. Writer: user space, before the first rule that
 * asks. The kernel empties a program array when nothing holds it any more, neither pin nor descriptor: rules must go before
 * it. A miss: rules of mangle and filter that deny match, others do not.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} pyxdp_questions SEC(".maps");

/* Entry 0: pyxdp_early_drop of the other object. Writer: user space, at any time. A miss: no early drop. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} pyxdp_early SEC(".maps");

#endif
