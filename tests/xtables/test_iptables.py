"""Both variants of the real iptables, in a network namespace, with real pinned programs."""

from __future__ import annotations

import fcntl
import os
import socket
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from pyroute2.nftables.expressions import genex
from pyroute2.nftables.main import NFTables

from pyxdp.bpf import Object
from pyxdp.dataplane.layout import FILTERS
from pyxdp.errors import XtablesError
from pyxdp.net import HookSettings
from pyxdp.xtables import Iptables, Rule, Tables, Variant, chains_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.xtables import Family
    from tests.lab.network import Namespace

VARIANTS: tuple[Variant, ...] = get_args(Variant)
PLAIN = HookSettings()
OTHER = HookSettings(allow="Return", deny="Reject", check_invalid=False, mark=1 << 31)
FOREIGN = {
    "raw": ("-A PREROUTING -i lo -j ACCEPT", "-A OUTPUT -p udp -j CT --notrack", "-A CUSTOM -j ACCEPT"),
    "mangle": ("-A POSTROUTING -p tcp -j MARK --set-xmark 0x1/0x1", "-A CUSTOM -j ACCEPT"),
    "filter": ("-A FORWARD -i lo -j CUSTOM", "-A INPUT -p udp -j DROP", "-A CUSTOM -j ACCEPT"),
}


@pytest.fixture
def space(netns: Callable[[], Namespace]) -> Iterator[Namespace]:
    made = netns()
    with made.entered():
        yield made


@pytest.fixture
def programs(bpffs: Path, bpf_object: Callable[[str], Path]) -> dict[str, str]:
    """Pinned socket filters for two interfaces and a pattern, none of which need exist."""
    folders = {name: bpffs / "programs" / str(at) for at, name in enumerate(("eth0", "eth0.100", "cali+"))}
    with Object.open(bpf_object("pyxdp")) as obj:
        for program in obj.programs.values():
            program.autoload = program.section == "socket"
        obj.load()
        for folder, name in product(folders.values(), sorted(asked())):
            folder.mkdir(parents=True, exist_ok=True)
            obj.programs[f"pyxdp_{name}"].pin(folder / name)
    return {name: str(folder) for name, folder in folders.items()}


def asked() -> set[str]:
    """Programs that rules name."""
    rules: list[Rule] = [
        rule for chains in chains_for(0, "eth0", PLAIN).values() for found in chains.values() for rule in found
    ]
    return {rule.program for rule in rules if rule.program}


def test_the_rules_ask_what_is_loaded_for_an_endpoint() -> None:
    assert asked() == set(FILTERS)


def command(variant: Variant, family: int, action: str = "") -> str:
    return f"{'iptables' if family == 4 else 'ip6tables'}-{variant}{action}"


def saved(space: Namespace, variant: Variant, family: int) -> list[str]:
    lines = space.run(command(variant, family, "-save")).stdout.splitlines()
    return [line for line in lines if line.startswith("-A") or (line.startswith(":") and " - " in line)]


def foreign_rules(space: Namespace, variant: Variant, family: int) -> None:
    parts = [f"*{table}\n:CUSTOM - [0:0]\n{chr(10).join(rules)}\nCOMMIT\n" for table, rules in FOREIGN.items()]
    text = "".join(parts)
    space.run(command(variant, family, "-restore"), "--noflush", input=text)


@pytest.mark.parametrize("settings", [PLAIN, OTHER], ids=["plain", "other"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("variant", VARIANTS)
def test_written_rules_are_read_back_and_removed(
    space: Namespace, programs: dict[str, str], variant: Variant, family: Family, settings: HookSettings
) -> None:
    foreign_rules(space, variant, family)
    before = saved(space, variant, family)
    iptables = Iptables(variant)
    iptables.write(family, programs, settings)
    found = iptables.read(family, variant)
    assert found.holds(programs, settings, family)
    assert (found.programs, found.settings) == (programs, settings)
    one = {"eth0": programs["eth0"]}
    iptables.write(family, one, PLAIN, there=found)
    assert iptables.read(family, variant).holds(one, PLAIN, family)
    iptables.remove(family, variant)
    assert iptables.read(family, variant).empty
    assert saved(space, variant, family) == before


@pytest.mark.parametrize("variant", VARIANTS)
def test_drift_is_seen_and_repaired(space: Namespace, programs: dict[str, str], variant: Variant) -> None:
    iptables = Iptables(variant)
    iptables.write(4, programs, PLAIN)
    tool = command(variant, 4)
    for damage in (
        ["raw", "-A", "PREROUTING", "-j", "PYXDP-PREROUTING"],
        ["raw", "-I", "OUTPUT", "-p", "icmp", "-m", "comment", "--comment", 'a "stray" one', "-j", "PYXDP-OUTPUT"],
        ["raw", "-F", "PYXDP-NOTRACK"],
        ["raw", "-I", "PREROUTING", "-i", "lo", "-j", "ACCEPT"],
        ["mangle", "-D", "POSTROUTING", "-j", "PYXDP-POSTROUTING"],
        ["mangle", "-A", "PYXDP-PD-0"],
        ["filter", "-D", "FORWARD", "-j", "PYXDP-FORWARDED"],
        ["filter", "-N", "PYXDP-IN-9"],
        ["filter", "-I", "INPUT", "-i", "lo", "-j", "ACCEPT"],
    ):
        space.run(tool, "-t", *damage)
        found = iptables.read(4, variant)
        assert not found.holds(programs, PLAIN, 4), damage
        iptables.write(4, programs, PLAIN, there=found)
        assert iptables.read(4, variant).holds(programs, PLAIN, 4), damage
    assert {"-A PREROUTING -i lo -j ACCEPT", "-A INPUT -i lo -j ACCEPT"} <= set(saved(space, variant, 4))


def test_tables_that_changed_since_they_were_read(space: Namespace, programs: dict[str, str]) -> None:
    iptables = Iptables("nft")
    iptables.write(4, programs, PLAIN)
    space.run("iptables-nft", "-A", "INPUT", "-j", "PYXDP-INPUT")
    there = iptables.read(4, "nft")
    space.run("iptables-nft", "-F", "INPUT")
    iptables.write(4, programs, PLAIN, there=there)
    assert iptables.read(4, "nft").holds(programs, PLAIN, 4)


def test_variants_do_not_see_each_other(space: Namespace, programs: dict[str, str]) -> None:
    Iptables("legacy").write(4, programs, PLAIN)
    nft = Iptables("nft")
    assert nft.read(4, "nft").empty
    assert nft.read(4, "legacy").holds(programs, PLAIN, 4)
    nft.remove(4, "legacy")
    assert nft.read(4, "legacy").empty
    assert saved(space, "legacy", 4) == []


def test_reading_makes_no_legacy_table(space: Namespace) -> None:
    iptables = Iptables()
    for variant in VARIANTS:
        assert [iptables.read(family, variant) for family in iptables.families] == [Tables()] * 2
    assert Path("/proc/thread-self/net/ip_tables_names").read_text() == ""
    assert space.run("iptables-nft-save").stdout == ""


def test_reading_makes_no_further_legacy_table(space: Namespace) -> None:
    space.run("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT")
    assert Iptables().read(4, "legacy").empty
    assert Path("/proc/thread-self/net/ip_tables_names").read_text() == "filter\n"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_refused_change_changes_no_table(space: Namespace, programs: dict[str, str], variant: Variant) -> None:
    foreign_rules(space, variant, 4)
    before = saved(space, variant, 4)
    with pytest.raises(XtablesError) as caught:
        Iptables(variant).write(4, {**programs, "eth9": f"{programs['eth0']}/9"}, PLAIN)
    assert "failed to get bpf object" in str(caught.value)
    assert "eth9" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "bpffs" in caught.value.hint
    assert saved(space, variant, 4) == before


def test_a_table_changed_by_nft_is_not_taken_for_an_empty_one(space: Namespace) -> None:
    space.run("iptables-nft", "-A", "INPUT", "-j", "ACCEPT")
    with NFTables(nfgen_family=socket.AF_INET) as nft:  # "ct state", as nft itself writes it
        nft.rule("add", table="filter", chain="INPUT", expressions=((genex("ct", {"DREG": 8, "KEY": 0}),),))
    assert "incompatible" in space.run("iptables-nft-save").stdout
    with pytest.raises(XtablesError, match="table filter was changed with nft"):
        Iptables().read(4, "nft")


def test_default_variant_is_that_of_iptables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version, variant in (("iptables v1.8.9 (nf_tables)", "nft"), ("iptables v1.8.9 (legacy)", "legacy")):
        fake_command(tmp_path / "iptables", f"echo '{version}'")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        assert Iptables().variant == variant


def fake_command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("iptables-restore: unrecognized option '--object-pinned'\nunknown option \"--object-pinned\"", "1.6.2"),
        ("iptables-restore v1.8: Couldn't load match `bpf':No such file or directory", "lacks one of the matches bpf"),
        ("iptables-restore v1.8: Couldn't load target `CT':No such file or directory", "targets CT"),
        ("iptables-restore: line 8 failed: No chain/target/match by that name.", "xt_bpf"),
        ("Another app is currently holding the xtables lock. Perhaps you want to use the -w option?", "xtables.lock"),
        ("iptables v1.8.9 (nf_tables): Could not fetch rule set: Permission denied (you must be root)", "root"),
    ],
)
def test_failures_have_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, hint: str) -> None:
    fake_command(tmp_path / "iptables-nft-save", "true")
    fake_command(tmp_path / "iptables-nft-restore", f"cat >&2 <<'END'\n{stderr}\nEND\nexit 2")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(XtablesError) as caught:
        Iptables("nft").write(4, {"eth0": "/sys/fs/bpf/0"}, PLAIN)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pyxdp.xtables.iptables._search_path", lambda: str(tmp_path))
    with pytest.raises(XtablesError, match="iptables is not installed") as caught:
        _ = Iptables().variant
    assert "install" in caught.value.hint
    with pytest.raises(XtablesError, match=r"ip6tables \(legacy\) is not installed"):
        Iptables("legacy").write(6, {}, PLAIN)


def test_a_held_lock_is_a_clear_error(
    space: Namespace, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = tmp_path / "xtables.lock"
    monkeypatch.setenv("XTABLES_LOCKFILE", str(lock))
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(XtablesError) as caught:
            Iptables("legacy", lock_timeout=1).write(4, programs, PLAIN)
    assert "another iptables" in caught.value.hint
    Iptables("legacy", lock_timeout=1).write(4, programs, PLAIN)
    assert Iptables().read(4, "legacy").holds(programs, PLAIN, 4)
    assert saved(space, "legacy", 4)


def test_without_ipv6_in_the_kernel_there_is_one_family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pyxdp.xtables.iptables._PROC_NET", tmp_path)
    assert Iptables().families == (4,)
    (tmp_path / "if_inet6").touch()
    assert Iptables().families == (4, 6)
