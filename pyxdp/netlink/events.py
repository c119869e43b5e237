"""That something about interfaces or rules has changed, told by the kernel; nobody has to look again and again.

What has changed is not taken from the messages: whoever is told reads everything anew, which one dump does, and so
never goes wrong when messages get lost in a burst.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

#: RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h.
_LINKS_AND_ADDRESSES: Final = 0x1 | 0x10 | 0x100
_NETLINK_NETFILTER: Final = 12
#: Group NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h, as a bit.
_NFTABLES: Final = 1 << 6
#: The most that one recv() takes; a longer message is cut off, which does not matter.
_MESSAGE: Final = 4096


class Watcher:
    """Tells of every change of links and addresses in one network namespace.

    Args:
        on_change: called by a thread of the watcher's after a change, once for many that come together; also when the
            kernel had to drop messages. Must not block.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self._wake = -1

    def start(self) -> None:
        """Begin to watch the calling thread's network namespace.

        Raises:
            OperatorError: netlink refused.
        """
        self._socket = _subscribed(socket.NETLINK_ROUTE, _LINKS_AND_ADDRESSES)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, args=(self._socket, self._wake), name="interfaces")
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing is told after this has returned. May be called twice."""
        if self._thread and self._socket:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            self._socket.close()
            os.close(self._wake)
            self._thread = self._socket = None

    def _run(self, events: socket.socket, wake: int) -> None:
        poll = select.poll()
        poll.register(events, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while all(fd != wake for fd, _ in poll.poll()):
            if _drain(events):
                self._on_change()


class RuleChanges:
    """Whether any rule of nf_tables was changed in one network namespace; a context manager.

    Costs nothing in between: the kernel drops all but the first few messages, and that there were some is enough.
    """

    def __init__(self) -> None:
        """Begin to listen in the calling thread's network namespace.

        Raises:
            OperatorError: netlink refused.
        """
        self._socket = _subscribed(_NETLINK_NETFILTER, _NFTABLES)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MESSAGE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def any(self) -> bool:
        """Tell whether there was a change since the last call, or since the beginning."""
        return _drain(self._socket)


def _subscribed(protocol: int, groups: int) -> socket.socket:
    made = None
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
        made.bind((0, groups))
    except OSError as error:
        if made:
            made.close()
        raise OperatorError(f"can not watch the interfaces: netlink: {error}") from error
    return made


def _drain(events: socket.socket) -> bool:
    """Take all messages; tell whether there were any, or whether some were lost."""
    found = False
    with suppress(BlockingIOError):
        while True:
            try:
                events.recv(_MESSAGE)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            found = True
    return found
