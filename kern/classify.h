/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The first rule that matches, without walking rules: one bit row a field, ANDed, lowest bit first. Every ruleset ends
 * with a rule that matches everything, so there always is one.
 */
#ifndef PYXDP_CLASSIFY_H
#define PYXDP_CLASSIFY_H

#include "address.h"

/* A ruleset, and where in pyxdp_rows the rows of one packet's classes begin. */
struct rows {
	const struct pyxdp_ruleset *ruleset;
	__u32 slot;
	__u32 start[PYXDP_FIELDS];
};

#define NO_RULE 0xffffffffU

/*
 * The position of the lowest set bit; bits is not 0. BPF has no instruction for it: a De Bruijn sequence puts a different six-bit
 * number into the top bits for each power of two (Leiserson, Prokop, Randall 1998).
 */
static __always_inline __u32 lowest_bit(__u64 bits)
{
	static const __u8 position[64] = {
		0,  1,	48, 2,	57, 49, 28, 3,	61, 58, 50, 42, 38, 29, 17, 4,	62, 55, 59, 36, 53, 51,
		43, 22, 45, 39, 33, 30, 24, 18, 12, 5,	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21,
		44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,	13, 8,	7,  6,
	};

	return position[((bits & -bits) * 0x03f79d71b4cb0a89ULL) >> 58];
}

static __always_inline __u64 row_word(__u32 index)
{
	__u64 *word = bpf_map_lookup_elem(&pyxdp_rows, &index);

	return word ? *word : 0;
}

static __always_inline __u64 common_bits(__u32 remote, __u32 local, __u32 service, __u32 sport)
{
	return row_word(remote) & row_word(service) & row_word(local) & row_word(sport);
}

/* A field that restricts nothing is not looked up: its class 0 has a row of ones. */
static __always_inline void find_row(struct rows *rows, enum pyxdp_field field, __u32 class)
{
	const struct pyxdp_ruleset *ruleset = rows->ruleset;

	rows->start[field] = rows->slot * pyxdp_half_rows + ruleset->row_base[field] +
			     (class & PYXDP_LEAF_MASK) * (ruleset->aggregates + ruleset->words);
}

static __always_inline bool restricts(const struct rows *rows, enum pyxdp_field field)
{
	return rows->ruleset->fields & 1 << field;
}

static __always_inline void find_rows(struct rows *rows, const struct flow *flow, enum pyxdp_direction direction)
{
	const struct address *remote = direction == PYXDP_INGRESS ? &flow->source : &flow->destination;
	const struct address *local = direction == PYXDP_INGRESS ? &flow->destination : &flow->source;
	__u32 slot = rows->slot;

	find_row(rows, PYXDP_FIELD_REMOTE,
		 restricts(rows, PYXDP_FIELD_REMOTE) ? class_of_address(slot, flow, remote) : 0);
	find_row(rows, PYXDP_FIELD_LOCAL,
		 restricts(rows, PYXDP_FIELD_LOCAL) ? class_of_address(slot, flow, local) : 0);
	find_row(rows, PYXDP_FIELD_SERVICE,
		 restricts(rows, PYXDP_FIELD_SERVICE) ? class_of_service(slot, flow->service) : 0);
	find_row(rows, PYXDP_FIELD_SPORT, restricts(rows, PYXDP_FIELD_SPORT) ? class_of_sport(slot, flow) : 0);
}

/*
 * The first matching rule from number from on, in a ruleset of more than one word, or NO_RULE: the aggregate words say which
 * words can have a common bit at all. Each round of the loop looks at one such word, or moves on by one aggregate word.
 * from is in the lower half of position, the number of aggregate words in the upper. Global, with numbers only: see
 * pyxdp_find_range().
 */
__noinline __u32 pyxdp_first_match(__u32 remote, __u32 local, __u32 service, __u32 sport, __u64 position)
{
	__u32 aggregates = position >> 32, from = position, first_word = from / PYXDP_WORD_BITS, word, at;
	__u32 aggregate = first_word / PYXDP_WORD_BITS;
	__u64 candidates, bits;

	candidates = common_bits(remote + aggregate, local + aggregate, service + aggregate, sport + aggregate);
	candidates &= ~0ULL << (first_word % PYXDP_WORD_BITS);
	for (int i = 0; i < PYXDP_MAX_WORDS + PYXDP_MAX_WORDS / PYXDP_WORD_BITS; i++) {
		if (!candidates) {
			if (++aggregate >= aggregates)
				break;
			candidates = common_bits(remote + aggregate, local + aggregate, service + aggregate,
						 sport + aggregate);
			continue;
		}
		word = aggregate * PYXDP_WORD_BITS + lowest_bit(candidates);
		at = aggregates + word;
		candidates &= candidates - 1;
		bits = common_bits(remote + at, local + at, service + at, sport + at);
		if (word == first_word)
			bits &= ~0ULL << (from % PYXDP_WORD_BITS);
		if (bits)
			return word * PYXDP_WORD_BITS + lowest_bit(bits);
	}
	return NO_RULE;
}

static __always_inline __u32 first_match(const struct rows *rows, __u32 from)
{
	const __u32 *start = rows->start;
	__u64 bits;

	if (rows->ruleset->words > 1)
		return pyxdp_first_match(start[PYXDP_FIELD_REMOTE], start[PYXDP_FIELD_LOCAL],
					 start[PYXDP_FIELD_SERVICE], start[PYXDP_FIELD_SPORT],
					 (__u64)rows->ruleset->aggregates << 32 | from);
	bits = common_bits(start[PYXDP_FIELD_REMOTE], start[PYXDP_FIELD_LOCAL], start[PYXDP_FIELD_SERVICE],
			   start[PYXDP_FIELD_SPORT]);
	bits &= ~0ULL << (from % PYXDP_WORD_BITS);
	return bits ? lowest_bit(bits) : NO_RULE;
}

static __always_inline const struct pyxdp_rule *rule_number(const struct rows *rows, __u32 number)
{
	__u32 index = rows->slot * pyxdp_half_rules + rows->ruleset->rule_base + number;

	return number == NO_RULE ? NULL : bpf_map_lookup_elem(&pyxdp_rules, &index);
}

#endif
