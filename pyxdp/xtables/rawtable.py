"""The raw table as text: what we want to be there, and what is there. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pyxdp.errors import XtablesError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREROUTING: Final = "PYXDP-PREROUTING"
OUTPUT: Final = "PYXDP-OUTPUT"
NOTRACK: Final = "PYXDP-NOTRACK"

#: Our chains; nobody else's names begin like this.
CHAINS: Final = (PREROUTING, OUTPUT, NOTRACK)

#: Built-in chain -> ours that it jumps to.
_JUMPS: Final = {"PREROUTING": PREROUTING, "OUTPUT": OUTPUT}

#: How the jumps should stand: one in each built-in chain, before everybody else's rules.
_SINGLE_JUMPS: Final = dict.fromkeys(_JUMPS, (0,))

#: Names that Calico accepts. Above all no white space (another rule) and no ``+`` (a wildcard in iptables).
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
#: What a pin's path may hold so that it is one word, unquoted, in a restore file.
_PATH: Final = re.compile(r"/[A-Za-z0-9_./@:-]+")
_XT_BPF_PATH_MAX: Final = 512
#: Position of the path among the words of a rule: -i IFACE -m bpf --object-pinned PATH ...
_PATH_WORD: Final = 5


@dataclass(frozen=True, slots=True)
class RawTable:
    """What one variant's raw table of one family holds of ours.

    Attributes:
        jumps: built-in chain -> positions, from 0, of its unconditional jumps to our chain.
        chains: our chain -> its rules as words, without ``-A CHAIN``.
        strays: rules elsewhere that refer to our chains and that we would not write, as words, the chain first.
    """

    jumps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    chains: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    strays: tuple[tuple[str, ...], ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing of ours is there."""
        return not (self.jumps or self.chains or self.strays)

    @property
    def programs(self) -> dict[str, str]:
        """Interfaces that our rules name -> directory of the programs that they run; what is damaged is left out."""
        words = [rule for rule in self.chains.get(PREROUTING, ()) if len(rule) > _PATH_WORD and rule[0] == "-i"]
        return {rule[1]: rule[_PATH_WORD].rpartition("/")[0] for rule in words}

    def holds(self, programs: Mapping[str, str]) -> bool:
        """Whether it is exactly what :func:`render` makes of ``programs``."""
        return dict(self.jumps) == _SINGLE_JUMPS and dict(self.chains) == _wanted(programs) and not self.strays


def render(programs: Mapping[str, str], there: RawTable) -> str:
    """Return the ``iptables-restore --noflush`` input that makes the table hold exactly our rules.

    Args:
        programs: governed interface -> directory of its pinned programs.
        there: what the table holds now; duplicates and strays are removed in the same transaction.

    Raises:
        XtablesError: an interface or a path that iptables can not express.
    """
    wanted = _wanted(programs)
    lines = ["*raw", *(f":{chain} - [0:0]" for chain in CHAINS)]
    if dict(there.jumps) != _SINGLE_JUMPS or there.strays:
        lines += [*_deletions(there), *(f"-I {base} 1 -j {ours}" for base, ours in _JUMPS.items())]
    lines += [f"-A {chain} {' '.join(rule)}" for chain, rules in wanted.items() for rule in rules]
    return "\n".join([*lines, "COMMIT", ""])


def render_removal(there: RawTable) -> str:
    """Return the ``iptables-restore --noflush`` input that removes all of ours; empty when nothing is there."""
    if there.empty:
        return ""
    chains = [chain for chain in CHAINS if chain in there.chains]
    lines = ["*raw", *_deletions(there)]
    lines += [*(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]
    return "\n".join([*lines, "COMMIT", ""])


def parse(saved: str) -> RawTable:
    """Read the output of ``iptables-save -t raw``."""
    chains: dict[str, list[tuple[str, ...]]] = {}
    jumps: dict[str, list[int]] = {}
    strays: list[tuple[str, ...]] = []
    positions: dict[str, int] = {}
    for line in saved.splitlines():
        if line.startswith(":"):
            name = line[1:].split(" ", 1)[0]
            if name in CHAINS:
                chains[name] = []
        elif line.startswith("-A "):
            _, chain, *rule = shlex.split(line)
            position = positions[chain] = positions.get(chain, -1) + 1
            if chain in CHAINS:
                chains[chain].append(tuple(rule))
            elif chain in _JUMPS and rule == ["-j", _JUMPS[chain]]:
                jumps.setdefault(chain, []).append(position)
            elif any(word in ("-j", "-g") and target in CHAINS for word, target in pairwise(rule)):
                strays.append((chain, *rule))
    return RawTable(
        {base: tuple(found) for base, found in jumps.items()},
        {chain: tuple(rules) for chain, rules in chains.items()},
        tuple(strays),
    )


def _wanted(programs: Mapping[str, str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    for interface, directory in programs.items():
        _check(interface, directory)
    ordered = sorted(programs.items())
    return {
        PREROUTING: tuple(rule for item in ordered for rule in _interface_rules("-i", "in", *item)),
        OUTPUT: tuple(rule for item in ordered for rule in _interface_rules("-o", "out", *item)),
        NOTRACK: (("-j", "CT", "--notrack"), ("-j", "ACCEPT")),
    }


def _interface_rules(option: str, prefix: str, interface: str, directory: str) -> tuple[tuple[str, ...], ...]:
    match = (option, interface, "-m", "bpf", "--object-pinned")
    return (
        (*match, f"{directory}/{prefix}_allow", "-g", NOTRACK),
        (*match, f"{directory}/{prefix}_deny", "-j", "DROP"),
    )


def _deletions(there: RawTable) -> list[str]:
    """Remove every rule outside our chains that refers to them.

    By text, never by number: another program may have changed the table since it was read.
    """
    jumps = [f"-D {base} -j {_JUMPS[base]}" for base, positions in there.jumps.items() for _ in positions]
    return jumps + [f"-D {' '.join(_quoted(word) for word in stray)}" for stray in there.strays]


def _check(interface: str, directory: str) -> None:
    if not _INTERFACE.fullmatch(interface):
        hint = "rename it: letters, digits, '_', '.' and '-' only, at most 15"
        message = f"interface {interface!r} can not be named in an iptables rule"
        raise XtablesError(message, hint=hint)
    if not _PATH.fullmatch(directory) or len(directory) > _XT_BPF_PATH_MAX - len("/out_allow") - 1:
        message = f"path {directory!r} can not be named in an iptables rule"
        raise XtablesError(message, hint="use a short bpffs path without spaces or special characters")


def _quoted(word: str) -> str:
    """Quote a word as iptables-save does."""
    if re.fullmatch(r"[^\s\"'\\]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
