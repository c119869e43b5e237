// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hooks: each does parse -> judge -> act, and nothing else. One object, loaded once for each governed interface with
 * pyxdp_endpoint_number set, all instances sharing the same maps. Minimum kernel: 5.12
 * (pointer arguments of global functions); no kfuncs, no bpf_loop().
 */
#include "parse_ethernet.h"
#include "parse_ip.h"
#include "verdict.h"

static __always_inline enum pyxdp_reason parse_frame(struct cursor *cursor, struct flow *flow)
{
	enum pyxdp_reason reason;
	__be16 protocol;

	reason = parse_ethernet(cursor, &protocol);
	if (reason != PYXDP_PASS_ALLOWED)
		return reason;
	if (protocol == bpf_htons(ETH_P_IP))
		return parse_ipv4(cursor, flow);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(cursor, flow);
	return PYXDP_PASS_NOT_IP;
}

SEC("xdp")
int pyxdp_xdp(struct xdp_md *ctx)
{
	struct cursor cursor = xdp_cursor(ctx);
	struct flow flow = { .length = ctx->data_end - ctx->data };
	enum pyxdp_reason reason = parse_frame(&cursor, &flow);
	struct judgement judgement;

	if (reason == PYXDP_PASS_ALLOWED)
		judgement = judge(&flow, PYXDP_CLASS_UNTRACKED, PYXDP_INGRESS, COUNTING);
	else
		judgement = judge_unparsed(reason, PYXDP_CLASS_UNTRACKED, PYXDP_INGRESS);
	count(&judgement, &flow, PYXDP_INGRESS);
	return judgement.verdict == PYXDP_VERDICT_DENY ? XDP_DROP : XDP_PASS;
}

static __always_inline struct judgement judge_skb(struct __sk_buff *skb, struct flow *flow,
						  enum pyxdp_direction direction, enum effect effect)
{
	struct cursor cursor = skb_cursor(skb);
	enum pyxdp_reason reason = PYXDP_PASS_NOT_IP;

	flow->length = skb->len;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		reason = parse_ipv4(&cursor, flow);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		reason = parse_ipv6(&cursor, flow);
	if (reason != PYXDP_PASS_ALLOWED)
		return judge_unparsed(reason, PYXDP_CLASS_UNTRACKED, direction);
	return judge(flow, PYXDP_CLASS_UNTRACKED, direction, effect);
}

/*
 * The raw-table programs answer "does this rule match?": 1 makes iptables take the target. For each direction the first one
 * is asked whether to leave conntrack, and only packets that it does not take reach the second one, which is asked whether to drop.
 * XDP has counted ingress already; egress is counted here, by whichever of the two decides.
 */
SEC("socket")
int pyxdp_in_allow(struct __sk_buff *skb)
{
	struct flow flow = {};

	if (judge_skb(skb, &flow, PYXDP_INGRESS, SILENT).verdict != PYXDP_VERDICT_ALLOW)
		return 0;
	count_reason(PYXDP_INGRESS, PYXDP_UNTRACKED);
	return 1;
}

SEC("socket")
int pyxdp_in_deny(struct __sk_buff *skb)
{
	struct flow flow = {};
	struct judgement judgement = judge_skb(skb, &flow, PYXDP_INGRESS, SILENT);

	if (judgement.verdict != PYXDP_VERDICT_DENY)
		return 0;
	count(&judgement, &flow, PYXDP_INGRESS);
	return 1;
}

SEC("socket")
int pyxdp_out_allow(struct __sk_buff *skb)
{
	struct flow flow = {};
	struct judgement judgement = judge_skb(skb, &flow, PYXDP_EGRESS, SILENT);

	if (judgement.verdict != PYXDP_VERDICT_ALLOW)
		return 0;
	if (judgement.continued)
		judge(&flow, PYXDP_CLASS_UNTRACKED, PYXDP_EGRESS, COUNTING);
	count(&judgement, &flow, PYXDP_EGRESS);
	count_reason(PYXDP_EGRESS, PYXDP_UNTRACKED);
	return 1;
}

SEC("socket")
int pyxdp_out_deny(struct __sk_buff *skb)
{
	struct flow flow = {};
	struct judgement judgement = judge_skb(skb, &flow, PYXDP_EGRESS, COUNTING);

	count(&judgement, &flow, PYXDP_EGRESS);
	return judgement.verdict == PYXDP_VERDICT_DENY;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
