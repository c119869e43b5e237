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

        def began_and_not_ended() -> bool:
            """Begin a run; it may be over already when this thread gets a CPU again."""
            progress.write(0, bytes(16))
            runners.append(threading.Thread(target=slow.programs["slow"].test_run, args=(bytes(64),)))
            runners[-1].start()
            wait_until(lambda: reached(0))
            return not reached(1)

        runners: list[threading.Thread] = []
        try:
            wait_until(began_and_not_ended)
            grace_period()
            assert reached(1)
        finally:
            for runner in runners:
                runner.join()


def test_as_many_cpus_as_the_kernel_says() -> None:
    possible = Path("/sys/devices/system/cpu/possible").read_text()
    assert num_possible_cpus() == int(possible.rpartition("-")[2]) + 1
