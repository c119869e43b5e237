"""The flood: SYNs to Redis' port from addresses that no rule allows, at a given rate, for a given time.

A program of its own, because it runs in the client's network namespace: ``python -m demo.flood``. It says ``ready``,
waits for a line on standard input, sends, and prints how many frames it sent.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from pyxdp.bpf import Object, Program

OBJECT = Path(__file__).parent.parent / "build/demo/flood.bpf.o"
SOURCES = IPv4Address("198.18.0.0")  # a /17 of the block that RFC 2544 sets aside for load tests
#: System calls a second. Each sets up a page pool and waits for an RCU grace period at its end, which takes up to 50 ms
#: in which the CPU is free: so the flood comes in bursts, and has the rate on average.
CALLS = 5


def main() -> None:
    """Send what the arguments say."""
    parser = argparse.ArgumentParser(prog="demo.flood")
    parser.add_argument("--interface", required=True, help="to send from")
    parser.add_argument("--mac", required=True, help="of the receiver")
    parser.add_argument("--address", required=True, type=IPv4Address, help="of the receiver")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--rate", required=True, type=int, help="frames a second")
    parser.add_argument("--seconds", required=True, type=float)
    arguments = parser.parse_args()
    # Before everything else on its CPU, as the interrupts of a network card are.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    with Object.open(OBJECT) as flood:
        flood.rodata["interface"] = socket.if_nametoindex(arguments.interface)
        flood.load()
        print("ready", flush=True)
        sys.stdin.readline()
        frame = syn(bytes.fromhex(arguments.mac.replace(":", "")), arguments.address, arguments.port)
        print(send(flood.programs["flood"], frame, arguments.rate, arguments.seconds), flush=True)


def send(program: Program, frame: bytes, rate: int, seconds: float) -> int:
    """Run the generator for some time, never ahead of the rate; return how many frames it sent."""
    begin = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - begin) < seconds:
        if sent <= rate * elapsed:
            program.test_run(frame, repeat=rate // CALLS, live_frames=True)
            sent += rate // CALLS
        else:
            time.sleep(sent / rate - elapsed)
    return sent


def syn(mac: bytes, destination: IPv4Address, port: int) -> bytes:
    """A SYN as Ethernet frame; what ``flood.bpf.c`` changes in it is 0 and, in two places, its complement 0xffff."""
    ip = b"\x45\0\0\x28\xff\xff\x40\0\x40\x06\0\0" + SOURCES.packed + destination.packed
    tcp = b"\xff\xff" + port.to_bytes(2, "big") + bytes(8) + b"\x50\x02\xff\xff" + bytes(4)
    pseudo_header = ip[12:20] + b"\0\x06\0\x14"
    ip = ip[:10] + checksum(ip) + ip[12:]
    tcp = tcp[:16] + checksum(pseudo_header + tcp) + tcp[18:]
    return (mac + b"\x02\0\0\0\0\x66" + b"\x08\0" + ip + tcp).ljust(60, b"\0")


def checksum(data: bytes) -> bytes:
    """Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


if __name__ == "__main__":
    main()
