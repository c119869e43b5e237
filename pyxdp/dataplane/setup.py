"""What a dataplane is made of, and what it wants: nothing here reads or changes maps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyxdp import planner
from pyxdp.dataplane import bpffs, early
from pyxdp.dataplane.code import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from pyxdp.compiler import MapImage
    from pyxdp.dataplane.layout import Layout
    from pyxdp.net import HookSettings
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.xtables import Iptables


@dataclass(frozen=True)
class Setup:
    """One dataplane, as :class:`pyxdp.dataplane.Dataplane` is told.

    Attributes:
        layout: where the pins are.
        iptables: which variant rules are written with.
        log_per_second: Log events that each CPU may emit a second.
        early_drop: whether XDP drops what later hooks deny for certain, if the kernel can.
        lock_timeout: seconds to wait for another process.
        on_wait: called once when there is another process to wait for.
    """

    layout: Layout
    iptables: Iptables
    log_per_second: int
    early_drop: bool
    lock_timeout: float
    on_wait: Callable[[], None]

    @cached_property
    def code(self) -> Code:
        """The programs that are to run."""
        return Code.shipped(self.log_per_second)

    def lock(self) -> AbstractContextManager[None]:
        """Be the only one who changes this dataplane."""
        return bpffs.exclusive(self.layout.bpffs, self.lock_timeout, self.on_wait)

    def obstacle(self, settings: HookSettings, state: planner.State) -> str:
        """Why there must be no early drop; empty when there may be."""
        return early.obstacle(self.code if self.early_drop else None, settings, state.tracking)

    def target(self, image: MapImage, policy: EffectivePolicy, state: planner.State) -> planner.Target:
        """What should be for a policy that was compiled to this image."""
        governed = {
            it.interface.name: planner.Governed(image.endpoints[it.interface.name], it.interface.index, it.name)
            for it in policy.endpoints
        }
        return self.wanted(image, governed, state, policy.actions)

    def wanted(
        self,
        image: MapImage,
        governed: Mapping[str, planner.Governed],
        state: planner.State,
        settings: HookSettings,
    ) -> planner.Target:
        """What should be where these interfaces are governed by this image."""
        families = self.iptables.families if governed or state.rules else ()
        return planner.Target(
            build=self.code.build,
            tables=image.tables,
            digest=image.digest,
            names=image.names,
            interfaces=governed,
            table_sets=tuple(planner.TableSet(self.iptables.variant, family) for family in families),
            settings=settings,
            early=not self.obstacle(settings, state),
            conntrack=early.conntrack_is_loaded(),
            applied_ns=time.time_ns(),
        )
