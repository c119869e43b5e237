"""Sends a datagram to each port of the machine, again and again, from the moment that the second card exists."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.waiting import wait_until

MACHINE = "10.9.0.1"
#: By what policy of ``policy.yaml`` does with it.
PORTS = {"untracked allowed": 6001, "untracked denied": 6002, "allowed": 6003, "denied": 6004}
#: When the first datagram was sent, in seconds of the monotonic clock.
BEGIN = Path("/run/peer.begin")

_PAUSE = 0.05
_NETWORK = (
    "netns add peer",
    "link set eth1 netns peer",
    "-n peer address add 10.9.0.2/24 dev eth1",
    "-n peer link set eth1 up",
    # Nobody has to answer before it can send.
    f"-n peer neighbour add {MACHINE} lladdr 52:54:00:00:00:00 nud permanent dev eth1",
)


def main() -> None:
    """Make the peer's network, and go on there."""
    wait_until(Path("/sys/class/net/eth1").exists, timeout=600, what="the second card")
    for command in _NETWORK:
        subprocess.run(["ip", *command.split()], check=True)
    inside = [sys.executable, "-c", f"from {__spec__.name} import send; send()"]
    subprocess.run(["ip", "netns", "exec", "peer", *inside], check=True)


def send() -> None:
    """Send, for ever; the unit is ready when it has begun."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        _send_to_each_port(made)
        BEGIN.write_text(str(time.monotonic()))
        subprocess.run(["systemd-notify", "--ready"], check=True)
        while True:
            _send_to_each_port(made)
            time.sleep(_PAUSE)


def _send_to_each_port(made: socket.socket) -> None:
    for port in PORTS.values():
        made.sendto(b"hello", (MACHINE, port))


if __name__ == "__main__":
    main()
