// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A flood of TCP SYNs from 32,768 addresses and as many ports, the upper ones, sent out of one interface. Run on live frames
 * (BPF_PROG_TEST_RUN, Linux 5.18), which is no bottleneck: it makes several million frames a second on one CPU.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 interface;

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/*
 * The checksums of the frame that user space hands in stay right: a number and its complement add up to the same in ones'
 * complement arithmetic, whatever the number. The IP header holds both as address and id, the TCP checksum covers both as
 * address and source port. A wrong checksum would spare the receiver some of its work.
 */
SEC("xdp")
int flood(struct xdp_md *ctx)
{
	struct frame *frame = (struct frame *)(long)ctx->data;
	__u16 number = bpf_get_prandom_u32() & 0x7fff;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	frame->ip.saddr = (frame->ip.saddr & bpf_htonl(0xffff0000)) | bpf_htonl(number);
	frame->ip.id = bpf_htons(~number);
	frame->tcp.source = bpf_htons(~number);
	return bpf_redirect(interface, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
