// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that runs for a while, and says when it began and when it ended. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NANOSECONDS 300000000ULL

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} progress SEC(".maps");

static void set(__u32 key)
{
	__u64 one = 1;

	bpf_map_update_elem(&progress, &key, &one, BPF_ANY);
}

/* bpf_loop() of Linux 5.17, which the helpers of libbpf 0.5 do not declare. */
static long (*const repeat)(__u32 rounds, void *function, void *context, __u64 flags) = (void *)181;

static long is_over(__u32 round, __u64 *end)
{
	return bpf_ktime_get_ns() > *end;
}

SEC("xdp")
int slow(struct xdp_md *ctx)
{
	__u64 end = bpf_ktime_get_ns() + NANOSECONDS;

	set(0);
	repeat(1 << 23, is_over, &end, 0);
	set(1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
