"""What is kept of a policy in force, and how it becomes bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from pyxdp.manifest import Key
from pyxdp.net import Interface
from pyxdp.sources.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAGIC: Final = b"pyxdp snapshot 1 "
#: Fields of an interface that are kept as they are.
_PLAIN: Final = ("name", "index", "up", "kind", "parent", "master")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A policy that was enforced, and all that it takes to enforce it again.

    Attributes:
        texts: what it was read from; of each object the version that was enforced.
        node: whose host endpoints it was enforced for.
        interfaces: of the machine at that time, with the addresses that they had.
        digest: SHA-256 of the map image in force, hexadecimal.
        generation: of the policy.
        written_ns: CLOCK_REALTIME.
    """

    texts: tuple[Text, ...]
    node: str
    interfaces: tuple[Interface, ...] = ()
    digest: str = ""
    generation: int = 0
    written_ns: int = 0


def encode(snapshot: Snapshot) -> bytes:
    """Return the bytes of a file: a line with SHA-256 of the rest, and JSON."""
    content = json.dumps(
        {
            "node": snapshot.node,
            "digest": snapshot.digest,
            "generation": snapshot.generation,
            "written_ns": snapshot.written_ns,
            "interfaces": [_of_interface(interface) for interface in snapshot.interfaces],
            "texts": [_of_text(text) for text in snapshot.texts],
        }
    ).encode()
    return _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def intact(content: bytes) -> bool:
    """Tell whether a file holds what was written to it."""
    header, _, body = content.partition(b"\n")
    return header == _MAGIC + hashlib.sha256(body).hexdigest().encode()


def decode(content: bytes) -> Snapshot:
    """Return the snapshot of a file.

    Raises:
        ValueError: the file is damaged, or of another version.
    """
    if not intact(content):
        raise ValueError("its checksum does not match")
    found = json.loads(content.partition(b"\n")[2])
    return Snapshot(
        texts=tuple(_to_text(text) for text in found["texts"]),
        node=found["node"],
        interfaces=tuple(_to_interface(interface) for interface in found["interfaces"]),
        digest=found["digest"],
        generation=found["generation"],
        written_ns=found["written_ns"],
    )


def _of_text(text: Text) -> dict[str, Any]:
    return {"origin": text.origin, "content": text.content, "keys": [list(key) for key in text.keys]}


def _to_text(found: Mapping[str, Any]) -> Text:
    return Text(found["origin"], found["content"], keys=tuple(Key(*key) for key in found["keys"]))


def _of_interface(interface: Interface) -> dict[str, Any]:
    addresses = [str(address) for address in interface.addresses]
    return {name: getattr(interface, name) for name in _PLAIN} | {"addresses": addresses}


def _to_interface(found: Mapping[str, Any]) -> Interface:
    addresses = tuple(ip_address(address) for address in found["addresses"])
    return Interface(**{name: found[name] for name in _PLAIN}, addresses=addresses)
