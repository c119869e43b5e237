/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections that connection tracking expects (the data connections of FTP, SIP, ...). Its look-up does not find them: the first packet
 * of one is new to it, and RELATED to netfilter. So while a namespace expects any, nothing is certain.
 *
 * Their number is in a structure that struct net leads to by a number (struct net_generic) which no BTF knows. The structure is known by
 * its sysctl table, whose entry nf_conntrack_count points back into it. It is looked for once.
 */
#ifndef PYXDP_EXPECTATIONS_H
#define PYXDP_EXPECTATIONS_H

#include "certainty.h"

#define GENERIC_FIRST 3    /* MIN_PERNET_OPS_ID */
#define GENERIC_MAX 256    /* numbers that are tried; a host has fifty to a hundred */
#define GENERIC_AT_ONCE 32 /* of them, by one call */
#define GENERIC_NONE ~0U   /* nothing has been found */

/* Where the structure is in net->gen; 0: not looked for yet. The same in every namespace, until the next boot. */
static volatile __u32 tracking_number;

static __always_inline struct nf_conntrack_net *generic_at(const struct net_generic *generic, __u32 number)
{
	const void *at = (const void *)generic + number * sizeof(void *);
	struct nf_conntrack_net *found = NULL;

	bpf_probe_read_kernel(&found, sizeof(found), at);
	return found;
}

static __always_inline bool is_tracking(const struct nf_conntrack_net *candidate)
{
	const __u64 size = bpf_core_type_size(struct ctl_table);
	const __u64 number = bpf_core_enum_value(enum nf_ct_sysctl_index, NF_SYSCTL_CT_COUNT);
	const struct ctl_table_header *header = NULL;
	const struct ctl_table *entry = NULL;
	void *data = NULL;

	bpf_core_read(&header, sizeof(header), &candidate->sysctl_header);
	if (!header)
		return false;
	bpf_core_read(&entry, sizeof(entry), &header->ctl_table);
	if (!entry)
		return false;
	entry = (const void *)entry + number * size;
	bpf_core_read(&data, sizeof(data), &entry->data);
	return data == (const void *)candidate + bpf_core_field_offset(candidate->count);
}

/* Tries the numbers from first on. Global and of few steps, so that the verifier goes through these only. */
__noinline __u32 pyxdp_find_tracking_from(struct xdp_md *ctx, __u32 first)
{
	const struct net_generic *generic = device_of(ctx)->nd_net.net->gen;
	const struct nf_conntrack_net *candidate;
	__u32 end = generic->s.len;

	for (__u32 i = 0; i < GENERIC_AT_ONCE && first + i < end; i++) {
		candidate = generic_at(generic, first + i);
		if (candidate && is_tracking(candidate))
			return first + i;
	}
	return GENERIC_NONE;
}

/* Global, so that the verifier does not go on from each of its exits. */
__noinline __u32 pyxdp_find_tracking(struct xdp_md *ctx)
{
	__u32 found = GENERIC_NONE;

	for (__u32 first = GENERIC_FIRST; first < GENERIC_MAX && found == GENERIC_NONE; first += GENERIC_AT_ONCE)
		found = pyxdp_find_tracking_from(ctx, first);
	return found;
}

/* Whether this namespace expects a connection, or nobody could say. A read that fails leaves zero behind, so each one is asked. */
static __always_inline bool expects_connections(struct xdp_md *ctx)
{
	const struct net_generic *generic = device_of(ctx)->nd_net.net->gen;
	const struct nf_conntrack_net *tracking;
	__u32 number = tracking_number, expected = 1;

	if (!number)
		tracking_number = number = pyxdp_find_tracking(ctx);
	if (number >= generic->s.len) /* GENERIC_NONE is */
		return true;
	tracking = generic_at(generic, number);
	return !tracking || bpf_core_read(&expected, sizeof(expected), &tracking->expect_count) || expected;
}

#endif
