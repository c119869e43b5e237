/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What judging and counting need, in both objects: who writes a map, who reads it, and what a miss means. User space sets
 * max_entries before loading, to what the policy needs; the sizes here are only the least that libbpf accepts. Pinned as maps/NAME
 * without the prefix. The early drop object is given the maps of the main one.
 *
 * A packet reads nothing but plain arrays, whose lookups the JIT inlines. An index outside of an array means that the image is
 * damaged: the packet is dropped with PYXDP_DROP_INTERNAL.
 */
#ifndef PYXDP_MAPS_H
#define PYXDP_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "pyxdp/abi.h"

/* Entries in one half of each map that has slots. */
const volatile __u32 pyxdp_half_rules = 1;
const volatile __u32 pyxdp_half_rows = 1;
const volatile __u32 pyxdp_half_pages = 1;
const volatile __u32 pyxdp_half_pieces = 1;
const volatile __u32 pyxdp_half_ipv6 = 1;
const volatile __u32 pyxdp_half_row_index = 1;
/* Log events that each CPU may emit a second; the rest is counted as PYXDP_LOG_SUPPRESSED. */
const volatile __u32 pyxdp_log_per_second = 100;

/* Writer: user space, one 32-bit store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pyxdp_control);
} pyxdp_control SEC(".maps");

/*
 * Writer: user space, as for every map down to pyxdp_ipv6: the spare slot, and in the active one what enum pyxdp_entry, enum
 * pyxdp_ipv6_entry and pyxdp_row_index lead to, before they do. Mapped into memory, which is the only way to write a million entries
 * fast; arrays that can be are aligned to pages, so no block of 64 bytes lies across two lines of the cache.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * PYXDP_RULESETS_PER_SLOT);
	__type(key, __u32);
	__type(value, struct pyxdp_ruleset);
} pyxdp_rulesets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, struct pyxdp_rule);
} pyxdp_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} pyxdp_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, struct pyxdp_row_place);
} pyxdp_row_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, struct pyxdp_entries);
} pyxdp_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, struct pyxdp_pieces);
} pyxdp_pieces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PYXDP_SLOTS);
	__type(key, __u32);
	__type(value, struct pyxdp_fan);
} pyxdp_ipv6 SEC(".maps");

/* Writer: the programs, each CPU its own copy. A miss: the rule is not counted, its verdict stands. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pyxdp_counter);
} pyxdp_counters SEC(".maps");

/* Index: endpoint * 2 + direction. Writer: the programs. Few elements: the kernel allocates each of a per-CPU array by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PYXDP_ENDPOINTS * 2);
	__type(key, __u32);
	__type(value, struct pyxdp_reasons);
} pyxdp_reasons SEC(".maps");

/* Writer: the programs, struct pyxdp_event. Full, or nobody reads: events are left out and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} pyxdp_events SEC(".maps");

/* What the rate limit of Log events remembers between packets. */
struct log_window {
	__u64 second;
	__u64 events;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct log_window);
} pyxdp_log_rate SEC(".maps");

#endif
