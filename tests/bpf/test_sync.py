from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import Object, grace_period, num_possible_cpus
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.usefixtures("kernel")
def test_a_run_that_began_before_has_ended_after(bpf_object: Callable[[str], Path]) -> None:
    with Object.open(bpf_object("slow")).load() as slow:
        progress = slow.maps["progress"]

        def reached(index: int) -> bool:
            return any(progress.get(index) or b"")

        runner = threading.Thread(target=slow.programs["slow"].test_run, args=(bytes(64),))
        runner.start()
        try:
            wait_until(lambda: reached(0))
            assert not reached(1)
            grace_period()
            assert reached(1)
        finally:
            runner.join()


def test_as_many_cpus_as_the_kernel_says() -> None:
    possible = Path("/sys/devices/system/cpu/possible").read_text()
    assert num_possible_cpus() == int(possible.rpartition("-")[2]) + 1
