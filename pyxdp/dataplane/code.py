"""The program code that is to run: the objects of this package, and the constants that are the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Final

from pyxdp.errors import OperatorError

#: Names in the object begin like this; pins do without.
PREFIX: Final = "pyxdp_"


@dataclass(frozen=True)
class Code:
    """The BPF object files with their settings.

    Attributes:
        data: the ELF file with every program that any kernel must load.
        log_per_second: Log events that each CPU may emit a second.
        early: the ELF file with the program for early drop, which not every kernel loads; empty: there is none.
    """

    data: bytes
    log_per_second: int
    early: bytes = b""

    @cached_property
    def build(self) -> str:
        """Identifies code and settings; what runs other code is replaced."""
        return sha256(self.data + self.early + self.log_per_second.to_bytes(4, "little")).hexdigest()[:16]

    @classmethod
    def shipped(cls, log_per_second: int) -> Code:
        """The objects that this package ships.

        Raises:
            OperatorError: the package was not built.
        """
        package = files("pyxdp")
        early = package / "pyxdp_early.bpf.o"
        try:
            data = (package / "pyxdp.bpf.o").read_bytes()
            return cls(data, log_per_second, early.read_bytes() if early.is_file() else b"")
        except FileNotFoundError as error:
            message = "the package has no pyxdp.bpf.o"
            raise OperatorError(message, hint="install it with pip, which builds it") from error
