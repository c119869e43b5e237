// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What measurements need beside the programs that are measured: controls, and traffic of many flows. An object of its own,
 * which only `pyxdp bench` and the measurements of the checkout load; minimum kernel: 5.9.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

/* What tells one flow from another, with the checksums that belong to it: all in network byte order, as in the frame. */
struct flow {
	__be32 source;
	__be16 source_port;
	__be16 destination_port;
	__be16 ip_checksum;
	__be16 tcp_checksum;
};

struct tcp_start {
	__be16 source;
	__be16 destination;
	__u8 sequence[8];
	__be16 flags;
	__be16 window;
	__be16 checksum;
};

/* The flows take turns. As many entries as flows; flows_mask is their number, a power of two, less 1. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

/* [0]: the program that is measured */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

const volatile __u32 flows_mask;
const volatile __u32 target; /* interface that emit sends by */

__u32 turn;

/* Make the frame one of the next flow; false for frames other than those that user space hands in. */
static __always_inline int take_turn(struct xdp_md *ctx)
{
	struct iphdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
	struct tcp_start *tcp = (void *)(ip + 1);
	__u32 key = turn++ & flows_mask;
	const struct flow *flow = bpf_map_lookup_elem(&flows, &key);

	if (!flow || (void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return 0;
	ip->saddr = flow->source;
	ip->check = flow->ip_checksum;
	tcp->source = flow->source_port;
	tcp->destination = flow->destination_port;
	tcp->checksum = flow->tcp_checksum;
	return 1;
}

/* Runs the measured program on the next flow. What that adds is measured with empty_drop in its place. */
SEC("xdp")
int each(struct xdp_md *ctx)
{
	if (take_turn(ctx))
		bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

/* Sends the next flow, run on live frames (BPF_PROG_TEST_RUN, Linux 5.18). */
SEC("xdp")
int emit(struct xdp_md *ctx)
{
	return take_turn(ctx) ? bpf_redirect(target, 0) : XDP_ABORTED;
}

/* The floor: what harness and driver cost by themselves. */
SEC("xdp")
int empty_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* The same for what is behind XDP. */
SEC("xdp")
int empty_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
