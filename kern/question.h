/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Socket filters answer one question of an iptables rule each: does this packet match? To parse and to judge is the same for all of
 * them and is verified once, in pyxdp_answer. A filter of an endpoint is a few instructions, which write the question into skb->cb and
 * tail-call it. xt_bpf saves and restores cb around a run.
 */
#ifndef PYXDP_QUESTION_H
#define PYXDP_QUESTION_H

#include "maps_main.h"
#include "place.h"

/* Words of skb->cb. */
enum question_word {
	QUESTION_PLACE = 0, /* place_of() */
	QUESTION_ASKED = 1, /* enum asked */
};

/* The verdict (enum pyxdp_verdict) that is answered with 1, and what is counted. Without any of COUNTS_* nothing is. */
enum asked {
	ASKED_VERDICT = 0xff,
	COUNTS_TAKEN = 1 << 8,    /* packets that it takes: another filter is asked about the rest */
	COUNTS_LOGS = 1 << 9,     /* with COUNTS_TAKEN: the Log rules on the way too; nobody before has */
	COUNTS_ALL = 1 << 10,     /* every packet: nobody is asked after this one */
	COUNTS_DECIDED = 1 << 11, /* with COUNTS_ALL: but not a packet without a verdict; the next class has it */
	COUNTS_NOTRACK = 1 << 12, /* as PYXDP_UNTRACKED what it takes */
	COUNTS_TRACKED = 1 << 13, /* as PYXDP_STILL_TRACKED what it would take, and takes nothing */
};

static __always_inline int ask(struct __sk_buff *skb, enum pyxdp_class class, enum pyxdp_direction direction,
			       __u32 asked)
{
	skb->cb[QUESTION_PLACE] = place_of(pyxdp_endpoint_number, class, direction);
	skb->cb[QUESTION_ASKED] = asked;
	bpf_tail_call(skb, &pyxdp_questions, 0);
	/*
	 * Nobody answers: closed, not open. But not for untracked policy, which is asked ahead of connection tracking: connections that
	 * netfilter knows, whoever repairs this among them, would end with it. What is new meets the classes behind.
	 */
	return (asked & ASKED_VERDICT) == PYXDP_VERDICT_DENY && class != PYXDP_CLASS_UNTRACKED;
}

#endif
