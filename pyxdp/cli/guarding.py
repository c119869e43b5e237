"""What ``pyxdp apply`` does about a policy that would cut what must live."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyxdp.cli.output import Output
    from pyxdp.planner import State, Target
    from pyxdp.resolver import EffectivePolicy


class Guarding:
    def __init__(self, output: Output, policy: EffectivePolicy, *, force: bool, dry_run: bool) -> None:
        self._output = output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def on_plan(self, state: State, target: Target) -> None:
        pass
