"""``pyxdp agent``."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.agent import Agent, AgentSettings
from pyxdp.cli.commands import CHANGES, STATE, node_option
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.duration import DURATION
from pyxdp.cli.events import log_to_stderr
from pyxdp.metrics import DEFAULT_LISTEN, Metrics, MetricsServer, Pulse, listen_address
from pyxdp.sources import FolderSource

if TYPE_CHECKING:
    from pyxdp.agent import AgentView
    from pyxdp.cli.commands import Settings
    from pyxdp.sources import Source

_FOLDER: Final = "/etc/pyxdp"
#: Of ``--listen``: nobody is answered.
_NOWHERE: Final = "none"


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int] | None:
    try:
        return None if value == _NOWHERE else listen_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@make_command(
    click.argument("folders", nargs=-1, metavar="[PATH]..."),
    click.option("--kubernetes", is_flag=True, help="Follow the Kubernetes API, and a PATH only if it is named."),
    click.option("--kubeconfig", metavar="FILE", default="", help="How to reach the API; in a pod it is known."),
    click.option("--context", "kube_context", metavar="NAME", default="", help="Of the kubeconfig."),
    click.option("--auto-host-endpoints", is_flag=True, help="Make a host endpoint of every Node."),
    node_option,
    click.option(
        "--listen",
        metavar="ADDRESS",
        default=DEFAULT_LISTEN,
        show_default=True,
        callback=_address,
        help=f"Where /metrics, /healthz and /readyz are; {_NOWHERE}: nowhere.",
    ),
    click.option("--log", "log_form", type=click.Choice(["text", "json"]), default="text", show_default=True),
    click.option(
        "--confirm-within",
        type=DURATION,
        default=None,
        metavar="TIME",
        help="Take each change back unless it is confirmed in this time: pyxdp confirm.",
    ),
    click.option("--force", is_flag=True, help="Make changes that cut established sessions or the node's own flows."),
    *STATE,
    *CHANGES,
    name="agent",
)
def command(settings: Settings, folders: tuple[str, ...], **options: Any) -> None:
    """Keep the policy of folders, or of Kubernetes, in force, and follow every change; by default of /etc/pyxdp.

    Of what is wrong the last good version stays in force. SIGTERM ends the agent and leaves policy in force; SIGHUP
    makes it read everything back.
    """
    log_to_stderr("json" if settings.as_json else options["log_form"])
    node = options["node"] or pyxdp.steps.default_node()
    dataplane, pulse = settings.dataplane(), Pulse()
    views: list[AgentView | None] = [None]
    agent = Agent(
        _sources(folders, node, options),
        dataplane=dataplane,
        node=node,
        settings=AgentSettings(
            state=settings.state,
            confirm_within=options["confirm_within"] or 0.0,
            iptables=settings.variant,
            guard=not options["force"],
        ),
        on_view=lambda view: views.__setitem__(0, view),
        on_turn=pulse.beat,
    )
    with ExitStack() as stack:
        for number, called in (
            (signal.SIGTERM, agent.stop),
            (signal.SIGINT, agent.stop),
            (signal.SIGHUP, agent.reload),
        ):
            before = signal.signal(number, lambda *_, called=called: called())
            stack.callback(signal.signal, number, before)
        stack.callback(setattr, threading, "excepthook", threading.excepthook)
        threading.excepthook = lambda ended: agent.break_off(ended.exc_value or ended.exc_type())
        if options["listen"]:
            server = MetricsServer(options["listen"], Metrics(dataplane, lambda: views[0]), pulse.reasons)
            server.start()
            stack.callback(server.stop)
        agent.run()


def _sources(folders: tuple[str, ...], node: str, options: dict[str, Any]) -> list[Source]:
    if not options["kubernetes"]:
        return _folders(folders or (_FOLDER,))
    from pyxdp.sources.kubernetes import KubernetesSource, find_access  # noqa: PLC0415 - only who asks needs a client

    access = find_access(options["kubeconfig"], options["kube_context"])
    kubernetes = KubernetesSource(access, node=node, auto_host_endpoints=options["auto_host_endpoints"])
    return [kubernetes, *_folders(folders)]


def _folders(paths: tuple[str, ...]) -> list[Source]:
    """Return a source for each path that is another one: ``policy`` and ``policy/`` are not."""
    return [FolderSource(path) for path in dict.fromkeys(map(Path, paths))]
