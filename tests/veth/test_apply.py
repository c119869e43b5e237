"""apply, delete and status: idempotent, careful with what others own, clear about what is missing."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyxdp import planner
from pyxdp.bpf import Map, Object
from pyxdp.dataplane import Dataplane
from pyxdp.dataplane.bpffs import remove_tree
from pyxdp.errors import (
    AttachError,
    BusyError,
    CapacityError,
    OperatorError,
    PyxdpError,
    UnknownInterfaceError,
    XtablesError,
)
from pyxdp.xtables import Iptables
from tests.lab.mounts import mount, unmount
from tests.lab.network import connect
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, Host, endpoint, network_set, open_endpoint, service, untracked

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.dataplane import Step
    from pyxdp.xtables import Variant
    from tests.lab.network import Interface, Namespace


def traces(host: Host) -> dict[str, object]:
    """Everything that pyxdp could have left."""
    tools = [f"{tool}-{variant}-save" for tool in ("iptables", "ip6tables") for variant in ("nft", "legacy")]
    rules = [line for tool in tools for line in host.space.run(tool).stdout.splitlines() if "PYXDP" in line]
    pins = sorted(str(path.relative_to(host.bpffs)) for path in host.bpffs.rglob("*"))
    return {"rules": rules, "net": host.space.attached_xdp(), "pins": pins}


def fail(error: Exception, *_: object) -> None:
    """To be called instead of something that then fails."""
    raise error


NOTHING: dict[str, object] = {"rules": [], "pins": []}


def test_delete_leaves_nothing(host: Host) -> None:
    before = traces(host)
    assert {key: before[key] for key in NOTHING} == NOTHING
    host.apply(endpoint(host.end.name) + service(6379))
    assert traces(host)["pins"]
    host.delete()
    assert traces(host) == before
    host.delete()
    assert traces(host) == before


def test_a_second_apply_plans_nothing(host: Host) -> None:
    manifest = endpoint(host.end.name) + service(6379)
    first = host.apply(manifest)
    assert first.plan.switches
    assert [it.mode for it in first.attachments] == ["native"]
    before = host.status()
    again = host.apply(manifest)
    assert not again.plan
    assert again.attachments == first.attachments
    after = host.status()
    assert (after.generation, after.applied_ns, after.digest) == (before.generation, before.applied_ns, before.digest)
    assert not after.drift


def test_a_dry_run_changes_nothing(host: Host) -> None:
    before = traces(host)
    report = host.apply(endpoint(host.end.name) + service(6379), dry_run=True)
    assert report.dry_run
    assert report.plan.switches
    assert traces(host) == before
    assert host.apply(endpoint(host.end.name) + service(6379)).plan.as_json()[0] == report.plan.as_json()[0]


def test_every_kind_of_drift_is_repaired(host: Host) -> None:
    manifest = endpoint(host.end.name) + service(6379)
    host.apply(manifest)
    current = (host.bpffs / "pyxdp/v1/maps").readlink().parts[1]
    base = host.bpffs / "pyxdp/v1"

    def corrupt() -> None:
        with Map.from_pin(base / "maps/rules") as rules:
            active = host.status().active
            rules.write(active * rules.info.max_entries // 2, b"\1" * 16)

    def iptables(tool: str, *arguments: str) -> Callable[[], object]:
        return lambda: host.space.run(tool, *(() if "-t" in arguments else ("-t", "raw")), *arguments)

    damages: list[tuple[Callable[[], object], str]] = [
        (iptables("iptables", "-F", "PYXDP-OUTPUT"), "UpdateRules"),
        (iptables("ip6tables", "-D", "PREROUTING", "-j", "PYXDP-PREROUTING"), "UpdateRules"),
        ((base / "links" / host.end.name).unlink, "AttachXdp"),
        ((base / "programs" / host.end.name).unlink, "PointPrograms"),
        ((base / f"objects/{current}/programs/0/in_deny").unlink, "LoadPrograms"),
        (partial((base / "objects/77/maps").mkdir, parents=True), "RemoveObject"),
        (iptables("iptables", "-t", "filter", "-D", "FORWARD", "-j", "PYXDP-FORWARDED"), "UpdateRules"),
        (iptables("ip6tables", "-t", "filter", "-I", "INPUT", "-i", "lo", "-j", "ACCEPT"), "UpdateRules"),
        (iptables("iptables", "-t", "mangle", "-F", "PYXDP-PD-0"), "UpdateRules"),
        (partial(empty, base / "maps/questions"), "LoadPrograms"),
        (partial(empty, base / "maps/early"), "FillEarly"),
    ]
    for damage, repair in damages:
        damage()
        assert host.status().drift, repair
        kinds = [type(operation).__name__ for operation in host.apply(manifest).plan.operations]
        assert repair in kinds
        assert not host.status().drift, repair
        assert host.can_talk("tcp", 6379)
    corrupt()
    assert host.apply(manifest).plan.switches
    assert not host.apply(manifest).plan


def empty(program_array: Path) -> None:
    with Map.from_pin(program_array) as slot:
        assert slot.delete(0)


def test_a_policy_that_does_not_fit_makes_the_maps_grow(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    assert host.is_silent("udp", 7000)
    nets = [f"{20 + n % 100}.{n // 100}.{n & 255}.7" for n in range(1000)]  # each needs a page of its own
    big = network_set("many", nets) + untracked(
        "big", ingress=[{"action": "Deny", "source": {"selector": "set == 'many'"}}], egress=[]
    )
    grown = host.apply(endpoint(host.end.name) + service(7000, "Deny") + big)
    kinds = [type(operation).__name__ for operation in grown.plan.operations]
    assert {"CreateObject", "CopyMaps", "MoveLink", "RemoveObject"} <= set(kinds)
    assert "AttachXdp" not in kinds
    assert host.is_silent("udp", 7000)
    assert [it.packets for it in host.status().rules if it.policy == "deny-7000" and it.packets] == [2]
    assert not host.apply(endpoint(host.end.name) + service(7000, "Deny") + big).plan
    host.delete()
    assert {key: traces(host)[key] for key in NOTHING} == NOTHING


def test_all_interfaces_of_a_wildcard(host: Host, netns: Callable[[], Namespace]) -> None:
    second, other = connect(host.space, netns(), subnet=1)
    report = host.apply(endpoint("*") + service(7000, "Deny"))
    assert {it.interface for it in report.attachments} >= {host.end.name, second.name}
    assert host.is_silent("tcp", 7000)
    two = Host(second, other, host.bpffs)
    assert two.is_silent("tcp", 7000)
    assert two.reason("DROP_POLICY", interface=second.name) > 0
    report = host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    assert {it.interface for it in report.attachments} == {host.end.name}
    assert two.can_talk("tcp", 7000)
    assert host.is_silent("tcp", 7000)


def test_more_interfaces_than_open_files(host: Host, netns: Callable[[], Namespace]) -> None:
    """Most processes may have 1024 files open, and iptables-restore opens one for each rule that runs a program."""
    others = [connect(host.space, netns(), subnet)[0] for subnet in range(1, 16)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened_already = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened_already + 240, hard))
    try:
        report = host.apply(endpoint("*") + service(6379))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {it.name for it in (host.end, *others)} <= {it.interface for it in report.attachments}
    assert host.can_talk("tcp", 6379)
    assert host.is_silent("tcp", 8081)


def test_an_interface_found_by_expected_ips(host: Host) -> None:
    manifest = f"""
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: by-address}}
spec: {{node: {NODE}, expectedIPs: ["{host.end.ipv4}"]}}
"""
    report = host.apply(manifest + service(7000, "Deny"))
    assert [(it.interface, it.host_endpoint) for it in report.attachments] == [(host.end.name, "by-address")]
    assert host.is_silent("tcp", 7000)


def test_an_interface_that_is_made_again(host: Host) -> None:
    manifest = endpoint(host.end.name) + service(7000, "Deny")
    host.apply(manifest)
    end, peer = remake(host)
    again = Host(end, peer, host.bpffs)
    assert again.status().endpoints[0].attachment.mode == "none"
    # Rules go by name: until the next apply the raw table denies.
    assert again.is_silent("tcp", 7000)
    kinds = [type(operation).__name__ for operation in again.apply(manifest).plan.operations]
    assert kinds == ["AttachXdp"]
    assert again.status().endpoints[0].ifindex == end.ifindex
    assert again.is_silent("tcp", 7000)
    assert not again.apply(manifest).plan


def test_an_interface_that_is_renamed(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    link_id = host.status().endpoints[0].attachment.link_id
    with host.space.links() as ip:
        ip.link("set", index=host.end.ifindex, state="down")
        ip.link("set", index=host.end.ifindex, ifname="renamed.0")
        ip.link("set", index=host.end.ifindex, state="up")
    renamed = Host(replace(host.end, name="renamed.0"), host.peer, host.bpffs)
    renamed.apply(endpoint("renamed.0") + service(7000, "Deny"))
    (status,) = renamed.status().endpoints
    assert (status.attachment.interface, status.attachment.link_id) == ("renamed.0", link_id)
    assert not renamed.status().drift
    assert sorted(path.name for path in (host.bpffs / "pyxdp/v1/links").iterdir()) == ["renamed@0"]
    assert renamed.is_silent("tcp", 7000)


def remake(host: Host) -> tuple[Interface, Interface]:
    """Delete the pair and make it again with the same name."""
    with host.space.links() as ip:
        ip.link("del", index=host.end.ifindex)
    ends = connect(host.space, host.peer.namespace)
    with host.space.links() as ip:
        ip.link("set", index=ends[0].ifindex, state="down")
        ip.link("set", index=ends[0].ifindex, ifname=host.end.name)
        ip.link("set", index=ends[0].ifindex, state="up")
        ip.neigh("replace", dst=ends[1].ipv4, lladdr=ends[1].mac, ifindex=ends[0].ifindex, state="permanent")
        ip.flush_addr(index=ends[0].ifindex)
        ip.addr("add", index=ends[0].ifindex, address=ends[0].ipv4, prefixlen=24)
    return replace(ends[0], name=host.end.name), ends[1]


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_foreign_program_is_never_replaced(host: Host, bpf_object: Callable[[str], Path], mode: str) -> None:
    with host.space.entered(), Object.open(bpf_object("basic")) as obj:
        program = obj.load().programs["drop"]
        with program.attach_xdp(host.end.ifindex, mode) as link:  # type: ignore[arg-type]
            with pytest.raises(AttachError) as caught:
                host.apply(endpoint(host.end.name) + service(6379))
            assert link.info.program_id == program.info.id
            assert f"'drop' (id {program.info.id})" in str(caught.value)
            assert host.end.name in str(caught.value)
            assert caught.value.errno == errno.EBUSY
            assert caught.value.hint
    assert {key: traces(host)[key] for key in NOTHING} == NOTHING
    assert host.apply(endpoint(host.end.name) + service(6379)).plan


def test_generic_where_the_driver_refuses(host: Host) -> None:
    # veth refuses native XDP while its peer may send frames that do not fit a page.
    with host.peer.namespace.links() as ip:
        ip.link("set", index=host.peer.ifindex, mtu=9000)
    report = host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    (attachment,) = report.attachments
    assert attachment.mode == "generic"
    assert attachment.reason.startswith("driver veth: ")
    assert host.is_silent("tcp", 7000)
    assert host.status().endpoints[0].attachment == attachment
    assert not host.apply(endpoint(host.end.name) + service(7000, "Deny")).plan


def test_a_tunnel_has_no_native_xdp(host: Host) -> None:
    with host.space.links() as ip:
        ip.link("add", ifname="br.7", kind="bridge")
    (attachment,) = host.apply(endpoint("br.7") + service(7000, "Deny")).attachments
    assert (attachment.mode, attachment.reason) == ("generic", "driver bridge: no native XDP (error 95)")
    assert (host.bpffs / "pyxdp/v1/links/br@7").exists()
    assert not host.apply(endpoint("br.7") + service(7000, "Deny")).plan


def test_rules_move_to_the_other_variant(host: Host) -> None:
    manifest = endpoint(host.end.name) + service(7000, "Deny")
    host.variant = "legacy"
    host.apply(manifest)
    assert all("legacy" in table for table in host.status().tables)
    host.variant = "nft"
    host.apply(manifest)
    assert all("nft" in table for table in host.status().tables)
    assert len(host.status().tables) == 2
    assert host.is_silent("tcp", 7000)
    host.variant = None
    host.delete()
    assert {key: traces(host)[key] for key in NOTHING} == NOTHING


def test_another_host_endpoint_of_an_interface_touches_no_link_and_no_rule(host: Host) -> None:
    """But who denies at the end of the profiles is somebody else, so that the policy is another."""
    host.apply(endpoint(host.end.name, "one") + service(6379))
    plan = host.apply(endpoint(host.end.name, "two") + service(6379)).plan
    kinds = {type(operation).__name__ for operation in plan.operations}
    assert kinds == {"WriteNames", "AwaitGrace", "FillSlot", "Switch", "WriteEndpoints", "FreeNames"}
    assert host.status().endpoints[0].attachment.host_endpoint == "two"


def test_a_policy_without_endpoints_enforces_nothing(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    report = host.apply(service(7000, "Deny"))
    assert report.attachments == ()
    assert host.can_talk("tcp", 7000)
    assert host.status().endpoints == ()
    assert traces(host)["rules"] == []
    assert not host.apply(service(7000, "Deny")).plan


# -- what is missing --


def refused(host: Host, manifest: str | None = None) -> PyxdpError:
    """The error of an apply that must change nothing."""
    before = traces(host)
    with pytest.raises(PyxdpError) as caught:
        host.apply(manifest or endpoint(host.end.name) + service(6379))
    assert traces(host) == before
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_interface(host: Host) -> None:
    policy = host.resolve(endpoint(host.end.name) + service(6379))
    with host.space.links() as ip:
        ip.link("del", index=host.end.ifindex)
    with host.space.entered(), pytest.raises(UnknownInterfaceError, match=host.end.name) as caught:
        host.dataplane().apply(policy)
    assert caught.value.hint


def test_an_interface_replaced_between_resolve_and_apply(host: Host) -> None:
    policy = host.resolve(endpoint(host.end.name) + service(6379))
    remake(host)
    with host.space.entered(), pytest.raises(OperatorError, match="was replaced meanwhile"):
        host.dataplane().apply(policy)


def test_no_bpffs(host: Host, tmp_path: Path) -> None:
    host.bpffs = tmp_path
    error = refused(host)
    assert isinstance(error, OperatorError)
    assert f"no bpffs is mounted at {tmp_path}" in str(error)
    assert "mount -t bpf" in error.hint
    with host.space.entered():
        assert not Dataplane(tmp_path / "missing").status().applied


def test_a_read_only_bpffs(host: Host, tmp_path: Path) -> None:
    mount("bpf", tmp_path, "bpf", 1)  # MS_RDONLY
    try:
        host.bpffs = tmp_path
        assert "not writable" in str(refused(host))
    finally:
        unmount(tmp_path)


def test_no_iptables(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = traces(host)
    monkeypatch.setattr("pyxdp.xtables.iptables._search_path", lambda: str(tmp_path))
    with pytest.raises(XtablesError, match="not installed"):
        host.apply(endpoint(host.end.name) + service(6379))
    monkeypatch.undo()
    assert traces(host) == before


def test_no_privileges(host: Host) -> None:
    """As nobody, in a child: one clear line, nothing changed."""
    host.apply(endpoint(host.end.name) + service(6379))
    before = traces(host)
    policy = host.resolve(endpoint(host.end.name) + service(6380))
    reader, writer = os.pipe()
    with host.space.entered():
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setuid(65534)
            with os.fdopen(writer, "w") as out:
                try:
                    host.dataplane().apply(policy)
                except PyxdpError as error:
                    out.write(f"{error}|{error.hint}")
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert re.fullmatch(r"[^\n|]*capabilities[^\n|]*\|run as root[^\n]*", told.read())
    os.waitpid(child, 0)
    assert traces(host) == before


def test_the_pins_of_another_network_namespace(host: Host, netns: Callable[[], Namespace]) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    with netns().entered(), pytest.raises(OperatorError, match="another network namespace"):
        Dataplane(host.bpffs).status()


def test_delete_spares_another_network_namespace(host: Host, netns: Callable[[], Namespace]) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    before = traces(host)
    with netns().entered(), pytest.raises(OperatorError, match="another network namespace"):
        host.dataplane().delete()
    assert traces(host) == before


@pytest.mark.parametrize("step", ["apply", "delete"])
def test_another_bpffs_spares_the_rules(host: Host, step: str) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    before = traces(host)
    other = host.bpffs / "other"
    other.mkdir()
    elsewhere = replace(host, bpffs=other)
    with pytest.raises(OperatorError, match=f"another pyxdp: {host.bpffs}/pyxdp"):
        elsewhere.delete() if step == "delete" else elsewhere.apply(endpoint(host.end.name) + service(6380))
    other.rmdir()
    assert traces(host) == before


def test_delete_without_iptables_keeps_what_its_rules_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    before = traces(host)
    monkeypatch.setattr("pyxdp.xtables.iptables._search_path", lambda: "")
    with pytest.raises(XtablesError, match="not installed"):
        host.delete()
    monkeypatch.undo()
    assert traces(host) == before


def test_damaged_pins_can_be_mended_and_deleted(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    for name in ("rows", "slots", "endpoints"):
        (host.bpffs / "pyxdp/v1/maps" / name).unlink()
        with host.space.entered(), pytest.raises(OperatorError, match="damaged") as caught:
            host.dataplane().status()
        assert "pyxdp delete" in caught.value.hint
        host.apply(endpoint(host.end.name) + service(6379))
        assert not host.status().drift
    (host.bpffs / "pyxdp/v1/maps/rows").unlink()
    host.delete()
    assert {key: traces(host)[key] for key in NOTHING} == NOTHING


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_known_connections_outlive_the_pins(host: Host, variant: Variant) -> None:
    """Somebody removes the pins, or unmounts the bpffs: nothing new is let in, but who is logged in can repair it."""
    host.variant = variant
    host.apply(open_endpoint(host.end.name))
    with host.connected(22) as (client, connection):
        connection.settimeout(5)
        remove_tree(host.bpffs / "pyxdp")
        wait_until(lambda: host.is_silent("tcp", 2022))
        client.send(b"still here")
        assert connection.recv(16) == b"still here"
        host.apply(open_endpoint(host.end.name))
        assert host.can_talk("tcp", 2022)
        client.send(b"as before")
        assert connection.recv(16) == b"as before"


def test_everything_is_set_back_when_two_things_fail_at_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them in the thread that loads early drop, by an error that nobody thought of."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "pyxdp.dataplane.programs.Programs._load_early", staticmethod(partial(fail, OSError(errno.EMFILE, "")))
        )
        patch.setattr(
            "pyxdp.dataplane.objects.Objects.point_maps", staticmethod(partial(fail, XtablesError("for the test")))
        )
        with pytest.raises(XtablesError, match="for the test"):
            host.apply(endpoint(host.end.name) + service(6379))
    assert {key: traces(host)[key] for key in NOTHING} == NOTHING


def test_rules_that_can_not_be_set_back_keep_their_answer(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other code is on its way when something fails, and then somebody's iptables holds the lock."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))
    host.variant = "legacy"
    wanted = open_endpoint(host.end.name) + service(8081, "Deny")
    host.apply(wanted)
    with (tmp_path / "lock").open("w") as lock:

        def interfere(step: Step) -> None:
            if isinstance(step.operation, planner.PointMaps):
                fcntl.flock(lock, fcntl.LOCK_EX)
                raise XtablesError("for the test")

        policy, tables = host.resolve(wanted), Iptables("legacy", lock_timeout=1)
        with host.space.entered(), pytest.raises(XtablesError, match="for the test"):
            Dataplane(host.bpffs, iptables=tables, log_per_second=7).apply(policy, on_progress=interfere)
    assert host.can_talk("tcp", 2022)
    assert host.is_silent("tcp", 8081)
    host.apply(wanted)
    assert not host.status().drift
    assert host.can_talk("tcp", 2022)


@pytest.mark.parametrize("name", ["questions", "early", "handover", "events", "log_rate"])
def test_a_lost_map_that_holds_no_policy_is_made_again(host: Host, name: str) -> None:
    wanted = endpoint(host.end.name) + service(6379)
    host.apply(wanted)
    (host.bpffs / f"pyxdp/v1/maps/{name}").unlink()
    assert host.status().drift
    host.apply(wanted)
    assert not host.status().drift
    assert host.can_talk("tcp", 6379)
    assert host.can_talk("tcp", 22)
    assert host.is_silent("tcp", 8081)


def test_more_interfaces_than_numbers(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxdp.dataplane.numbers.MAX_COUNTERS", 3)
    error = refused(host)
    assert isinstance(error, CapacityError)
    assert error.limit == 3


# -- two at once --


def test_one_waits_for_the_other(host: Host) -> None:
    policies = [host.resolve(endpoint(host.end.name) + service(port)) for port in (6379, 6380)]
    started, waited = threading.Event(), threading.Event()
    reports = []

    def second() -> None:
        with host.space.entered():
            dataplane = Dataplane(host.bpffs, lock_timeout=60, on_wait=waited.set)
            reports.append(dataplane.apply(policies[1]))

    thread = threading.Thread(target=second)

    def on_progress(_: object) -> None:
        if not started.is_set():
            started.set()
            thread.start()
            assert waited.wait(60)

    with host.space.entered():
        host.dataplane().apply(policies[0], on_progress=on_progress)
    thread.join()
    assert len(reports) == 1
    assert {it.policy for it in host.status().rules if it.tier} == {"allow-6380"}
    assert not host.apply(endpoint(host.end.name) + service(6380)).plan


def test_a_lock_that_is_never_freed(host: Host) -> None:
    folder = os.open(host.bpffs, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        policy = host.resolve(endpoint(host.end.name) + service(6379))
        with host.space.entered(), pytest.raises(BusyError, match="another pyxdp") as caught:
            Dataplane(host.bpffs, lock_timeout=0.1).apply(policy)
        assert caught.value.hint
    finally:
        os.close(folder)


def test_many_at_once(host: Host) -> None:
    """Whoever comes last wins; nothing is mixed."""
    policies = {port: host.resolve(endpoint(host.end.name) + service(port)) for port in range(6379, 6383)}
    failures: list[Exception] = []

    def run(port: int) -> None:
        try:
            with host.space.entered():
                Dataplane(host.bpffs, lock_timeout=120).apply(policies[port])
        except (PyxdpError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(port,)) for port in policies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (name,) = {it.policy for it in host.status().rules if it.tier}
    assert not host.apply(endpoint(host.end.name) + service(int(name.split("-")[1]))).plan
