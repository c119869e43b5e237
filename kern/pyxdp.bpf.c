// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hooks: each does parse -> judge -> act, and nothing else. pyxdp_answer is loaded once for each object; the others once for each
 * governed interface with pyxdp_endpoint_number set, all instances sharing the same maps. Minimum kernel: 5.12
 * (pointer arguments of global functions); no kfuncs, no bpf_loop().
 */
#include "handover.h"
#include "maps_main.h"
#include "parse_ethernet.h"
#include "parse_ip.h"
#include "question.h"
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

/* Does not return if early drop takes over: it then counts the packet, whatever becomes of it. */
static __always_inline void hand_over(struct xdp_md *ctx, struct handover *packet, __u32 slot)
{
	__u32 place = place_of(pyxdp_endpoint_number, PYXDP_CLASS_NORMAL, PYXDP_INGRESS);
	const struct pyxdp_ruleset *ruleset;

	if (!pyxdp_early_possible || !packet->flow.is_plain || !packet->flow.has_ports)
		return;
	ruleset = ruleset_of(slot, place);
	if (!ruleset || !(ruleset->flags & PYXDP_RULESET_EARLY))
		return;
	packet->slot = slot;
	packet->endpoint = pyxdp_endpoint_number;
	bpf_tail_call(ctx, &pyxdp_early, 0);
}

SEC("xdp")
int pyxdp_xdp(struct xdp_md *ctx)
{
	__u32 place = place_of(pyxdp_endpoint_number, PYXDP_CLASS_UNTRACKED, PYXDP_INGRESS), slot;
	struct cursor cursor = xdp_cursor(ctx);
	struct handover *packet = handover();
	struct judgement judgement;
	enum pyxdp_reason reason;
	struct flow *flow;

	if (!packet)
		return XDP_DROP;
	flow = &packet->flow;
	*flow = (struct flow){ .length = ctx->data_end - ctx->data };
	reason = parse_frame(&cursor, flow);
	slot = active_slot();
	if (reason == PYXDP_PASS_ALLOWED)
		judgement = judge_at_once(flow, slot, place);
	else
		judgement = judge_unparsed(reason, slot, place);
	if (judgement.flags & PYXDP_RULESET_OPINION) {
		/* The raw table drops, and counts it. */
		if (judgement.verdict == PYXDP_VERDICT_DENY)
			return XDP_PASS;
	} else if (judgement.reason == PYXDP_PASS_NO_MATCH) {
		hand_over(ctx, packet, slot);
	}
	count(&judgement, flow, place);
	return judgement.verdict == PYXDP_VERDICT_DENY ? XDP_DROP : XDP_PASS;
}

static __always_inline struct judgement judge_skb(struct __sk_buff *skb, struct flow *flow, __u32 slot, __u32 place,
						  enum effect effect)
{
	struct cursor cursor = skb_cursor(skb);
	enum pyxdp_reason reason = PYXDP_PASS_NOT_IP;

	flow->length = skb->len;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		reason = parse_ipv4(&cursor, flow);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		reason = parse_ipv6(&cursor, flow);
	if (reason != PYXDP_PASS_ALLOWED)
		return judge_unparsed(reason, slot, place);
	return judge(flow, slot, place, effect);
}

static __always_inline bool counts(__u32 asked, bool taken, const struct judgement *judgement)
{
	if (asked & COUNTS_ALL)
		return !(asked & COUNTS_DECIDED) || judgement->verdict != PYXDP_VERDICT_NONE;
	return asked & COUNTS_TAKEN && taken;
}

SEC("socket")
int pyxdp_answer(struct __sk_buff *skb)
{
	__u32 place = skb->cb[QUESTION_PLACE], asked = skb->cb[QUESTION_ASKED], slot = active_slot();
	struct flow flow = {};
	struct judgement judgement = judge_skb(skb, &flow, slot, place, asked & COUNTS_ALL ? COUNTING : SILENT);
	bool taken = judgement.verdict == (asked & ASKED_VERDICT);

	if (taken && asked & COUNTS_LOGS && judgement.continued)
		judge(&flow, slot, place, COUNTING);
	if (counts(asked, taken, &judgement))
		count(&judgement, &flow, place);
	if (taken && asked & COUNTS_NOTRACK)
		count_reason(place, PYXDP_UNTRACKED);
	if (taken && asked & COUNTS_TRACKED) {
		count_reason(place, PYXDP_STILL_TRACKED);
		return 0;
	}
	return taken;
}

/*
 * The questions. 1 makes iptables take the target. Where two follow each other, the first one counts what it takes and the second
 * one everything else, so that each packet counts once. XDP has counted untracked ingress already.
 */
#define QUESTION(name, class, direction, asked)                                 \
	SEC("socket") int pyxdp_##name(struct __sk_buff *skb)                   \
	{                                                                       \
		return ask(skb, PYXDP_CLASS_##class, PYXDP_##direction, asked); \
	}

#define ALLOW PYXDP_VERDICT_ALLOW
#define DENY PYXDP_VERDICT_DENY

/* raw: leave connection tracking? then: drop? */
QUESTION(in_allow, UNTRACKED, INGRESS, ALLOW | COUNTS_NOTRACK)
QUESTION(in_deny, UNTRACKED, INGRESS, DENY | COUNTS_TAKEN)
QUESTION(out_allow, UNTRACKED, EGRESS, ALLOW | COUNTS_TAKEN | COUNTS_LOGS | COUNTS_NOTRACK)
QUESTION(out_deny, UNTRACKED, EGRESS, DENY | COUNTS_ALL)

/* mangle and filter: is it untracked policy, and not a rule of somebody else, that took the packet out of conntrack? */
QUESTION(in_untracked, UNTRACKED, INGRESS, ALLOW)
QUESTION(out_untracked, UNTRACKED, EGRESS, ALLOW)

/* mangle: drop? then: spare it the classes that follow? */
QUESTION(prednat_deny, PREDNAT, INGRESS, DENY | COUNTS_TAKEN | COUNTS_LOGS)
QUESTION(prednat_allow, PREDNAT, INGRESS, ALLOW | COUNTS_ALL | COUNTS_DECIDED)

/* filter INPUT and OUTPUT: drop? */
QUESTION(local_in_deny, NORMAL, INGRESS, DENY | COUNTS_ALL)
QUESTION(local_out_deny, NORMAL, EGRESS, DENY | COUNTS_ALL)

/* filter FORWARD: drop? then: accept? */
QUESTION(forward_in_deny, FORWARD, INGRESS, DENY | COUNTS_TAKEN | COUNTS_LOGS)
QUESTION(forward_in_allow, FORWARD, INGRESS, ALLOW | COUNTS_ALL)
QUESTION(forward_out_deny, FORWARD, EGRESS, DENY | COUNTS_TAKEN | COUNTS_LOGS)
QUESTION(forward_out_allow, FORWARD, EGRESS, ALLOW | COUNTS_ALL)

/*
 * mangle POSTROUTING: local_out_deny for packets of this host whose destination was rewritten after OUTPUT. Forwarded packets come
 * by here too, and belong to the forward class. Not to be asked in OUTPUT: what a tunnel or IPsec encapsulates remembers where it
 * came in.
 */
SEC("socket")
int pyxdp_local_dnat_deny(struct __sk_buff *skb)
{
	if (skb->ingress_ifindex)
		return 0;
	return ask(skb, PYXDP_CLASS_NORMAL, PYXDP_EGRESS, DENY | COUNTS_ALL);
}

/* Whether mangle and filter let an endpoint be: every one that is governed has a forward ruleset, whatever its policy. */
static __always_inline bool is_governed(__u32 slot)
{
	return ruleset_of(slot, place_of(pyxdp_endpoint_number, PYXDP_CLASS_FORWARD, PYXDP_INGRESS));
}

SEC("socket")
int pyxdp_ungoverned(struct __sk_buff *skb)
{
	return !is_governed(active_slot());
}

/*
 * The same where a packet that untracked policy has taken out of conntrack was let through just before: what untracked policy allows of
 * the others should not be in conntrack, and is counted. Nobody pays for that who has nothing untracked.
 */
static __always_inline int ungoverned_or_tracked(struct __sk_buff *skb, enum pyxdp_direction direction)
{
	const struct pyxdp_ruleset *ruleset;
	__u32 slot = active_slot();

	if (!is_governed(slot))
		return 1;
	ruleset = ruleset_of(slot, place_of(pyxdp_endpoint_number, PYXDP_CLASS_UNTRACKED, direction));
	if (ruleset && ruleset->flags & PYXDP_RULESET_UNTRACKS)
		return ask(skb, PYXDP_CLASS_UNTRACKED, direction, ALLOW | COUNTS_TRACKED);
	return 0;
}

SEC("socket")
int pyxdp_in_tracked(struct __sk_buff *skb)
{
	return ungoverned_or_tracked(skb, PYXDP_INGRESS);
}

SEC("socket")
int pyxdp_out_tracked(struct __sk_buff *skb)
{
	return ungoverned_or_tracked(skb, PYXDP_EGRESS);
}

/* What conntrack finds invalid is dropped whatever policy says; asked only to have it counted. */
static __always_inline int count_invalid(enum pyxdp_direction direction)
{
	count_reason(place_of(pyxdp_endpoint_number, PYXDP_CLASS_NORMAL, direction), PYXDP_DROP_INVALID);
	return 1;
}

SEC("socket")
int pyxdp_invalid_in(struct __sk_buff *skb)
{
	return count_invalid(PYXDP_INGRESS);
}

SEC("socket")
int pyxdp_invalid_out(struct __sk_buff *skb)
{
	return count_invalid(PYXDP_EGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
