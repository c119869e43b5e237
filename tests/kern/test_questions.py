"""The programs of mangle and filter: what iptables is told of each class, and what is counted once and by whom."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from pyxdp.abi import Reason
from pyxdp.dataplane.layout import FILTERS
from tests.kern.conftest import ALLOWED, DENIED, FAILSAFE, POLICY, image_of
from tests.kern.frames import FRAGMENT, IPV4, IPV6, TCP, UDP, ethernet, fragment, ipv4, ipv6, tcp, udp

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

#: TCP ports, by what each class does with them. 2000 and 3000 meet a Log rule before.
REFUSED: Final = 2000
ACCEPTED: Final = 3000
PASSED: Final = 4000
OTHER: Final = 9999
_RULES: Final = f"""
    - {{action: Log, protocol: TCP, destination: {{ports: [{REFUSED}, {ACCEPTED}]}}}}
    - {{action: Deny, protocol: TCP, destination: {{ports: [{REFUSED}]}}}}
    - {{action: Allow, protocol: TCP, destination: {{ports: [{ACCEPTED}]}}}}
    - {{action: Pass, protocol: TCP, destination: {{ports: [{PASSED}]}}}}"""


def policy(name: str, settings: str, *directions: str) -> str:
    """A policy with the rules above in these directions."""
    rules = "".join(f"\n  {direction}:{_RULES}" for direction in directions)
    return f"""
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: {name}}}
spec:
  selector: has(hep)
  {settings}{rules}
"""


PREDNAT: Final = policy("prednat", "preDNAT: true\n  applyOnForward: true", "ingress")
NORMAL: Final = policy("normal", "applyOnForward: false", "ingress", "egress")
FORWARD: Final = policy("forward", "applyOnForward: true", "ingress", "egress")
CLASSES: Final = POLICY + PREDNAT + FORWARD  # a policy that applies on forward is one of the normal class too

LOCAL: Final = ("local_in_deny",), ("local_out_deny",), ("local_dnat_deny",)
PAIRS: Final = ("forward_in_deny", "forward_in_allow"), ("forward_out_deny", "forward_out_allow")
EVERY_CLASS: Final = (("prednat_deny", "prednat_allow"), *LOCAL, *PAIRS)


def to(port: int, family: int = 4) -> bytes:
    return ethernet(IPV4, ipv4(TCP, tcp(port))) if family == 4 else ethernet(IPV6, ipv6(TCP, tcp(port)))


class Answers:
    """What an iptables chain would hear that asks these programs until one says 1."""

    def __init__(self, bench: Bench, programs: tuple[str, ...], frame: bytes) -> None:
        self.given: list[int] = []
        self.reasons: Counter[Reason] = Counter()
        self.rules: list[int] = []
        for program in programs:
            result = bench.raw(program, frame)
            self.given.append(int(result.action))
            self.reasons.update(result.reasons)
            self.rules += [packets for packets, _ in result.rules.values()]
            if result.action:
                break

    def are(self, *given: int, reason: Reason | None, rules: int) -> bool:
        """Whether these were given, and one reason and so many different rules were counted, each once."""
        reasons = {reason: 1} if reason is not None else {}
        return (tuple(self.given), dict(self.reasons), self.rules) == (given, reasons, [1] * rules)


@pytest.fixture
def classes(bench: Bench) -> Bench:
    bench.fill(image_of(CLASSES))
    return bench


@pytest.mark.parametrize("family", [4, 6])
def test_prednat(classes: Bench, family: int) -> None:
    """Without a verdict only the Log and Pass rules are counted: another class has the packet."""

    def ask(port: int) -> Answers:
        return Answers(classes, ("prednat_deny", "prednat_allow"), to(port, family))

    assert ask(REFUSED).are(1, reason=Reason.DROP_POLICY, rules=2)
    assert ask(ACCEPTED).are(0, 1, reason=Reason.PASS_ALLOWED, rules=2)
    assert ask(FAILSAFE).are(0, 0, reason=Reason.PASS_FAILSAFE, rules=1)
    assert ask(PASSED).are(0, 0, reason=None, rules=1)
    assert ask(OTHER).are(0, 0, reason=None, rules=0)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("programs", LOCAL, ids="".join)
def test_local(classes: Bench, programs: tuple[str], family: int) -> None:
    """What no rule allows is denied by the end of a tier, or by the end of the endpoint."""

    def ask(port: int) -> Answers:
        return Answers(classes, programs, to(port, family))

    assert ask(REFUSED).are(1, reason=Reason.DROP_POLICY, rules=2)
    assert ask(ACCEPTED).are(0, reason=Reason.PASS_ALLOWED, rules=2)
    assert ask(PASSED).are(1, reason=Reason.DROP_POLICY, rules=2)
    assert ask(OTHER).are(1, reason=Reason.DROP_POLICY, rules=1)


def test_local_failsafe(classes: Bench) -> None:
    assert Answers(classes, ("local_in_deny",), to(FAILSAFE)).are(0, reason=Reason.PASS_FAILSAFE, rules=1)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("programs", PAIRS, ids=",".join)
def test_forward(classes: Bench, programs: tuple[str, str], family: int) -> None:
    """The class has no failsafes; a packet without a verdict is counted here, since no class follows."""

    def ask(port: int) -> Answers:
        return Answers(classes, programs, to(port, family))

    assert ask(REFUSED).are(1, reason=Reason.DROP_POLICY, rules=2)
    assert ask(ACCEPTED).are(0, 1, reason=Reason.PASS_ALLOWED, rules=2)
    assert ask(PASSED).are(0, 0, reason=Reason.PASS_NO_MATCH, rules=1)
    assert ask(FAILSAFE).are(1, reason=Reason.DROP_POLICY, rules=1)


@pytest.mark.parametrize("programs", PAIRS, ids=",".join)
def test_forward_without_policy(bench: Bench, programs: tuple[str, str]) -> None:
    bench.fill(image_of(POLICY + NORMAL))
    assert Answers(bench, programs, to(OTHER)).are(0, 1, reason=Reason.PASS_ALLOWED, rules=1)


@pytest.mark.parametrize("program", ["in_untracked", "out_untracked"])
def test_untracked_by_policy(classes: Bench, program: str) -> None:
    """Asked again of what the raw table has taken out of conntrack, and has counted."""
    for port, answer in ((ALLOWED, 1), (DENIED, 0), (OTHER, 0)):
        assert Answers(classes, (program,), to(port)).are(answer, reason=None, rules=0)


@pytest.mark.parametrize("program", ["in_tracked", "out_tracked"])
def test_tracked_all_the_same(classes: Bench, program: str) -> None:
    """Counted, and never taken: the other classes judge it as what it is."""
    for port, reason in ((ALLOWED, Reason.STILL_TRACKED), (DENIED, None), (OTHER, None), (FAILSAFE, None)):
        assert Answers(classes, (program,), to(port)).are(0, reason=reason, rules=0)


@pytest.mark.parametrize("program", ["invalid_in", "invalid_out"])
def test_invalid(classes: Bench, program: str) -> None:
    assert Answers(classes, (program,), to(ACCEPTED)).are(1, reason=Reason.DROP_INVALID, rules=0)


@pytest.mark.parametrize("program", ["ungoverned", "in_tracked", "out_tracked"])
def test_ungoverned(classes: Bench, program: str) -> None:
    assert Answers(classes, (program,), to(OTHER)).are(0, reason=None, rules=0)
    classes.fill(image_of(CLASSES), "eth1")
    assert Answers(classes, (program,), to(ALLOWED)).are(1, reason=None, rules=0)


def test_destination_rewritten_of_a_packet_that_came_in(classes: Bench) -> None:
    """In POSTROUTING forwarded packets are not for the normal class."""
    program = classes.trial.object.programs["pyxdp_local_dnat_deny"]
    context = bytearray(192)
    assert program.test_run(to(OTHER), ctx=context).retval == 1
    context[36] = 1  # ingress_ifindex of struct __sk_buff
    assert program.test_run(to(OTHER), ctx=context).retval == 0


@pytest.mark.parametrize("programs", EVERY_CLASS, ids=",".join)
def test_malformed_packet(classes: Bench, programs: tuple[str, ...]) -> None:
    broken = ethernet(IPV4, ipv4(TCP, tcp(ACCEPTED)[:3]))
    assert Answers(classes, programs, broken).are(1, reason=Reason.DROP_SHORT_L4, rules=0)


@pytest.mark.parametrize("programs", EVERY_CLASS, ids=",".join)
def test_later_fragment_where_nothing_reassembles(classes: Bench, programs: tuple[str, ...]) -> None:
    """Its ports are not known: the first fragment decides. The pre-DNAT class leaves it to the next one."""
    reason = None if "prednat_deny" in programs else Reason.PASS_FRAGMENT
    refused = [0] * len(programs)
    for frame in (
        ethernet(IPV4, ipv4(TCP, tcp(REFUSED), offset=185)),
        ethernet(IPV6, ipv6(FRAGMENT, fragment(TCP, tcp(REFUSED), offset=185))),
    ):
        answers = Answers(classes, programs, frame)
        assert (answers.given, dict(answers.reasons)) == (refused, {reason: 1} if reason else {})


def test_nobody_answers(classes: Bench) -> None:
    """A question without an answer is as if denied, but not ahead of connection tracking: what is known lives on."""
    questions = classes.trial.object.maps["pyxdp_questions"]
    asking = [name for name in FILTERS if name != "ungoverned" and not name.startswith("invalid")]
    questions.delete(0)
    try:
        answers = {name: classes.raw(name, ethernet(IPV4, ipv4(UDP, udp(OTHER)))).action for name in asking}
    finally:
        questions.put(0, classes.trial.object.programs["pyxdp_answer"])
    assert answers == {name: int(name.endswith("deny") and name not in ("in_deny", "out_deny")) for name in asking}
