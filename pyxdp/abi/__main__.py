"""``python -m pyxdp.abi > pyxdp/abi/_types.pyi``: what type checkers should know about the header."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import TYPE_CHECKING

from pyxdp.abi import _types

if TYPE_CHECKING:
    from cffi import FFI


def stub() -> str:
    """Return the text of ``_types.pyi``."""
    lines = [
        "# Made from include/pyxdp/abi.h by `python -m pyxdp.abi`; do not edit.",
        "from enum import IntEnum",
        "from typing import NamedTuple",
        "",
        "from cffi import FFI",
        "",
        "PADDING: str",
        "",
        "def member_name(tag: str, enumerator: str) -> str: ...",
        "def ctype(python_name: str, kind: str) -> FFI.CType: ...",
    ]
    classes = {name: value for name, value in vars(_types).items() if isinstance(value, type) and value is not IntEnum}
    for name, value in classes.items():
        lines += ["", *(_enum(value) if issubclass(value, IntEnum) else _struct(name))]
    return "\n".join([*lines, ""])


def _enum(enum: type[IntEnum]) -> list[str]:
    return [f"class {enum.__name__}(IntEnum):"] + [f"    {name} = {int(m)}" for name, m in enum.__members__.items()]


def _struct(name: str) -> list[str]:
    fields = [(field, c.type) for field, c in _types.ctype(name, "struct").fields if field != _types.PADDING]
    return [f"class {name}(NamedTuple):"] + [f"    {field}: {_annotation(ctype)}" for field, ctype in fields]


def _annotation(ctype: FFI.CType) -> str:
    if ctype.kind != "array":
        return "int"
    return {"char": "str", "uint8_t": "bytes"}.get(ctype.item.cname, "tuple[int, ...]")


if __name__ == "__main__":
    sys.stdout.write(stub())
