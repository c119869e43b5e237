"""The steps of pyxdp as functions. ``import pyxdp`` offers them, and the command line calls nothing else.

Each step imports what it needs when it is called: who only loads and resolves needs neither libbpf nor netlink, and a
command that fails early does so at once.

>>> import pyxdp
>>> manifest = pyxdp.loads('''
... apiVersion: projectcalico.org/v3
... kind: HostEndpoint
... metadata: {name: redis-1-eth0, labels: {hep: redis-host}}
... spec: {node: redis-1, interfaceName: eth0}
... ''')
>>> policy = pyxdp.resolve(manifest.resources, node="redis-1", interfaces=[pyxdp.Interface("eth0", 2)])
>>> [(endpoint.name, endpoint.interface.name) for endpoint in policy.endpoints]
[('redis-1-eth0', 'eth0')]
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Literal

from pyxdp.errors import ManifestError, OperatorError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

    from pyxdp.cases import Case, CaseResult, EngineChoice
    from pyxdp.compiler import MapImage
    from pyxdp.dataplane import Dataplane, Report, Status, Step
    from pyxdp.evaluator import Context, Evaluation
    from pyxdp.explanation import Explanation
    from pyxdp.manifest import Manifest
    from pyxdp.model import Resources
    from pyxdp.net import Interface, Packet
    from pyxdp.planner import Plan, State, Target
    from pyxdp.resolver import EffectivePolicy


def default_node() -> str:
    """Return the name that ``spec.node`` of this machine's host endpoints has unless told otherwise: its host name."""
    return socket.gethostname()


def load(paths: Sequence[str | os.PathLike[str]], *, stdin: TextIO | None = None) -> Manifest:
    """Read manifests: files, folders with everything below them, ``-`` for standard input.

    Args:
        paths: what to read.
        stdin: what ``-`` reads instead of ``sys.stdin``.

    Returns:
        ``resources``, and ``notices``: what was written and has no effect.

    Raises:
        ManifestError: something is wrong; holds every problem of every file with line and column.
    """
    from pyxdp import manifest

    return manifest.load(paths, stdin=stdin)


def resolve(
    resources: Resources, *, node: str | None = None, interfaces: Sequence[Interface] | None = None
) -> EffectivePolicy:
    """Find out what a node has to enforce on its interfaces.

    Args:
        resources: of the whole cluster; selectors look at all of them.
        node: as ``spec.node`` of its host endpoints has it; by default this machine's host name.
        interfaces: of the node; by default those of this thread's network namespace.

    Raises:
        UnsupportedPolicyError: a rule in use can not be enforced by any version, as one that matches services.
        OperatorError: the interfaces can not be read.
    """
    from pyxdp import resolver

    return resolver.resolve(resources, default_node() if node is None else node, _interfaces(interfaces))


def compile(effective: EffectivePolicy) -> MapImage:  # noqa: A001 - the step's name; `pyxdp.compile` hides nothing
    """Compile for empty maps, as ``apply`` does on a machine without policy.

    Returns:
        Bytes of every map. The same policy gives the same bytes on any machine.

    Raises:
        CapacityError: more rules than the programs can handle.
    """
    from pyxdp import compiler

    return compiler.compile_policy(effective)


def evaluate(  # noqa: PLR0913 - a question of seven independent parts
    resources: Resources,
    packet: Packet,
    *,
    interface: str,
    direction: Literal["ingress", "egress"] = "ingress",
    node: str | None = None,
    interfaces: Sequence[Interface] | None = None,
    context: Context | None = None,
) -> Evaluation:
    """Say what Calico's rules make of a packet, and why. Nothing is applied; no map or program is involved.

    This is a second implementation, to check the first one against. It knows all four classes of policy, also those
    that this version refuses to apply.

    Args:
        resources: of the whole cluster.
        packet: what to judge.
        interface: that the packet enters or leaves through.
        direction: ``ingress`` towards the host, ``egress`` out of it.
        node: as for :func:`resolve`.
        interfaces: as for :func:`resolve`.
        context: what is known beyond the packet; by default a new connection of a local process.

    Raises:
        UnknownInterfaceError: there is no such interface.
        UnsupportedPolicyError: a policy that applies matches Kubernetes services.
    """
    from pyxdp import evaluator

    return evaluator.evaluate(
        resources,
        node=default_node() if node is None else node,
        interfaces=_interfaces(interfaces),
        interface=interface,
        direction=evaluator.Direction(direction.capitalize()),
        packet=packet,
        context=context,
    )


def explain(  # noqa: PLR0913 - a question of eight independent parts
    resources: Resources,
    packet: Packet | bytes,
    *,
    endpoint: str = "",
    interface: str = "",
    direction: Literal["ingress", "egress"] | None = None,
    node: str | None = None,
    interfaces: Sequence[Interface] | None = None,
    context: Context | None = None,
) -> Explanation:
    """Say what becomes of a packet, which rule decides and where it is written, and why no other one did.

    As :func:`evaluate`, with places and values for people; ``str()`` of the answer is what ``pyxdp explain`` prints.

    Args:
        resources: of the whole cluster.
        packet: what to judge; or an Ethernet frame, well formed or not.
        endpoint: name of the host endpoint to ask, on an interface as its resource describes it; no machine is looked
            at. Either this or ``interface``.
        interface: that the packet enters or leaves through.
        direction: ``ingress`` towards the host, ``egress`` out of it; by default what the host's addresses tell.
        node: with ``interface``, as for :func:`resolve`.
        interfaces: with ``interface``, as for :func:`resolve`.
        context: what is known beyond the packet; by default a new connection of a local process.

    Raises:
        ValueError: neither or both of ``endpoint`` and ``interface``.
        UnknownEndpointError: there is no such host endpoint.
        UnknownInterfaceError: there is no such interface.
        UnsupportedPolicyError: a policy that applies matches Kubernetes services.
    """
    from pyxdp import evaluator, explanation
    from pyxdp.net.parse import parse_frame

    if bool(endpoint) is bool(interface):
        message = "name either an endpoint or an interface"
        raise ValueError(message)
    if endpoint:
        place = explanation.place_of(resources, endpoint)
    else:
        place = explanation.Place(
            resources=resources,
            node=default_node() if node is None else node,
            interfaces=tuple(_interfaces(interfaces)),
            interface=interface,
        )
    asked = parse_frame(packet) if isinstance(packet, bytes) else packet
    towards = evaluator.Direction(direction.capitalize()) if direction else place.direction_of(asked)
    return explanation.explain(place, towards, asked, context)


def load_cases(
    paths: Sequence[str | os.PathLike[str]], resources: Resources, *, stdin: TextIO | None = None
) -> tuple[Case, ...]:
    """Read tests of policy; ``docs/policy-tests.md`` has the format.

    Args:
        paths: what to read, as for :func:`load`.
        resources: the policy, whose host endpoints the cases name.
        stdin: what ``-`` reads instead of ``sys.stdin``.

    Raises:
        ManifestError: something is wrong; holds every problem of every file with line and column.
        UnsupportedPolicyError: a rule in use can not be enforced by any version.
    """
    from pyxdp import cases

    found = cases.read_cases(paths, resources, stdin=stdin)
    if found.problems:
        raise ManifestError(found.problems)
    return found.cases


def test(
    resources: Resources,
    cases: Iterable[Case],
    *,
    engine: EngineChoice = "both",  # noqa: PT028
) -> Iterator[CaseResult]:
    """Say what policy makes of packets, and whether that is what was expected. No interface is needed or touched.

    Every host endpoint that a case names gets an interface of its own, made up for it.

    Args:
        resources: the policy.
        cases: what to judge.
        engine: ``programs`` runs the BPF programs on the running kernel and needs root and Linux 5.12; ``evaluator``
            is a second implementation that needs nothing; ``both`` asks both, and where they disagree the case fails.

    Returns:
        A result for each case, as soon as it is known.

    Raises:
        ManifestError: a case names no host endpoint that could govern an interface.
        UnsupportedPolicyError: a rule in use can not be enforced by any version.
        CapacityError: the policy is too large.
        BpfError: the kernel refuses to load or run the programs.
    """
    from pyxdp.cases import run_cases

    return run_cases(tuple(cases), resources, engine)


test.__test__ = False  # type: ignore[attr-defined]  # pytest looks for names that begin so


def apply(  # noqa: PLR0913 - settings, each by its name
    effective: EffectivePolicy,
    *,
    dataplane: Dataplane | None = None,
    dry_run: bool = False,
    allow_empty: bool = False,
    on_plan: Callable[[State, Target], None] = lambda *_: None,
    on_progress: Callable[[Step], None] = lambda _: None,
) -> Report:
    """Make the kernel enforce a policy: on all its endpoints at once, or not at all. Needs root and Linux 5.9.

    A policy that is in force already plans nothing. On any failure the policy before is still enforced.

    Args:
        effective: of this network namespace's interfaces as they are now.
        dataplane: which bpffs, iptables variant and lock; by default those of the machine.
        dry_run: only plan and check.
        allow_empty: a policy that governs no interface ends all enforcement; it is refused unless this is set.
        on_plan: called when it is known what will be done, with what there is and what will be, and the lock held.
        on_progress: called before and during each operation, with the lock held.

    Raises:
        CapacityError: the policy is too large.
        OperatorError: no interface is governed, or the machine is not ready.
        BpfError: the kernel refused an operation.
    """
    check_governs(effective, allow_empty=allow_empty)
    return _chosen(dataplane).apply(effective, dry_run=dry_run, on_plan=on_plan, on_progress=on_progress)


def status(dataplane: Dataplane | None = None, *, drift: bool = True) -> Status:
    """Read what is enforced now, with counters, and what differs from what should be. Needs root.

    Args:
        dataplane: as for :func:`apply`.
        drift: without it, rules of iptables are not looked at, which takes most of the time.

    Raises:
        OperatorError: what is there is damaged, or belongs to another network namespace.
        BpfError: it can not be read.
    """
    return _chosen(dataplane).status(drift=drift)


def delete(
    dataplane: Dataplane | None = None,
    *,
    dry_run: bool = False,
    on_progress: Callable[[Step], None] = lambda _: None,
) -> Plan:
    """Remove everything of pyxdp: rules and chains, links, pins; also what is damaged. Needs root.

    Returns:
        What was done, or would be; empty when nothing was there.

    Raises:
        PyxdpError: something can not be removed; call again.
    """
    return _chosen(dataplane).delete(dry_run=dry_run, on_progress=on_progress)


def _chosen(dataplane: Dataplane | None) -> Dataplane:
    if dataplane is not None:
        return dataplane
    from pyxdp.dataplane import Dataplane as MachineDataplane

    return MachineDataplane()


def _interfaces(given: Sequence[Interface] | None) -> Sequence[Interface]:
    if given is not None:
        return given
    from pyxdp import netlink

    return netlink.interfaces()


def check_governs(effective: EffectivePolicy, *, allow_empty: bool) -> None:
    """Make sure that a policy governs an interface, unless it may govern none.

    Raises:
        OperatorError: it governs none; says why.
    """
    if effective.endpoints or allow_empty:
        return
    if effective.resolutions:
        reasons = "; ".join(f"{it.name}: {it.detail}" for it in effective.resolutions)
        message = f"no HostEndpoint of node {effective.node} governs an interface of this machine ({reasons})"
        hint = "see the interfaces with: ip link; is this the node? name it with --node"
    else:
        message = f"no HostEndpoint is for node {effective.node}"
        hint = "name the node as spec.node of its HostEndpoint does, with --node"
    raise OperatorError(message, hint=f"{hint}; to end all enforcement: pyxdp delete")
