"""Rules as the words that iptables-restore reads and iptables-save prints. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pyxdp.errors import XtablesError
from pyxdp.xtables.chains import Goto, Jump, Rule, Table, Target, endpoint_chains, is_pattern, shared_chains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.net import HookSettings

Family: TypeAlias = Literal[4, 6]
Words: TypeAlias = tuple[str, ...]

#: Names that Calico accepts, and a ``+`` at the end for a pattern. Above all no white space, which would begin another
#: option.
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}|[A-Za-z0-9_.-]{1,14}\+")
#: What a pin's path may hold so that it is one word, unquoted, in a restore file.
_FOLDER: Final = re.compile(r"/[A-Za-z0-9_./@:-]+/\d+")
_XT_BPF_PATH_MAX: Final = 512
_LONGEST_PROGRAM: Final = "/forward_out_allow"

_TARGETS: Final[dict[Target, Words]] = {
    Target.ACCEPT: ("-j", "ACCEPT"),
    Target.DROP: ("-j", "DROP"),
    Target.RETURN: ("-j", "RETURN"),
    Target.NOTRACK: ("-j", "CT", "--notrack"),
}
_REJECT: Final = {4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"}


def worded(programs: Mapping[str, str], settings: HookSettings, family: Family) -> dict[Table, dict[str, list[Words]]]:
    """Return for each table our chains with their rules, without ``-A CHAIN``.

    Args:
        programs: governed interface -> folder of its pinned programs, whose last part is the endpoint's number.
        settings: of the node.
        family: 4 or 6.

    Raises:
        XtablesError: an interface or a folder that iptables can not express.
    """
    found: dict[Table, dict[str, list[Words]]] = {table: {} for table in Table}
    for interface, folder in sorted(programs.items(), key=_patterns_last):
        _check(interface, folder)
        for table, chains in endpoint_chains(number_of(folder), interface, settings).items():
            for chain, rules in chains.items():
                found[table].setdefault(chain, []).extend(_words(rule, folder, settings, family) for rule in rules)
    for table, chains in shared_chains(settings).items():
        found[table] |= {
            chain: [_words(rule, "", settings, family) for rule in rules] for chain, rules in chains.items()
        }
    return found


def number_of(folder: str) -> int:
    """The endpoint whose programs a folder holds."""
    return int(folder.rpartition("/")[2])


def mark_words(mark: int) -> str:
    """A mark with a mask of the same bits, as iptables prints it."""
    return f"{mark:#x}/{mark:#x}"


def quoted(word: str) -> str:
    """Quote a word as iptables-save does."""
    if re.fullmatch(r"[^\s\"'\\]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _patterns_last(item: tuple[str, str]) -> tuple[bool, str]:
    """An interface that is governed by name is not governed by a pattern too: the first rule that fits is taken."""
    return is_pattern(item[0]), item[0]


def _words(rule: Rule, folder: str, settings: HookSettings, family: Family) -> Words:
    words: Words = ()
    if rule.incoming:
        words += ("-i", rule.incoming)
    if rule.outgoing:
        words += ("-o", rule.outgoing)
    if rule.states:
        words += ("-m", "conntrack", "--ctstate", ",".join(state.value for state in rule.states))
    if rule.marked:
        words += ("-m", "mark", "--mark", mark_words(settings.mark))
    if rule.program:
        words += ("-m", "bpf", "--object-pinned", f"{folder}/{rule.program}")
    return words + _target(rule.target, settings, family)


def _target(target: Target | Jump | Goto, settings: HookSettings, family: Family) -> Words:
    if isinstance(target, Jump):
        return ("-j", target.chain)
    if isinstance(target, Goto):
        return ("-g", target.chain)
    if target is Target.REJECT:
        return ("-j", "REJECT", "--reject-with", _REJECT[family])
    if target in (Target.SET_MARK, Target.CLEAR_MARK):
        value = settings.mark if target is Target.SET_MARK else 0
        return ("-j", "MARK", "--set-xmark", f"{value:#x}/{settings.mark:#x}")
    return _TARGETS[target]


def _check(interface: str, folder: str) -> None:
    if not _INTERFACE.fullmatch(interface):
        hint = "rename it: letters, digits, '_', '.' and '-' only, at most 15"
        message = f"interface {interface!r} can not be named in an iptables rule"
        raise XtablesError(message, hint=hint)
    if not _FOLDER.fullmatch(folder) or len(folder) + len(_LONGEST_PROGRAM) >= _XT_BPF_PATH_MAX:
        message = f"path {folder!r} can not be named in an iptables rule"
        raise XtablesError(message, hint="use a short bpffs path without spaces or special characters")
