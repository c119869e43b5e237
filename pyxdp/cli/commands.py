"""What commands there are, and the options that they share.

A command's module is imported when the command runs; so ``pyxdp --help`` and a mistyped command are answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

import pyxdp
from pyxdp.cli.output import Output
from pyxdp.cli.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyxdp.cli.interruption import Interruption
    from pyxdp.dataplane import Dataplane
    from pyxdp.manifest import Manifest
    from pyxdp.manifest.sources import Source

    Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_CODES: Final = """\b
Exit codes:
  0    done; also when there was nothing to do
  1    the answer is no: a test that fails, a warning with --strict; or a bug in pyxdp
  2    what you wrote is wrong: manifests, policy, command line
  3    the machine is not ready: privileges, bpffs, interfaces, iptables
  130  ended by Ctrl-C, 143 by SIGTERM; apply has then changed nothing
"""


@dataclass
class Settings:
    """What every command is given.

    Attributes:
        interruption: signals.
        as_json: print JSON.
        bpffs: where the bpffs is mounted, or a folder in it.
        iptables: ``auto``, ``nft`` or ``legacy``.
        lock_timeout: seconds to wait for another pyxdp.
        state: folder with what is kept of policy.
        paths: of manifests.
    """

    interruption: Interruption
    as_json: bool = False
    bpffs: Path = Path("/sys/fs/bpf")
    iptables: str = "auto"
    lock_timeout: float = 30.0
    state: Path = Path("/var/lib/pyxdp")
    paths: list[str] = field(default_factory=list)

    @cached_property
    def output(self) -> Output:
        """Where the command prints."""
        return Output(as_json=self.as_json)

    def load(self) -> Manifest:
        """Read the manifests that the command line names."""
        self._expect_paths()
        with Bar("reading the manifests"):
            return pyxdp.load(self.paths)

    def load_texts(self) -> tuple[Manifest, tuple[Source, ...]]:
        """Read the manifests that the command line names, and return their texts as well."""
        from pyxdp.manifest import load_sources, read_sources  # noqa: PLC0415 - of the command that needs it

        self._expect_paths()
        with Bar("reading the manifests"):
            sources = tuple(read_sources(self.paths, None))
            return load_sources(sources), sources

    def _expect_paths(self) -> None:
        if not self.paths:
            raise click.UsageError("no manifests: name files or folders, or - for standard input")

    def dataplane(self) -> Dataplane:
        """The machine's dataplane, with the settings of the command line."""
        variant: Any = self.variant or None
        return pyxdp.Dataplane(
            self.bpffs, iptables=pyxdp.Iptables(variant), lock_timeout=self.lock_timeout, on_wait=self.tell_wait
        )

    @property
    def variant(self) -> str:
        """The variant of iptables; empty: that of the machine."""
        return "" if self.iptables == "auto" else self.iptables

    def tell_wait(self) -> None:
        """Say why nothing happens yet."""
        self.output.notice("another pyxdp is at work: waiting for it")


class _Commands(click.Group):
    """Commands whose modules are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"pyxdp.cli.{_COMMANDS[cmd_name]}").command
        return command


#: Name of each command -> its module in this package.
_COMMANDS: Final = {
    "check": "check",
    "test": "test",
    "apply": "apply",
    "agent": "agent",
    "confirm": "confirm",
    "rollback": "rollback",
    "restore": "restore",
    "status": "status",
    "rules": "rules",
    "delete": "delete",
    "explain": "explain",
    "compile": "compile",
    "log": "log",
    "bench": "bench",
    "version": "version",
}


#: main() looks for it by itself: a command line that can not be parsed may have it too.
_debug = click.option("--debug", is_flag=True, expose_value=False, help="With an error print where it came from.")


@click.group(cls=_Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@_debug
@click.pass_context
def cli(context: click.Context) -> None:
    """Enforce Calico host endpoint policy at XDP, and take untracked traffic out of conntrack.

    \b
      pyxdp check policy/               is it right, and which interfaces does it govern?
      pyxdp test cases.yaml -f policy/  does it do with packets what it should?
      pyxdp apply policy/               make the kernel enforce it
      pyxdp status                      what is enforced, and what it has matched
      pyxdp delete                      leave nothing behind
    """  # noqa: D301 - click's mark for text that is not to be filled
    context.obj = Settings(context.obj)


def _setting(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return the callback that puts an option's value into the settings."""

    def store(context: click.Context, _: click.Parameter, value: Any) -> None:
        setattr(context.find_object(Settings), name, value)

    return store


def _stored(*names: str, to: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(*names, callback=_setting(to), expose_value=False, **attributes)


def _collect(context: click.Context, _: click.Parameter, value: Sequence[str]) -> None:
    settings = context.find_object(Settings)
    assert settings is not None  # noqa: S101 - the group has made them
    settings.paths += value


_json = _stored("--json", to="as_json", is_flag=True, help="Print one JSON value; its members are in docs/cli.md.")
_bpffs = _stored(
    "--bpffs",
    to="bpffs",
    type=click.Path(path_type=Path),
    default="/sys/fs/bpf",
    show_default=True,
    metavar="DIR",
    help="Where the bpffs is mounted, or a folder in it.",
)
_iptables = _stored(
    "--iptables",
    to="iptables",
    type=click.Choice(["auto", "nft", "legacy"]),
    default="auto",
    show_default=True,
    help="Variant that the raw-table rules are written with; auto is that of the machine's iptables command.",
)
_lock_timeout = _stored(
    "--lock-timeout",
    to="lock_timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another pyxdp.",
)
_state = _stored(
    "--state",
    to="state",
    type=click.Path(path_type=Path),
    default="/var/lib/pyxdp",
    envvar="PYXDP_STATE",
    show_default=True,
    show_envvar=True,
    metavar="DIR",
    help="Folder with what is kept of policy, for rollback and restore.",
)
_files = click.option(
    "-f",
    "--filename",
    multiple=True,
    metavar="PATH",
    callback=_collect,
    expose_value=False,
    help="As PATHS; - is standard input.",
)
_paths = click.argument("paths", nargs=-1, callback=_collect, expose_value=False)


def command(
    *options: Callable[[Any], Any], name: str, cls: type[click.Command] = click.Command, epilog: str = EXIT_CODES
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function whose first argument is the settings."""

    def make(function: Callable[..., None]) -> click.Command:
        made: Any = click.pass_obj(function)
        for option in reversed((*options, _json, _debug)):
            made = option(made)
        return click.command(name, cls=cls, epilog=epilog)(made)

    return make


#: Options of commands that read manifests.
MANIFESTS: Final[tuple[Any, ...]] = (_paths, _files)
#: The same for commands whose arguments are something else.
FILES: Final[tuple[Any, ...]] = (_files,)
#: Options of commands that read what is in the kernel.
KERNEL: Final[tuple[Any, ...]] = (_bpffs, _iptables)
#: Options of commands that change it.
CHANGES: Final[tuple[Any, ...]] = (*KERNEL, _lock_timeout)
#: Option of commands that wait for others.
LOCK: Final[tuple[Any, ...]] = (_lock_timeout,)
#: Option of commands that keep policy, or use what is kept.
STATE: Final[tuple[Any, ...]] = (_state,)
#: Option of commands that ask which node this is.
node_option: Final[Any] = click.option(
    "--node", metavar="NAME", help="The node whose HostEndpoints count; by default the host name."
)
