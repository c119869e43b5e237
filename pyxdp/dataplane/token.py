"""Has any pyxdp changed this dataplane since? A few numbers tell, which take less than a millisecond to read.

Every change of pyxdp's leaves traces in what :class:`Token` holds: a new policy and new members in the header of a
slot, a larger object and new code in the list of objects and where ``maps`` points, an interface that comes or goes in
the list of links or of programs, ``delete`` in all of them, and everything else (settings of rules, names) in the time
that the header of the spare slot tells; also a change whose process died half-way. What others do,
who know nothing of pyxdp, leaves none: rules flushed, a link detached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Control, Slot, decode, decode_array
from pyxdp.bpf import Map
from pyxdp.dataplane.bpffs import entries
from pyxdp.dataplane.layout import object_of

if TYPE_CHECKING:
    from pyxdp.dataplane.layout import Layout

#: Of the calling thread.
_NAMESPACE: Final = Path("/proc/thread-self/ns/net")


@dataclass(frozen=True, slots=True)
class Token:
    """What differs whenever a pyxdp has changed something. Compared as a whole.

    Attributes:
        namespace: inode of the network namespace of this thread.
        maps: where the symlink points.
        names: entries of the folders of objects, links and programs.
        inode: of the pin of ``control``, which is another one after ``delete`` and ``apply``.
        control: its content, with the active slot.
        slots: the headers of both.
    """

    namespace: int
    maps: str
    names: tuple[tuple[str, ...], ...]
    inode: int
    control: bytes
    slots: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the map image in force, hexadecimal."""
        return decode_array(Slot, self.slots)[decode(Control, self.control).active].digest.hex()


def read_token(layout: Layout) -> Token | None:
    """Return the token of what there is now; ``None`` when there is no policy.

    Raises:
        BpfError: a map can not be read.
    """
    try:
        target = str(layout.shown_maps.readlink())
    except FileNotFoundError:
        return None
    number = object_of(target)
    if number is None or not (layout.maps(number) / "control").exists():
        return None
    control = layout.maps(number) / "control"
    return Token(
        namespace=_NAMESPACE.stat().st_ino,
        maps=target,
        names=tuple(_names(folder) for folder in (layout.objects, layout.links, layout.shown_programs)),
        inode=control.stat().st_ino,
        control=_content(control),
        slots=_content(layout.maps(number) / "slots"),
    )


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries(folder))


def _content(pin: Path) -> bytes:
    with Map.from_pin(pin) as its_map:
        return its_map.read()
