"""What packets get, held against what the evaluator makes of the files.

While files change, each may be in force as it was when everything had settled last, or as any version that came
since. Which of them it is, the markers tell: so there is exactly one verdict that a packet may get. Only members of
sets do not change all at once: a packet may then get the verdict of any version of that file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp import netlink
from pyxdp.bpf import Link, Program, XdpAction
from pyxdp.errors import PinError
from pyxdp.evaluator import Direction, Evaluator, PolicyClass, Verdict
from pyxdp.manifest import loads
from pyxdp.net.frame import build_frame
from pyxdp.xtables import Iptables
from tests.soak.policies import FILES, POLICY_FILES, SETS_FILE, Version, base, mirrored
from tests.veth.attached import at_one_time, generations
from tests.veth.host import NODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyxdp.evaluator import Evaluation
    from pyxdp.net import Packet
    from pyxdp.net.values import Family
    from tests.veth.host import Host

#: Program of a rule -> the direction, the class and the verdict that it says yes to.
_PROGRAMS: Final = {
    "in_allow": (Direction.INGRESS, PolicyClass.UNTRACKED, Verdict.ALLOW),
    "in_deny": (Direction.INGRESS, PolicyClass.UNTRACKED, Verdict.DENY),
    "prednat_deny": (Direction.INGRESS, PolicyClass.PRE_DNAT, Verdict.DENY),
    "prednat_allow": (Direction.INGRESS, PolicyClass.PRE_DNAT, Verdict.ALLOW),
    "local_in_deny": (Direction.INGRESS, PolicyClass.NORMAL, Verdict.DENY),
    "forward_in_deny": (Direction.INGRESS, PolicyClass.FORWARD, Verdict.DENY),
    "forward_in_allow": (Direction.INGRESS, PolicyClass.FORWARD, Verdict.ALLOW),
    "out_allow": (Direction.EGRESS, PolicyClass.UNTRACKED, Verdict.ALLOW),
    "out_deny": (Direction.EGRESS, PolicyClass.UNTRACKED, Verdict.DENY),
    "local_out_deny": (Direction.EGRESS, PolicyClass.NORMAL, Verdict.DENY),
    "forward_out_deny": (Direction.EGRESS, PolicyClass.FORWARD, Verdict.DENY),
    "forward_out_allow": (Direction.EGRESS, PolicyClass.FORWARD, Verdict.ALLOW),
}
_FAMILIES: Final[tuple[Family, ...]] = (4, 6)


class Possible:
    """Versions of each file that may be in force."""

    def __init__(self) -> None:
        """None of the files is there yet."""
        self._versions: dict[str, list[Version]] = {file: [Version(file, 0)] for file in FILES}

    def add(self, version: Version) -> None:
        """A file becomes another."""
        self._versions[version.file].append(version)

    def settle(self) -> None:
        """The latest versions are in force, and no others."""
        self._versions = {file: versions[-1:] for file, versions in self._versions.items()}

    def of(self, file: str) -> Sequence[Version]:
        """Return those of one file, the latest last."""
        return self._versions[file]

    def __str__(self) -> str:
        """Their numbers."""
        return str({file: [it.number for it in versions] for file, versions in self._versions.items()})

    @property
    def latest(self) -> tuple[Version, ...]:
        """What the files are now."""
        return tuple(versions[-1] for versions in self._versions.values())

    def __iter__(self) -> Iterator[Version]:
        """Return all of them that are there, of all files."""
        return (it for versions in self._versions.values() for it in versions if it.number)


@dataclass(frozen=True)
class _Answers:
    """What the program of XDP said at one moment."""

    in_force: Mapping[str, Version | None]
    dropped: Mapping[Packet, bool]


class Judge:
    """Of one host, whose files may change.

    Attributes:
        possible: versions that may be in force.
        verdicts: how many were compared.
        findings: what was wrong, in words.
    """

    def __init__(self, host: Host) -> None:
        """Nothing is in force yet."""
        self._host = host
        with host.space.entered():
            (self._end,) = (it for it in netlink.interfaces() if it.name == host.end.name)
        self._base = base(host.end.name)
        self._evaluators: dict[tuple[Version, ...], Evaluator] = {}
        self._begun = False
        self.possible = Possible()
        self.verdicts = 0
        self.findings: list[str] = []

    def sample(self, packets: Iterable[Packet]) -> None:
        """Compare the verdicts that packets get now."""
        answers = self._ask(packets)
        if answers is None:
            return
        policies = self._of_policies(answers)
        if policies is None:
            return
        states = [(*policies, sets) for sets in self.possible.of(SETS_FILE)]
        for packet, dropped in answers.dropped.items():
            self._compare(packet, states, dropped=dropped)

    def settled(self) -> bool:
        """Tell whether the latest versions are in force, and nothing else."""
        answers = self._ask(())
        return answers is not None and all(
            answers.in_force[it.file] == (it if it.number else None) for it in self.possible.latest
        )

    def settle(self, packets: Iterable[Packet]) -> None:
        """The latest versions are in force: compare what programs answer that rules run, too."""
        self.possible.settle()
        packets = list(packets)
        self.sample(packets)
        evaluator = self._evaluator(self.possible.latest)
        for family in _FAMILIES:
            there = [it for it in packets if it.family == family]
            for name, answers in self._ask_rules(family, there).items():
                direction, policy_class, verdict = _PROGRAMS[name]
                for packet, answer in answers.items():
                    result = evaluator.evaluate_class(
                        packet, interface=self._end.name, direction=direction, policy_class=policy_class
                    )
                    self.verdicts += 1
                    if bool(answer) != (result.verdict is verdict):
                        self.find(f"{name} answers {answer} to {packet}, evaluator: {result.verdict.value}")

    def governed(self) -> dict[str, str]:
        """Return the interfaces that should be governed, with the names of their endpoints."""
        with self._host.space.entered():
            interfaces = netlink.interfaces()
        evaluator = Evaluator(loads(self._base).resources, node=NODE, interfaces=interfaces)
        found = {it.name: evaluator.governance(it.name) for it in interfaces}
        return {name: it.endpoint.metadata.name for name, it in found.items() if it}

    def find(self, what: str) -> None:
        """Something is wrong."""
        self.findings.append(what)

    def _ask_rules(self, family: Family, packets: Iterable[Packet]) -> dict[str, dict[Packet, int]]:
        """Ask the programs that the rules of a family run; those for what leaves the host about mirrored packets."""
        packets = list(packets)
        frames = {
            Direction.INGRESS: {it: build_frame(it) for it in packets},
            Direction.EGRESS: {it: build_frame(it) for it in map(mirrored, packets)},
        }
        iptables = Iptables()
        with self._host.space.entered():
            folder = iptables.read(family, iptables.variant).programs[self._end.name]
        found = {}
        for name, (direction, _, _) in _PROGRAMS.items():
            with Program.from_pin(f"{folder}/{name}") as program:
                found[name] = at_one_time(self._host.bpffs, program, frames[direction])
        return found

    def _ask(self, packets: Iterable[Packet]) -> _Answers | None:
        """Ask the attached program about packets and markers; nothing when it is just being replaced."""
        self._begun = self._begun or any(generations(self._host.bpffs).values())
        if not self._begun:
            return None  # programs are attached before the first policy is in force
        end, markers = self._host.end, {it: it.marker(self._host.end) for it in self.possible}
        frames = {it: build_frame(it) for it in (*markers.values(), *packets)}
        try:
            with (
                Link.from_pin(self._host.bpffs / "pyxdp/v1/links" / end.name) as link,
                Program.from_id(link.info.program_id) as program,
            ):
                runs = at_one_time(self._host.bpffs, program, frames)
        except PinError:
            return None
        dropped = {it: runs[it] == XdpAction.DROP for it in frames}
        marked = {file: [it for it in self.possible.of(file) if it.number and dropped[markers[it]]] for file in FILES}
        for file in POLICY_FILES:
            if len(marked[file]) > 1:
                self.find(f"{file}: versions {[it.number for it in marked[file]]} at once")
        in_force = {file: versions[0] if len(versions) == 1 else None for file, versions in marked.items()}
        return _Answers(in_force, dropped)

    def _of_policies(self, answers: _Answers) -> tuple[Version, ...] | None:
        """Return the versions that are in force; a file without a marker is not there, if that may be."""
        found = []
        for file in POLICY_FILES:
            version = answers.in_force[file] or Version(file, 0)
            if version not in self.possible.of(file):
                self.find(f"{file}: none of versions {[it.number for it in self.possible.of(file)]} is in force")
                return None
            found.append(version)
        return tuple(found)

    def _compare(self, packet: Packet, states: Iterable[tuple[Version, ...]], *, dropped: bool) -> None:
        self.verdicts += 1
        found = [self._evaluate(packet, state) for state in states]
        if not any(_explains(it, dropped=dropped) for it in found):
            numbers = [[it.number for it in state] for state in states]
            said = found[-1].verdict.value
            self.find(f"XDP {'drops' if dropped else 'passes'} {packet}, evaluator: {said}; versions {numbers}")

    def _evaluate(self, packet: Packet, state: tuple[Version, ...]) -> Evaluation:
        return self._evaluator(state).evaluate(packet, interface=self._end.name, direction=Direction.INGRESS)

    def _evaluator(self, state: tuple[Version, ...]) -> Evaluator:
        if state not in self._evaluators:
            if len(self._evaluators) > 64:
                self._evaluators.clear()
            resources = loads(self._base + "".join(it.text for it in state)).resources
            self._evaluators[state] = Evaluator(resources, node=NODE, interfaces=[self._end])
        return self._evaluators[state]


def _explains(evaluation: Evaluation, *, dropped: bool) -> bool:
    """Tell whether XDP may do this; what tracked classes deny it drops where it can be certain."""
    if evaluation.verdict is not Verdict.DENY:
        return not dropped
    return dropped or evaluation.deciding.policy_class is not PolicyClass.UNTRACKED
