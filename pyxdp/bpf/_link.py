"""Links: attachments that live as long as an fd or a pin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.bpf._raw import Handle, check, ffi, lib
from pyxdp.bpf._types import LinkType

if TYPE_CHECKING:
    from pyxdp.bpf._program import Program


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What the kernel knows about a link.

    Attributes:
        type: see :class:`LinkType`; a plain ``int`` for types unknown here.
        id: the kernel's number for it, as ``bpftool link`` shows it.
        program_id: the program that runs.
        ifindex: the interface of an XDP link, in the network namespace of the interface; 0 when it is gone.
    """

    type: LinkType | int
    id: int
    program_id: int
    ifindex: int


class Link(Handle):
    """An attached program. It stays attached while some process has the link open or a pin names it."""

    _kind = "link"

    @property
    def info(self) -> LinkInfo:
        """What the kernel knows about the link now."""
        raw = ffi.new("struct shim_link_info *")
        check(lib.shim_link_info(self.fileno(), raw), f"can not inspect {self!r}")
        link_type = LinkType(raw.type) if raw.type in LinkType.__members__.values() else raw.type
        return LinkInfo(type=link_type, id=raw.id, program_id=raw.prog_id, ifindex=raw.ifindex)

    def update(self, program: Program) -> None:
        """Replace the program; every packet meets the old one or the new one.

        Raises:
            BpfError: the interface is gone (ENOLINK), or the program is of another type (EINVAL).
        """
        check(
            lib.bpf_link_update(self.fileno(), program.fileno(), ffi.NULL), f"can not replace the program of {self!r}"
        )

    def detach(self) -> None:
        """Detach the program now, whoever else has the link open or pinned."""
        check(lib.bpf_link_detach(self.fileno()), f"can not detach {self!r}")
