# Made from include/pyxdp/abi.h by `python -m pyxdp.abi`; do not edit.
from enum import IntEnum
from typing import NamedTuple

from cffi import FFI

PADDING: str

def member_name(tag: str, enumerator: str) -> str: ...
def ctype(python_name: str, kind: str) -> FFI.CType: ...

class AbiVersion(IntEnum):
    VERSION = 1

class Class(IntEnum):
    UNTRACKED = 0
    PREDNAT = 1
    NORMAL = 2
    FORWARD = 3

class Direction(IntEnum):
    INGRESS = 0
    EGRESS = 1

class Entry(IntEnum):
    LEAF = 2147483648
    LEAF_MASK = 2147483647
    PIECES_SHIFT = 28
    PIECES_MAX = 4
    NUMBER_MASK = 268435455

class Field(IntEnum):
    REMOTE = 0
    LOCAL = 1
    SERVICE = 2
    SPORT = 3
    FIELDS = 4

class Ipv6Entry(IntEnum):
    LOWER = 1073741824
    HOST = 536870912
    BLOCK_MASK = 16777215
    STEPS = 48

class Ipv6Kind(IntEnum):
    CUTS = 0
    FAN = 256
    BLOCKS = 512
    RANGES = 768
    SHIFT_MASK = 255

class Limit(IntEnum):
    SLOTS = 2
    ENDPOINTS = 256
    RULESETS_PER_ENDPOINT = 8
    RULESETS_PER_SLOT = 2048
    WORD_BITS = 64
    MAX_WORDS = 512
    MAX_RULES = 32768
    PLACE_AGGREGATES = 3
    MAX_CONTINUES = 32
    MAX_CLASSES = 16777216
    PAGE_ENTRIES = 256
    PIECES_PER_UNIT = 4
    BLOCK_ENTRIES = 16
    BLOCK_CUTS = 4
    BLOCK_RANGES = 3
    NAME_LEN = 256
    IFNAME_LEN = 16
    DIGEST_LEN = 32
    REASONS = 32

class Page(IntEnum):
    IPV4 = 0
    SERVICE = 256
    SPORT = 264
    FIRST_FREE = 265

class Piece(IntEnum):
    FIRST_SHIFT = 24
    CLASS_MASK = 16777215

class Reason(IntEnum):
    PASS_NO_MATCH = 0
    PASS_ALLOWED = 1
    PASS_FAILSAFE = 2
    PASS_NOT_IP = 3
    PASS_VLAN = 4
    PASS_FRAGMENT = 5
    PASS_NOT_GOVERNED = 6
    UNTRACKED = 7
    DROP_POLICY = 8
    DROP_SHORT_ETHERNET = 9
    DROP_VLAN_DEPTH = 10
    DROP_SHORT_IP = 11
    DROP_BAD_IP = 12
    DROP_EXTENSIONS = 13
    DROP_SHORT_L4 = 14
    DROP_BAD_FRAGMENT = 15
    DROP_CONTINUES = 16
    DROP_INTERNAL = 17
    LOG_SUPPRESSED = 18
    DROP_INVALID = 19
    DROP_EARLY = 20
    STILL_TRACKED = 21

class RuleFlag(IntEnum):
    PORTS = 1
    LOG = 2
    REMOTE = 4
    LOCAL = 8
    SERVICE = 16
    SPORT = 32

class RulesetFlag(IntEnum):
    EARLY = 1
    OPINION = 2
    UNTRACKS = 4

class Service(IntEnum):
    OTHER = 0
    TCP = 1
    UDP = 2
    SCTP = 3
    UDPLITE = 4
    ICMP = 5
    ICMPV6 = 6
    FRAGMENT = 7
    SERVICES = 8

class SportClass(IntEnum):
    NONE = 0
    UNKNOWN = 1
    FIRST = 2

class Verdict(IntEnum):
    NONE = 0
    ALLOW = 1
    DENY = 2
    FAILSAFE = 3
    CONTINUE = 4

class Control(NamedTuple):
    active: int
    abi: int

class Counter(NamedTuple):
    packets: int
    bytes: int

class Cuts(NamedTuple):
    start: tuple[int, ...]
    value: tuple[int, ...]
    kind: int

class Endpoint(NamedTuple):
    ifindex: int
    native_errno: int
    interface: str
    name: str

class Entries(NamedTuple):
    entry: tuple[int, ...]

class Event(NamedTuple):
    time_ns: int
    source: bytes
    destination: bytes
    counter: int
    endpoint: int
    length: int
    source_port: int
    destination_port: int
    family: int
    protocol: int
    direction: int
    fragment: int

class Fan(NamedTuple):
    entry: tuple[int, ...]

class Name(NamedTuple):
    tier: str
    policy: str
    kind: str
    action: str
    rule: int
    direction: int
    identity: int

class Parts(NamedTuple):
    first: int
    span: int
    block: int
    before: int
    behind: int
    kind: int

class Pieces(NamedTuple):
    piece: tuple[int, ...]

class Ranges(NamedTuple):
    first: tuple[int, ...]
    span: tuple[int, ...]
    value: tuple[int, ...]
    beside: int

class Reasons(NamedTuple):
    packets: tuple[int, ...]

class RowPlace(NamedTuple):
    aggregate: tuple[int, ...]
    row: int

class Rule(NamedTuple):
    verdict: int
    flags: int
    counter: int
    resume: int

class Ruleset(NamedTuple):
    words: int
    aggregates: int
    rule_base: int
    fields: int
    flags: int
    row_base: tuple[int, ...]

class Slot(NamedTuple):
    generation: int
    applied_ns: int
    digest: bytes
