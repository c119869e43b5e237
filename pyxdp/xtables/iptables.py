"""Running iptables.

``iptables`` comes in two variants that do not see each other's rules: ``nft`` (the nf_tables API) and ``legacy``. Rules
go where the machine's own ``iptables`` command puts them, unless the caller decides; rules of an earlier run in the
other variant are found and removed.

Every change of a family is one ``iptables-restore``, of each table the kernel takes all or nothing.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pyxdp.errors import XtablesError
from pyxdp.xtables.chains import Table
from pyxdp.xtables.diagnosis import diagnose
from pyxdp.xtables.restore import render, render_removal
from pyxdp.xtables.tables import Tables, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.net import HookSettings
    from pyxdp.xtables.wording import Family

Variant: TypeAlias = Literal["nft", "legacy"]

VARIANTS: Final[tuple[Variant, ...]] = ("nft", "legacy")

_COMMANDS: Final = {4: "iptables", 6: "ip6tables"}
#: A legacy table of a network namespace exists from its first use on; reading it would be its first use.
_LEGACY_TABLES: Final = {4: "ip_tables_names", 6: "ip6_tables_names"}
#: Of this thread: its network namespace may differ from the main thread's.
_PROC_NET: Final = Path("/proc/thread-self/net")
#: Longer than any transaction takes; a process that hangs must not hold the dataplane's lock for ever.
_TIMEOUT_S: Final = 120


class Iptables:
    """The tables of this thread's network namespace.

    The commands inherit the mount namespace: the pins that the rules name must be visible in it.
    """

    def __init__(self, variant: Variant | None = None, *, lock_timeout: int = 10) -> None:
        """Choose a variant.

        Args:
            variant: ``None`` takes the one that ``iptables`` on the PATH is.
            lock_timeout: seconds to wait for another iptables that holds the xtables lock (legacy only).
        """
        self._chosen = variant
        self._lock_timeout = lock_timeout

    @cached_property
    def variant(self) -> Variant:
        """The variant that rules are written with.

        Raises:
            XtablesError: no iptables is installed.
        """
        return self._chosen or _default_variant()

    @property
    def families(self) -> tuple[Family, ...]:
        """Families that the kernel has; without IPv6 in the kernel there is no packet that a rule could miss."""
        return (4, 6) if (_PROC_NET / "if_inet6").exists() else (4,)

    def command(self, family: Family, variant: Variant) -> str:
        """Return the path of the command that writes rules.

        Raises:
            XtablesError: it is not installed.
        """
        found = _find(family, variant, "restore")
        if found is None:
            raise _missing(_COMMANDS[family], variant)
        return found

    def read(self, family: Family, variant: Variant) -> Tables:
        """Read what is there of ours; nothing when that variant is not in use here.

        Raises:
            XtablesError: iptables failed.
        """
        command = _find(family, variant, "save")
        if command is None or (variant == "legacy" and not _legacy_in_use(family)):
            return Tables()
        return parse(self._run([command]))

    def write(
        self,
        family: Family,
        programs: Mapping[str, str],
        settings: HookSettings,
        variant: Variant | None = None,
        *,
        there: Tables | None = None,
    ) -> None:
        """Make the tables hold exactly our rules.

        Args:
            family: 4 or 6.
            programs: governed interface -> folder of its pinned programs, whose last part is the endpoint's number.
                Rules look the pins up now: a program that was pinned there later is not seen before the next ``write``.
            settings: of the node.
            variant: by default the one chosen for rules.
            there: what was read a moment ago; by default it is read now.

        Raises:
            XtablesError: missing, too old, or refused; the table in question is as it was, those after it in
                :class:`~pyxdp.xtables.chains.Table` too.
        """
        variant = variant or self.variant
        restore = self.command(family, variant)
        if there is not None:
            with suppress(XtablesError):  # somebody has changed the tables meanwhile, or it fails once more
                self._restore(restore, render(programs, settings, family, there))
                return
        self._restore(restore, render(programs, settings, family, self.read(family, variant)))

    def remove(self, family: Family, variant: Variant) -> None:
        """Remove everything of ours from the tables of one variant; nothing else in them changes.

        Raises:
            XtablesError: iptables failed; the table in question is as it was.
        """
        text = render_removal(self.read(family, variant))
        if text:
            self._restore(self.command(family, variant), text)

    def _restore(self, command: str, text: str) -> None:
        self._run([command, "--noflush", f"--wait={self._lock_timeout}"], text)

    def _run(self, command: list[str], text: str = "") -> str:
        try:
            code, output, errors = _communicate(command, text)
        except (OSError, subprocess.TimeoutExpired) as error:
            message = f"{Path(command[0]).name}: {error}"
            raise XtablesError(message) from error
        if code:
            raise diagnose(Path(command[0]).name, errors, text)
        return output


def _communicate(command: list[str], text: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed.

    It opens a descriptor for each rule that runs a program, and closes none: with the thousand that is the usual limit,
    forty interfaces would be too many. The limit is raised while it still waits for its input.
    """
    pipe, environment = subprocess.PIPE, {**os.environ, "LC_ALL": "C"}
    with subprocess.Popen(  # noqa: S603 - absolute path, no shell, arguments of our own
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    ) as running:
        try:
            with suppress(OSError):  # it has ended already, or a sandbox forbids it
                most = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)[1]
                resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (most, most))
            output, errors = running.communicate(text, timeout=_TIMEOUT_S)
        except BaseException:
            running.kill()
            raise
    return running.returncode, output, errors


def _default_variant() -> Variant:
    command = shutil.which("iptables", path=_search_path())
    if command is None:
        raise _missing("iptables")
    version = subprocess.run(  # noqa: S603 - absolute path
        [command, "--version"], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    return "nft" if "nf_tables" in version.stdout else "legacy"


def _find(family: Family, variant: Variant, action: str) -> str | None:
    """The command of one variant; the plain name serves where a distribution ships only one."""
    path = _search_path()
    exact = shutil.which(f"{_COMMANDS[family]}-{variant}-{action}", path=path)
    plain = shutil.which(f"{_COMMANDS[family]}-{action}", path=path)
    return exact or (plain if plain and _default_variant() == variant else None)


def _search_path() -> str:
    """PATH with the places of system commands, which a user's PATH often lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _legacy_in_use(family: Family) -> bool:
    try:
        there = (_PROC_NET / _LEGACY_TABLES[family]).read_text().split()
    except OSError:  # the kernel has no legacy tables of this family, or they may not be seen
        return False
    return any(table.value in there for table in Table)


def _missing(command: str, variant: str = "") -> XtablesError:
    wanted = f"{command} ({variant})" if variant else command
    message = f"{wanted} is not installed"
    return XtablesError(message, hint="install the distribution's package iptables")
