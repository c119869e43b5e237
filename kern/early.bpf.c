// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Early drop: carries out at XDP what pre-DNAT and normal policy would do to a new connection in mangle and filter, for packets of which
 * that is certain. Unsure is XDP_PASS: netfilter decides, as it does without this object.
 *
 * pyxdp_xdp tail-calls it for packets about which untracked policy says nothing. Its maps are those of the main object. Minimum kernel:
 * 6.2, with BTF (bpf_cast_to_kern_ctx(), bpf_xdp_ct_lookup()).
 */
#include "certainty.h"
#include "expectations.h"
#include "handover.h"
#include "verdict.h"

static __always_inline bool denies(const struct judgement *judgement)
{
	return judgement->verdict == PYXDP_VERDICT_DENY && judgement->reason == PYXDP_DROP_POLICY;
}

/*
 * Whether netfilter would drop the packet for certain. The normal class decides under the address that the packet has when it is
 * delivered, and only then.
 */
static __always_inline bool is_certain(struct xdp_md *ctx, const struct flow *flow, bool prednat)
{
	const struct net_device *device = device_of(ctx);

	if (!reaches_netfilter(device))
		return false;
	if (!prednat && rewrites_destination(device, flow))
		return false;
	if (!is_new(ctx, flow) || expects_connections(ctx))
		return false;
	return prednat || is_local(ctx, flow);
}

/* Log rules on the way to a judgement that was reached silently. */
static __always_inline void count_logs(const struct judgement *judgement, const struct flow *flow, __u32 slot,
				       __u32 place)
{
	if (judgement->continued)
		judge(flow, slot, place, COUNTING);
}

/* Drops the packet, and counts what netfilter would have counted, if it is certain that it would have been dropped there. */
static __always_inline bool drops(struct xdp_md *ctx, const struct flow *flow, __u32 slot, __u32 endpoint)
{
	__u32 prednat_place = place_of(endpoint, PYXDP_CLASS_PREDNAT, PYXDP_INGRESS);
	__u32 normal_place = place_of(endpoint, PYXDP_CLASS_NORMAL, PYXDP_INGRESS);
	struct judgement prednat, normal, *decision = &prednat;

	if (!is_ordinary(flow))
		return false;
	prednat = judge(flow, slot, prednat_place, SILENT);
	if (prednat.verdict == PYXDP_VERDICT_NONE) {
		normal = judge(flow, slot, normal_place, SILENT);
		decision = &normal;
	}
	if (!denies(decision) || !is_certain(ctx, flow, decision == &prednat))
		return false;
	count_logs(&prednat, flow, slot, prednat_place);
	if (decision == &normal)
		count_logs(&normal, flow, slot, normal_place);
	count_rule(decision->counter, flow->length);
	count_reason(normal_place, PYXDP_DROP_EARLY);
	return true;
}

SEC("xdp")
int pyxdp_early_drop(struct xdp_md *ctx)
{
	const struct handover *packet = handover();

	if (!packet)
		return XDP_PASS;
	if (drops(ctx, &packet->flow, packet->slot, packet->endpoint))
		return XDP_DROP;
	/* What pyxdp_xdp would have counted. */
	count_reason(place_of(packet->endpoint, PYXDP_CLASS_UNTRACKED, PYXDP_INGRESS), PYXDP_PASS_NO_MATCH);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
