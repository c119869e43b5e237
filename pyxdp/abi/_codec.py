"""Bytes to values and back, by the C compiler's layout."""

from __future__ import annotations

from array import array
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from pyxdp._abi import ffi
from pyxdp.abi._types import PADDING, ctype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cffi import FFI

    Buffer = bytes | bytearray | memoryview

Struct = tuple[Any, ...]
S = TypeVar("S", bound=Struct)


@cache
def _layout(name: str) -> FFI.CType:
    return ctype(name, "struct")


def _text(field: str, length: int, value: str) -> bytes:
    data = value.encode()
    if len(data) >= length or 0 in data:
        raise ValueError(f"{field}: {value!r} is not text of at most {length - 1} bytes without NUL")
    return data


def _exactly(field: str, length: int, value: Sequence[int]) -> Sequence[int]:
    if len(value) != length:
        raise ValueError(f"{field}: {len(value)} elements given, {length} needed")
    return value


def _writer(name: str, member: FFI.CType) -> Callable[[Any], Any] | None:
    """Return what makes a member's value acceptable to cffi; ``None`` when every int is."""
    if member.kind != "array":
        return None
    return partial(_text if member.item.cname == "char" else _exactly, name, member.length)


def _padding(name: str, member: FFI.CType) -> Any:
    """Return the initializer of a member that is nothing but padding, ``None`` of any other."""
    if name != PADDING:
        return None
    return () if member.kind == "array" else 0


def _read_text(value: Any) -> str:
    return bytes(ffi.buffer(value)).partition(b"\0")[0].decode()


def _reader(member: FFI.CType) -> Callable[[Any], Any]:
    if member.kind != "array":
        return int
    if member.item.cname == "char":
        return _read_text
    return bytes if member.item.cname == "uint8_t" else tuple


@cache
def _arrangement(name: str) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """Return what turns a value into the initializers of all members; ``None`` when the value is that already."""
    members = [(_writer(field, info.type), _padding(field, info.type)) for field, info in _layout(name).fields]
    if all(writer is None and padding is None for writer, padding in members):
        return None

    def arrange(value: Sequence[Any]) -> Sequence[Any]:
        given = iter(value)
        return [
            (writer(next(given)) if writer else next(given)) if padding is None else padding
            for writer, padding in members
        ]

    return arrange


def sizeof(struct: type[Struct]) -> int:
    """Return the size of a struct in bytes, which is also the value size of its map."""
    return ffi.sizeof(_layout(struct.__name__).cname)


def zero(struct: type[S]) -> S:
    """Return the value whose bytes are all zero, as in an array element that nobody has written."""
    return decode(struct, bytes(sizeof(struct)))


def encode(value: Struct) -> bytes:
    """Return one value as the kernel stores it; padding is zero.

    Raises:
        OverflowError: an integer does not fit its member.
        ValueError: text or bytes do not fit their member; text must leave room for its final NUL and have none inside.
    """
    return encode_array([value])


def encode_array(values: Sequence[Struct]) -> bytes:
    """Return values of one struct one after the other, as consecutive elements of an array map.

    Raises:
        OverflowError, ValueError: as :func:`encode`.
        TypeError: the values are not all of one struct.
    """
    if not values:
        return b""
    struct = type(values[0])
    if any(type(value) is not struct for value in values):
        raise TypeError(f"not every value is a {struct.__name__}")
    layout = _layout(struct.__name__)
    arrange = _arrangement(struct.__name__)
    # A plain tuple of every member in order is what cffi takes fastest: 50,000 rules in 15 ms.
    elements = ffi.new(ffi.getctype(layout, "[]"), [arrange(value) for value in values] if arrange else list(values))
    return bytes(ffi.buffer(elements))


def decode(struct: type[S], data: Buffer) -> S:
    """Read one value.

    Raises:
        ValueError: ``data`` is not as long as the struct.
    """
    if len(data) != sizeof(struct):
        raise ValueError(f"{struct.__name__}: {len(data)} bytes given, {sizeof(struct)} needed")
    return decode_array(struct, data)[0]


def decode_array(struct: type[S], data: Buffer) -> list[S]:
    """Read consecutive values.

    Raises:
        ValueError: the length of ``data`` is no multiple of the struct's.
    """
    if len(data) % sizeof(struct):
        raise ValueError(f"{struct.__name__}: {len(data)} bytes are no whole number of {sizeof(struct)}")
    layout = _layout(struct.__name__)
    elements = ffi.from_buffer(ffi.getctype(layout, "[]"), data)
    readers = [(name, _reader(field.type)) for name, field in layout.fields if name != PADDING]
    return [struct(*[read(getattr(element, name)) for name, read in readers]) for element in elements]


def encode_u32(values: Iterable[int]) -> bytes:
    """Return ``__u32`` values one after the other."""
    return array("I", values).tobytes()


def decode_u32(data: Buffer) -> Sequence[int]:
    """Read consecutive ``__u32`` values."""
    return memoryview(data).cast("B").cast("I")


def encode_u64(values: Iterable[int]) -> bytes:
    """Return ``__u64`` values one after the other."""
    return array("Q", values).tobytes()


def decode_u64(data: Buffer) -> Sequence[int]:
    """Read consecutive ``__u64`` values."""
    return memoryview(data).cast("B").cast("Q")
