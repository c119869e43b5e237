"""Where everything is pinned. Pure.

::

    BPFFS/pyxdp/v1/maps -> objects/N/maps                        what people read
    BPFFS/pyxdp/v1/objects/N/maps/NAME                           map pyxdp_NAME
    BPFFS/pyxdp/v1/objects/N/programs/E/NAME                     xdp, in_allow, ... loaded for endpoint number E
    BPFFS/pyxdp/v1/objects/N/answer                              the program that answers the questions of all of them
    BPFFS/pyxdp/v1/objects/N/early                               the program for early drop, where the kernel loads it
    BPFFS/pyxdp/v1/objects/N/early-refused-ERRNO/                the kernel does not
    BPFFS/pyxdp/v1/objects/N/build-HASH/                         the object is complete, and made of this code
    BPFFS/pyxdp/v1/programs/IFACE -> ../objects/N/programs/E     what people read
    BPFFS/pyxdp/v1/links/IFACE                                   the XDP link

Rules name programs by ``objects/N/programs/E``, not by the symlink: so the text of a rule tells which instance it runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyxdp.planner import Instance

#: What the rules ask, in the order in which they are pinned.
FILTERS: Final = (
    "ungoverned",
    "in_allow",
    "in_deny",
    "in_untracked",
    "in_tracked",
    "out_allow",
    "out_deny",
    "out_untracked",
    "out_tracked",
    "prednat_allow",
    "prednat_deny",
    "local_in_deny",
    "local_out_deny",
    "local_dnat_deny",
    "forward_in_allow",
    "forward_in_deny",
    "forward_out_allow",
    "forward_out_deny",
    "invalid_in",
    "invalid_out",
)
#: Of an endpoint that is one interface.
PROGRAMS: Final = ("xdp", *FILTERS)

EARLY_REFUSED: Final = "early-refused-"

_INSTANCE: Final = re.compile(r"(?:.*/)?objects/(\d+)/programs/(\d+)")
_MAPS: Final = re.compile(r"objects/(\d+)/maps")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one bpffs.

    Attributes:
        bpffs: where it is mounted, or a folder in it.
    """

    bpffs: Path

    @property
    def top(self) -> Path:
        """Everything of ours, of any version."""
        return self.bpffs / "pyxdp"

    @property
    def base(self) -> Path:
        """Everything of this version of the ABI."""
        return self.top / "v1"

    @property
    def objects(self) -> Path:
        """Folder of the objects."""
        return self.base / "objects"

    @property
    def links(self) -> Path:
        """Folder of the links."""
        return self.base / "links"

    @property
    def shown_programs(self) -> Path:
        """Folder of the symlinks by interface."""
        return self.base / "programs"

    @property
    def shown_maps(self) -> Path:
        """The symlink to the maps in force."""
        return self.base / "maps"

    def object(self, number: int) -> Path:
        """Folder of one object."""
        return self.objects / str(number)

    def maps(self, number: int) -> Path:
        """Folder of one object's maps."""
        return self.object(number) / "maps"

    def programs(self, instance: Instance) -> Path:
        """Folder of the programs loaded for one endpoint."""
        return self.object(instance.object) / "programs" / str(instance.endpoint)

    def answer(self, number: int) -> Path:
        """Pin of the program that answers the questions of an object's filters."""
        return self.object(number) / "answer"

    def early(self, number: int) -> Path:
        """Pin of an object's program for early drop."""
        return self.object(number) / "early"

    def early_refused(self, number: int, error_number: int) -> Path:
        """The mark of an object whose program for early drop the kernel does not load."""
        return self.object(number) / f"{EARLY_REFUSED}{error_number}"

    def build(self, number: int, build: str) -> Path:
        """The mark of a complete object."""
        return self.object(number) / f"build-{build}"

    def link(self, interface: str) -> Path:
        """Pin of an interface's link."""
        return self.links / pin_name(interface)

    def shown_program(self, interface: str) -> Path:
        """Symlink to an interface's programs."""
        return self.shown_programs / pin_name(interface)

    def relative(self, path: Path, beside: Path) -> str:
        """What a symlink at ``beside`` says to mean ``path``."""
        up = len(beside.relative_to(self.base).parts) - 1
        return "/".join([".."] * up + [str(path.relative_to(self.base))])

    def instance_at(self, folder: str) -> Instance | None:
        """The instance of an absolute folder of programs; ``None`` when it is none of ours."""
        return instance_of(folder) if Path(folder).is_relative_to(self.objects) else None


def pin_name(interface: str) -> str:
    """The name of an interface's pin: a bpffs refuses dots, and no interface that policy can name has an ``@``."""
    return interface.replace(".", "@")


def interface_name(pin: str) -> str:
    """The interface of a pin."""
    return pin.replace("@", ".")


def instance_of(path: str) -> Instance | None:
    """The instance whose folder of programs a path is."""
    found = _INSTANCE.fullmatch(path)
    return Instance(int(found[1]), int(found[2])) if found else None


def object_of(path: str) -> int | None:
    """The object whose folder of maps the target of a symlink is."""
    found = _MAPS.fullmatch(path)
    return int(found[1]) if found else None
