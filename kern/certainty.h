/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What has to be certain before a packet is dropped ahead of netfilter: that it would get there as it is, that connection tracking would
 * find it new, and where it would go from there. Every answer errs towards "not certain".
 */
#ifndef PYXDP_CERTAINTY_H
#define PYXDP_CERTAINTY_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>

#include "flow.h"
#include "kernel_types.h"

#define ADDRESS_FAMILY_IPV4 2
#define ADDRESS_FAMILY_IPV6 10
/* Hooks at one place that are looked through; more are not certain. A host has five to ten. */
#define HOOKS_MAX 32
#define PRE_ROUTING 0                   /* NF_INET_PRE_ROUTING; <linux/netfilter.h> needs the C library */
#define PRIORITY_NAT (-100)             /* NF_IP_PRI_NAT_DST and NF_IP6_PRI_NAT_DST */
#define FIRST_MULTICAST_IPV4 0xe0000000 /* everything from there on is no unicast address */
#define FIRST_BYTE_MULTICAST_IPV6 0xff
#define LINK_LOCAL_IPV6 0x3fa /* the upper ten bits of fe80::/10 */
#define NOT_FOUND (-2)        /* -ENOENT */
#define CURRENT_NETNS (-1)
/* DHCP servers, relays and clients read packet sockets, which no rule of iptables keeps a packet from. */
#define DHCP_SERVER 67
#define DHCP_CLIENT 68

/* The device that the frame came in by, as the kernel knows it. */
static __always_inline const struct net_device *device_of(struct xdp_md *ctx)
{
	const struct xdp_buff *buffer = bpf_cast_to_kern_ctx(ctx);

	return buffer->rxq->dev;
}

/* TCP or UDP, and nothing that somebody may read past netfilter. */
static __always_inline bool is_ordinary(const struct flow *flow)
{
	__u16 port = flow->service;

	if (flow->protocol == IPPROTO_TCP)
		return true;
	return flow->protocol == IPPROTO_UDP && port != DHCP_SERVER && port != DHCP_CLIENT;
}

/* Nothing between XDP and netfilter redirects, changes or takes what this device receives: no bridge, bond, macvlan, VRF, VLAN, tc, nft. */
static __always_inline bool reaches_netfilter(const struct net_device *device)
{
	if (device->rx_handler)
		return false;
	if (BPF_CORE_READ_BITFIELD(device, priv_flags) & bpf_core_enum_value(enum netdev_priv_flags, IFF_L3MDEV_SLAVE))
		return false;
	if (bpf_core_field_exists(device->nf_hooks_ingress) && device->nf_hooks_ingress)
		return false;
	if (bpf_core_field_exists(device->miniq_ingress) && device->miniq_ingress)
		return false;
	if (bpf_core_field_exists(device->tcx_ingress) && device->tcx_ingress)
		return false;
	if (bpf_core_field_exists(device->vlan_info) && device->vlan_info)
		return !device->vlan_info->grp.nr_vlan_devs;
	return true;
}

/* The priority of the hook that an address in an array of pointers to struct nf_hook_ops leads to. */
static __always_inline int priority_of(const void *at)
{
	/* A pointer is read through any structure that begins with one. */
	const struct nf_hook_entry *pointer = bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct nf_hook_entry));
	const struct nf_hook_ops *hook = bpf_rdonly_cast(pointer->hook, bpf_core_type_id_kernel(struct nf_hook_ops));

	return hook->priority;
}

/* Whether one of a place's hooks of netfilter is that of NAT, or there are more of them than anybody could say that of. */
static __always_inline bool has_nat(const struct nf_hook_entries *entries)
{
	const void *hooks;
	__u32 count;

	if (!entries)
		return false;
	count = entries->num_hook_entries;
	if (count > HOOKS_MAX)
		return true;
	hooks = (void *)entries->hooks + count * bpf_core_type_size(struct nf_hook_entry);
	for (__u32 i = 0; i < HOOKS_MAX && i < count; i++) {
		if (priority_of(hooks + i * sizeof(void *)) == PRIORITY_NAT)
			return true;
	}
	return false;
}

/* Whether the destination may be another one by the time normal policy sees it. */
static __always_inline bool rewrites_destination(const struct net_device *device, const struct flow *flow)
{
	const struct net *net = device->nd_net.net;

	return has_nat(flow->family == 4 ? net->nf.hooks_ipv4[PRE_ROUTING] : net->nf.hooks_ipv6[PRE_ROUTING]);
}

static __always_inline void store_ipv6(__be32 to[4], const struct address *address)
{
	to[0] = bpf_htonl(address->high >> 32);
	to[1] = bpf_htonl((__u32)address->high);
	to[2] = bpf_htonl(address->low >> 32);
	to[3] = bpf_htonl((__u32)address->low);
}

/* Connection tracking knows nothing of the packet: it is neither established nor a reply. */
static __always_inline bool is_new(struct xdp_md *ctx, const struct flow *flow)
{
	struct bpf_ct_opts___first options = { .netns_id = CURRENT_NETNS, .l4proto = flow->protocol };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *connection;

	if (flow->family == 4) {
		tuple.ipv4.saddr = bpf_htonl(flow->source.high);
		tuple.ipv4.daddr = bpf_htonl(flow->destination.high);
		tuple.ipv4.sport = bpf_htons(flow->sport);
		tuple.ipv4.dport = bpf_htons((__u16)flow->service);
		connection = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	} else {
		store_ipv6(tuple.ipv6.saddr, &flow->source);
		store_ipv6(tuple.ipv6.daddr, &flow->destination);
		tuple.ipv6.sport = bpf_htons(flow->sport);
		tuple.ipv6.dport = bpf_htons((__u16)flow->service);
		connection = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv6), &options, sizeof(options));
	}
	if (connection) {
		bpf_ct_release(connection);
		return false;
	}
	return options.error == NOT_FOUND;
}

/* To one host. Groups and broadcasts may be delivered here and forwarded as well. */
static __always_inline bool is_unicast(const struct flow *flow)
{
	__u64 high = flow->destination.high;

	return flow->family == 4 ? high < FIRST_MULTICAST_IPV4 : high >> 56 != FIRST_BYTE_MULTICAST_IPV6;
}

static __always_inline bool is_link_local(const struct address *address)
{
	return address->high >> 54 == LINK_LOCAL_IPV6;
}

/*
 * Whether packets that bpf_fib_lookup() calls "not forwarded" may be: IPv4 to a broadcast address of another device; IPv6 where all
 * interfaces forward, although this one, which is all that is looked at, does not.
 */
static __always_inline bool forwards_all_the_same(const struct net_device *device, const struct flow *flow)
{
	const struct net *net = device->nd_net.net;
	const struct inet6_dev *ipv6 = device->ip6_ptr;

	if (flow->family == 4)
		return net->ipv4.devconf_all->data[IPV4_DEVCONF_BC_FORWARDING - 1];
	if (net->ipv6.devconf_all->forwarding)
		return true;
	return ipv6 && bpf_core_field_exists(ipv6->cnf.force_forwarding) && ipv6->cnf.force_forwarding;
}

/* Whether the route may be another one once the packet has a mark, which it gets behind XDP. */
static __always_inline bool has_routing_rules(const struct net_device *device, const struct flow *flow)
{
	const struct net *net = device->nd_net.net;

	if (flow->family == 4)
		return bpf_core_field_exists(net->ipv4.fib_has_custom_rules) && net->ipv4.fib_has_custom_rules;
	return bpf_core_field_exists(net->ipv6.fib6_has_custom_rules) && net->ipv6.fib6_has_custom_rules;
}

/*
 * What a router says is not forwarded: it is for this host, or has no route. With routing rules the latter may have one yet. Then it
 * counts that the main table has a route: only what comes before it, which is the table of local addresses, can have said otherwise.
 */
static __always_inline bool is_local_to_router(struct xdp_md *ctx, struct bpf_fib_lookup *route,
					       const struct net_device *device, const struct flow *flow)
{
	long result;

	if (flow->family == 4 && forwards_all_the_same(device, flow))
		return false;
	/* No look-up has been made. */
	if (flow->family == 6 && (is_link_local(&flow->source) || is_link_local(&flow->destination)))
		return !forwards_all_the_same(device, flow);
	if (!has_routing_rules(device, flow))
		return true;
	result = bpf_fib_lookup(ctx, route, sizeof(*route), BPF_FIB_LOOKUP_DIRECT);
	return result >= 0 && result != BPF_FIB_LKUP_RET_NOT_FWDED;
}

/* The packet would be delivered here, or nowhere: it would not come to FORWARD. */
static __always_inline bool is_local(struct xdp_md *ctx, const struct net_device *device, const struct flow *flow)
{
	struct bpf_fib_lookup route = {
		.family = flow->family == 4 ? ADDRESS_FAMILY_IPV4 : ADDRESS_FAMILY_IPV6,
		.l4_protocol = flow->protocol,
		.sport = bpf_htons(flow->sport),
		.dport = bpf_htons((__u16)flow->service),
		.ifindex = ctx->ingress_ifindex,
	};
	long result;

	if (!is_unicast(flow))
		return false;
	if (flow->family == 4) {
		route.ipv4_src = bpf_htonl(flow->source.high);
		route.ipv4_dst = bpf_htonl(flow->destination.high);
	} else {
		store_ipv6(route.ipv6_src, &flow->source);
		store_ipv6(route.ipv6_dst, &flow->destination);
	}
	result = bpf_fib_lookup(ctx, &route, sizeof(route), 0);
	if (result == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return !forwards_all_the_same(device, flow);
	return result == BPF_FIB_LKUP_RET_NOT_FWDED && is_local_to_router(ctx, &route, device, flow);
}

#endif
