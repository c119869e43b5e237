"""All classes together: what becomes of a packet at one interface (spec sections 3.4 to 3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.classes import evaluate_class
from pyxdp.evaluator.endpoint import governing_endpoint
from pyxdp.evaluator.outcome import Context, Direction, Evaluation, Path, PolicyClass, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.model import Resources
    from pyxdp.net import Interface, Packet

#: Which classes a packet meets at an interface, in order (spec section 3.9).
CLASSES: Final = {
    (Direction.INGRESS, Path.LOCAL): (PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT, PolicyClass.NORMAL),
    (Direction.INGRESS, Path.FORWARD): (PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT, PolicyClass.FORWARD),
    (Direction.EGRESS, Path.LOCAL): (PolicyClass.UNTRACKED, PolicyClass.NORMAL),
    (Direction.EGRESS, Path.FORWARD): (PolicyClass.FORWARD,),
}


def evaluate(  # noqa: PLR0913 - a question of seven independent parts
    resources: Resources,
    *,
    node: str,
    interfaces: Sequence[Interface],
    interface: str,
    direction: Direction,
    packet: Packet,
    context: Context | None = None,
) -> Evaluation:
    """Judge a packet at one interface by every class that it meets there.

    The first class that allows or denies has the last word: an untracked or pre-DNAT Allow skips the classes behind
    it (spec section 3.8). A forwarded packet is judged twice, at the interface that it comes in by and at the one
    that it leaves through. A later fragment meets the untracked class only; the tracked ones see the whole datagram.

    Not looked at, because no resource speaks of it: tunnels between Calico hosts, workload policy, the host's own
    iptables rules.

    Args:
        resources: all resources.
        node: the host.
        interfaces: every interface of the host.
        interface: the one that the packet enters or leaves through.
        direction: ingress or egress.
        packet: the packet; its destination is the one after DNAT.
        context: what is known beyond the packet; by default a new connection of a local process.

    Returns:
        The verdict with every class's part in it. No verdict means that host policy leaves the packet alone: it
        passes. That is so on an interface that no host endpoint governs.

    Raises:
        UnknownInterfaceError: ``interface`` is not among ``interfaces``.
        UnsupportedPolicyError: a policy that applies matches Kubernetes services.
        ValueError: a later fragment that leaves a forwarding host: there it is a whole datagram again.
    """
    context = context or Context()
    results = []
    for policy_class in CLASSES[direction, context.path]:
        result = evaluate_class(
            resources,
            node=node,
            interfaces=interfaces,
            interface=interface,
            direction=direction,
            packet=packet,
            policy_class=policy_class,
            context=context,
        )
        results.append(result)
        if result.verdict is not Verdict.NO_VERDICT or packet.later_fragment:
            break
    governance = governing_endpoint(resources, node=node, interfaces=interfaces, interface=interface)
    allowed_untracked = result.policy_class is PolicyClass.UNTRACKED and result.verdict is Verdict.ALLOW
    return Evaluation(
        endpoint=governance.endpoint.metadata.name if governance else "",
        classes=tuple(results),
        untracked=allowed_untracked and not packet.later_fragment,
    )
