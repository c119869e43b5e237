"""The last good version of everything that the sources say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class StoredProblem:
    """Something that is wrong with what a source says.

    Attributes:
        key: ``Kind/name`` or ``Kind/namespace/name``; empty when the text does not say.
        origin: of the text.
        message: what is wrong, as ``file:line:column: ...``.
        stands_in: an older version of it, that was right, is in force instead.
    """

    key: str
    origin: str
    message: str
    stands_in: bool = False
