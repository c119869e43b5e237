"""What firewalls make of servers: Redis and memcached on the demo's machines, with its Redis, client, cable and flood.

A program of its own, because the demo's machines are built around the network namespace of the process:
``python -m bench.services --rounds N``, in namespaces as ``demo.__main__`` makes them. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from demo import lab, measure
from demo.story import NODE, PYXDP, dropped_at_xdp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parent.parent
POLICY: Final = ROOT / "examples/redis"
MEMCACHED_PORT: Final = 11211
MEMCACHED_S: Final = 2

_PORTS: Final = f"{{ {lab.PORT}, {MEMCACHED_PORT} }}"
_CLIENTS: Final = "10.20.0.0/16"
#: Untracked for who may ask; the others are dropped before conntrack hears of them.
_NFT: Final = f"""\
table ip bench {{
	chain in {{
		type filter hook prerouting priority raw;
		ip saddr {_CLIENTS} tcp dport {_PORTS} notrack accept
		tcp dport {_PORTS} counter drop
	}}
	chain out {{
		type filter hook output priority raw;
		ip daddr {_CLIENTS} tcp sport {_PORTS} notrack
	}}
}}
"""


@dataclass(frozen=True)
class Firewall:
    """A way to protect the servers.

    Attributes:
        name: as the figures call it.
        title: for people.
        in_force: a context in which it is.
        dropped: its count of denied frames; ``None``: it can not be flooded.
        programs: that it needs.
    """

    name: str
    title: str
    in_force: Callable[[], Any]
    dropped: Callable[[], int] | None
    programs: tuple[str, ...] = ()


@contextmanager
def _conntrack() -> Iterator[None]:
    """The demo's firewall as it is, which everything else comes on top of."""
    yield


@contextmanager
def _notrack() -> Iterator[None]:
    accept = ("-i", lab.INTERFACE, "-p", "tcp", "-m", "conntrack", "--ctstate", "UNTRACKED", "-j", "ACCEPT")
    lab.run("nft", "-f", "-", text=_NFT)
    lab.run("iptables", "-I", "INPUT", *accept)
    try:
        yield
    finally:
        lab.run("iptables", "-D", "INPUT", *accept)
        lab.run("nft", "delete", "table", "ip", "bench")


def _dropped_by_nft() -> int:
    found = re.search(r"counter packets (\d+)", lab.run("nft", "list", "chain", "ip", "bench", "in"))
    return int(found[1]) if found else 0


@contextmanager
def _pyxdp() -> Iterator[None]:
    lab.run(str(PYXDP), "apply", "/run/policy")
    try:
        yield
    finally:
        lab.run(str(PYXDP), "delete")


FIREWALLS: Final = (
    Firewall("conntrack", "stateful iptables", _conntrack, lab.refused_by_firewall),
    Firewall("empty-xdp", "the same, and an empty XDP program", lab.empty_program, None),
    Firewall("notrack", "the same, and nft notrack", _notrack, _dropped_by_nft, ("nft",)),
    Firewall("pyxdp", "the same, and pyxdp", _pyxdp, dropped_at_xdp),
)


def _write_policy() -> None:
    """The example's policy, for both servers."""
    folder = Path("/run/policy")
    folder.mkdir()
    for path in POLICY.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if path.name != "tests.yaml":
            (folder / path.name).write_text(text.replace(f"[{lab.PORT}]", f"[{lab.PORT}, {MEMCACHED_PORT}]"))


@contextmanager
def _memcached() -> Iterator[str]:
    """Start memcached beside Redis, on its CPU; yields why there is none, or nothing."""
    if missing := [name for name in ("memcached", "memcaslap") if shutil.which(name) is None]:
        yield f"not installed: {', '.join(missing)}"
        return
    lab.run("iptables", "-A", "INPUT", "-s", _CLIENTS, "-p", "tcp", "--dport", str(MEMCACHED_PORT), "-j", "ACCEPT")
    command = ["taskset", "-c", str(lab.redis_cpu()), "memcached", "-u", "nobody", "-t", "1", "-c", "4096"]
    command += ["-l", lab.HOST, "-p", str(MEMCACHED_PORT)]
    with subprocess.Popen(command) as server:
        try:
            yield ""
        finally:
            server.kill()


def _memcached_speed() -> float:
    place = f"{lab.HOST}:{MEMCACHED_PORT}"
    said = lab.run(*lab.on_client("memcaslap", "-s", place, "-t", f"{MEMCACHED_S}s", "-T", "1", "-c", "50"))
    found = re.search(r"TPS: (\d+)", said)
    if found is None:
        raise RuntimeError(f"memcaslap said:\n{said}")
    return float(found[1])


def measure_all(rounds: int) -> dict[str, Any]:
    """Measure all firewalls in turns; each round begins with another one."""
    turns = [it for it in FIREWALLS if all(map(shutil.which, it.programs))]
    absent = {it.name: f"not installed: {', '.join(it.programs)}" for it in FIREWALLS if it not in turns}
    found: dict[str, list[dict[str, Any]]] = {it.name: [] for it in turns}
    with ExitStack() as stack:
        stack.enter_context(lab.redis())
        without = stack.enter_context(_memcached())
        for _ in range(rounds):
            for firewall in turns:
                found[firewall.name].append(_round(firewall, memcached=not without))
            turns.append(turns.pop(0))
    figures = {name: _medians(rounds_) for name, rounds_ in found.items()}
    titles = {it.name: it.title for it in FIREWALLS}
    return {"rounds": rounds, "titles": titles, "figures": figures, "absent": absent, "memcached": without}


def _round(firewall: Firewall, *, memcached: bool) -> dict[str, Any]:
    print(firewall.title, file=sys.stderr, flush=True)
    with firewall.in_force():
        it = measure.measure(firewall.dropped)
        found: dict[str, Any] = {
            "redis, requests/s": it.keep_alive.requests,
            "redis, p99 ms": it.keep_alive.p99,
            "new connections/s": it.per_request.requests,
            "conntrack entries left": it.entries,
        }
        if it.flood is not None:
            found["redis under a flood, requests/s"] = it.flood.flooded
            found["kept under the flood"] = it.flood.kept
        if memcached:
            found["memcached, requests/s"] = _memcached_speed()
    return found


def _medians(rounds: list[dict[str, Any]]) -> dict[str, float]:
    return {name: median(it[name] for it in rounds) for name in rounds[0]}


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="bench.services")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    socket.sethostname(NODE)
    lab.build()
    _write_policy()
    with suppress(BrokenPipeError):
        print(json.dumps(measure_all(rounds)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {' '.join(error.cmd)}: status {error.returncode}\n{error.stderr}")
