"""The one place where Python values become the bytes of ``include/pyxdp/abi.h``, and back.

Every enum and struct of the header is here under its name without ``pyxdp_``: ``enum pyxdp_verdict`` is the
:class:`~enum.IntEnum` :class:`Verdict` with the members ``ALLOW``, ``DENY``, ...; ``struct pyxdp_rule`` is the named
tuple :class:`Rule`. They are made from the header when the package is imported, so that no number and no offset is
written twice.

* A struct's value has its members without padding. Integers are in host byte order, as everything in the header;
  ``char[N]`` is a ``str`` (UTF-8, ended by NUL), ``__u8[N]`` is ``bytes`` of length N, other arrays are tuples.
* :func:`encode` and :func:`encode_array` give bytes as the maps hold them, with padding zero; :func:`decode` and
  :func:`decode_array` read them.
* Maps whose values are single numbers use :func:`encode_u32` and :func:`encode_u64`.

A layout that differs from what the C compiler sees fails at import: the cffi module was compiled against the header.
"""

from pyxdp.abi._codec import (
    decode,
    decode_array,
    decode_u32,
    decode_u64,
    encode,
    encode_array,
    encode_u32,
    encode_u64,
    sizeof,
    zero,
)
from pyxdp.abi._types import (
    AbiVersion,
    Class,
    Control,
    Counter,
    Cuts,
    Direction,
    Endpoint,
    Entries,
    Entry,
    Event,
    Fan,
    Field,
    Ipv6Entry,
    Ipv6Kind,
    Limit,
    Name,
    Page,
    Parts,
    Piece,
    Pieces,
    Ranges,
    Reason,
    Reasons,
    RowPlace,
    Rule,
    RuleFlag,
    Ruleset,
    RulesetFlag,
    Service,
    Slot,
    SportClass,
    Verdict,
)

__all__ = [
    "AbiVersion",
    "Class",
    "Control",
    "Counter",
    "Cuts",
    "Direction",
    "Endpoint",
    "Entries",
    "Entry",
    "Event",
    "Fan",
    "Field",
    "Ipv6Entry",
    "Ipv6Kind",
    "Limit",
    "Name",
    "Page",
    "Parts",
    "Piece",
    "Pieces",
    "Ranges",
    "Reason",
    "Reasons",
    "RowPlace",
    "Rule",
    "RuleFlag",
    "Ruleset",
    "RulesetFlag",
    "Service",
    "Slot",
    "SportClass",
    "Verdict",
    "decode",
    "decode_array",
    "decode_u32",
    "decode_u64",
    "encode",
    "encode_array",
    "encode_u32",
    "encode_u64",
    "sizeof",
    "zero",
]
