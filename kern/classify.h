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
/* An index into pyxdp_rows that no map is large enough for, with room for a row behind it. */
#define OUT_OF_BOUNDS 0x80000000U
/* How many candidates of each aggregate word of a place are looked at without a call. */
#define CANDIDATES_AT_ONCE 2

/*
 * The position of the lowest set bit; bits is not 0. BPF has no instruction for it: a De Bruijn sequence puts a different six-bit
 * number into the top bits for each power of two (Leiserson, Prokop, Randall 1998).
 */
static __always_inline __u32 lowest_bit(__u64 bits)
{
	static const __u8 position[64] = {
		0,  1,  48, 2,  57, 49, 28, 3,  61, 58, 50, 42, 38, 29, 17, 4,  62, 55, 59, 36, 53, 51,
		43, 22, 45, 39, 33, 30, 24, 18, 12, 5,  63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21,
		44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,  13, 8,  7,  6,
	};

	return position[((bits & -bits) * 0x03f79d71b4cb0a89ULL) >> 58];
}

/* The words at indexes, ANDed; false if one of them is out of bounds. */
static __always_inline bool common_bits_of_three(__u32 remote, __u32 service, __u32 sport, __u64 *bits)
{
	__u64 *word;

	word = bpf_map_lookup_elem(&pyxdp_rows, &remote);
	if (!word)
		return false;
	*bits = *word;
	word = bpf_map_lookup_elem(&pyxdp_rows, &service);
	if (!word)
		return false;
	*bits &= *word;
	word = bpf_map_lookup_elem(&pyxdp_rows, &sport);
	if (!word)
		return false;
	*bits &= *word;
	return true;
}

static __always_inline bool common_bits(__u32 remote, __u32 local, __u32 service, __u32 sport, __u64 *bits)
{
	__u64 *word;

	if (!common_bits_of_three(remote, service, sport, bits))
		return false;
	word = bpf_map_lookup_elem(&pyxdp_rows, &local);
	if (!word)
		return false;
	*bits &= *word;
	return true;
}

static __always_inline bool has_words(const struct rows *rows)
{
	return rows->ruleset->words > 1;
}

/* A field that restricts nothing is not looked up: its class 0 has a row of ones. */
static __always_inline __u32 class_of_field(const struct rows *rows, const struct flow *flow,
					    enum pyxdp_direction direction, enum pyxdp_field field)
{
	bool of_source = (field == PYXDP_FIELD_REMOTE) == (direction == PYXDP_INGRESS);
	__u32 class;

	if (!(rows->ruleset->fields & 1 << field))
		return 0;
	if (field == PYXDP_FIELD_SERVICE)
		class = class_of_service(rows->slot, flow->service);
	else if (field == PYXDP_FIELD_SPORT)
		class = class_of_sport(rows->slot, flow);
	else
		class = class_of_address(rows->slot, flow, of_source ? &flow->source : &flow->destination);
	return class & PYXDP_LEAF_MASK;
}

/* In a ruleset of one word: where the row of a class is. */
static __always_inline __u32 only_word(const struct rows *rows, enum pyxdp_field field, __u32 class)
{
	__u64 row = rows->slot * pyxdp_half_rows + rows->ruleset->row_base[field];

	row += class;
	return row < OUT_OF_BOUNDS ? row : OUT_OF_BOUNDS;
}

/* In a ruleset of many words: what there is to know of the row of a class. NULL: the image is damaged. */
static __always_inline const struct pyxdp_row_place *row_place(const struct rows *rows, enum pyxdp_field field,
							       __u32 class)
{
	__u32 index = rows->slot * pyxdp_half_row_index + rows->ruleset->row_base[field] + class;

	return bpf_map_lookup_elem(&pyxdp_row_index, &index);
}

static __always_inline __u32 first_word(const struct rows *rows, const struct pyxdp_row_place *place)
{
	return place ? rows->slot * pyxdp_half_rows + place->row : OUT_OF_BOUNDS;
}

static __always_inline void find_row(struct rows *rows, const struct flow *flow, enum pyxdp_direction direction,
				     enum pyxdp_field field)
{
	__u32 class = class_of_field(rows, flow, direction, field);

	rows->start[field] =
		has_words(rows) ? first_word(rows, row_place(rows, field, class)) : only_word(rows, field, class);
}

/*
 * The first rule, counted from the first of these (at most 64) words, whose bit is common to all rows; only candidate words are looked
 * at. The arguments are where those words begin in each row. NO_RULE if there is none.
 */
__noinline __u32 pyxdp_match_in_words(__u32 remote, __u32 local, __u32 service, __u32 sport, __u64 candidates)
{
	__u64 bits;
	__u32 word;

	for (__u64 i = 0; i < PYXDP_WORD_BITS && candidates; i++) {
		word = lowest_bit(candidates);
		candidates &= candidates - 1;
		if (!common_bits(remote + word, local + word, service + word, sport + word, &bits))
			break;
		if (bits)
			return word * PYXDP_WORD_BITS + lowest_bit(bits);
	}
	return NO_RULE;
}

/*
 * The first matching rule from number from on, or NO_RULE. The aggregate words say which words can have a common bit at all; the
 * word that from is in is looked at by itself. position: from in the lower half, the number of aggregate words in the upper.
 */
__noinline __u32 pyxdp_match_from(__u32 remote, __u32 local, __u32 service, __u32 sport, __u64 position)
{
	__u32 aggregates = position >> 32, from = position, word = from / PYXDP_WORD_BITS, at = aggregates + word, rule;
	__u64 bits;

	if (!common_bits(remote + at, local + at, service + at, sport + at, &bits))
		return NO_RULE;
	bits &= ~0ULL << (from % PYXDP_WORD_BITS);
	if (bits)
		return word * PYXDP_WORD_BITS + lowest_bit(bits);
	for (__u64 i = 0; i < PYXDP_MAX_WORDS / PYXDP_WORD_BITS; i++) {
		if (i >= aggregates || !common_bits(remote + i, local + i, service + i, sport + i, &bits))
			break;
		at = i * PYXDP_WORD_BITS;
		if (word >= at)
			bits = word - at < PYXDP_WORD_BITS - 1 ? bits & ~1ULL << (word - at) : 0;
		at += aggregates;
		rule = pyxdp_match_in_words(remote + at, local + at, service + at, sport + at, bits);
		if (rule != NO_RULE)
			return i * PYXDP_WORD_BITS * PYXDP_WORD_BITS + rule;
	}
	return NO_RULE;
}

static __always_inline __u32 match_from(const struct rows *rows, __u32 from)
{
	const __u32 *start = rows->start;

	return pyxdp_match_from(start[PYXDP_FIELD_REMOTE], start[PYXDP_FIELD_LOCAL], start[PYXDP_FIELD_SERVICE],
				start[PYXDP_FIELD_SPORT], (__u64)rows->ruleset->aggregates << 32 | from);
}

static __always_inline const struct pyxdp_rule *rule_number(const struct rows *rows, __u32 number)
{
	__u32 index = rows->slot * pyxdp_half_rules + rows->ruleset->rule_base + number;

	return number == NO_RULE ? NULL : bpf_map_lookup_elem(&pyxdp_rules, &index);
}

/* The first matching rule in the only word of all rows, the local address left out if that is no matter. */
static __always_inline const struct pyxdp_rule *first_in_word(const struct rows *rows, const struct flow *flow,
							      enum pyxdp_direction direction)
{
	__u32 remote = only_word(rows, PYXDP_FIELD_REMOTE, class_of_field(rows, flow, direction, PYXDP_FIELD_REMOTE));
	__u32 service =
		only_word(rows, PYXDP_FIELD_SERVICE, class_of_field(rows, flow, direction, PYXDP_FIELD_SERVICE));
	__u32 sport = only_word(rows, PYXDP_FIELD_SPORT, class_of_field(rows, flow, direction, PYXDP_FIELD_SPORT));
	const struct pyxdp_rule *rule;
	__u64 bits, *local;
	__u32 at;

	if (!common_bits_of_three(remote, service, sport, &bits) || !bits)
		return NULL;
	rule = rule_number(rows, lowest_bit(bits));
	if (!rule || !(rule->flags & PYXDP_RULE_LOCAL))
		return rule;
	at = only_word(rows, PYXDP_FIELD_LOCAL, class_of_field(rows, flow, direction, PYXDP_FIELD_LOCAL));
	local = bpf_map_lookup_elem(&pyxdp_rows, &at);
	if (!local || !(bits & *local))
		return NULL;
	return rule_number(rows, lowest_bit(bits & *local));
}

/*
 * The first rule whose bit all rows but that of the local address have in common, or NO_RULE: no rule before it matches. Nearly always
 * it is in one of the first candidate words. They are looked at without a call: where the CPU must not guess where a return goes, one
 * costs more than a word. The rows' places say which words these are, before anything of the rows is read.
 */
static __always_inline __u32 first_of_three(struct rows *rows, const struct pyxdp_row_place *remote,
					    const struct pyxdp_row_place *service, const struct pyxdp_row_place *sport)
{
	__u32 aggregates = rows->ruleset->aggregates, *start = rows->start, word = 0, behind;
	__u64 candidates, bits;

	start[PYXDP_FIELD_REMOTE] = first_word(rows, remote);
	start[PYXDP_FIELD_LOCAL] = start[PYXDP_FIELD_REMOTE];
	start[PYXDP_FIELD_SERVICE] = first_word(rows, service);
	start[PYXDP_FIELD_SPORT] = first_word(rows, sport);
#pragma unroll
	for (__u32 i = 0; i < PYXDP_PLACE_AGGREGATES; i++) {
		candidates = remote->aggregate[i] & service->aggregate[i] & sport->aggregate[i];
#pragma unroll
		for (__u32 j = 0; j < CANDIDATES_AT_ONCE; j++) {
			if (!candidates)
				break;
			word = i * PYXDP_WORD_BITS + lowest_bit(candidates);
			candidates &= candidates - 1;
			behind = aggregates + word;
			if (!common_bits_of_three(start[PYXDP_FIELD_REMOTE] + behind,
						  start[PYXDP_FIELD_SERVICE] + behind,
						  start[PYXDP_FIELD_SPORT] + behind, &bits))
				return NO_RULE;
			if (bits)
				return word * PYXDP_WORD_BITS + lowest_bit(bits);
		}
		if (candidates)
			break;
	}
	return match_from(rows, word * PYXDP_WORD_BITS);
}

static __always_inline const struct pyxdp_rule *first_in_words(struct rows *rows, const struct flow *flow,
							       enum pyxdp_direction direction)
{
	const struct pyxdp_row_place *remote, *local, *service, *sport;
	const struct pyxdp_rule *rule;
	__u32 number;

	remote = row_place(rows, PYXDP_FIELD_REMOTE, class_of_field(rows, flow, direction, PYXDP_FIELD_REMOTE));
	if (!remote)
		return NULL;
	service = row_place(rows, PYXDP_FIELD_SERVICE, class_of_field(rows, flow, direction, PYXDP_FIELD_SERVICE));
	if (!service)
		return NULL;
	sport = row_place(rows, PYXDP_FIELD_SPORT, class_of_field(rows, flow, direction, PYXDP_FIELD_SPORT));
	if (!sport)
		return NULL;
	number = first_of_three(rows, remote, service, sport);
	rule = rule_number(rows, number);
	if (!rule || !(rule->flags & PYXDP_RULE_LOCAL))
		return rule;
	local = row_place(rows, PYXDP_FIELD_LOCAL, class_of_field(rows, flow, direction, PYXDP_FIELD_LOCAL));
	rows->start[PYXDP_FIELD_LOCAL] = first_word(rows, local);
	return rule_number(rows, match_from(rows, number));
}

/* The first matching rule; NULL: the image is damaged. */
static __always_inline const struct pyxdp_rule *first_rule(struct rows *rows, const struct flow *flow,
							   enum pyxdp_direction direction)
{
	return has_words(rows) ? first_in_words(rows, flow, direction) : first_in_word(rows, flow, direction);
}

#endif
