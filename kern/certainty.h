/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What has to be certain before a packet is dropped ahead of netfilter: that it would get there as it is, that connection tracking would
 * find it new, and where it would go from there. Every answer errs towards "not certain".
 */
#ifndef PYXDP_CERTAINTY_H
#define PYXDP_CERTAINTY_H

#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>

#include "flow.h"
#include "kernel_types.h"

#define ADDRESS_FAMILY_IPV4 2
#define ADDRESS_FAMILY_IPV6 10
/* Hooks at one place that are looked through; more are not certain. A host has five to ten. */
#define HOOKS_MAX 32
#define ADDRESSES_MAX 64    /* addresses of a device that are looked through */
#define PRE_ROUTING 0       /* NF_INET_PRE_ROUTING; <linux/netfilter.h> needs the C library */
#define PRIORITY_NAT (-100) /* NF_IP_PRI_NAT_DST and NF_IP6_PRI_NAT_DST */
#define NOT_FOUND (-2)      /* -ENOENT */
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

static __always_inline bool has_ipv4(const struct net_device *device, __be32 wanted)
{
	const struct in_ifaddr *address;

	if (!device->ip_ptr)
		return false;
	address = device->ip_ptr->ifa_list;
	for (int i = 0; i < ADDRESSES_MAX && address; i++) {
		if (address->ifa_local == wanted)
			return true;
		address = address->ifa_next;
	}
	return false;
}

/* The address whose if_list is there. */
static __always_inline const struct inet6_ifaddr *ipv6_at(const struct list_head *link)
{
	const struct inet6_ifaddr *none = NULL;
	const void *at = (const void *)link - __CORE_RELO(none, if_list, BYTE_OFFSET);

	return bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct inet6_ifaddr));
}

static __always_inline bool has_ipv6(const struct net_device *device, const __be32 *wanted)
{
	const struct inet6_ifaddr *address;
	const struct list_head *link;

	if (!device->ip6_ptr)
		return false;
	link = device->ip6_ptr->addr_list.next;
	for (int i = 0; i < ADDRESSES_MAX && link != &device->ip6_ptr->addr_list; i++) {
		address = ipv6_at(link);
		if (address->addr.s6_addr32[0] == wanted[0] && address->addr.s6_addr32[1] == wanted[1] &&
		    address->addr.s6_addr32[2] == wanted[2] && address->addr.s6_addr32[3] == wanted[3])
			return true;
		link = address->if_list.next;
	}
	return false;
}

/* Whether one of the first addresses of the device, or else of the loopback device, is the destination: 1 or 0. Global as all loops. */
__noinline int pyxdp_has_address(struct xdp_md *ctx, const struct flow *flow, bool loopback)
{
	const struct net_device *device = device_of(ctx);
	__be32 wanted[4];

	if (!flow)
		return 0;
	if (loopback)
		device = device->nd_net.net->loopback_dev;
	if (flow->family == 4)
		return has_ipv4(device, bpf_htonl(flow->destination.high));
	store_ipv6(wanted, &flow->destination);
	return has_ipv6(device, wanted);
}

/*
 * The packet would be delivered here: it is for an address of this host, and routing agrees. bpf_fib_lookup() says "not forwarded" of
 * local destinations, and also of those that have no route yet, because it knows no mark.
 */
static __always_inline bool is_local(struct xdp_md *ctx, const struct flow *flow)
{
	struct bpf_fib_lookup route = {
		.family = flow->family == 4 ? ADDRESS_FAMILY_IPV4 : ADDRESS_FAMILY_IPV6,
		.l4_protocol = flow->protocol,
		.sport = bpf_htons(flow->sport),
		.dport = bpf_htons((__u16)flow->service),
		.ifindex = ctx->ingress_ifindex,
	};
	long result;

	if (!pyxdp_has_address(ctx, flow, false) && !pyxdp_has_address(ctx, flow, true))
		return false;
	if (flow->family == 4) {
		route.ipv4_src = bpf_htonl(flow->source.high);
		route.ipv4_dst = bpf_htonl(flow->destination.high);
	} else {
		store_ipv6(route.ipv6_src, &flow->source);
		store_ipv6(route.ipv6_dst, &flow->destination);
	}
	result = bpf_fib_lookup(ctx, &route, sizeof(route), 0);
	return result == BPF_FIB_LKUP_RET_FWD_DISABLED || result == BPF_FIB_LKUP_RET_NOT_FWDED;
}

#endif
