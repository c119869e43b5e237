// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The control of every measurement: what the harness itself costs. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int empty_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
