/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The members of kernel structures that early drop looks at. libbpf finds each by name in the BTF of the running kernel; one that
 * only some kernels have is asked for with bpf_core_field_exists() first.
 */
#ifndef PYXDP_KERNEL_TYPES_H
#define PYXDP_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <linux/in6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nf_hook_entry {
	void *hook;
};

/* Behind hooks[] there is an array of as many pointers to struct nf_hook_ops. */
struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[];
};

struct nf_hook_ops {
	int priority;
};

typedef struct {
	int counter;
} atomic_t;

struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5];
	struct nf_hook_entries *hooks_ipv6[5];
};

/* An array of pointers in truth, whose first three places hold this instead. */
struct net_generic {
	struct {
		unsigned int len; /* of the array */
	} s;
};

/* Of connection tracking in a namespace. */
struct nf_conntrack_net {
	atomic_t count;
	unsigned int expect_count;
	struct ctl_table_header *sysctl_header;
};

struct ctl_table {
	void *data;
};

struct ctl_table_header {
	struct ctl_table *ctl_table;
};

enum nf_ct_sysctl_index {
	NF_SYSCTL_CT_COUNT = 1,
};

struct net {
	struct net_generic *gen;
	struct netns_nf nf;
	struct net_device *loopback_dev;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
};

struct in_device {
	struct in_ifaddr *ifa_list;
};

struct list_head {
	struct list_head *next;
};

struct inet6_ifaddr {
	struct in6_addr addr;
	struct list_head if_list;
};

struct inet6_dev {
	struct list_head addr_list;
};

struct vlan_group {
	unsigned int nr_vlan_devs;
};

struct vlan_info {
	struct vlan_group grp;
};

struct net_device {
	possible_net_t nd_net;
	void *rx_handler;
	void *nf_hooks_ingress;
	void *miniq_ingress;         /* before 6.6 */
	void *tcx_ingress;           /* since 6.6 */
	struct vlan_info *vlan_info; /* not without VLANs */
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
	unsigned long priv_flags; /* a bit field since 6.12 */
};

enum netdev_priv_flags {
	IFF_L3MDEV_SLAVE = 1 << 18,
};

/* Not looked into; but libbpf takes no declaration for a structure. */
struct nf_conn {
};

struct xdp_rxq_info {
	struct net_device *dev;
};

struct xdp_buff {
	struct xdp_rxq_info *rxq;
};

#pragma clang attribute pop

/* As the kernel passes it, not as it lies somewhere: its layout is fixed. */
struct bpf_ct_opts___first {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___first *opts, __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

#endif
