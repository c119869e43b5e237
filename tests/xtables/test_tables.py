"""The restore text and its reader, without iptables."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pyxdp.errors import XtablesError
from pyxdp.net import HookSettings
from pyxdp.xtables import JUMPS, Entry, Family, Table, Tables, parse, render, render_removal

PINS = "/sys/fs/bpf/pyxdp/v1/objects/1/programs"
ONE = {"eth0": f"{PINS}/0"}
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,15}|[A-Za-z0-9_.-]{1,14}\+", fullmatch=True)
SETTINGS = [
    HookSettings(allow=allow, deny=deny, check_invalid=check, mark=mark)  # type: ignore[arg-type]
    for allow, deny, check, mark in product(("Accept", "Return"), ("Drop", "Reject"), (True, False), (0x2000, 1 << 31))
]
BUILTINS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
Rulebook = dict[str, dict[str, list[str]]]


def others(*rules: str) -> Rulebook:
    """Tables with rules of somebody else, each written ``TABLE CHAIN rule``."""
    made: Rulebook = {table: {chain: [] for chain in chains} for table, chains in BUILTINS.items()}
    for rule in rules:
        table, chain, rest = rule.split(" ", 2)
        made[table].setdefault(chain, []).append(rest)
    return made


def restored(text: str, tables: Rulebook | None = None) -> Rulebook:
    """What the tables hold after an iptables-restore --noflush of `text`, by a model of its commands."""
    tables = {
        table: {chain: list(rules) for chain, rules in chains.items()} for table, chains in (tables or others()).items()
    }
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables[line[1:]]
        elif line.startswith(":"):
            chains[line[1:].split()[0]] = []
        elif line != "COMMIT":
            carry_out(chains, *line.split(" ", 2))
    return tables


def carry_out(chains: dict[str, list[str]], command: str, chain: str, rule: str = "") -> None:
    if command == "-A":
        assert all(target in chains for target in re.findall(r"-[jg] (PYXDP\S+)", rule)), rule
        chains[chain].append(rule)
    elif command == "-I":
        chains[chain].insert(0, re.sub(r"^1 ", "", rule))
    elif command == "-D":
        chains[chain].remove(rule)
    elif command == "-F":
        chains[chain].clear()
    else:
        assert command == "-X"
        assert not chains[chain]
        assert not any(rule.endswith(f" {chain}") for rules in chains.values() for rule in rules)
        del chains[chain]


def saved(tables: Rulebook) -> str:
    """As iptables-save prints it."""
    lines = []
    for table, chains in tables.items():
        heads = [f":{chain} {'ACCEPT' if chain in BUILTINS[table] else '-'} [0:0]" for chain in chains]
        rules = [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules]
        lines += [f"*{table}", *heads, *rules, "COMMIT"]
    return "\n".join(lines)


def read(tables: Rulebook) -> Tables:
    return parse(saved(tables))


@hypothesis_settings(deadline=None)
@given(st.sets(NAMES, min_size=1, max_size=5), st.sampled_from(SETTINGS), st.sampled_from([4, 6]))
def test_what_is_written_is_what_is_read(names: set[str], settings: HookSettings, family: Family) -> None:
    programs = {name: f"{PINS}/{number}" for number, name in enumerate(sorted(names))}
    tables = read(restored(render(programs, settings, family, Tables())))
    assert tables.holds(programs, settings, family)
    assert tables.programs == programs
    assert tables.settings == settings


@hypothesis_settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from(["eth0", "eth1", "cali+"]), min_size=1), min_size=1, max_size=4))
def test_any_set_of_interfaces_follows_any_other(history: list[set[str]]) -> None:
    tables = others()
    for names in history:
        programs = {name: f"{PINS}/{at}" for at, name in enumerate(["eth0", "eth1", "cali+"]) if name in names}
        tables = restored(render(programs, HookSettings(), 4, read(tables)), tables)
        assert read(tables).holds(programs, HookSettings(), 4)


@pytest.mark.parametrize("before", SETTINGS[::3])
@pytest.mark.parametrize("after", SETTINGS[::5])
def test_settings_can_change(before: HookSettings, after: HookSettings) -> None:
    tables = restored(render(ONE, before, 6, Tables()))
    assert read(tables).holds(ONE, after, 6) == (before == after)
    assert read(restored(render(ONE, after, 6, read(tables)), tables)).holds(ONE, after, 6)


DAMAGES = [
    ("-A PREROUTING -j PYXDP-PREROUTING\n", ""),
    ("-A OUTPUT -j PYXDP-OUTPUT\n", "-A OUTPUT -j PYXDP-OUTPUT\n-A OUTPUT -j PYXDP-OUTPUT\n"),
    ("-A INPUT -j PYXDP-INPUT\n", "-A INPUT -j ACCEPT\n-A INPUT -j PYXDP-INPUT\n"),
    ("-A FORWARD -j PYXDP-FORWARDED\n", ""),
    ("-A POSTROUTING -j PYXDP-POSTROUTING\n", "-A POSTROUTING -o eth0 -j PYXDP-POSTROUTING\n"),
    ("-A PYXDP-NOTRACK -j CT --notrack\n", ""),
    ("-i eth0 -g PYXDP-IN-0", "-i eth1 -g PYXDP-IN-0"),
    ("in_deny -j DROP", "in_deny -j ACCEPT"),
    ("--ctstate RELATED,ESTABLISHED -j RETURN", "--ctstate ESTABLISHED -j RETURN"),
    ("-A PYXDP-PD-0 -j MARK --set-xmark 0x0/0x2000\n", "-A PYXDP-PD-0\n"),
    (":PYXDP-PD-0 - [0:0]", ":PYXDP-PD-0 - [0:0]\n:PYXDP-PD-7 - [0:0]"),
    ("-A PYXDP-ALLOWED -j MARK --set-xmark 0x2000/0x2000\n", "-A PYXDP-ALLOWED -j ACCEPT\n"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_difference_is_seen(damage: tuple[str, str]) -> None:
    text = saved(restored(render(ONE, HookSettings(), 4, Tables())))
    assert damage[0] in text
    assert parse(text).holds(ONE, HookSettings(), 4)
    damaged = parse(text.replace(*damage))
    assert not damaged.holds(ONE, HookSettings(), 4)
    assert damaged.settings == HookSettings()


def test_rules_behind_ours_are_left_alone() -> None:
    """What was appended to FORWARD after our last jump stays there, and is no reason to move the jump."""
    tables = restored(render(ONE, HookSettings(), 4, Tables()))
    tables["filter"]["FORWARD"].append("-j NFLOG")
    assert read(tables).holds(ONE, HookSettings(), 4)
    assert restored(render(ONE, HookSettings(), 4, read(tables)), tables) == tables


@pytest.mark.parametrize("jumps", [0, 1, 2, 3])
@pytest.mark.parametrize("it", JUMPS, ids=lambda it: f"{it.table.value}-{it.chain}")
def test_render_repairs_every_jump(it: Entry, jumps: int) -> None:
    foreign = [f"{it.table.value} {it.builtin} {rule}" for rule in ("-i lo -j ACCEPT", "-m comment --comment x")]
    ours = [f"{it.table.value} {it.builtin} -j {it.chain}"] * jumps
    stray = f"{it.table.value} {it.builtin} -i lo -g {it.chain}"
    tables = others(foreign[0], *ours, stray, foreign[1], f"{it.table.value} {it.chain} -j ACCEPT")
    after = restored(render(ONE, HookSettings(), 4, read(tables)), tables)
    assert read(after).holds(ONE, HookSettings(), 4)
    rules = after[it.table.value][it.builtin]
    kept = [rule for rule in rules if not rule.startswith("-j PYXDP")]
    assert kept == [rule.split(" ", 2)[2] for rule in foreign]
    assert rules.index(f"-j {it.chain}") == (len(rules) - 1 if it.last else 0)


def test_removal_leaves_only_what_is_not_ours() -> None:
    foreign = others(
        "raw PREROUTING -i lo -j ACCEPT",
        "filter INPUT -p tcp -j ACCEPT",
        "filter CUSTOM -j RETURN",
        "mangle FORWARD -j CUSTOM",
    )
    tables = restored(render({**ONE, "cali+": f"{PINS}/1"}, HookSettings(), 4, read(foreign)), foreign)
    tables["filter"]["INPUT"] += ["-p tcp -j PYXDP-MARKED", "-j PYXDP-INPUT"]
    removal = render_removal(read(tables))
    assert restored(removal, tables) == foreign
    assert re.findall(r"^\*(\w+)", removal, re.MULTILINE) == ["filter", "mangle", "raw"]


def test_tables_are_written_in_the_order_of_a_packet() -> None:
    written = re.findall(r"^\*(\w+)", render(ONE, HookSettings(), 4, Tables()), re.MULTILINE)
    assert written == [table.value for table in Table]


def test_nothing_to_remove_is_no_command() -> None:
    assert render_removal(read(others("raw PREROUTING -j ACCEPT", "filter INPUT -j DROP"))) == ""


def test_rules_that_choose_how_connections_are_tracked_are_seen() -> None:
    chosen = ["-p udp -j CT --zone 7", "-i eth0 -j CT --zone-orig 3", "-p tcp -j CT --helper ftp"]
    harmless = ["raw OUTPUT -j CT --notrack", "mangle INPUT -j X --zone 1"]
    tables = read(others(*(f"raw PREROUTING {rule}" for rule in chosen), *harmless))
    assert tables.tracking == tuple(f"-A PREROUTING {rule}" for rule in chosen)
    assert tables.empty


def test_tables_that_iptables_can_not_show_are_an_error() -> None:
    with pytest.raises(XtablesError, match="table filter was changed with nft"):
        parse("# Table `filter' is incompatible, use 'nft' tool.\n")
    assert parse("# Table `nat' is incompatible, use 'nft' tool.\n").empty


@pytest.mark.parametrize(
    "name",
    ["", "eth+0", "a" * 16, "a" * 15 + "+", "eth0 -j ACCEPT", "eth0\n-A INPUT -j ACCEPT", "eth0;", '"', "!eth0", "é"],
)
def test_names_that_would_change_the_rules_are_refused(name: str) -> None:
    with pytest.raises(XtablesError) as caught:
        render({name: f"{PINS}/0"}, HookSettings(), 4, Tables())
    assert caught.value.hint


@pytest.mark.parametrize(
    "path", ["relative/0", "/sys/fs/bpf/with space/0", "/a\nCOMMIT/0", "/" + "x" * 512 + "/0", "/a/b"]
)
def test_paths_that_would_change_the_rules_are_refused(path: str) -> None:
    with pytest.raises(XtablesError):
        render({"eth0": path}, HookSettings(), 4, Tables())
