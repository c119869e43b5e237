// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends every frame out of one interface; and one that takes them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 target;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} arrived SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	return bpf_redirect(target, 0);
}

/* Counts the frames whose last byte is 0x77, the test's own, and drops them. */
SEC("xdp")
int count(struct xdp_md *ctx)
{
	const __u8 *data = (const __u8 *)(long)ctx->data;
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&arrived, &key);

	if (!value || data + 60 > (const __u8 *)(long)ctx->data_end || data[59] != 0x77)
		return XDP_PASS;
	__sync_fetch_and_add(value, 1);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
