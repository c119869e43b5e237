// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the tests of pyxdp.bpf load: constants, an array, a hash, a per-CPU array, a ring buffer, programs. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 answer = 42;
const volatile __u16 port = 1;
const volatile __u64 wide = 3;
const volatile _Bool enabled = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64[2]);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static void add(void *map, __u32 key, __u64 amount)
{
	__u64 *value = bpf_map_lookup_elem(map, &key);

	if (value)
		__sync_fetch_and_add(value, amount);
}

/* Sends the length of the frame into the ring, counts it, and returns what the constants say. */
SEC("xdp")
int basic(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;
	__u32 key = 0;
	__u64 *total = bpf_map_lookup_elem(&totals, &key);

	if (total) {
		total[0]++;
		total[1] += length;
	}
	add(&counts, 0, 1);
	add(&seen, length, 1);
	bpf_ringbuf_output(&events, &length, sizeof(length), 0);
	return enabled ? answer + port + wide : XDP_PASS;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	add(&counts, 1, 1);
	return XDP_DROP;
}

/* counts[2]: which interface the frame came in by. */
SEC("xdp")
int interface(struct xdp_md *ctx)
{
	add(&counts, 2, ctx->ingress_ifindex);
	return XDP_PASS;
}

SEC("socket")
int came_in_by(struct __sk_buff *skb)
{
	return skb->ingress_ifindex;
}

/* counts[3] is stored by user space, with all bytes equal; counts[2]: how often they were not, counts[1]: how often 0xff. */
SEC("xdp")
int read_word(struct xdp_md *ctx)
{
	__u32 key = 3;
	volatile __u32 *value = bpf_map_lookup_elem(&counts, &key);
	__u32 word;

	if (!value)
		return XDP_ABORTED;
	word = *value;
	if (word != (word & 0xff) * 0x01010101)
		add(&counts, 2, 1);
	if (word == 0xffffffff)
		add(&counts, 1, 1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
