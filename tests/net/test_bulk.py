"""Reading many prefixes at once is reading them one by one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.net import bulk
from pyxdp.net.addresses import parse_network
from pyxdp.net.bulk import parse_lines
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.net import Network

GROUPS = ["", "0", "1", "db8", "2001", "ffff", "FFFF", "aBcD", "00", "0000", "01", "12345", "g"]
OCTETS = [
    "",
    "0",
    "1",
    "9",
    "10",
    "99",
    "100",
    "249",
    "255",
    "256",
    "299",
    "300",
    "999",
    "1000",
    "00",
    "01",
    "007",
    "a",
]
LENGTHS = [
    "",
    "/",
    "/0",
    "/1",
    "/8",
    "/08",
    "/31",
    "/32",
    "/33",
    "/64",
    "/127",
    "/128",
    "/129",
    "/008",
    "/0008",
    "/a",
    "/1/2",
]

octets = st.lists(st.sampled_from(OCTETS), min_size=3, max_size=5).map(".".join)
valid4 = st.builds(lambda number: str(IPv4Address(number)), st.integers(0, (1 << 32) - 1))
valid6 = st.builds(
    lambda number, style: style(IPv6Address(number)),
    st.integers(0, (1 << 128) - 1) | st.integers(0, 1 << 20).map(lambda number: number << 60),
    st.sampled_from([str, lambda one: one.exploded, lambda one: str(one).upper()]),
)
groups = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=10).map(":".join)
double = st.builds(
    lambda left, right: ":".join(left) + "::" + ":".join(right),
    st.lists(st.sampled_from(GROUPS), max_size=8),
    st.lists(st.sampled_from(GROUPS), max_size=8),
)
strange = st.text(st.sampled_from("0123456789abcdefABCDEF.:/"), max_size=20)
embedded = st.sampled_from(["::ffff:10.0.0.1", "::1.2.3.4/128", "fe80::1%eth0", "64:ff9b::192.0.2.33/96"])
LINES = st.one_of(
    strange, embedded, st.builds(str.__add__, octets | valid4 | valid6 | groups | double, st.sampled_from(LENGTHS))
)


def single(lines: Iterable[str]) -> tuple[list[Network], list[int]]:
    """Return the networks of the lines that are prefixes, and the numbers of the others."""
    good: list[Network] = []
    bad = []
    for number, line in enumerate(lines):
        try:
            good.append(parse_network(line)[0])
        except ValueError:  # noqa: PERF203 - that is what is asked of each line
            bad.append(number)
    return good, bad


def text_of(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@given(st.lists(LINES, max_size=30))
def test_lines_mean_what_each_means_alone(lines: list[str]) -> None:
    found, unsure = parse_lines(text_of(lines))
    rest, wrong = single(lines[number] for number in unsure)
    assert Prefixes.of([*found, *rest]) == Prefixes.of(single(lines)[0])
    assert [unsure[number] for number in wrong] == single(lines)[1]
    assert unsure == sorted(set(unsure))


@given(st.lists((valid4 | valid6).flatmap(lambda one: st.sampled_from([one, f"{one}/7", f"{one}/32"])), max_size=30))
def test_usual_lines_are_all_understood(lines: list[str]) -> None:
    found, unsure = parse_lines(text_of(lines))
    assert (found, unsure) == (Prefixes.of(single(lines)[0]), [])


@given(st.lists(LINES, max_size=30), st.integers(1, 60))
def test_where_text_is_cut_makes_no_difference(lines: list[str], size: int) -> None:
    whole = parse_lines(text_of(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_CHUNK", size)
        assert parse_lines(text_of(lines)) == whole


@pytest.mark.parametrize(
    ("line", "prefix"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("1.2.3.4/0", "0.0.0.0/0"),
        ("255.255.255.255/032", "255.255.255.255/32"),
        ("::", "::/128"),
        ("::/0", "::/0"),
        ("fe80::", "fe80::/128"),
        ("1:2:3:4:5:6:7:8/64", "1:2:3:4::/64"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0/128"),
        ("::2:3:4:5:6:7:8/16", "::/16"),
        ("2001:DB8:0::1/127", "2001:db8::/127"),
    ],
)
def test_examples(line: str, prefix: str) -> None:
    found, unsure = parse_lines(text_of([line]))
    assert ([str(one) for one in found], unsure) == ([prefix], [])


@pytest.mark.parametrize(
    "line", ["1:2:3:4:5:6:7:8::", "1::2::3", ":::", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "01.2.3.4", ""]
)
def test_what_is_no_prefix_is_left_alone(line: str) -> None:
    found, unsure = parse_lines(text_of(["10.0.0.0/8", line, "::/0"]))
    assert ([str(one) for one in found], unsure) == (["10.0.0.0/8", "::/0"], [1])


def test_a_million_lines_are_a_matter_of_a_moment() -> None:
    lines = [f"{number >> 16 & 0xFF}.{number >> 8 & 0xFF}.{number & 0xFF}.0/24" for number in range(1 << 20)]
    lines[777_777] = "no.prefix"
    found, unsure = parse_lines(text_of(lines))
    assert (len(found), unsure) == ((1 << 20) - 1, [777_777])
