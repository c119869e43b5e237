from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp import abi
from pyxdp.abi import _types

STRUCTS = [value for value in vars(abi).values() if isinstance(value, type) and issubclass(value, tuple)]
BITS = {"uint8_t": 8, "uint16_t": 16, "uint32_t": 32, "unsigned long long": 64}


def text(room: int) -> st.SearchStrategy[str]:
    characters = st.characters(codec="utf-8", exclude_characters="\0")
    return st.text(characters, max_size=room).filter(lambda value: len(value.encode()) < room)


def member(ctype: Any) -> st.SearchStrategy[Any]:
    if ctype.kind != "array":
        return st.integers(0, 2 ** BITS[ctype.cname] - 1)
    if ctype.item.cname == "char":
        return text(ctype.length)
    if ctype.item.cname == "uint8_t":
        return st.binary(min_size=ctype.length, max_size=ctype.length)
    return st.tuples(*[member(ctype.item)] * ctype.length)


def values(struct: type[tuple[Any, ...]]) -> st.SearchStrategy[Any]:
    fields = _types.ctype(struct.__name__, "struct").fields
    return st.builds(struct, *[member(field.type) for name, field in fields if name != _types.PADDING])


@pytest.mark.parametrize("struct", STRUCTS)
def test_decode_reads_what_encode_wrote(struct: type[tuple[Any, ...]]) -> None:
    @given(st.lists(values(struct), max_size=5))
    @settings(max_examples=40)
    def check(written: list[tuple[Any, ...]]) -> None:
        data = abi.encode_array(written)
        assert len(data) == len(written) * abi.sizeof(struct)
        assert abi.decode_array(struct, data) == written
        assert b"".join(map(abi.encode, written)) == data
        assert [abi.decode(struct, abi.encode(value)) for value in written] == written

    check()


def test_bytes_of_a_rule() -> None:
    rule = abi.Rule(verdict=abi.Verdict.DENY, flags=abi.RuleFlag.PORTS, counter=0x01020304, resume=7)
    assert abi.encode(rule) == bytes.fromhex("02000000 01000000 04030201 07000000")


def test_padding_is_zero() -> None:
    address = b"\xff" * 16
    words, ports, small = [2**32 - 1] * 3, [2**16 - 1] * 2, [2**8 - 1] * 4
    event = abi.Event(2**64 - 1, address, address, *words, *ports, *small)
    assert abi.encode(event) == b"\xff" * 60 + bytes(4)


def test_zero() -> None:
    for struct in STRUCTS:
        assert abi.encode(abi.zero(struct)) == bytes(abi.sizeof(struct))
    assert abi.zero(abi.Name).tier == ""
    assert abi.zero(abi.Ruleset).row_base == (0, 0, 0, 0)


def test_values_are_frozen_and_of_the_header() -> None:
    with pytest.raises(AttributeError):
        abi.Counter(1, 2).packets = 3  # type: ignore[misc]
    assert int(abi.Entry.LEAF) == 0x80000000
    assert abi.Reason(8) is abi.Reason.DROP_POLICY
    assert int(abi.Limit.NAME_LEN) == 256


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (abi.Counter(-1, 0), OverflowError),
        (abi.Counter(2**64, 0), OverflowError),
        (abi.Control(0, 2**32), OverflowError),
        (abi.zero(abi.Ruleset)._replace(row_base=(1, 2, 3)), ValueError),
        (abi.zero(abi.Slot)._replace(digest=bytes(31)), ValueError),
        (abi.zero(abi.Name)._replace(action="12345678"), ValueError),
        (abi.zero(abi.Name)._replace(action="äöüä"), ValueError),
        (abi.zero(abi.Name)._replace(tier="a\0b"), ValueError),
    ],
)
def test_what_does_not_fit(value: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        abi.encode(value)


def test_wrong_lengths_and_mixtures() -> None:
    with pytest.raises(ValueError, match="Rule: 15 bytes given, 16 needed"):
        abi.decode(abi.Rule, bytes(15))
    with pytest.raises(ValueError, match="Rule: 33 bytes are no whole number of 16"):
        abi.decode_array(abi.Rule, bytes(33))
    with pytest.raises(TypeError, match="not every value is a Rule"):
        abi.encode_array([abi.zero(abi.Rule), abi.zero(abi.Name)])
    assert abi.encode_array([]) == b""


@given(st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_plain_numbers(short: list[int], long: list[int]) -> None:
    assert list(abi.decode_u32(abi.encode_u32(short))) == short
    assert list(abi.decode_u64(abi.encode_u64(long))) == long
    assert len(abi.encode_u32(short)) == 4 * len(short)
    assert len(abi.encode_u64(long)) == 8 * len(long)


def test_numbers_too_large() -> None:
    with pytest.raises(OverflowError):
        abi.encode_u32([2**32])
    with pytest.raises(OverflowError):
        abi.encode_u64([2**64])
