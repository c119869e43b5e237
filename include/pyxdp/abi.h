/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause OR GPL-2.0-only */
/*
 * The contract between the BPF programs (kern/), the Python package (pyxdp.abi) and everybody who reads the pinned maps.
 *
 * This header holds enums and structs, nothing else, and includes nothing: the including file provides __u8 .. __u64.
 * Ports and every other number are in host byte order. Addresses are 16 raw bytes in network order; an IPv4 address
 * occupies the first four and the other twelve are zero. Every struct is naturally aligned and explicitly padded, and
 * padding is zero.
 *
 * ---- How one packet is judged --------------------------------------------------------------------------------------
 *
 *  1. The program instance of an interface knows its endpoint number e (.rodata). pyxdp_control says which of the two
 *     slots is active. The ruleset of class c and direction d is
 *         pyxdp_rulesets[slot * PYXDP_RULESETS_PER_SLOT + e * PYXDP_RULESETS_PER_ENDPOINT + c * 2 + d]
 *     A ruleset with words == 0 governs nothing: the packet passes.
 *  2. Each field of the packet becomes a small number, its equivalence class:
 *         REMOTE   the address on the wire's side (source on ingress, destination on egress)
 *         LOCAL    the host's address
 *         SERVICE  protocol with destination port, or with ICMP type and code (enum pyxdp_service)
 *         SPORT    the source port
 *     IPv4 addresses, services and source ports walk 256-way pages (pyxdp_pages), the last byte of an address also short
 *     lists (pyxdp_pieces); IPv6 addresses walk a tree of blocks (pyxdp_ipv6). Classes of addresses are numbered in one
 *     space for both families.
 *  3. Class k of field f has a row of bits over the rules of the ruleset: bit n is set when rule n accepts that class.
 *     The rows are ANDed; the lowest set bit is the first rule that matches. With more than 64 rules a row begins with
 *     aggregate words, whose bit w is set when word w of the row is not zero. What the rows of some fields have in common
 *     already may decide: the rule of its lowest bit is the first one that matches if it asks nothing of the other fields.
 *  4. pyxdp_rules gives that rule's verdict and identity. CONTINUE goes on with the rule number in resume.
 *
 * ---- Slots ---------------------------------------------------------------------------------------------------------
 *
 *  pyxdp_slots, pyxdp_rulesets, pyxdp_rules, pyxdp_rows, pyxdp_row_index, pyxdp_pages, pyxdp_pieces and pyxdp_ipv6 are
 *  arrays of two equal halves. Indexes stored in these maps are relative to the half; the program adds
 *  slot * (max_entries / 2). The spare half is filled and then made active by one aligned 32-bit store into pyxdp_control.
 *  A packet reads the active slot once per program run.
 *
 *  The addresses of a set may also change in the active half: new rows, lists, pages and blocks are written behind those in
 *  use, then one aligned 32-bit store for each entry that leads there instead. What an entry led to before stays as it is
 *  until no packet can be reading it any more.
 */
#ifndef PYXDP_ABI_H
#define PYXDP_ABI_H

enum pyxdp_abi_version {
	PYXDP_ABI_VERSION = 1,
};

enum pyxdp_limit {
	PYXDP_SLOTS = 2,
	PYXDP_ENDPOINTS = 256,
	PYXDP_RULESETS_PER_ENDPOINT = 8,
	PYXDP_RULESETS_PER_SLOT = 2048, /* PYXDP_ENDPOINTS * PYXDP_RULESETS_PER_ENDPOINT */
	PYXDP_WORD_BITS = 64,
	PYXDP_MAX_WORDS = 512,
	PYXDP_MAX_RULES = 32768,      /* expanded rules of one ruleset: PYXDP_MAX_WORDS * PYXDP_WORD_BITS */
	PYXDP_PLACE_AGGREGATES = 3,   /* aggregate words in struct pyxdp_row_place */
	PYXDP_MAX_CONTINUES = 32,     /* Log rules and Pass jumps that one packet may meet in a ruleset */
	PYXDP_MAX_CLASSES = 16777216, /* of a field: 24 bits */
	PYXDP_PAGE_ENTRIES = 256,
	PYXDP_PIECES_PER_UNIT = 4,
	PYXDP_BLOCK_ENTRIES = 16, /* of a fan's block */
	PYXDP_BLOCK_CUTS = 4,
	PYXDP_BLOCK_RANGES = 3,
	PYXDP_NAME_LEN = 256, /* a Kubernetes name (253), NUL-terminated */
	PYXDP_IFNAME_LEN = 16,
	PYXDP_DIGEST_LEN = 32,
	PYXDP_REASONS = 32, /* room for enum pyxdp_reason in struct pyxdp_reasons */
};

/* Number of a policy class inside an endpoint's rulesets. */
enum pyxdp_class {
	PYXDP_CLASS_UNTRACKED = 0,
	PYXDP_CLASS_PREDNAT = 1,
	PYXDP_CLASS_NORMAL = 2,
	PYXDP_CLASS_FORWARD = 3,
};

/* Ingress is towards the host from the wire, egress out of the host to the wire. */
enum pyxdp_direction {
	PYXDP_INGRESS = 0,
	PYXDP_EGRESS = 1,
};

enum pyxdp_field {
	PYXDP_FIELD_REMOTE = 0,
	PYXDP_FIELD_LOCAL = 1,
	PYXDP_FIELD_SERVICE = 2,
	PYXDP_FIELD_SPORT = 3,
	PYXDP_FIELDS = 4,
};

/*
 * The upper part of a service key; the lower 16 bits are the destination port, or type << 8 | code for ICMP, or the IP
 * protocol number for PYXDP_SERVICE_OTHER and PYXDP_SERVICE_FRAGMENT. The latter stands for a fragment that is not the
 * first of its datagram: its ports are not known, and its row holds every rule that some port could match.
 */
enum pyxdp_service {
	PYXDP_SERVICE_OTHER = 0,
	PYXDP_SERVICE_TCP = 1,
	PYXDP_SERVICE_UDP = 2,
	PYXDP_SERVICE_SCTP = 3,
	PYXDP_SERVICE_UDPLITE = 4,
	PYXDP_SERVICE_ICMP = 5,
	PYXDP_SERVICE_ICMPV6 = 6,
	PYXDP_SERVICE_FRAGMENT = 7,
	PYXDP_SERVICES = 8,
};

/* Source-port classes with a fixed meaning; ports themselves use classes from PYXDP_SPORT_FIRST on. */
enum pyxdp_sport_class {
	PYXDP_SPORT_NONE = 0,    /* a protocol without ports */
	PYXDP_SPORT_UNKNOWN = 1, /* a fragment that is not the first: every rule that some port could match */
	PYXDP_SPORT_FIRST = 2,
};

/*
 * Pages with a fixed place in every slot. An entry of a page (struct pyxdp_entries) is what enum pyxdp_entry says.
 *   IPv4    page PYXDP_PAGE_IPV4 + first byte, entry second byte; then third byte; then fourth byte
 *   service page PYXDP_PAGE_SERVICE + service, entry key bits 15..8; then key bits 7..0
 *   sport   page PYXDP_PAGE_SPORT, entry port bits 15..8; then port bits 7..0
 */
enum pyxdp_page {
	PYXDP_PAGE_IPV4 = 0,
	PYXDP_PAGE_SERVICE = 256,
	PYXDP_PAGE_SPORT = 264,
	PYXDP_PAGE_FIRST_FREE = 265,
};

/*
 * Bit 31: a class in the lower bits. Without it, bits 30..28 are k.
 *   k == 0  the lower bits are the number of the page for the next byte.
 *   k >= 1  the last byte of an IPv4 address is in a list of pieces, which is 1 << (k - 1) units of pyxdp_pieces long, at most 8,
 *           and begins with the unit whose number is in the lower bits. Only where the third byte leads; what would be longer
 *           is a page.
 */
enum pyxdp_entry {
	PYXDP_LEAF = 0x80000000,
	PYXDP_LEAF_MASK = 0x7fffffff,
	PYXDP_ENTRY_PIECES_SHIFT = 28,
	PYXDP_ENTRY_PIECES_MAX = 4, /* the largest k */
	PYXDP_ENTRY_NUMBER_MASK = 0x0fffffff,
};

/* A piece of a list: the first value of the last byte that it stands for, and the class of the values up to the next piece. */
enum pyxdp_piece {
	PYXDP_PIECE_FIRST_SHIFT = 24,
	PYXDP_PIECE_CLASS_MASK = 0x00ffffff,
};

/*
 * IPv6 addresses walk a tree of 64-byte blocks (pyxdp_ipv6), first with the upper 64 bits as the key, then, where prefixes longer
 * than /64 are, with the lower ones. An entry is
 *   bit 31      a class in the lower bits: the walk is over. Without it:
 *   bit 30      from here on, the key is the lower 64 bits
 *   bit 29      only in struct pyxdp_ranges, see there
 *   bits 23..0  number of a block
 * The walk begins as if with an entry of 0. Where a key is new, there and behind bit 30, the number is that of two blocks: the first is
 * for keys whose top bit is 0, the second for the others. So no block is of more than 2^63 keys. What a block is, it says itself
 * (enum pyxdp_ipv6_kind).
 *
 * Every entry, in blocks of any kind, stands for a range of addresses whose answer one 32-bit store changes.
 */
enum pyxdp_ipv6_entry {
	PYXDP_IPV6_LOWER = 0x40000000,
	PYXDP_IPV6_HOST = 0x20000000,
	PYXDP_IPV6_BLOCK_MASK = 0x00ffffff,
	PYXDP_IPV6_STEPS = 48, /* blocks that a walk may visit; longer ones have no class */
};

enum pyxdp_ipv6_kind {
	PYXDP_IPV6_CUTS = 0,    /* struct pyxdp_cuts: the next entry is one of its values */
	PYXDP_IPV6_FAN = 0x100, /* struct pyxdp_parts: the next entry is the n-th of those behind (struct pyxdp_fan) */
	PYXDP_IPV6_BLOCKS = 0x200, /* struct pyxdp_parts: the next block is the n-th behind */
	PYXDP_IPV6_RANGES = 0x300, /* struct pyxdp_parts: the next entry is in the n-th block (struct pyxdp_ranges) */
	PYXDP_IPV6_SHIFT_MASK = 0xff, /* of the parts, in the same word */
};

/* What a rule does with a packet that matches it. */
enum pyxdp_verdict {
	PYXDP_VERDICT_NONE = 0,     /* no rule matched: the next class decides; tracked as usual */
	PYXDP_VERDICT_ALLOW = 1,    /* accepted; in the untracked class also taken out of conntrack */
	PYXDP_VERDICT_DENY = 2,     /* dropped */
	PYXDP_VERDICT_FAILSAFE = 3, /* a failsafe port: passes this class, tracked as usual */
	PYXDP_VERDICT_CONTINUE = 4, /* no verdict of its own (Log, Pass): go on with rule number resume */
};

enum pyxdp_rule_flag {
	PYXDP_RULE_PORTS = 1, /* depends on ports or ICMP type: can not deny a fragment that has none */
	PYXDP_RULE_LOG = 2,   /* emits an event */
	/* which fields it restricts: without the flag, the rule accepts every class of the field (bit 2 + enum pyxdp_field) */
	PYXDP_RULE_REMOTE = 4,
	PYXDP_RULE_LOCAL = 8,
	PYXDP_RULE_SERVICE = 16,
	PYXDP_RULE_SPORT = 32,
};

enum pyxdp_ruleset_flag {
	/* normal class, ingress: what it denies for certain may be dropped at XDP already */
	PYXDP_RULESET_EARLY = 1,
	/* untracked class, ingress: XDP drops nothing, since it may not see which VLAN a frame belongs to; the raw table does */
	PYXDP_RULESET_OPINION = 2,
	/* untracked class: it takes packets out of conntrack, so that those that are in it all the same are worth counting */
	PYXDP_RULESET_UNTRACKS = 4,
};

/*
 * Why a packet got its verdict, counted per endpoint and direction in pyxdp_reasons. PASS_* pass, DROP_* drop. Every drop has exactly one.
 */
enum pyxdp_reason {
	PYXDP_PASS_NO_MATCH = 0, /* no rule of the class matched */
	PYXDP_PASS_ALLOWED = 1,  /* an Allow rule */
	PYXDP_PASS_FAILSAFE = 2,
	PYXDP_PASS_NOT_IP = 3,         /* ARP and every other ethertype that is not IP */
	PYXDP_PASS_VLAN = 4,           /* tagged for a VLAN: belongs to the sub-interface, not to this endpoint */
	PYXDP_PASS_FRAGMENT = 5,       /* not a first fragment, and its verdict hangs on ports: the first one decides */
	PYXDP_PASS_NOT_GOVERNED = 6,   /* no host endpoint governs this interface in the active slot */
	PYXDP_UNTRACKED = 7,           /* taken out of conntrack (raw table) */
	PYXDP_DROP_POLICY = 8,         /* a Deny rule */
	PYXDP_DROP_SHORT_ETHERNET = 9, /* shorter than an Ethernet header with its tags */
	PYXDP_DROP_VLAN_DEPTH = 10,    /* more than two VLAN tags */
	PYXDP_DROP_SHORT_IP = 11,      /* truncated IP header, or a length field that contradicts the frame */
	PYXDP_DROP_BAD_IP = 12,        /* wrong version, ihl < 5 */
	PYXDP_DROP_EXTENSIONS = 13,    /* IPv6 extension headers: truncated, out of bounds, or more than eight */
	PYXDP_DROP_SHORT_L4 = 14,      /* truncated transport header, tiny first fragment (RFC 1858) included */
	PYXDP_DROP_BAD_FRAGMENT = 15,  /* a fragment that would overwrite the TCP header (RFC 1858, RFC 3128) */
	PYXDP_DROP_CONTINUES = 16,     /* more Log and Pass rules met than PYXDP_MAX_CONTINUES */
	PYXDP_DROP_INTERNAL = 17,      /* a map did not hold what another map said it would: damaged image */
	PYXDP_LOG_SUPPRESSED = 18,     /* a Log event that the rate limit or a full ring left out */
	PYXDP_DROP_INVALID = 19,       /* connection tracking finds it invalid */
	PYXDP_DROP_EARLY = 20,    /* a Deny of the pre-DNAT or normal class, certain enough to be carried out at XDP */
	PYXDP_STILL_TRACKED = 21, /* in conntrack, although untracked policy allows it */
};

/* pyxdp_control[0]. active is read once a run and changed by one aligned store. */
struct pyxdp_control {
	__u32 active; /* the active slot: 0 or 1 */
	__u32 abi;    /* PYXDP_ABI_VERSION of the object that made the maps */
};

/* pyxdp_slots[slot]: what the half of every map holds. */
struct pyxdp_slot {
	__u64 generation;              /* counts applied policies; 0: never filled */
	__u64 applied_ns;              /* CLOCK_REALTIME when it was filled */
	__u8 digest[PYXDP_DIGEST_LEN]; /* SHA-256 of the map image */
};

/* pyxdp_rulesets. Bases are relative to the slot's half of the map. */
struct pyxdp_ruleset {
	__u32 words;      /* bit words per row without aggregate words; 0: not governed */
	__u32 aggregates; /* aggregate words in front of a row: 0 when words == 1, else (words + 63) / 64 */
	__u32 rule_base;  /* first entry in pyxdp_rules */
	__u16 fields; /* bit f set: field f restricts some rule; otherwise it is not looked up, and class 0 has a row of ones */
	__u16 flags; /* enum pyxdp_ruleset_flag */
	/*
	 * words == 1: the row of class 0 in pyxdp_rows, that of class k is k further. Otherwise the entry of class 0 in
	 * pyxdp_row_index, that of class k is k further.
	 */
	__u32 row_base[PYXDP_FIELDS];
};

/* pyxdp_rules[rule_base + n]. */
struct pyxdp_rule {
	__u32 verdict; /* enum pyxdp_verdict */
	__u32 flags;   /* enum pyxdp_rule_flag */
	__u32 counter; /* index into pyxdp_counters and pyxdp_names: the rule's identity, the same in both slots */
	__u32 resume;  /* with PYXDP_VERDICT_CONTINUE: the next rule to look at */
};

/*
 * pyxdp_row_index: what a packet needs to know first of the row of a class, in a ruleset with words > 1. The row begins with all of
 * its aggregate words, these ones included.
 */
struct pyxdp_row_place {
	__u64 aggregate[PYXDP_PLACE_AGGREGATES]; /* the first ones; 0 where the row has fewer */
	__u32 row;                               /* number of its first word in pyxdp_rows */
	__u32 pad;
};

/* pyxdp_pages[page]. */
struct pyxdp_entries {
	__u32 entry[PYXDP_PAGE_ENTRIES];
};

/* pyxdp_pieces[unit]: pieces in ascending order, see enum pyxdp_piece. The first of a list begins at 0; its end repeats the last one. */
struct pyxdp_pieces {
	__u32 piece[PYXDP_PIECES_PER_UNIT];
};

/* pyxdp_ipv6[block], part of a fan. */
struct pyxdp_fan {
	__u32 entry[PYXDP_BLOCK_ENTRIES];
};

/*
 * pyxdp_ipv6[block]: a range of keys, cut where the key reaches start. value[n] is the entry for keys that have reached n of the starts.
 * Places that are not used repeat the last start and value; without any cut, all starts are the first key.
 */
struct pyxdp_cuts {
	__u64 start[PYXDP_BLOCK_CUTS]; /* ascending */
	__u32 value[PYXDP_BLOCK_CUTS + 1];
	__u8 pad[8];
	__u32 kind;
};

/*
 * pyxdp_ipv6[block]: equal parts of a range of keys, of 2^shift keys each, from first to first + span. Part n of BLOCKS and RANGES is
 * block number block + n; that of FAN is entry n % 16 of block number block + n / 16. Keys outside of the parts have an entry here.
 */
struct pyxdp_parts {
	__u64 first;
	__u64 span;
	__u32 block;
	__u32 before; /* the entry for keys below first */
	__u32 behind; /* that for keys above first + span */
	__u8 pad[32];
	__u32 kind; /* where struct pyxdp_cuts has it, with the shift in the lower 8 bits */
};

/*
 * pyxdp_ipv6[block]: disjoint ranges inside of a part, the last one first. value[n] is the entry for keys from first[n] to
 * first[n] + span[n], less than 2^63 keys; with bit 29 (HOST), for the one address whose upper half is first[n] and whose lower half is
 * span[n]. beside is the entry for keys that are in none. The places in front that are not used have the key behind the part.
 */
struct pyxdp_ranges {
	__u64 first[PYXDP_BLOCK_RANGES];
	__u64 span[PYXDP_BLOCK_RANGES];
	__u32 value[PYXDP_BLOCK_RANGES];
	__u32 beside;
};

struct pyxdp_counter {
	__u64 packets;
	__u64 bytes; /* whole frames at XDP; from the IP header on in netfilter */
};

/* pyxdp_reasons[endpoint * 2 + direction] */
struct pyxdp_reasons {
	__u64 packets[PYXDP_REASONS]; /* by enum pyxdp_reason */
};

/* pyxdp_names[counter]: which rule an identity is. action is empty when the entry is free. */
struct pyxdp_name {
	char tier[64];
	char policy[PYXDP_NAME_LEN]; /* name; "failsafe" for failsafe ports */
	char kind[32];               /* of the resource; what nobody wrote has Tier, HostEndpoint or Builtin */
	char action[8];              /* Allow, Deny, Pass, Log, as written */
	__u32 rule;                  /* number of the rule in its list, from 0 */
	__u32 direction;             /* enum pyxdp_direction */
	__u64 identity;              /* stable hash of tier, policy, direction and the rule's content */
};

/*
 * pyxdp_endpoints[endpoint]: which interface and HostEndpoint an endpoint number stands for; without an interface it is free. A pattern
 * of workload interfaces (cali+) has ifindex 0.
 */
struct pyxdp_endpoint {
	__u32 ifindex;
	__u32 native_errno; /* why XDP is generic here: the error number of native attachment; 0: XDP is native */
	char interface[PYXDP_IFNAME_LEN];
	char name[PYXDP_NAME_LEN];
};

/* One record of the pyxdp_events ring buffer: a packet that met a Log rule. */
struct pyxdp_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u8 source[16];
	__u8 destination[16];
	__u32 counter;
	__u32 endpoint;
	__u32 length; /* as in pyxdp_counter */
	__u16 source_port;
	__u16 destination_port; /* or type << 8 | code for ICMP */
	__u8 family;            /* 4 or 6 */
	__u8 protocol;
	__u8 direction;
	__u8 fragment; /* 1: not the first fragment, ports are zero */
	__u32 pad;
};

_Static_assert(sizeof(struct pyxdp_control) == 8, "layout");
_Static_assert(sizeof(struct pyxdp_slot) == 48, "layout");
_Static_assert(sizeof(struct pyxdp_ruleset) == 32, "layout");
_Static_assert(sizeof(struct pyxdp_rule) == 16, "layout");
_Static_assert(sizeof(struct pyxdp_row_place) == 32, "layout");
_Static_assert(sizeof(struct pyxdp_entries) == 1024, "layout");
_Static_assert(sizeof(struct pyxdp_pieces) == 16, "layout");
_Static_assert(sizeof(struct pyxdp_fan) == 64, "layout");
_Static_assert(sizeof(struct pyxdp_cuts) == 64, "layout");
_Static_assert(sizeof(struct pyxdp_parts) == 64, "layout");
_Static_assert(sizeof(struct pyxdp_ranges) == 64, "layout");
_Static_assert(__builtin_offsetof(struct pyxdp_parts, kind) == __builtin_offsetof(struct pyxdp_cuts, kind), "layout");
_Static_assert(sizeof(struct pyxdp_counter) == 16, "layout");
_Static_assert(sizeof(struct pyxdp_reasons) == 256, "layout");
_Static_assert(sizeof(struct pyxdp_name) == 376, "layout");
_Static_assert(sizeof(struct pyxdp_endpoint) == 280, "layout");
_Static_assert(sizeof(struct pyxdp_event) == 64, "layout");
_Static_assert(PYXDP_RULESETS_PER_SLOT == PYXDP_ENDPOINTS * PYXDP_RULESETS_PER_ENDPOINT, "layout");
_Static_assert(PYXDP_MAX_RULES == PYXDP_MAX_WORDS * PYXDP_WORD_BITS, "layout");

#endif
