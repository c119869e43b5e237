"""The kernels that the object of the wheel must run on, and those about which the tests say what works."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Kernel:
    """A kernel of a distribution.

    Attributes:
        name: in reports.
        suite: Debian's or Ubuntu's name of the release.
        package: metapackage that depends on the newest build.
        lacks: tests that do not pass there, as a pattern of node ids, and why. All others must pass, and a pattern that
            no failure matches any more is out of date.
    """

    name: str
    suite: str
    package: str = "linux-image-cloud-amd64"
    lacks: Mapping[str, str] = field(default_factory=dict, compare=False)

    def explains(self, test: str) -> str:
        """Say why a test is not expected to pass here; empty when it is expected to."""
        return next((why for pattern, why in self.lacks.items() if fnmatchcase(test, pattern)), "")


_NO_INGRESS = "ingress_ifindex in a test run: newer than 5.15"
_BEFORE_5_18 = {
    "tests/bpf/test_features.py::test_a_new_kernel_has_everything": "live frames: 5.18",
    "tests/bpf/test_program.py::test_live_frames": "live frames: 5.18",
    "tests/bpf/test_program.py::test_a_frame_that_is_no_frame": "test runs take frames without an Ethernet header",
    "tests/bpf/test_sync.py::test_a_run_that_began_before_has_ended_after": "the test's own program, bpf_loop(): 5.17",
    "tests/kern/test_ipv4.py::test_frame_in_several_buffers*": "XDP frames in several buffers: 5.18",
    "tests/bpf/test_program.py::test_prepared_frame_that_is_no_frame": "likewise",
    "tests/bpf/test_program.py::test_prepared_frame_from_an_interface": _NO_INGRESS,
    "tests/kern/test_questions.py::test_destination_rewritten*": _NO_INGRESS,
    "tests/verdicts/test_table.py::*nothing decides of what is forwarded and rewritten*": _NO_INGRESS,
}
_BEFORE_5_15 = {
    "tests/bpf/test_program.py::test_run_as_if_from_an_interface": "a context for XDP test runs: 5.15",
    "tests/bpf/test_program.py::test_run_with_a_context": "a context for XDP test runs: 5.15",
}
_BEFORE_6_2 = {
    "tests/kern/test_early.py::*": "early drop, bpf_cast_to_kern_ctx(): 6.2",
    "tests/kern/test_opinion.py::test_nothing_is_dropped_early": "early drop, bpf_cast_to_kern_ctx(): 6.2",
}
_BEFORE_6_4 = {"tests/bpf/test_map.py::test_memory_that_the_kernel_takes": "fdinfo has an estimate: 6.4"}
_NO_OBJECT = "the object is refused: pointer arguments of global functions, 5.12"
_OBJECT = {
    "tests/kernels/guest/*": _NO_OBJECT,
    "tests/verdicts/*": _NO_OBJECT,
    "tests/kern/*": _NO_OBJECT,
}

KERNELS = (
    Kernel("5.10", "bullseye", lacks={**_BEFORE_5_18, **_BEFORE_5_15, **_OBJECT}),
    Kernel("5.15", "jammy", "linux-image-virtual", lacks={**_BEFORE_5_18, **_BEFORE_6_2, **_BEFORE_6_4}),
    Kernel("6.1", "bookworm", lacks={**_BEFORE_6_2, **_BEFORE_6_4}),
    Kernel("6.12", "trixie"),
    Kernel("newest", "sid"),
)

# Traffic tests whose rules by iptables-legacy are of the same kinds as in the others: here they run by both variants.
_EITHER_VARIANT = (
    "that_somebody_keeps_in_conntrack",
    "is_tracked_as_before",
    "a_connection_of_before_stays",
    "connections_from_the_host",
)

SELECTION = (
    "tests/kernels/guest/on_virtio.py",
    "tests/kernels/guest/on_bond.py",
    "tests/kernels/guest/on_vlan.py",
    "tests/verdicts/test_table.py",
    "tests/kern",
    "tests/bpf",
    "--ignore=tests/bpf/test_documentation.py",  # needs clang
    "--ignore=tests/kern/test_documentation.py",
    "-k",
    f"not evaluator and not (legacy and ({' or '.join(_EITHER_VARIANT)}))",
)
"""What the guests run, as arguments of pytest."""
