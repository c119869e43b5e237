"""Tables compared and measured piece by piece, against the same on whole bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyxdp import planner
from pyxdp.planner import content

PIECE = content.CHUNK
#: Mostly zero, of any length around one and two pieces.
TABLES = st.builds(
    lambda length, marks: bytes(marks.get(at, 0) for at in range(length)),
    st.sampled_from([0, 1, 8, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 8]),
    st.dictionaries(st.sampled_from([0, 7, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7]), st.integers(1, 2)),
)


@given(TABLES, TABLES)
def test_same_but_for_zero_at_the_end(one: bytes, other: bytes) -> None:
    alike = one.rstrip(b"\0") == other.rstrip(b"\0")
    assert planner.same(one, other) == alike
    assert planner.same(memoryview(other), memoryview(bytearray(one))) == alike
    assert planner.same(one, one)


@given(TABLES, st.sampled_from([1, 8, 1024]))
def test_used(table: bytes, entry: int) -> None:
    table = table.ljust(-(-len(table) // entry) * entry, b"\0")
    length = content.used(table, entry)
    assert length % entry == 0
    assert not table[length:].strip(b"\0")
    assert not length or table[length - entry : length].strip(b"\0")
    assert content.is_zero(memoryview(table)[length:])
    assert content.is_zero(table) == (length == 0)


@given(TABLES, TABLES)
def test_differences_are_what_must_be_written(wanted: bytes, there: bytes) -> None:
    there = there.ljust(len(wanted), b"\0")
    written = bytearray(there)
    places = list(content.differences(wanted, there))
    for start, end in places:
        assert written[start:end] != wanted[start:end].ljust(end - start, b"\0")
        written[start:end] = wanted[start:end].ljust(end - start, b"\0")
    assert written == wanted.ljust(len(there), b"\0")
    assert all(end - start <= PIECE for start, end in places)
