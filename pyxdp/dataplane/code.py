"""The program code that is to run: the object of this package, and the constants that are the same everywhere."""

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
    """A BPF object file with its settings.

    Attributes:
        data: the ELF file.
        log_per_second: Log events that each CPU may emit a second.
    """

    data: bytes
    log_per_second: int

    @cached_property
    def build(self) -> str:
        """Identifies code and settings; what runs other code is replaced."""
        return sha256(self.data + self.log_per_second.to_bytes(4, "little")).hexdigest()[:16]

    @classmethod
    def shipped(cls, log_per_second: int) -> Code:
        """The object that this package ships.

        Raises:
            OperatorError: the package was not built.
        """
        try:
            return cls((files("pyxdp") / "pyxdp.bpf.o").read_bytes(), log_per_second)
        except FileNotFoundError as error:
            message = "the package has no pyxdp.bpf.o"
            raise OperatorError(message, hint="install it with pip, which builds it") from error
