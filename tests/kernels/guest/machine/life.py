"""What the machine lives through: three boots, in each of which a unit starts this as early as it can.

first
    A network and no policy. pyxdp is set up as its documentation says and a policy is applied; then one that lets
    everything in and that nobody confirms. The machine reboots.
second
    The agent is killed, then stopped for good. Again nobody confirms that everything is let in, and the power fails.
third
    The network is made by ifupdown and no more by systemd-networkd, and there is no agent.

What each found goes to the second serial port, in the form that ``tests.kernels.guests`` reads.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import termios
import tty
from pathlib import Path
from traceback import format_exc
from typing import TYPE_CHECKING, Any

from tests.kernels.guest.machine.peer import BEGIN, PORTS
from tests.kernels.guest.machine.witness import PATIENCE, Witness
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

_BOOTS = Path("/var/lib/boots")
_STATE = Path("/var/lib/pyxdp")
_UNITS = ("pyxdp-restore.service", "pyxdp-agent.service")
_OPEN = Path("/root/open.yaml")
_OPEN_POLICY = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: machine}
spec: {node: machine, expectedIPs: [10.9.0.1], profiles: [projectcalico-default-allow]}
"""
_APPLY_OPEN = ("pyxdp", "apply", str(_OPEN), "--confirm-within", "1h")
_INTERFACES = """
auto eth0
iface eth0 inet static
    address 10.9.0.1/24
"""


def first(witness: Witness) -> dict[str, object]:
    """Set everything up, and reboot."""
    witness.wait_for(*PORTS)
    _run("ln", "-s", "/opt/pyxdp/bin/pyxdp", "/usr/local/bin/pyxdp")
    _run("cp", *(f"/src/deploy/systemd/{unit}" for unit in _UNITS), "/etc/systemd/system/")
    verified = _run("systemd-analyze", "verify", *(f"/etc/systemd/system/{unit}" for unit in _UNITS), both=True)
    _run("systemctl", "enable", *_UNITS)
    _run("pyxdp", "apply", "/etc/pyxdp")
    applied = witness.hears_now()
    _OPEN.write_text(_OPEN_POLICY)
    _run("systemd-run", "--pipe", "--wait", "-p", "KillMode=process", *_APPLY_OPEN)
    witness.wait_for(*PORTS)
    return {"verified": verified, "hears": applied, "waits at the end": _change_waits()}


def second(witness: Witness) -> dict[str, object]:
    """Kill the agent, stop it, and fail while a change waits."""
    facts = _boot(witness, "systemd-networkd.service")
    facts["agent"] = before = wait_until(_ready, timeout=PATIENCE, what="the agent is ready")
    os.kill(int(before["MainPID"]), signal.SIGKILL)
    facts["killed"] = {"before": before, "after": wait_until(lambda: _ready(before["MainPID"]), timeout=PATIENCE)}
    facts["hears after a kill"] = witness.hears_now()
    _run("systemctl", "reload", "pyxdp-agent.service")
    _run("systemctl", "disable", "--now", "pyxdp-agent.service")
    facts["stopped"] = _agent()
    facts["hears after a stop"] = witness.hears_now()
    facts["heard"] = dict(witness.heard)
    _run("systemctl", "disable", "systemd-networkd.service")
    Path("/etc/network/interfaces").write_text(_INTERFACES)
    os.sync()
    _run(*_APPLY_OPEN)
    witness.wait_for(*PORTS)
    return {**facts, "waits at the end": _change_waits()}


def third(witness: Witness) -> dict[str, object]:
    """See what is in force."""
    facts = _boot(witness, "networking.service")
    facts["hears"] = witness.hears_now()
    return {**facts, "heard": dict(witness.heard)}


def _boot(witness: Witness, network: str) -> dict[str, Any]:
    """Wait until the network is up and the policy restored, whichever comes first; tell how that went."""
    witness.wait_for("allowed", "untracked allowed")
    wait_until(lambda: _show("pyxdp-restore.service")["ActiveState"] == "active", timeout=PATIENCE, what="the restore")
    log = _STATE / "rollback.log"
    return {
        "rollback.log": log.read_text() if log.exists() else "",
        "link": json.loads(Path("/run/restored.link").read_text())[0],
        "rules": Path("/run/restored.rules").read_text(),
        "waits": _change_waits(),
        "peer": float(BEGIN.read_text()),
        "restore": _show("pyxdp-restore.service"),
        "network-pre": _show("network-pre.target"),
        "network": _show(network),
    }


def _change_waits() -> bool:
    return (_STATE / "pending").exists()


def _agent() -> dict[str, str]:
    return _show("pyxdp-agent.service")


def _ready(killed: str = "") -> dict[str, str] | None:
    """Return the agent when it is ready and another process than the one that was killed."""
    found = _agent()
    return found if found["ActiveState"] == "active" and found["MainPID"] != killed else None


def _show(unit: str) -> dict[str, str]:
    """Return the properties of a unit; times are in microseconds of the monotonic clock."""
    return dict(line.split("=", 1) for line in _run("systemctl", "show", unit).splitlines())


def _run(*command: str, both: bool = False) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if both else "")


def _tell(**record: object) -> None:
    port = os.open("/dev/ttyS1", os.O_WRONLY | os.O_NOCTTY)
    tty.setraw(port)
    with open(port, "w", encoding="utf-8") as line:  # noqa: PTH123 -- has no path
        line.write(json.dumps(record) + "\n")
        line.flush()
        termios.tcdrain(port)


def _sysrq(key: str) -> None:
    Path("/proc/sysrq-trigger").write_text(key)


def _power_off() -> None:
    _tell(release=platform.release())
    _sysrq("o")


def _reboot() -> None:
    _run("systemctl", "reboot")


def _fail() -> None:
    _sysrq("b")


_LIFE: tuple[tuple[Callable[[Witness], dict[str, object]], Callable[[], None]], ...] = (
    (first, _reboot),
    (second, _fail),
    (third, _power_off),
)


def main() -> None:
    """Live through the boot that this is."""
    count = len(_BOOTS.read_text()) if _BOOTS.exists() else 0
    _BOOTS.write_text("*" * (count + 1))
    os.sync()
    boot, end = _LIFE[min(count, len(_LIFE) - 1)]
    witness = Witness()
    witness.start()
    try:
        facts = boot(witness)
    except Exception:  # noqa: BLE001 - whatever it is: it is to be told
        journal = _run("journalctl", "--boot", "--no-pager", "--lines=80")
        _tell(test=boot.__name__, outcome="failed", message=f"{format_exc()}\n{journal}", facts={})
        _power_off()
    else:
        _tell(test=boot.__name__, outcome="passed", message="", facts=facts)
        end()
    signal.pause()


if __name__ == "__main__":
    main()
