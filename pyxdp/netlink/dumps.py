"""Dumps of the kernel that may be long: read as bytes, since objects for each attribute would cost a second."""

from __future__ import annotations

import os
import socket
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: struct nlmsghdr: length, type, flags, sequence number, port.
_HEADER: Final = Struct("=IHHII")
#: struct nlattr: length and type.
_ATTRIBUTE: Final = Struct("=HH")
_ERROR_NUMBER: Final = Struct("=i")
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_NLM_F_REQUEST_DUMP: Final = 0x301
_NLA_TYPE_MASK: Final = 0x3FFF
_ALIGNMENT: Final = 4
_BUFFER: Final = 1 << 17


def dump(family: int, kind: int, request: bytes) -> Iterator[memoryview]:
    """Ask for a dump; yield the content of each message.

    Args:
        family: of netlink, as ``NETLINK_SOCK_DIAG``.
        kind: type of the request.
        request: what follows its header.

    Raises:
        OSError: the kernel refuses, or does not know the question.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family) as link:
        link.send(_HEADER.pack(_HEADER.size + len(request), kind, _NLM_F_REQUEST_DUMP, 1, 0) + request)
        while True:
            data = memoryview(link.recv(_BUFFER))
            while data:
                length, answer, *_ = _HEADER.unpack_from(data)
                content = data[_HEADER.size : length]
                if answer == _NLMSG_DONE:
                    return
                if answer == _NLMSG_ERROR:
                    number = -_ERROR_NUMBER.unpack_from(content)[0]
                    raise OSError(number, os.strerror(number))
                yield content
                data = data[_aligned(length) :]


def attribute(kind: int, content: bytes) -> bytes:
    """Return an attribute of a request."""
    length = _ATTRIBUTE.size + len(content)
    return _ATTRIBUTE.pack(length, kind) + content + bytes(_aligned(length) - length)


def attributes(content: memoryview) -> dict[int, memoryview]:
    """Return the attributes of a message, or those within one."""
    found = {}
    while len(content) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(content)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NLA_TYPE_MASK] = content[_ATTRIBUTE.size : length]
        content = content[_aligned(length) :]
    return found


def _aligned(length: int) -> int:
    return (length + _ALIGNMENT - 1) & -_ALIGNMENT
