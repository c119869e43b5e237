"""What a policy costs to apply, to hold, and to change: the real dataplane, on an interface of its own."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pyxdp
from bench.cable import cable
from bench.rivals import XDP_PIN
from pyxdp.bench import rulesets
from pyxdp.bench.documents import NODE
from pyxdp.bench.figures import Line
from pyxdp.bench.judging import memory_of, verified
from pyxdp.bench.rulesets import packet
from pyxdp.bench.table import headroom
from pyxdp.bpf import Map, Program, XdpAction
from pyxdp.enforcer import Enforcer
from pyxdp.net import PortRange
from pyxdp.net.frame import build_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.bench.rulesets import RuleSet
    from pyxdp.bench.table import Size
    from pyxdp.model import GlobalNetworkPolicy, Resources
    from tests.lab.network import Namespace

PINS: Final = Path("/sys/fs/bpf/pyxdp/v1")
SMALL_MIB: Final = 8
LARGE_MIB: Final = 256
APPLY_S: Final = 10
COMPILE_S: Final = 4
MEMBER_MS: Final = 5
RULE_MS: Final = 100
#: The address that comes and goes.
_NEWCOMER: Final = "198.19.0.1"


def applied(size: Size, applies: int, say: Callable[[str], None]) -> Iterator[Line]:
    """Measure memory, full and small changes of ten rules and of the large policy.

    Args:
        size: how much; small changes are made as often as it has rounds.
        applies: how often the large policy is applied from files; more than once: by the command, too.
        say: told what is being done.
    """
    large = rulesets.large(size.rules, size.prefixes)
    with TemporaryDirectory(prefix="pyxdp-bench-") as folder, cable(b"") as made:
        large.write(Path(folder))
        say("ten rules: memory")
        yield _small(made.host)
        yield from _from_files(made.host, Path(folder), size, applies, say)
        say("small changes of the large policy")
        yield from _changes(made.host, large, size)
        if applies > 1:
            say("the command pyxdp apply")
            yield _by_command(made.host, Path(folder), size)


def _small(host: Namespace) -> Line:
    with host.entered():
        pyxdp.apply(pyxdp.resolve(rulesets.ten().resources, node=NODE))
        try:
            return _memory("kernel memory of all maps, both slots, 10 rules", SMALL_MIB)
        finally:
            pyxdp.delete()


def _memory(title: str, most: float) -> Line:
    found = {}
    for pin in sorted((PINS / "maps").iterdir()):
        with Map.from_pin(pin) as table:
            found[pin.name] = memory_of(table) / 2**20
    largest = {name: round(size, 2) for name, size in sorted(found.items(), key=lambda it: -it[1])}
    return Line(title, sum(found.values()), "MiB", most=most, detail=largest)


def _from_files(host: Namespace, folder: Path, size: Size, applies: int, say: Callable[[str], None]) -> Iterator[Line]:
    """Apply the large policy from files again and again, each time on a machine without policy."""
    rounds: list[dict[str, float]] = []
    with host.entered():
        for number in range(1, applies + 1):
            say(f"full apply from files, {number} of {applies}")
            try:
                rounds.append(_once(folder))
                memory = _memory(f"kernel memory of all maps, both slots, {_what(size)}", LARGE_MIB)
                programs = headroom(_pinned_instructions())
            finally:
                pyxdp.delete()
    parts = {name: round(median(it[name] for it in rounds), 3) for name in rounds[0]}
    total = tuple(sum(it.values()) for it in rounds)
    yield memory
    title = f"full apply of {_what(size)}, from YAML files"
    yield Line(title, median(total), "s", most=APPLY_S, detail=parts, samples=total)
    yield Line("compiling of the same", parts["compile"], "s", most=COMPILE_S)
    yield replace(programs, title="the same, all programs of an interface that are pinned")


def _once(folder: Path) -> dict[str, float]:
    begin = time.perf_counter()
    resources = pyxdp.load([folder]).resources
    loaded = time.perf_counter()
    policy = pyxdp.resolve(resources, node=NODE)
    resolved = time.perf_counter()
    report = pyxdp.apply(policy)
    end = time.perf_counter()
    compiling = report.durations["compile"]
    parts = {"load": loaded - begin, "resolve": resolved - loaded, "compile": compiling}
    return parts | {"apply": end - resolved - compiling}


def _by_command(host: Namespace, folder: Path, size: Size) -> Line:
    """How long the command takes, the interpreter's start and lint included; once."""
    command = [str(Path(sys.executable).with_name("pyxdp")), "apply", "--node", NODE, "--json", str(folder)]
    begin = time.perf_counter()
    said = host.run(*command).stdout
    seconds = time.perf_counter() - begin
    with host.entered():
        pyxdp.delete()
    title = f"the command pyxdp apply, {_what(size)}, once"
    return Line(title, seconds, "s", detail=json.loads(said)["seconds"])


def _pinned_instructions() -> dict[str, int]:
    """The programs of one interface, and what belongs to all: instructions that the verifier processed."""
    newest = max((PINS / "objects").iterdir(), key=lambda it: int(it.name))
    pins = [pin for pin in newest.rglob("*") if pin.is_file() and "maps" not in pin.parts]
    found: dict[str, int] = {}
    for pin in pins:
        with _opened(pin) as program:
            found |= verified([(pin.name, program)]) if program else {}
    return found


@contextmanager
def _opened(pin: Path) -> Iterator[Program | None]:
    try:
        program = Program.from_pin(pin)
    except OSError:  # a pin of something else
        yield None
        return
    with program:
        yield program


def _changes(host: Namespace, large: RuleSet, size: Size) -> Iterator[Line]:
    with host.entered():
        try:
            with Enforcer(node=NODE) as enforcer:
                enforcer.apply(large.resources)
                with Program.from_pin(XDP_PIN) as program:
                    yield _member(enforcer, program, size)
                    yield _rule(enforcer, program, large.resources, size)
        finally:
            pyxdp.delete()


def _member(enforcer: Enforcer, program: Program, size: Size) -> Line:
    """An address is added to a set of the list, and removed again; each time until packets of it are dropped."""
    frame = build_frame(packet(_NEWCOMER, 8080))
    nets = [IPv4Network(_NEWCOMER)]
    samples, rebuilt = [], ""
    for _ in range(size.rounds + 1):
        begin = time.perf_counter()
        report = enforcer.add_members("GlobalNetworkSet", "blocked-0", nets)
        samples.append((time.perf_counter() - begin) * 1e3)
        rebuilt = report.rebuilt or rebuilt
        _expect(program, frame, XdpAction.DROP)
        enforcer.remove_members("GlobalNetworkSet", "blocked-0", nets)
        _expect(program, frame, XdpAction.PASS)
    note = f"a full change was needed: {rebuilt}" if rebuilt else ""
    found = tuple(samples[1:])  # the first one prepares what the others use
    detail = {"the first": samples[0]}
    return Line(_member_title(size), median(found), "ms", most=MEMBER_MS, samples=found, note=note, detail=detail)


def _rule(enforcer: Enforcer, program: Program, resources: Resources, size: Size) -> Line:
    """The port of a rule is changed, and back; each time until packets are judged by it."""
    middle = IPv4Network("198.18.2.0/24")
    policies = resources.globalNetworkPolicies
    rules = ((it, at, rule) for it in policies for at, rule in enumerate(it.ingress))
    policy, at = next((it, at) for it, at, rule in rules if middle in rule.source.nets)
    frame = build_frame(packet("198.18.2.7", 443))  # denied by the middle rule
    changed = replace(policy.ingress[at], destination=replace(policy.ingress[at].destination, ports=(PortRange(7, 7),)))
    ingress = (*policy.ingress[:at], changed, *policy.ingress[at + 1 :])
    variants = [
        (resources, XdpAction.DROP),
        (_with(resources, replace(policy, ingress=ingress)), XdpAction.PASS),
    ]
    samples = []
    for number in range(1, 2 * size.rounds + 2):
        variant, expected = variants[number % 2]
        begin = time.perf_counter()
        enforcer.apply(variant)
        samples.append((time.perf_counter() - begin) * 1e3)
        _expect(program, frame, expected)
    found = tuple(samples[1:])
    detail = {"the first": samples[0]}
    return Line(_rule_title(size), median(found), "ms", most=RULE_MS, samples=found, detail=detail)


def _with(resources: Resources, policy: GlobalNetworkPolicy) -> Resources:
    """Replace the policy of this name."""
    name = policy.metadata.name
    changed = tuple(policy if it.metadata.name == name else it for it in resources.globalNetworkPolicies)
    return replace(resources, globalNetworkPolicies=changed)


def _expect(program: Program, frame: bytes, action: XdpAction) -> None:
    found = program.test_run(frame).retval
    if found != action:
        raise AssertionError(f"a packet got {found}, not {action}: the change is not in force")


def _what(size: Size) -> str:
    return f"{size.rules:,} rules and {size.prefixes:,} CIDRs"


def _member_title(size: Size) -> str:
    return f"one address added to a list of {size.prefixes:,}, until enforced"


def _rule_title(size: Size) -> str:
    return f"one rule changed among {size.rules:,} (and {size.prefixes:,} CIDRs), until enforced"
