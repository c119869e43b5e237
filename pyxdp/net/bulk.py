"""Many prefixes from text at once: arithmetic on whole columns of digits instead of an object for each line.

What is understood here means exactly what :func:`pyxdp.net.addresses.parse_network` makes of it. Whatever looks unusual
(an IPv4 address inside an IPv6 one, a zone, something wrong) is left to that function and to its callers' messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pyxdp.net.prefixes import Prefixes
from pyxdp.net.wide import NO_WIDE, Wide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    _Bytes = NDArray[np.uint8]
    _Numbers = NDArray[np.intp]
    _Truths = NDArray[np.bool_]

#: Bytes worked on at a time, so that what is between the steps stays in the processor's cache.
_CHUNK: Final = 1 << 18

_NEWLINE, _DOT, _SLASH, _COLON, _ZERO, _NINE = b"\n./:09"

_BAD: Final = 255
_HEX: Final = np.full(256, _BAD, np.uint8)
for _value, _digit in enumerate(b"0123456789abcdef"):
    _HEX[[_digit, ord(chr(_digit).upper())]] = _value

_GROUPS: Final = 8
_GROUP_DIGITS: Final = 4
_ALL_ONES: Final = (1 << 64) - 1
# What a prefix of each length leaves of an address.
_MASKS_4: Final = np.array([_ALL_ONES << (32 - length) & 0xFFFFFFFF for length in range(33)], np.uint64)
_MASKS_HIGH: Final = np.array([_ALL_ONES << max(64 - length, 0) & _ALL_ONES for length in range(129)], np.uint64)
_MASKS_LOW: Final = np.array([_ALL_ONES << min(128 - length, 64) & _ALL_ONES for length in range(129)], np.uint64)


def parse_lines(text: bytes) -> tuple[Prefixes, list[int]]:
    """Read prefixes and bare addresses, one a line; host bits are cleared.

    Args:
        text: lines without blanks, each ended by a newline, the last one too.

    Returns:
        The prefixes of all lines that are understood here, and the numbers of the others, from 0, ascending.
    """
    narrow: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    wide = [NO_WIDE]
    unsure: list[int] = []
    count = 0
    for chunk in _chunks(text):
        keys, done = _ipv4(_fields(chunk, (chunk < _ZERO) | (chunk > _NINE)))
        narrow.append(keys)
        rest = np.flatnonzero(~done)
        if len(rest):
            lengths = np.diff(np.flatnonzero(chunk == _NEWLINE), prepend=-1)
            chunk = chunk[np.repeat(~done, lengths)]  # noqa: PLW2901 - its other lines
            others, done = _ipv6(_fields(chunk, (chunk == _COLON) | (chunk == _SLASH) | (chunk == _NEWLINE)))
            wide.append(others)
            unsure += (rest[~done] + count).tolist()
            count += len(lengths)
        else:
            count += len(done)
    return Prefixes.of_arrays(np.concatenate(narrow), Wide.concatenated(wide)), unsure


class _Fields(NamedTuple):
    """Text between separators: field i ends at separator i.

    Attributes:
        text: all bytes.
        end: where each separator is.
        width: bytes of each field.
        kind: the separators.
        first: of each line, its first field.
        last: of each line, its last field: the one that the newline ends.
    """

    text: _Bytes
    end: _Numbers
    width: _Numbers
    kind: _Bytes
    first: _Numbers
    last: _Numbers


def _chunks(text: bytes) -> Iterator[_Bytes]:
    """Cut text between lines."""
    whole = np.frombuffer(text, np.uint8)
    begin = 0
    while begin < len(text):
        end = text.rfind(b"\n", begin, begin + _CHUNK) + 1 or text.index(b"\n", begin) + 1
        yield whole[begin:end]
        begin = end


def _fields(text: _Bytes, separators: _Truths) -> _Fields:
    end = np.flatnonzero(separators)
    kind = text[end]
    last = np.flatnonzero(kind == _NEWLINE)
    first = np.concatenate((np.zeros(1, np.intp), last[:-1] + 1))
    return _Fields(text, end, np.diff(end, prepend=-1) - 1, kind, first, last)


def _ipv4(fields: _Fields) -> tuple[NDArray[np.uint64], _Truths]:
    """Return the keys of the lines that are four octets with or without a length, and which these are."""
    size = fields.last - fields.first + 1
    done = (size == 4) | (size == 5)  # noqa: PLR2004 - octets, and a length
    first, sized = fields.first[done], size[done] == 5  # noqa: PLR2004
    right = np.where(sized, fields.kind[first + 3] == _SLASH, True)  # noqa: FBT003 - an array of them
    address = np.zeros(len(first), np.uint64)
    for number in range(4):
        octet, valid = _decimal(fields, first + number, 255)
        begins_with_zero = fields.text[fields.end[first + number] - fields.width[first + number]] == _ZERO
        right &= valid & ~(begins_with_zero & (fields.width[first + number] > 1))
        if number < 3:  # noqa: PLR2004 - between octets
            right &= fields.kind[first + number] == _DOT
        address = address << np.uint64(8) | octet
    length, valid = _decimal(fields, np.where(sized, first + 4, first), 32)
    right &= valid | ~sized
    length = np.where(sized, length, np.uint64(32))[right]
    done[done] = right
    return (address[right] & _MASKS_4[length.astype(np.intp)]) << np.uint64(8) | length, done


def _decimal(fields: _Fields, which: _Numbers, most: int) -> tuple[NDArray[np.uint64], _Truths]:
    """Return numbers of one to three digits, and whether each is one and not too large."""
    end, width = fields.end[which], fields.width[which]
    number = np.zeros(len(which), np.uint64)
    valid = (width >= 1) & (width <= 3)  # noqa: PLR2004 - digits
    for place, weight in enumerate((1, 10, 100)):
        digit = fields.text[np.maximum(end - 1 - place, 0)] - np.uint8(_ZERO)
        here = width > place
        valid &= (digit <= 9) | ~here  # noqa: PLR2004 - the last digit
        number += np.where(here, digit, np.uint8(0)).astype(np.uint64) * np.uint64(weight)
    return number, valid & (number <= most)


def _ipv6(fields: _Fields) -> tuple[Wide, _Truths]:
    """Return the prefixes of the lines that are IPv6 in hexadecimal, and which these are."""
    size = fields.last - fields.first + 1
    sized = (size > 1) & (fields.kind[fields.last - 1] == _SLASH)
    length, done = _decimal(fields, fields.last, 128)
    length = np.where(sized, length, np.uint64(128))
    last = fields.last - sized
    line = np.repeat(np.arange(len(size)), size)
    # A slash stands before a length or nowhere.
    done = (done | ~sized) & (np.bincount(line[fields.kind == _SLASH], minlength=len(size)) == sized)
    pair, pairs = _double_colons(fields, line, len(size))
    done &= pairs <= 1
    # Nothing at either end is a part of `::` or wrong.
    done &= (fields.width[fields.first] > 0) | (pair == fields.first)
    done &= (fields.width[last] > 0) | (pair == last - 2)
    written = fields.width > 0
    written[fields.last[sized]] = False
    count = np.bincount(line[written], minlength=len(size))
    done &= np.where(pairs == 1, count < _GROUPS, count == _GROUPS)
    which = np.flatnonzero(written)
    value, valid = _hexadecimal(fields, which)
    done[line[which[~valid]]] = False
    which, value = which[done[line[which]]], value[done[line[which]]]
    # Groups are counted from the front as far as the double colon and from the back behind it.
    of = line[which]
    rank = np.arange(len(which)) - (np.cumsum(np.where(done, count, 0)) - count)[of]
    behind = (pairs[of] == 1) & (which > pair[of])
    groups = np.zeros((len(size), _GROUPS), np.uint64)
    groups[of, np.where(behind, _GROUPS - count[of] + rank, rank)] = value
    return _masked(groups[done], length[done].astype(np.intp)), done


def _double_colons(fields: _Fields, line: _Numbers, lines: int) -> tuple[_Numbers, _Numbers]:
    """Return of each line the field that ends with the first colon of ``::``, and how many ``::`` there are."""
    colon = fields.kind == _COLON
    at = np.flatnonzero(colon[:-1] & colon[1:] & (fields.width[1:] == 0))
    pair = np.full(lines, -_GROUPS, np.intp)
    pair[line[at]] = at
    return pair, np.bincount(line[at], minlength=lines)


def _hexadecimal(fields: _Fields, which: _Numbers) -> tuple[NDArray[np.uint64], _Truths]:
    """Return groups of up to four digits, and whether each is one."""
    end, width = fields.end[which], fields.width[which]
    number = np.zeros(len(which), np.uint64)
    valid = width <= _GROUP_DIGITS
    for place in range(_GROUP_DIGITS):
        digit = np.where(width > place, _HEX[fields.text[np.maximum(end - 1 - place, 0)]], np.uint8(0))
        valid &= digit != _BAD
        number |= digit.astype(np.uint64) << np.uint64(4 * place)
    return number, valid


def _masked(groups: NDArray[np.uint64], length: _Numbers) -> Wide:
    high, low = np.zeros(len(length), np.uint64), np.zeros(len(length), np.uint64)
    for number in range(4):
        high = high << np.uint64(16) | groups[:, number]
        low = low << np.uint64(16) | groups[:, 4 + number]
    return Wide(high & _MASKS_HIGH[length], low & _MASKS_LOW[length], length.astype(np.uint8))
