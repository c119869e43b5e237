/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a flow to a verdict with its reason. */
#ifndef PYXDP_VERDICT_H
#define PYXDP_VERDICT_H

#include "classify.h"
#include "events.h"

/*
 * A program run looks twice at most: a run that is only asked for its opinion (may it be notracked?) must not count what the
 * run that acts on it will count.
 */
enum effect {
	SILENT,
	COUNTING,
};

/* Fits a register, because that is all that a global function can return. */
struct judgement {
	__u8 verdict;   /* enum pyxdp_verdict */
	__u8 reason;    /* enum pyxdp_reason */
	__u8 continued; /* Log and Pass rules met on the way */
	__u8 flags;     /* enum pyxdp_ruleset_flag of the ruleset that decided */
	__u32 counter;  /* identity of the deciding rule; valid with a verdict of ALLOW, DENY or FAILSAFE */
};

union packed_judgement {
	struct judgement judgement;
	__u64 packed;
};

static __always_inline bool is_drop(enum pyxdp_reason reason)
{
	return reason >= PYXDP_DROP_POLICY && reason <= PYXDP_DROP_INTERNAL;
}

static __always_inline enum pyxdp_reason reason_of(__u32 verdict)
{
	switch (verdict) {
	case PYXDP_VERDICT_ALLOW:
		return PYXDP_PASS_ALLOWED;
	case PYXDP_VERDICT_DENY:
		return PYXDP_DROP_POLICY;
	case PYXDP_VERDICT_FAILSAFE:
		return PYXDP_PASS_FAILSAFE;
	default:
		return PYXDP_PASS_NO_MATCH;
	}
}

static __always_inline struct judgement undecided(enum pyxdp_verdict verdict, enum pyxdp_reason reason)
{
	return (struct judgement){ .verdict = verdict, .reason = reason };
}

/* To be read once a run: what a run looks up twice must be of one policy. */
static __always_inline __u32 active_slot(void)
{
	struct pyxdp_control *control;
	__u32 zero = 0;

	control = bpf_map_lookup_elem(&pyxdp_control, &zero);
	return control ? *(volatile __u32 *)&control->active & 1 : 0;
}

/* The ruleset of a place, or NULL when nothing governs it. */
static __always_inline const struct pyxdp_ruleset *ruleset_of(__u32 slot, __u32 place)
{
	__u32 index = slot * PYXDP_RULESETS_PER_SLOT + place;
	const struct pyxdp_ruleset *ruleset = bpf_map_lookup_elem(&pyxdp_rulesets, &index);

	return ruleset && ruleset->words ? ruleset : NULL;
}

/*
 * Walks from match to match until one has a verdict. Of a fragment that is not the first, ports are not known: a rule that
 * asks for them may or may not be the one, so that nothing is certain from there on and the first fragment decides, unless it
 * is a Log rule.
 */
static __always_inline struct judgement walk(const struct rows *rows, const struct flow *flow, __u32 place,
					     enum effect effect)
{
	const struct pyxdp_rule *rule;
	__u32 number = match_from(rows, 0);

	for (__u64 i = 0; i <= PYXDP_MAX_CONTINUES; i++) {
		rule = rule_number(rows, number);
		if (!rule)
			return undecided(PYXDP_VERDICT_DENY, PYXDP_DROP_INTERNAL);
		if (flow->is_fragment && rule->flags & PYXDP_RULE_PORTS) {
			if (!(rule->flags & PYXDP_RULE_LOG))
				return undecided(PYXDP_VERDICT_NONE, PYXDP_PASS_FRAGMENT);
		} else if (rule->verdict != PYXDP_VERDICT_CONTINUE) {
			return (struct judgement){ rule->verdict, reason_of(rule->verdict), i, 0, rule->counter };
		} else if (effect == COUNTING) {
			count_rule(rule->counter, flow->length);
			if (rule->flags & PYXDP_RULE_LOG)
				pyxdp_emit_event(flow, rule->counter, place);
		}
		number = match_from(rows, rule->resume);
	}
	return undecided(PYXDP_VERDICT_DENY, PYXDP_DROP_CONTINUES);
}

/*
 * Judges a parsed flow by a slot's policy; returns a packed struct judgement. Global, so that the verifier looks at it once
 * and not once for every way through the parser. Pointer arguments of global functions need Linux 5.12.
 */
__noinline __u64 pyxdp_judge(const struct flow *flow, __u32 slot, __u32 place, __u32 effect)
{
	struct rows rows = { .slot = slot };
	union packed_judgement result = {};

	if (!flow)
		return 0;
	rows.ruleset = ruleset_of(rows.slot, place);
	if (!rows.ruleset) {
		result.judgement = undecided(PYXDP_VERDICT_NONE, PYXDP_PASS_NOT_GOVERNED);
		return result.packed;
	}
	find_row(&rows, flow, direction_at(place), PYXDP_FIELD_REMOTE);
	find_row(&rows, flow, direction_at(place), PYXDP_FIELD_LOCAL);
	find_row(&rows, flow, direction_at(place), PYXDP_FIELD_SERVICE);
	find_row(&rows, flow, direction_at(place), PYXDP_FIELD_SPORT);
	result.judgement = walk(&rows, flow, place, effect);
	result.judgement.flags = rows.ruleset->flags;
	return result.packed;
}

static __always_inline struct judgement judge(const struct flow *flow, __u32 slot, __u32 place, enum effect effect)
{
	union packed_judgement result = { .packed = pyxdp_judge(flow, slot, place, effect) };

	return result.judgement;
}

/*
 * Judges what most packets are at once, without calling anything: the first rule that matches a packet with ports has a verdict.
 * Anything else is judged as everywhere.
 */
static __always_inline struct judgement judge_at_once(const struct flow *flow, __u32 slot, __u32 place)
{
	struct rows rows = { .slot = slot, .ruleset = ruleset_of(slot, place) };
	const struct pyxdp_rule *rule;

	if (!rows.ruleset)
		return undecided(PYXDP_VERDICT_NONE, PYXDP_PASS_NOT_GOVERNED);
	if (!flow->has_ports)
		return judge(flow, slot, place, COUNTING);
	rule = first_rule(&rows, flow, direction_at(place));
	if (!rule || rule->verdict == PYXDP_VERDICT_CONTINUE)
		return judge(flow, slot, place, COUNTING);
	return (struct judgement){ rule->verdict, reason_of(rule->verdict), 0, rows.ruleset->flags, rule->counter };
}

/* The verdict of a packet that did not parse: its reason decides, unless nothing governs the interface. */
static __always_inline struct judgement judge_unparsed(enum pyxdp_reason reason, __u32 slot, __u32 place)
{
	const struct pyxdp_ruleset *ruleset = ruleset_of(slot, place);
	struct judgement judgement;

	if (!ruleset)
		return undecided(PYXDP_VERDICT_NONE, PYXDP_PASS_NOT_GOVERNED);
	judgement = undecided(is_drop(reason) ? PYXDP_VERDICT_DENY : PYXDP_VERDICT_NONE, reason);
	judgement.flags = ruleset->flags;
	return judgement;
}

/* Counts a judgement: its reason always, the deciding rule where there is one. */
static __always_inline void count(const struct judgement *judgement, const struct flow *flow, __u32 place)
{
	count_reason(place, judgement->reason);
	if (judgement->reason == PYXDP_PASS_ALLOWED || judgement->reason == PYXDP_DROP_POLICY ||
	    judgement->reason == PYXDP_PASS_FAILSAFE)
		count_rule(judgement->counter, flow->length);
}

#endif
