// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A generator of frames, for BPF_PROG_TEST_RUN on live frames (Linux 5.18): takes turns between the streams of a table, and sends each
 * frame out of one interface with the next number, source address and source port of its stream. What Python sees of it is
 * tests/lab/flood.py. And the last stop of a frame: a filter for a UDP socket, which counts what would have been received.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
	STREAMS = 64,
	FRAME = 128,
	WORDS = FRAME / 8,
};

/* Offsets are into the frame, of big-endian 16-bit fields; 0 stands for a field that it does not have. */
struct stream {
	__u64 frame[WORDS]; /* a frame of any length up to this */
	__u64 sent;
	__u16 number; /* of the frame's number (32 bits), with its complement behind it: they cancel out in checksums */
	__u16 source; /* of the lower 16 bits of the source address */
	__u16 port;   /* of the source port */
	__u16 checksum_ip; /* of the header's */
	__u16 checksum;    /* of the transport's */
	__u16 sources;     /* bits of the source address that vary */
	__u16 ports;       /* bits of the source port that vary */
	__u16 pad;
};

const volatile __u32 target;
const volatile __u32 streams = 1;
__u32 turn;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STREAMS);
	__type(key, __u32);
	__type(value, struct stream);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} received SEC(".maps");

/* A 16-bit field of the frame, or NULL. */
static __always_inline __be16 *field(struct xdp_md *ctx, __u32 at)
{
	void *place = (void *)(long)ctx->data + (at & (FRAME - 1));

	return at && place + 2 <= (void *)(long)ctx->data_end ? place : NULL;
}

/* Mends a checksum for a field that grew (RFC 1624). */
static __always_inline void mend(struct xdp_md *ctx, __u32 at, __u32 grown)
{
	__be16 *checksum = field(ctx, at);
	__u32 sum;

	if (!checksum)
		return;
	sum = (__u16)~bpf_ntohs(*checksum) + grown;
	sum = (sum & 0xffff) + (sum >> 16);
	*checksum = bpf_htons(~sum);
}

/* Adds to a field that the checksums cover. */
static __always_inline void vary(struct xdp_md *ctx, const struct stream *stream, __u32 at, __u16 by)
{
	__be16 *place = field(ctx, at);

	if (!place || !by)
		return;
	*place = bpf_htons(bpf_ntohs(*place) + by);
	mend(ctx, stream->checksum, by);
}

static __always_inline void write_number(struct xdp_md *ctx, __u32 at, __u32 number)
{
	__u32 *place = (void *)(long)ctx->data + (at & (FRAME - 1));

	if ((void *)(place + 2) > (void *)(long)ctx->data_end)
		return;
	place[0] = bpf_htonl(number);
	place[1] = ~place[0];
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	__u64 *words = (void *)(long)ctx->data;
	struct stream *stream;
	__u32 key = turn, number;

	turn = key + 1 < streams ? key + 1 : 0;
	stream = bpf_map_lookup_elem(&table, &key);
	if (!stream)
		return XDP_ABORTED;
	for (int i = 0; i < WORDS; i++) {
		if ((void *)(words + i + 1) > (void *)(long)ctx->data_end)
			break;
		words[i] = stream->frame[i];
	}
	number = stream->sent++;
	write_number(ctx, stream->number, number);
	vary(ctx, stream, stream->source, number & stream->sources);
	if (number & stream->sources)
		mend(ctx, stream->checksum_ip, number & stream->sources);
	vary(ctx, stream, stream->port, number & stream->ports);
	return bpf_redirect(target, 0);
}

SEC("socket")
int receive(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&received, &key);

	if (count)
		(*count)++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
