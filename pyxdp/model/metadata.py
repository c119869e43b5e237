"""What every resource has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the user's files something was written.

    Attributes:
        file: path as given; ``-`` is standard input, empty is not from a file.
        line: from 1; 0 when unknown.
    """

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Name, labels and where the resource was written.

    Attributes:
        name: unique among resources of the kind (and namespace).
        namespace: empty for cluster-scoped kinds.
        labels: as written; nothing is added.
        annotations: as written.
        origin: not part of equality.
    """

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = field(default=Origin(), compare=False)
