"""The engine that matters: the shipped object, on the running kernel, by BPF_PROG_TEST_RUN."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from pyxdp import abi
from pyxdp.abi import Limit, Reason
from pyxdp.bpf import Object
from pyxdp.compiler import MapImage, compile_policy
from pyxdp.model import PolicyType
from pyxdp.net.frame import build_frame
from pyxdp.resolver import resolve
from tests.verdicts.engines import Outcome
from tests.verdicts.table import Expect

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from tests.verdicts.table import Case, Scenario

_XDP_PASS: Final = 2
#: Entries of one slot; scenarios of the table and of random tests are far smaller.
_CAPACITY: Final = {"rules": 4096, "rows": 65_536, "pages": 262_144, "ranges": 4096, "range_index": 8192}
_COUNTERS: Final = 4096


class ProgramsEngine:
    """Loads the object once, with the compiled scenario in one slot and nothing in the other."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._object = self._stack.enter_context(Object.open(str(files("pyxdp") / "pyxdp.bpf.o")))
        for name, entries in _CAPACITY.items():
            self._object.maps[f"pyxdp_{name}"].max_entries = entries * Limit.SLOTS
            self._object.rodata[f"pyxdp_half_{name}"] = entries
        self._object.maps["pyxdp_counters"].max_entries = _COUNTERS
        self._object.rodata["pyxdp_endpoint_number"] = 0
        self._object.rodata["pyxdp_log_per_second"] = 0
        self._object.load()
        self._scenario: tuple[Scenario, str] | None = None
        self._used: dict[str, int] = {}
        self._counts: list[int] = []
        self._slot = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def verdict(self, case: Case) -> Outcome:
        """Run what the packet would meet, and see by the counters which rule decided."""
        self._enter(case.scenario, case.interface)
        before = self._counters()
        verdict = self._ingress(case) if case.direction is PolicyType.INGRESS else self._egress(case)
        hits = [number for number, (old, new) in enumerate(zip(before, self._counters(), strict=True)) if new != old]
        rules = [self._image.names[number] for number in hits]
        deciding = [rule for rule in rules if rule.action not in {"Log", "Pass"}]
        assert len(deciding) <= 1, "a packet was counted for more than one deciding rule"
        logs = tuple(_title(rule) for rule in rules if rule.action == "Log")
        return Outcome(verdict, _title(deciding[0]) if deciding else "none", logs)

    def _ingress(self, case: Case) -> Expect:
        frame = build_frame(case.packet)
        untracked = self._run("pyxdp_in_allow", frame)
        denied = self._run("pyxdp_xdp", frame) != _XDP_PASS
        assert not (untracked and denied), "the raw table and XDP contradict each other"
        return Expect.DENY if denied else Expect.ALLOW if untracked else Expect.NO_MATCH

    def _egress(self, case: Case) -> Expect:
        frame = build_frame(case.packet)
        if self._run("pyxdp_out_allow", frame):
            return Expect.ALLOW
        return Expect.DENY if self._run("pyxdp_out_deny", frame) else Expect.NO_MATCH

    def _run(self, program: str, frame: bytes) -> int:
        return self._object.programs[program].test_run(frame).retval

    def _counters(self) -> list[int]:
        return [sums[0] for sums in self._object.maps["pyxdp_counters"].read_sums(0, max(len(self._image.names), 1))]

    def _enter(self, scenario: Scenario, interface: str) -> None:
        if self._scenario == (scenario, interface):
            return
        effective = resolve(scenario.resources, scenario.node, scenario.interfaces)
        image = compile_policy(effective)
        self._slot ^= 1
        self._fill(image, image.endpoints.get(interface))
        self._image = image
        self._scenario = (scenario, interface)

    def _fill(self, image: MapImage, endpoint: int | None) -> None:
        for name, table in image.tables.items():
            size = self._object.maps[f"pyxdp_{name}"].info.value_size
            content = table
            if name == "rulesets":  # the endpoint under test becomes number 0, the one that this instance is
                width = size * Limit.RULESETS_PER_ENDPOINT
                content = bytes(width) if endpoint is None else table[endpoint * width : (endpoint + 1) * width]
            half = _CAPACITY.get(name, int(Limit.RULESETS_PER_SLOT))
            assert len(content) <= half * size, f"{name} is too small for this scenario"
            self._object.maps[f"pyxdp_{name}"].write(self._slot * half, content)
        header = abi.Slot(1, 0, image.range_shift, image.digest)
        self._object.maps["pyxdp_slots"].write(self._slot, abi.encode(header))
        self._object.maps["pyxdp_control"].store_u32(0, self._slot)

    def reasons(self, direction: PolicyType) -> dict[Reason, int]:
        """Return how many packets each reason has had so far."""
        start = (0 if direction is PolicyType.INGRESS else 1) * Limit.REASONS
        sums = self._object.maps["pyxdp_reasons"].read_sums(start, Limit.REASONS)
        return {reason: sums[reason][0] for reason in Reason}


def _title(rule: abi.Name) -> str:
    return "failsafe" if rule.policy == "failsafe" else f"{rule.tier}/{rule.policy}/{rule.rule}"
