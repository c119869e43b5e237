"""The real programs as judges of cases."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pyxdp.compiler import compile_policy
from pyxdp.planner.capacity import capacities, needed
from pyxdp.trial.host import TrialHost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

    from pyxdp.cases.endpoints import TestedEndpoint
    from pyxdp.cases.values import Case
    from pyxdp.compiler import MapImage
    from pyxdp.trial import Judgement


class Programs:
    """The real programs on the running kernel. Needs root and Linux 5.12. Use as a context manager."""

    def __init__(self, endpoints: Mapping[str, TestedEndpoint]) -> None:
        """Compile the policy of every endpoint, and load programs with maps that it fits in.

        Raises:
            CapacityError: the policy is too large for any map.
            BpfError: the kernel refused, most often for lack of privileges.
        """
        self._endpoints = endpoints
        self._images = {name: compile_policy(it.policy) for name, it in endpoints.items()}
        self._enforced = ""
        sizes = _sizes(self._images.values())
        counters = sizes.pop("counters")
        del sizes["rulesets"], sizes["names"]
        self._host = TrialHost(capacities=sizes, counters=counters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._host.__exit__()

    def judge(self, case: Case) -> Judgement:
        """Run the programs."""
        if self._enforced != case.endpoint:
            endpoint = self._endpoints[case.endpoint]
            self._host.enforce(self._images[case.endpoint], endpoint.interface.name, endpoint.policy.actions)
            self._enforced = case.endpoint
        return self._host.judge(case.packet, direction=case.direction, context=case.context, stage=case.stage)


def _sizes(images: Iterable[MapImage]) -> dict[str, int]:
    """Return how large the maps must be, so that each of the images fits."""
    most: Counter[str] = Counter()
    for image in images:
        most |= Counter(needed(image.tables, image.names))
    return capacities({**needed({}, {}), **most}, {})
