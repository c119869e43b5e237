"""What the sources want and can not be had: which objects stay as they are, and why.

A policy may be right by itself and still be refused: a rule that no version can enforce, more than fits, a change that
would cut what must live. Where the error names objects, only those stay as they are in force. Where it does not,
everything that has changed stays. What changes later is then tried with these and, if that is refused as well, without
them, so that one bad change does not keep all others out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.agent.difference import by_key, changed_keys, same_rules, with_objects_of
from pyxdp.errors import CapacityError, UnsupportedPolicyError, WouldCutError
from pyxdp.sources import StoredProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyxdp.errors import PyxdpError
    from pyxdp.manifest import Key
    from pyxdp.model import Resource, Resources

#: Errors that say something about the policy, and not about the machine.
REFUSED: Final = (UnsupportedPolicyError, CapacityError, WouldCutError)

_SETS: Final = frozenset({"GlobalNetworkSet", "NetworkSet"})


@dataclass(frozen=True, slots=True)
class _Refused:
    """A version of an object that was refused; ``None``: that there should be none. What it would cut may end."""

    version: Resource | None
    reason: str
    named: bool
    stands_in: bool
    may_pass: bool


class Refusals:
    """Remembers which versions of which objects were refused."""

    def __init__(self) -> None:
        self._refused: dict[Key, _Refused] = {}
        self._taken_back: Resources | None = None

    @property
    def problems(self) -> tuple[StoredProblem, ...]:
        """What is not as the sources want it, and why."""
        return tuple(
            StoredProblem(str(key), it.version.metadata.origin.file if it.version else "", it.reason, it.stands_in)
            for key, it in sorted(self._refused.items())
        )

    @property
    def held(self) -> frozenset[Key]:
        """The objects that stay as they are in force."""
        return frozenset(self._refused)

    @property
    def may_pass(self) -> bool:
        """Whether something was refused for what it would have cut, which does not last."""
        return any(it.may_pass for it in self._refused.values())

    def enforce(self, wanted: Resources, in_force: Resources, attempt: Callable[[Resources], None]) -> bool:
        """Enforce as much as can be had of what is wanted.

        Args:
            wanted: by the sources.
            in_force: what stays if nothing of it can be had.
            attempt: enforces something as a whole, or raises one of :data:`REFUSED`; what it raises else is raised.

        Returns:
            Whether an attempt has succeeded; otherwise what was in force still is.
        """
        self._forget_others(wanted)
        earlier = frozenset(key for key, it in self._refused.items() if not it.named)
        refused: PyxdpError
        try:
            self._without_named(wanted, in_force, attempt, frozenset())
        except REFUSED as error:
            refused = error
        else:
            return True
        if earlier:
            try:
                self._without_named(wanted, in_force, attempt, earlier)
            except REFUSED as error:
                refused = error
            else:
                return True
        self._note(refused, changed_keys(in_force, wanted) - self._named(), wanted, in_force, named=False)
        return False

    def refuse(self, error: PyxdpError, wanted: Resources, in_force: Resources) -> None:
        """Note that what was in force a while was taken back: it is not tried again until other rules are wanted.

        Who enters or leaves a network set meanwhile is no reason to lock somebody out once more.
        """
        self._taken_back = wanted
        rules = (key for key in changed_keys(in_force, wanted) if key.kind not in _SETS)
        self._note(error, rules, wanted, in_force, named=True)

    def _without_named(
        self, wanted: Resources, in_force: Resources, attempt: Callable[[Resources], None], but: frozenset[Key]
    ) -> None:
        """Try everything but what is known to be refused by name, and some other objects."""
        while True:
            held = self._named() | but
            candidate = with_objects_of(wanted, in_force, held) if held else wanted
            try:
                attempt(candidate)
            except UnsupportedPolicyError as error:
                named = _named_by(error, changed_keys(in_force, candidate))
                if not named:
                    raise
                self._note(error, named, wanted, in_force, named=True)
            else:
                self._refused = {key: it for key, it in self._refused.items() if key in held}
                return

    def _named(self) -> frozenset[Key]:
        return frozenset(key for key, it in self._refused.items() if it.named)

    def _note(
        self, error: PyxdpError, keys: Iterable[Key], wanted: Resources, in_force: Resources, *, named: bool
    ) -> None:
        there, before = by_key(wanted), by_key(in_force)
        for key in keys:
            self._refused[key] = _Refused(
                there.get(key), str(error), named, stands_in=key in before, may_pass=isinstance(error, WouldCutError)
            )

    def _forget_others(self, wanted: Resources) -> None:
        """Forget versions that nobody wants any more."""
        if self._taken_back is not None and not same_rules(wanted, self._taken_back):
            self._taken_back, self._refused = None, {}
        there = by_key(wanted)
        self._refused = {key: it for key, it in self._refused.items() if there.get(key) == it.version}


def _named_by(error: UnsupportedPolicyError, among: frozenset[Key]) -> frozenset[Key]:
    names = {name for name, _ in error.policies}
    return frozenset(key for key in among if f"{key.kind}/{key.name}" in names)
