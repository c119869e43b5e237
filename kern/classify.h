/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The first rule that matches, without walking rules: one bit row a field, ANDed, lowest bit first. Every ruleset ends
 * with a rule that matches everything, so there always is one.
 */
#ifndef PYXDP_CLASSIFY_H
#define PYXDP_CLASSIFY_H

#include "address.h"

/*
 * A ruleset, and where the rows of one packet's classes are: in a ruleset of one word, the number of that word in pyxdp_rows, otherwise
 * that of the place of the row in pyxdp_row_index.
 */
struct rows {
	const struct pyxdp_ruleset *ruleset;
	__u32 slot;
	__u32 start[PYXDP_FIELDS];
};

#define NO_RULE 0xffffffffU
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

/*
 * many: has_words(). A field that restricts nothing is not looked up: its class 0 has a row of ones. What an image says is below 2^30,
 * so that MISS leads behind the end of every map.
 */
static __always_inline void find_row(struct rows *rows, enum pyxdp_field field, __u32 class, bool many)
{
	__u32 half = many ? pyxdp_half_row_index : pyxdp_half_rows;

	rows->start[field] = rows->slot * half + rows->ruleset->row_base[field] + (class & PYXDP_LEAF_MASK);
}

static __always_inline bool restricts(const struct rows *rows, enum pyxdp_field field)
{
	return rows->ruleset->fields & 1 << field;
}

static __always_inline void find_local_row(struct rows *rows, const struct flow *flow, enum pyxdp_direction direction,
					   bool many)
{
	const struct address *local = direction == PYXDP_INGRESS ? &flow->destination : &flow->source;

	find_row(rows, PYXDP_FIELD_LOCAL,
		 restricts(rows, PYXDP_FIELD_LOCAL) ? class_of_address(rows->slot, flow, local) : 0, many);
}

/* Of all fields but the local address, of which few rules ask anything. */
static __always_inline void find_rows(struct rows *rows, const struct flow *flow, enum pyxdp_direction direction,
				      bool many)
{
	const struct address *remote = direction == PYXDP_INGRESS ? &flow->source : &flow->destination;
	__u32 slot = rows->slot;

	find_row(rows, PYXDP_FIELD_REMOTE,
		 restricts(rows, PYXDP_FIELD_REMOTE) ? class_of_address(slot, flow, remote) : 0, many);
	find_row(rows, PYXDP_FIELD_SERVICE,
		 restricts(rows, PYXDP_FIELD_SERVICE) ? class_of_service(slot, flow->service) : 0, many);
	find_row(rows, PYXDP_FIELD_SPORT, restricts(rows, PYXDP_FIELD_SPORT) ? class_of_sport(slot, flow) : 0, many);
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

/* The places of the rows of one packet's classes. */
struct places {
	const struct pyxdp_row_place *remote, *local, *service, *sport;
};

static __always_inline const struct pyxdp_row_place *place_at(__u32 index)
{
	return bpf_map_lookup_elem(&pyxdp_row_index, &index);
}

/* Word number n of the rows, ANDed; first is where the rows of the slot begin. False if one is out of bounds. */
static __always_inline bool common_word(const struct places *places, __u32 first, __u32 n, __u64 *bits)
{
	n += first;
	return common_bits(places->remote->row + n, places->local->row + n, places->service->row + n,
			   places->sport->row + n, bits);
}

static __always_inline bool common_aggregate(const struct places *places, __u32 first, __u32 n, __u64 *bits)
{
	if (n >= PYXDP_PLACE_AGGREGATES)
		return common_word(places, first, n, bits);
	*bits = places->remote->aggregate[n] & places->local->aggregate[n] & places->service->aggregate[n] &
		places->sport->aggregate[n];
	return true;
}

/* The first matching rule from number from on in the only word of each row, or NO_RULE. */
static __always_inline __u32 match_in_word(__u32 remote, __u32 local, __u32 service, __u32 sport, __u32 from)
{
	__u64 bits;

	if (!common_bits(remote, local, service, sport, &bits))
		return NO_RULE;
	bits &= ~0ULL << (from % PYXDP_WORD_BITS);
	return bits ? lowest_bit(bits) : NO_RULE;
}

/*
 * The first matching rule from number from on, or NO_RULE. The aggregate words say which words can have a common bit at all; the
 * word that from is in is looked at by itself. The other arguments are as in struct rows. position: from in the lower half, then 16 bits
 * for the number of aggregate words, then the slot.
 */
__noinline __u32 pyxdp_match_from(__u32 remote, __u32 local, __u32 service, __u32 sport, __u64 position)
{
	__u32 from = position, word = from / PYXDP_WORD_BITS, aggregates = position >> 32 & 0xffff, at, rule;
	__u32 first = (__u32)(position >> 48) * pyxdp_half_rows;
	struct places places;
	__u64 bits;

	if (!aggregates)
		return match_in_word(remote, local, service, sport, from);
	places = (struct places){ place_at(remote), place_at(local), place_at(service), place_at(sport) };
	if (!places.remote || !places.local || !places.service || !places.sport)
		return NO_RULE;
	if (!common_word(&places, first, aggregates + word, &bits))
		return NO_RULE;
	bits &= ~0ULL << (from % PYXDP_WORD_BITS);
	if (bits)
		return word * PYXDP_WORD_BITS + lowest_bit(bits);
	for (__u64 i = 0; i < PYXDP_MAX_WORDS / PYXDP_WORD_BITS; i++) {
		if (i >= aggregates || !common_aggregate(&places, first, i, &bits))
			break;
		at = i * PYXDP_WORD_BITS;
		if (word >= at)
			bits = word - at < PYXDP_WORD_BITS - 1 ? bits & ~1ULL << (word - at) : 0;
		at += first + aggregates;
		rule = pyxdp_match_in_words(places.remote->row + at, places.local->row + at, places.service->row + at,
					    places.sport->row + at, bits);
		if (rule != NO_RULE)
			return i * PYXDP_WORD_BITS * PYXDP_WORD_BITS + rule;
	}
	return NO_RULE;
}

static __always_inline __u64 position_of(const struct rows *rows, __u32 from)
{
	return (__u64)rows->slot << 48 | (__u64)rows->ruleset->aggregates << 32 | from;
}

static __always_inline __u32 match_from(const struct rows *rows, __u32 from)
{
	const __u32 *start = rows->start;

	return pyxdp_match_from(start[PYXDP_FIELD_REMOTE], start[PYXDP_FIELD_LOCAL], start[PYXDP_FIELD_SERVICE],
				start[PYXDP_FIELD_SPORT], position_of(rows, from));
}

static __always_inline const struct pyxdp_rule *rule_number(const struct rows *rows, __u32 number)
{
	__u32 index = rows->slot * pyxdp_half_rules + rows->ruleset->rule_base + number;

	return number == NO_RULE ? NULL : bpf_map_lookup_elem(&pyxdp_rules, &index);
}

/* The first matching rule in the only word of all rows, the local address left out if that is no matter. */
static __always_inline const struct pyxdp_rule *first_in_word(struct rows *rows, const struct flow *flow,
							      enum pyxdp_direction direction)
{
	const struct pyxdp_rule *rule;
	__u64 bits, *local;

	find_rows(rows, flow, direction, false);
	if (!common_bits_of_three(rows->start[PYXDP_FIELD_REMOTE], rows->start[PYXDP_FIELD_SERVICE],
				  rows->start[PYXDP_FIELD_SPORT], &bits) ||
	    !bits)
		return NULL;
	rule = rule_number(rows, lowest_bit(bits));
	if (!rule || !(rule->flags & PYXDP_RULE_LOCAL))
		return rule;
	find_local_row(rows, flow, direction, false);
	local = bpf_map_lookup_elem(&pyxdp_rows, &rows->start[PYXDP_FIELD_LOCAL]);
	if (!local || !(bits & *local))
		return NULL;
	return rule_number(rows, lowest_bit(bits & *local));
}

/*
 * The first rule whose bit three rows have in common, or NO_RULE: no rule before it matches. Nearly always it is in one of the first
 * candidate words. They are looked at without a call: where the CPU must not guess where a return goes, one costs more than a word.
 */
static __always_inline __u32 first_of_three(const struct rows *rows)
{
	const struct pyxdp_row_place *remote = place_at(rows->start[PYXDP_FIELD_REMOTE]);
	const struct pyxdp_row_place *service = place_at(rows->start[PYXDP_FIELD_SERVICE]);
	const struct pyxdp_row_place *sport = place_at(rows->start[PYXDP_FIELD_SPORT]);
	__u32 first = rows->slot * pyxdp_half_rows + rows->ruleset->aggregates, word = 0, behind;
	__u64 candidates, bits;

	if (!remote || !service || !sport)
		return NO_RULE;
#pragma unroll
	for (__u32 i = 0; i < PYXDP_PLACE_AGGREGATES; i++) {
		candidates = remote->aggregate[i] & service->aggregate[i] & sport->aggregate[i];
#pragma unroll
		for (__u32 j = 0; j < CANDIDATES_AT_ONCE; j++) {
			if (!candidates)
				break;
			word = i * PYXDP_WORD_BITS + lowest_bit(candidates);
			candidates &= candidates - 1;
			behind = first + word;
			if (!common_bits_of_three(remote->row + behind, service->row + behind, sport->row + behind,
						  &bits))
				return NO_RULE;
			if (bits)
				return word * PYXDP_WORD_BITS + lowest_bit(bits);
		}
		if (candidates)
			break;
	}
	/* Not by the local address, which is not known yet. */
	return pyxdp_match_from(rows->start[PYXDP_FIELD_REMOTE], rows->start[PYXDP_FIELD_REMOTE],
				rows->start[PYXDP_FIELD_SERVICE], rows->start[PYXDP_FIELD_SPORT],
				position_of(rows, word * PYXDP_WORD_BITS));
}

static __always_inline const struct pyxdp_rule *first_in_words(struct rows *rows, const struct flow *flow,
							       enum pyxdp_direction direction)
{
	const struct pyxdp_rule *rule;
	__u32 number;

	find_rows(rows, flow, direction, true);
	number = first_of_three(rows);
	rule = rule_number(rows, number);
	if (!rule || !(rule->flags & PYXDP_RULE_LOCAL))
		return rule;
	find_local_row(rows, flow, direction, true);
	return rule_number(rows, match_from(rows, number));
}

/* The first matching rule; NULL: the image is damaged. */
static __always_inline const struct pyxdp_rule *first_rule(struct rows *rows, const struct flow *flow,
							   enum pyxdp_direction direction)
{
	return has_words(rows) ? first_in_words(rows, flow, direction) : first_in_word(rows, flow, direction);
}

#endif
