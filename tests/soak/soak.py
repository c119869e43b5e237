"""What happens to a governed host in months, in minutes and at random, and what must hold all the time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from pyxdp.errors import BpfError, OperatorError
from tests.agent import harms
from tests.agent.processes import PORT
from tests.agent.running import write
from tests.agent.test_interfaces import governed
from tests.lab.waiting import wait_until
from tests.metrics.scraping import Samples, get
from tests.soak.interfaces import Interfaces
from tests.soak.judge import Judge
from tests.soak.lives import Holdings, Lives
from tests.soak.policies import FILES, POLICY_FILES, Version, base, probes, version

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection
    from pathlib import Path
    from random import Random

    from tests.soak.traffic import Traffic
    from tests.veth.host import Host

#: Seconds within which everything is as it should be again, on a machine that has other things to do as well.
_PATIENCE: Final = 120.0
#: What a stranger does; the packets that pass by the last two are his. Those that only rules deny are his all the time.
_HARMS: Final = (
    harms.detach_link,
    harms.remove_link_pin,
    harms.remove_program_pin,
    harms.remove_programs_symlink,
    harms.remove_maps_symlink,
    harms.remove_map_pin,
    harms.remove_every_map_pin,
    harms.remove_the_mark,
    harms.flush_raw,
    harms.delete_a_rule,
    harms.flush_ruleset,
    harms.empty_questions,
    harms.change_a_map,
)
#: Seconds after which what is as wanted was repaired, whether that was counted or not.
_BY_THE_WAY: Final = 30.0
_HARMS_TO_TABLES: Final = (harms.empty_questions, harms.change_a_map)


@dataclass
class Soak:
    """One host, its folder of manifests, its agent, and the flood that it stands in.

    Attributes:
        host: the host.
        folder: of the manifests.
        chance: decides what happens; the same seed makes the same happen.
        counts: how often each thing has happened.
        others: indexes of interfaces that nothing happens to.
        slowest: seconds until everything was as wanted again, by what had happened; the longest.
    """

    host: Host
    folder: Path
    chance: Random
    counts: Counter[str]
    others: Collection[int] = ()
    slowest: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the first files and start the first agent."""
        self.folder.mkdir()
        self._interfaces = Interfaces(self.host, self.chance, self.others)
        self.judge = Judge(self.host)
        self.holdings = Holdings(self.host)
        self._versions = 0
        write(self.folder, "base.yaml", base(self.host.end.name))
        for file in FILES:
            self._put(self._next(file))
        self.lives = Lives(self.host, self.folder, self.chance)

    def close(self) -> None:
        """End the agent."""
        self.lives.close()

    # -- what happens --

    def change(self) -> None:
        """Some files and interfaces change, faster than they are followed; then all is as wanted."""
        self._disturb(self.chance.randrange(1, 4))
        self.settle("change")

    def restart(self, *, upgrade: bool) -> None:
        """The agent dies in the middle of it, and begins again; now and then it dies before it has begun."""
        self._disturb(self.chance.randrange(3))
        self._watch(self.chance.uniform(0.0, 0.6))
        if upgrade:
            self.lives.upgrade()
        else:
            self.lives.kill()
        self._watch(self.chance.uniform(0.0, 0.2))
        self._disturb(self.chance.randrange(2))
        self.lives.begin()
        self._disturb(self.chance.randrange(2))
        self.settle("restart")

    def drift(self, traffic: Traffic) -> str:
        """A stranger changes something in the kernel; the agent finds it. Return what it was."""
        harm = self.chance.choice(_HARMS)
        self.counts[f"drift: {harm.__name__}"] += 1
        before, pins, rules = self._repairs(), self._pins(), self._rules()
        to_tables = harm in _HARMS_TO_TABLES
        with traffic.excused(everything=to_tables):
            begin = time.monotonic()
            harm(self.host)

            def repaired() -> bool:
                if not to_tables:
                    self._sample()
                if self._pins() != pins:
                    return False
                if self._repairs() > before:
                    return True
                # A change of the agent's own that falls together with it makes it right, too, and counts nothing.
                if to_tables:
                    return time.monotonic() > begin + _BY_THE_WAY and not self._lacking()
                return self._rules() == rules and governed(self.host) == self.judge.governed()

            try:
                wait_until(repaired, timeout=_PATIENCE)
            except AssertionError as error:
                log = self.lives.process.log.read_text()[-4000:]
                raise AssertionError(f"{harm.__name__} is not repaired: {log}") from error
            self._note("drift", begin)
        self.settle("drift")
        return harm.__name__

    def _disturb(self, times: int) -> None:
        for _ in range(times):
            if self.chance.random() < 0.25:
                self.counts[f"interface: {self._interfaces.change()}"] += 1
            else:
                self.counts[f"file: {self._change_file()}"] += 1
            self._watch(self.chance.choice((0.0, 0.0, 0.1, 0.5)))

    def _change_file(self) -> str:
        file = self.chance.choice(FILES)
        ways = [self._put, self._put, self._put_slowly, self._put_slowly]
        ways += [self._remove] if file in POLICY_FILES else []
        # What was written a moment ago and never read is no last good version.
        versions = self.judge.possible.of(file)
        ways += [self._break] if len(versions) == 1 and versions[0].number else []
        way = self.chance.choice(ways)
        way(self._next(file))
        return way.__name__.removeprefix("_")

    def _next(self, file: str) -> Version:
        self._versions += 1
        return version(self.chance, file, self._versions)

    def _put(self, version: Version) -> None:
        self.judge.possible.add(version)
        write(self.folder, version.file, version.text)

    def _put_slowly(self, version: Version) -> None:
        """In place: what is read meanwhile has an end in the middle of its last document."""
        self.judge.possible.add(version)
        with (self.folder / version.file).open("w") as file:
            file.write(version.text[:-8])
            file.flush()
            self._watch(self.chance.choice((0.0, 0.05, 0.3)))
            file.write(version.text[-8:])

    def _break(self, version: Version) -> None:
        """What it held stays."""
        write(self.folder, version.file, self.chance.choice(("", "kind: [", version.text[:-8], "\0")))

    def _remove(self, version: Version) -> None:
        self.judge.possible.add(Version(version.file, 0))
        (self.folder / version.file).unlink(missing_ok=True)

    # -- what must hold --

    def settle(self, after: str) -> None:
        """Wait until everything is as wanted, judging all the time."""
        begin = time.monotonic()
        while lacking := self._lacking():
            if time.monotonic() > begin + _PATIENCE:
                raise AssertionError(f"after {after}: {lacking}\n{self.lives.process.log.read_text()[-4000:]}")
        self._note(after, begin)
        self.judge_settled()
        self.holdings.note(self.lives.process)

    def judge_settled(self) -> None:
        """Judge more closely, when nothing changes."""
        self.judge.settle(probes(self.chance, self.host.end, 40))

    def _lacking(self) -> str:
        """What is not as wanted yet."""
        self._sample()
        if not self.judge.settled():
            return f"in force is not {self.judge.possible}"
        if not self.lives.process.ready():
            return "the agent is not ready"
        there, wanted = governed(self.host), self.judge.governed()
        if there != wanted:
            return f"governed are {there}, not {wanted}"
        if self.lives.is_other_build:
            return ""  # to this one all of it is drift
        try:
            return str(self.host.status().drift or "")
        except (BpfError, OperatorError) as error:  # in the middle of a change
            return str(error)

    def _watch(self, seconds: float) -> None:
        """Let time go by."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._sample()

    def _sample(self) -> None:
        self.judge.sample(probes(self.chance, self.host.end, 6))

    def _note(self, what: str, begin: float) -> None:
        self.slowest[what] = max(self.slowest.get(what, 0.0), time.monotonic() - begin)

    def _repairs(self) -> float:
        """How often the living agent has repaired something."""
        body = get(self.host.space, ("127.0.0.1", PORT), "/metrics").body
        return Samples(text_string_to_metric_families(body)).total("pyxdp_agent_repairs_total")

    def _rules(self) -> list[str]:
        """All rules of ours."""
        tables = [self.host.space.run(tool, "-t", table, "-S").stdout for tool, table in harms.TABLES]
        return [line for table in tables for line in table.splitlines() if "PYXDP" in line]

    def _pins(self) -> set[str]:
        """What is pinned, whatever the number of its object."""
        base_of_pins = self.host.bpffs / "pyxdp/v1"
        paths = [it.relative_to(base_of_pins).parts for it in base_of_pins.rglob("*")]
        return {"/".join((*it[:1], "*", *it[2:]) if it[0] == "objects" else it) for it in paths}
