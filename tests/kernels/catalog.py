"""The kernels that the object of the wheel must run on, or about which the tests say what works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """A kernel of a distribution.

    Attributes:
        name: in reports.
        suite: Debian's or Ubuntu's name of the release.
        package: metapackage that depends on the newest build.
        required: everything must work there. For the others, ``EXPECTED_FAILURES`` says what does not.
    """

    name: str
    suite: str
    package: str
    required: bool


KERNELS = (
    Kernel("5.10", "bullseye", "linux-image-cloud-amd64", required=False),
    Kernel("5.15", "jammy", "linux-image-virtual", required=False),
    Kernel("6.1", "bookworm", "linux-image-cloud-amd64", required=True),
    Kernel("6.12", "trixie", "linux-image-cloud-amd64", required=True),
    Kernel("newest", "sid", "linux-image-cloud-amd64", required=True),
)

SELECTION = ("tests/kernels/guest/on_virtio.py", "tests/verdicts/test_table.py", "tests/kern", "tests/bpf")
"""What the guests run, as arguments of pytest."""
