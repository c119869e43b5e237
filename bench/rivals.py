"""What people use where pyxdp would do: each set up as its manual says, to drop the same traffic.

Every one of them is on a machine and a cable of its own, so that all are there at once and are measured in turns.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

import pyxdp
from pyxdp.bench.documents import INTERFACE, NODE, texts
from pyxdp.bpf import Map, Object, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from bench.cable import Cable
    from pyxdp.bench.rulesets import RuleSet
    from pyxdp.net.prefixes import Prefixes

ROOT: Final = Path(__file__).parent.parent
LPM: Final = ROOT / "build/bench/lpm.bpf.o"
XDP_PIN: Final = Path("/sys/fs/bpf/pyxdp/v1/programs") / INTERFACE / "xdp"
#: Entries of xdp-filter's table; and, since it needs one for each address, how many flows it is measured with.
XDP_FILTER_MOST: Final = 10_000
XDP_FILTER_FLOWS: Final = 8192
_NFT_LINE: Final = 50_000
_BATCH: Final = 1 << 17

#: What is dropped: sources in prefixes, or sources in prefixes at the port that goes with each.
Kind = Literal["prefixes", "rules"]


@dataclass(frozen=True)
class Rival:
    """A firewall.

    Attributes:
        name: as the figures call it.
        title: what it is, for people.
        kinds: what it can drop.
        programs: that it needs.
        most: entries that it is measured with at most.
        why: not more, or not other kinds.
        set_up: puts it in place, ready to be measured; gives the program for XDP where there is one.
        in_stack: it is behind XDP; its cable has an empty XDP program, so that frames of the generator reach it.
        flows: that it is measured with; ``None``: all.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    programs: tuple[str, ...]
    set_up: Callable[[Cable, RuleSet], AbstractContextManager[Program | None]]
    most: int
    why: str = ""
    in_stack: bool = True
    flows: int | None = None

    def obstacle(self, kind: Kind, entries: int) -> str:
        """Say why it is not measured; empty: it is."""
        if missing := [it for it in self.programs if shutil.which(it) is None]:
            return f"not installed: {', '.join(missing)}"
        if kind not in self.kinds or entries > self.most:
            return self.why
        return ""


@contextmanager
def _pyxdp(cable: Cable, ruleset: RuleSet) -> Iterator[Program]:
    with cable.host.entered():
        policy = pyxdp.resolve(ruleset.resources, node=NODE)
        pyxdp.apply(policy)
    try:
        with Program.from_pin(XDP_PIN) as program:
            yield program
    finally:
        with cable.host.entered():
            pyxdp.delete()


@contextmanager
def _lpm(cable: Cable, ruleset: RuleSet) -> Iterator[Program]:
    assert ruleset.prefixes is not None  # noqa: S101 - of this kind
    keys = ruleset.prefixes.ipv4
    packed = np.empty(len(keys), [("length", "=u4"), ("address", ">u4")])
    packed["length"], packed["address"] = keys & np.uint64(0xFF), keys >> np.uint64(8)
    with Object.open(LPM) as loaded:
        loaded.maps["blocked"].max_entries = len(keys)
        loaded.load()
        for at in range(0, len(keys), _BATCH):
            part = packed[at : at + _BATCH]
            loaded.maps["blocked"].update_batch(part.tobytes(), bytes(4 * len(part)), len(part))
        program = loaded.programs["lpm"]
        with _attached(cable, program):
            yield program


@contextmanager
def _xdp_filter(cable: Cable, ruleset: RuleSet) -> Iterator[Program]:
    """It has no prefixes: it gets the addresses themselves that the flows come from."""
    addresses = sorted({flow.source for flow in ruleset.flows[:XDP_FILTER_FLOWS]})
    run = cable.host.run
    run("xdp-filter", "load", INTERFACE, "--policy", "allow", "--features", "ipv4", "--mode", "native")
    try:
        run("xdp-filter", "ip", "--mode", "src", str(addresses[0] >> 24) + ".0.0.1")
        with Map.from_pin("/sys/fs/bpf/xdp-filter/filter_ipv4") as table:
            (key, value), *_ = table.items()
            table.delete(key)
            keys = b"".join(address.to_bytes(4, "big") for address in addresses)
            table.update_batch(keys, value * len(addresses), len(addresses))
        (pin,) = Path("/sys/fs/bpf/xdp-filter/programs", INTERFACE).iterdir()
        with Program.from_pin(pin) as program:
            yield program
    finally:
        run("xdp-filter", "unload", "--all")


@contextmanager
def _iptables(cable: Cable, ruleset: RuleSet) -> Iterator[None]:
    """One rule for each entry."""
    lines = ["*raw"]
    if ruleset.rules:
        lines += [f"-A PREROUTING -s {net} -p tcp --dport {port} -j DROP" for net, port in ruleset.rules]
    else:
        lines += [f"-A PREROUTING -s {net} -j DROP" for net in texts(_prefixes(ruleset))]
    _feed(cable, ("iptables-restore",), [*lines, "COMMIT"])
    yield None


@contextmanager
def _ipset(cable: Cable, ruleset: RuleSet) -> Iterator[None]:
    entries, directions = _ipset_entries(ruleset)
    kind = "hash:net,port" if ruleset.rules else "hash:net"
    head = f"create blocked {kind} family inet hashsize {1 << (len(entries) - 1).bit_length():d} maxelem {len(entries)}"
    _feed(cable, ("ipset", "restore"), [head, *(f"add blocked {entry}" for entry in entries)])
    rule = f"-A PREROUTING -m set --match-set blocked {directions} -j DROP"
    _feed(cable, ("iptables-restore",), ["*raw", rule, "COMMIT"])
    yield None


def _ipset_entries(ruleset: RuleSet) -> tuple[list[str], str]:
    if ruleset.rules:
        return [f"{net},tcp:{port}" for net, port in ruleset.rules], "src,dst"
    return list(texts(_prefixes(ruleset))), "src"


def _nft(family: str, hook: str) -> Callable[[Cable, RuleSet], AbstractContextManager[Program | None]]:
    """A set that the kernel looks addresses up in, at a hook."""

    @contextmanager
    def set_up(cable: Cable, ruleset: RuleSet) -> Iterator[None]:
        kind = "ipv4_addr . inet_service" if ruleset.rules else "ipv4_addr"
        match = "ip saddr . tcp dport" if ruleset.rules else "ip saddr"
        entries = [f"{net} . {port}" for net, port in ruleset.rules] or list(texts(_prefixes(ruleset)))
        lines = [
            f"table {family} bench {{",
            f"set blocked {{ type {kind}; flags interval; }}",
            f"chain early {{ type filter {hook}; {match} @blocked counter drop; }}",
            "}",
        ]
        parts = (entries[at : at + _NFT_LINE] for at in range(0, len(entries), _NFT_LINE))
        lines += [f"add element {family} bench blocked {{ {','.join(part)} }}" for part in parts]
        _feed(cable, ("nft", "-f", "-"), lines)
        yield None

    return set_up


def _prefixes(ruleset: RuleSet) -> Prefixes:
    assert ruleset.prefixes is not None  # noqa: S101 - of this kind
    return ruleset.prefixes


@contextmanager
def _attached(cable: Cable, program: Program) -> Iterator[None]:
    with cable.host.entered():
        link = program.attach_xdp(cable.receiver.ifindex)
    with link:
        yield


def _feed(cable: Cable, command: Sequence[str], lines: Sequence[str]) -> None:
    """Give a program its input.

    Raises:
        SetUpError: it failed.
    """
    try:
        cable.host.run(*command, input="\n".join(lines) + "\n")
    except subprocess.CalledProcessError as error:
        raise SetUpError(f"{' '.join(command)}: {error.stderr.strip()[:200]}") from error


class SetUpError(Exception):
    """A tool did not take what it was given."""


_BOTH: Final[tuple[Kind, ...]] = ("prefixes", "rules")
PYXDP: Final = Rival("pyxdp", "pyxdp", _BOTH, (), _pyxdp, 1 << 22, in_stack=False)
RIVALS: Final = (
    PYXDP,
    Rival(
        "lpm",
        "XDP program with one LPM trie",
        ("prefixes",),
        (),
        _lpm,
        1 << 22,
        "a trie of prefixes knows no ports",
        in_stack=False,
    ),
    Rival(
        "xdp-filter",
        "xdp-filter (single addresses)",
        ("prefixes",),
        ("xdp-filter",),
        _xdp_filter,
        XDP_FILTER_MOST,
        "its tables hold 10,000 addresses; it knows neither prefixes nor rules",
        in_stack=False,
        flows=XDP_FILTER_FLOWS,
    ),
    Rival(
        "nft-ingress",
        "nft set, netdev ingress",
        _BOTH,
        ("nft",),
        _nft("netdev", f'hook ingress device "{INTERFACE}" priority -500'),
        1_000_000,
        "nft takes a minute and gigabytes of memory to read more",
    ),
    Rival(
        "nft-raw",
        "nft set, raw prerouting",
        _BOTH,
        ("nft",),
        _nft("ip", "hook prerouting priority raw"),
        1_000_000,
        "nft takes a minute and gigabytes of memory to read more",
    ),
    Rival("ipset", "iptables + ipset, raw", _BOTH, ("ipset", "iptables-restore"), _ipset, 1 << 22),
    Rival(
        "iptables",
        "iptables rules, raw",
        _BOTH,
        ("iptables-restore",),
        _iptables,
        16_384,
        "every packet walks all rules: half a millisecond each at 16k already",
    ),
)
