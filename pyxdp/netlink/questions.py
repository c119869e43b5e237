"""Questions to the kernel that may be many, or have long answers: as bytes, since objects would cost a second."""

from __future__ import annotations

import os
import socket
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

#: struct nlmsghdr: length, type, flags, sequence number, port.
_HEADER: Final = Struct("=IHHII")
#: struct nlattr: length and type.
_ATTRIBUTE: Final = Struct("=HH")
_ERROR_NUMBER: Final = Struct("=i")
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_NLM_F_REQUEST: Final = 0x1
_NLM_F_DUMP: Final = 0x300
_NLA_TYPE_MASK: Final = 0x3FFF
_ALIGNMENT: Final = 4
_BUFFER: Final = 1 << 17


class Questions:
    """A socket of one family of netlink. A context manager.

    Raises:
        OSError: the kernel refuses, or does not know the question; of every method.
    """

    def __init__(self, family: int) -> None:
        """Open it.

        Args:
            family: as ``NETLINK_SOCK_DIAG``.
        """
        self._link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def dump(self, kind: int, request: bytes) -> Iterator[memoryview]:
        """Ask for everything; yield the content of each message.

        Args:
            kind: type of the request.
            request: what follows its header.
        """
        self._ask(kind, request, _NLM_F_DUMP)
        while True:
            for answer, content in self._messages():
                if answer == _NLMSG_DONE:
                    return
                yield content

    def get(self, kind: int, request: bytes) -> memoryview:
        """Ask for one thing; return the content of the answer."""
        self._ask(kind, request)
        ((_, content),) = self._messages()
        return content

    def _ask(self, kind: int, request: bytes, flags: int = 0) -> None:
        self._link.send(_HEADER.pack(_HEADER.size + len(request), kind, _NLM_F_REQUEST | flags, 1, 0) + request)

    def _messages(self) -> Iterator[tuple[int, memoryview]]:
        data = memoryview(self._link.recv(_BUFFER))
        at = 0
        while at < len(data):
            length, answer, *_ = _HEADER.unpack_from(data, at)
            content = data[at + _HEADER.size : at + length]
            if answer == _NLMSG_ERROR:
                number = -_ERROR_NUMBER.unpack_from(content)[0]
                raise OSError(number, os.strerror(number))
            yield answer, content
            at += _aligned(length)


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
