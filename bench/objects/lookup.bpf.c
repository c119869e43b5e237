// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What looking up one address costs: programs that look up the same keys one after the other, by our tables, by the kernel's LPM trie, and
 * not at all. Each run takes the next LOOKUPS keys.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "address.h"

#define LOOKUPS 1024

/* As struct address of a flow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct address);
} keys SEC(".maps");

struct ipv4_key {
	__u32 length;
	__be32 address;
};

struct ipv6_key {
	__u32 length;
	__be32 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipv4_key);
	__type(value, __u32);
} trie4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipv6_key);
	__type(value, __u32);
} trie6 SEC(".maps");

const volatile __u32 keys_mask; /* how many keys there are, a power of two, less 1 */
const volatile __u32 outside;   /* class of the addresses that no prefix has */

struct {
	__u64 found; /* keys that some prefix has */
	__u32 turn;  /* the next key */
} state;

/* Global, so that the verifier looks at each kind of look-up once and not LOOKUPS times. */
__noinline __u32 by_nothing(const struct address *address)
{
	return address ? (address->high ^ address->low) & 1 : 0;
}

__noinline __u32 by_trie4(const struct address *address)
{
	struct ipv4_key key = { .length = 32 };

	if (!address)
		return 0;
	key.address = bpf_htonl((__u32)address->high);
	return bpf_map_lookup_elem(&trie4, &key) != NULL;
}

__noinline __u32 by_table4(const struct address *address)
{
	return address && (class_of_ipv4(0, address->high) & PYXDP_LEAF_MASK) != outside;
}

__noinline __u32 by_trie6(const struct address *address)
{
	struct ipv6_key key = { .length = 128 };

	if (!address)
		return 0;
	key.address[0] = bpf_htonl((__u32)(address->high >> 32));
	key.address[1] = bpf_htonl((__u32)address->high);
	key.address[2] = bpf_htonl((__u32)(address->low >> 32));
	key.address[3] = bpf_htonl((__u32)address->low);
	return bpf_map_lookup_elem(&trie6, &key) != NULL;
}

__noinline __u32 by_table6(const struct address *address)
{
	return address && (class_of_ipv6(0, address) & PYXDP_LEAF_MASK) != outside;
}

#define PROGRAM(how)                                               \
	SEC("xdp") int look_up_##how(struct xdp_md *ctx)           \
	{                                                          \
		__u64 found = 0;                                   \
                                                                   \
		for (__u32 i = 0; i < LOOKUPS; i++) {              \
			__u32 turn = (state.turn + i) & keys_mask; \
			const struct address *key;                 \
                                                                   \
			key = bpf_map_lookup_elem(&keys, &turn);   \
			found += by_##how(key);                    \
		}                                                  \
		state.turn += LOOKUPS;                             \
		state.found += found;                              \
		return XDP_PASS;                                   \
	}

PROGRAM(nothing)
PROGRAM(trie4)
PROGRAM(table4)
PROGRAM(trie6)
PROGRAM(table6)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
