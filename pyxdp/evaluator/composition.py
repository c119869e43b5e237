"""All classes together: what becomes of a packet at one interface (spec sections 3.4 to 3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.classes import BEFORE_DNAT, judge
from pyxdp.evaluator.course import Course, lay_course
from pyxdp.evaluator.endpoint import Governance, governing_endpoint
from pyxdp.evaluator.membership import Membership
from pyxdp.evaluator.outcome import ClassResult, Context, Direction, Evaluation, Path, PolicyClass, Reason, Verdict
from pyxdp.evaluator.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import Resources
    from pyxdp.net import Interface, Packet

#: Which classes a packet meets at an interface, in order (spec section 3.9).
CLASSES: Final = {
    (Direction.INGRESS, Path.LOCAL): (PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT, PolicyClass.NORMAL),
    (Direction.INGRESS, Path.FORWARD): (PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT, PolicyClass.FORWARD),
    (Direction.EGRESS, Path.LOCAL): (PolicyClass.UNTRACKED, PolicyClass.NORMAL),
    (Direction.EGRESS, Path.FORWARD): (PolicyClass.FORWARD,),
}


class Evaluator:
    """One host with its policy, for any number of packets.

    What does not depend on the packet is found out once, when it is first needed: which endpoint governs an interface,
    its labels, its policies in order, and who is selected by a rule.

    Args:
        resources: all resources.
        node: the host.
        interfaces: every interface of the host.
    """

    def __init__(self, resources: Resources, *, node: str, interfaces: Iterable[Interface]) -> None:
        self._resources = resources
        self._node = node
        self._interfaces = tuple(interfaces)
        self._membership = Membership(resources)
        self._governance: dict[str, Governance | None] = {}
        self._courses: dict[tuple[str, PolicyClass, Direction], Course] = {}

    def evaluate(
        self, packet: Packet, *, interface: str, direction: Direction, context: Context | None = None
    ) -> Evaluation:
        """Judge a packet at one interface by every class that it meets there.

        The first class that allows or denies has the last word: an untracked or pre-DNAT Allow skips the classes
        behind it (spec section 3.8). A forwarded packet is judged twice, at the interface that it comes in by and at
        the one that it leaves through. A later fragment meets the untracked class only; the tracked ones see the whole
        datagram.

        Not looked at, because no resource speaks of it: tunnels between Calico hosts, workload policy, the host's own
        iptables rules.

        Args:
            packet: the packet; its destination is the one after DNAT.
            interface: the one that the packet enters or leaves through.
            direction: ingress or egress.
            context: what is known beyond the packet; by default a new connection of a local process.

        Returns:
            The verdict with every class's part in it. No verdict means that host policy leaves the packet alone: it
            passes. That is so on an interface that no host endpoint governs.

        Raises:
            UnknownInterfaceError: there is no such interface.
            UnsupportedPolicyError: a policy that applies matches Kubernetes services.
            ValueError: a later fragment that leaves a forwarding host: there it is a whole datagram again.
        """
        context = context or Context()
        results = []
        for policy_class in CLASSES[direction, context.path]:
            result = self.evaluate_class(
                packet, interface=interface, direction=direction, policy_class=policy_class, context=context
            )
            results.append(result)
            if result.verdict is not Verdict.NO_VERDICT or packet.later_fragment:
                break
        governance = self.governance(interface)
        allowed_untracked = result.policy_class is PolicyClass.UNTRACKED and result.verdict is Verdict.ALLOW
        return Evaluation(
            endpoint=governance.endpoint.metadata.name if governance else "",
            classes=tuple(results),
            untracked=allowed_untracked and not packet.later_fragment,
        )

    def evaluate_class(
        self,
        packet: Packet,
        *,
        interface: str,
        direction: Direction,
        policy_class: PolicyClass,
        context: Context | None = None,
    ) -> ClassResult:
        """Ask one policy class about one packet.

        In the untracked class a later fragment is judged by what is certain without ports and ICMP type: a rule that
        does match decides, and takes nothing out of tracking. A rule, or failsafe port, that only might match leaves
        no verdict, because the first fragment decides. A Log rule that only might match logs nothing.

        Args:
            packet: the packet; its destination is the one after DNAT.
            interface: the one that the packet enters or leaves through.
            direction: ingress or egress.
            policy_class: which class to ask.
            context: what is known beyond the packet; by default a new connection of a local process.

        Raises:
            UnknownInterfaceError: there is no such interface.
            UnsupportedPolicyError: a policy that applies matches Kubernetes services.
            ValueError: a later fragment in a tracked class; those see whole datagrams only.
        """
        context = context or Context()
        if packet.later_fragment and policy_class is not PolicyClass.UNTRACKED:
            message = "tracked classes see reassembled datagrams, never a later fragment"
            raise ValueError(message)
        governance = self.governance(interface)
        if governance is None or policy_class not in governance.classes:
            return ClassResult(policy_class=policy_class, verdict=Verdict.NO_VERDICT, reason=Reason.NOT_GOVERNED)
        walk = Walk(
            course=self._course(governance, policy_class, direction),
            packet=context.before_dnat(packet) if policy_class in BEFORE_DNAT else packet,
            membership=self._membership,
        )
        return judge(walk, context.conntrack)

    def governance(self, interface: str) -> Governance | None:
        """Return the host endpoint that governs an interface, with its classes.

        Raises:
            UnknownInterfaceError: there is no such interface.
        """
        if interface not in self._governance:
            self._governance[interface] = governing_endpoint(
                self._resources, node=self._node, interfaces=self._interfaces, interface=interface
            )
        return self._governance[interface]

    def _course(self, governance: Governance, policy_class: PolicyClass, direction: Direction) -> Course:
        key = governance.endpoint.metadata.name, policy_class, direction
        if key not in self._courses:
            self._courses[key] = lay_course(
                self._resources,
                node=self._node,
                endpoint=governance.endpoint,
                policy_class=policy_class,
                direction=direction,
            )
        return self._courses[key]


def evaluate(  # noqa: PLR0913 - a question of seven independent parts
    resources: Resources,
    *,
    node: str,
    interfaces: Iterable[Interface],
    interface: str,
    direction: Direction,
    packet: Packet,
    context: Context | None = None,
) -> Evaluation:
    """Judge a packet by every class: :meth:`Evaluator.evaluate` for a single packet."""
    evaluator = Evaluator(resources, node=node, interfaces=interfaces)
    return evaluator.evaluate(packet, interface=interface, direction=direction, context=context)


def evaluate_class(  # noqa: PLR0913 - a question of eight independent parts
    resources: Resources,
    *,
    node: str,
    interfaces: Iterable[Interface],
    interface: str,
    direction: Direction,
    packet: Packet,
    policy_class: PolicyClass,
    context: Context | None = None,
) -> ClassResult:
    """Ask one policy class: :meth:`Evaluator.evaluate_class` for a single packet."""
    evaluator = Evaluator(resources, node=node, interfaces=interfaces)
    return evaluator.evaluate_class(
        packet, interface=interface, direction=direction, policy_class=policy_class, context=context
    )
