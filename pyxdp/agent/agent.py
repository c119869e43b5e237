"""The loop: what happens goes in, enforcement comes out."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from pyxdp import netlink
from pyxdp.agent.difference import same_rules
from pyxdp.agent.enforcement import Enforcement
from pyxdp.agent.inbox import Event, Inbox
from pyxdp.agent.keeping import Keeping
from pyxdp.agent.notify import Notifier
from pyxdp.agent.record import Record
from pyxdp.agent.refusals import Refusals
from pyxdp.agent.settings import AgentSettings
from pyxdp.errors import ConfirmationError, PyxdpError
from pyxdp.model import Resources
from pyxdp.sources import Delivery, Store, texts_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyxdp.agent.view import AgentView
    from pyxdp.dataplane import Dataplane
    from pyxdp.manifest import Key
    from pyxdp.sources import Source, StoredProblem, Text

_LOG: Final = logging.getLogger("pyxdp.agent")
_TAKEN_BACK: Final = "was not confirmed in time, and taken back"


class Agent:
    """Keeps the policy of some sources in force in one network namespace.

    :meth:`run` is for one thread, which stays in the namespace that it is in. When it ends, in whatever way, policy
    stays in force.
    """

    def __init__(  # noqa: PLR0913 - settings, each by its name
        self,
        sources: Sequence[Source],
        *,
        dataplane: Dataplane,
        node: str,
        settings: AgentSettings | None = None,
        on_view: Callable[[AgentView], None] = lambda _: None,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """Do nothing yet.

        Args:
            sources: where policy comes from; each with a name of its own.
            dataplane: where it goes to.
            node: as ``spec.node`` of its host endpoints has it.
            settings: how it works.
            on_view: called with every new view, by the thread of :meth:`run`. Must not block.
            on_turn: called whenever the loop turns, at least each ``drift_every`` seconds.
        """
        self._sources = sources
        self._dataplane = dataplane
        self._settings = settings or AgentSettings()
        self._on_view, self._on_turn = on_view, on_turn
        self._inbox = Inbox(self._settings.quiet, self._settings.patience)
        self._notifier = Notifier()
        self._store = Store()
        self._record = Record.of(node, sources)
        self._refusals = Refusals()
        self._keeping = Keeping(self._settings, node, dataplane)
        self._enforcement = Enforcement(self._settings, node, dataplane, self._keeping)
        self._places: dict[Key, Text] = {}
        self._places_before: dict[Key, Text] = {}
        self._wish = Resources()
        self._drifted: set[str] = set()
        self._told: frozenset[StoredProblem] = frozenset()
        self._retry_after, self._retry_at = 0.0, float("inf")
        self._look_at = 0.0
        self._reconsider_at = 0.0
        self._broken: BaseException | None = None

    def stop(self) -> None:
        """Let :meth:`run` return; for any thread, and for signal handlers."""
        self._inbox.put(Event.STOP)

    def break_off(self, error: BaseException) -> None:
        """Let :meth:`run` raise an error; for any thread that works for the agent, and can not go on.

        Without it the agent would seem to be well, and no longer follow what that thread was there for.
        """
        self._broken = error
        self._inbox.put(Event.STOP)

    def reload(self) -> None:
        """Read back everything that the kernel holds, and make it right; for any thread, and for signal handlers."""
        self._inbox.put(Event.DISTRUST)

    def run(self) -> None:
        """Work until :meth:`stop` is called.

        Raises:
            OperatorError: the interfaces can not be watched.
            BaseException: what :meth:`break_off` was called with.
        """
        with ExitStack() as stack:
            stack.callback(self._enforcement.close)
            self._remember()
            watcher = netlink.Watcher(lambda: self._inbox.put(Event.INTERFACES))
            watcher.start()
            stack.callback(watcher.stop)
            for source in self._sources:
                source.start(self._inbox.put)
                stack.callback(source.stop)
            self._look_at = time.monotonic() + self._settings.drift_every
            self._tell()
            while self._turn():
                pass
            if self._broken:
                raise self._broken
            self._notifier.stopping()
            _LOG.info("ends; policy stays in force")

    def _remember(self) -> None:
        """Begin with what was in force last, until the sources have said everything."""
        self._keeping.take_back_overdue()
        snapshot = self._keeping.restore()
        if snapshot is not None:
            if self._keeping.trouble:  # it may not be in force
                self._retry_at = time.monotonic()
            self._store = Store.of(snapshot.texts)
            self._enforcement.in_force = self._store.resources()
            self._places = self._store.places()
            self._record.restored = True
            _LOG.info("begins with the last policy", extra={"fields": {"objects": len(self._places)}})
        taken_back = self._keeping.taken_back
        if taken_back is not None:
            if self._enforcement.in_force is None:  # it went back to nothing
                self._enforcement.in_force = Resources()
            self._refusals.refuse(ConfirmationError(_TAKEN_BACK), taken_back, self._enforcement.in_force)

    def _turn(self) -> bool:
        """Wait for something to happen, and do what it asks for; ``False`` when that is to end."""
        burst = self._inbox.take(self._pause())
        self._on_turn()
        self._notifier.alive()
        if any(it is Event.STOP for it, _ in burst):
            return False
        now = time.monotonic()
        if any(it is Event.DISTRUST for it, _ in burst):
            self._notifier.reloading()
            self._enforcement.distrust()
        if any(it is Event.INTERFACES for it, _ in burst):
            self._enforcement.compare_interfaces()
        deliveries = [it for it, _ in burst if isinstance(it, Delivery)]
        changed = self._take(deliveries)
        since = min([now, *(at for _, at in burst), *(it.since for it in deliveries if it.since)])
        acts = self._knows_what and (changed or self._enforcement.stale) and (bool(burst) or now >= self._retry_at)
        if acts:
            self._enforce(since)
        looks = now >= self._look_at and not self._enforcement.stale
        if looks:
            self._look()
        self._rest()
        if burst or acts or looks:
            if self._record.all_heard:
                self._notifier.ready()
            self._tell()
        return True

    def _pause(self) -> float:
        now = time.monotonic()
        wait = self._settings.drift_every
        if not self._enforcement.stale:
            wait = min(wait, self._look_at - now, self._keeping.due - now)
        wait = min(wait, self._retry_at - now)
        if self._notifier.watchdog:
            wait = min(wait, self._notifier.watchdog / 2)
        return max(0.0, wait)

    @property
    def _knows_what(self) -> bool:
        return self._record.all_synced or self._enforcement.in_force is not None

    @property
    def _wanted(self) -> Resources:
        """By the sources; until they have said everything, what there was."""
        in_force = self._enforcement.in_force
        return self._store.resources() if self._record.all_synced or in_force is None else in_force

    def _take(self, deliveries: Sequence[Delivery]) -> bool:
        """Take what sources say; tell whether something else is wanted now."""
        synced = self._record.all_synced
        changed = False
        for delivery in deliveries:
            state = self._record.sources[delivery.source]
            if (delivery.connected, delivery.trouble) != (state.connected, state.trouble):
                level = logging.WARNING if delivery.trouble else logging.INFO
                said = delivery.trouble or "connected"
                _LOG.log(level, "source: %s", said, extra={"fields": {"source": delivery.source}})
            state.note(delivery)
            changed |= self._store.put(delivery)
        if self._record.all_synced and not synced:
            self._store.forget_unmentioned()
            return True
        return changed

    def _enforce(self, since: float) -> None:
        """Enforce what is wanted, as far as it can be had. What is being taken back is not made again meanwhile."""
        if self._enforcement.unconfirmed is None:
            self._enforce_wanted(since)
            return
        try:
            with self._keeping.undisturbed():
                self._hear_of_confirmation()
                self._enforce_wanted(since)
        except PyxdpError as error:
            self._enforcement.stale = True
            self._fail(error)

    def _enforce_wanted(self, since: float) -> None:
        enforcement, record = self._enforcement, self._record
        done: list[str] = []

        def attempt(resources: Resources) -> None:
            done.append(enforcement.put(resources, self._texts))

        before, undecided = enforcement.in_force, enforcement.unconfirmed
        self._wish = self._wanted
        self._reconsider_at = time.monotonic() + self._settings.reconsider_every
        try:
            had = self._refusals.enforce(self._wish, before or Resources(), attempt)
            if not had and before is not None:
                attempt(before)  # interfaces may be others, all the same
        except PyxdpError as error:
            self._fail(error)
            return
        self._retry_after, self._retry_at = 0.0, float("inf")
        record.failure = ""
        record.enforcing = record.all_synced and enforcement.in_force is not None
        record.generation = enforcement.generation
        record.generic = tuple(
            f"{it.interface}: XDP {it.mode}: {it.reason}" for it in enforcement.attachments if it.mode == "generic"
        )
        kind = done[-1] if done else "nothing"
        if self._drifted:
            kind = "repair"
            record.repairs.update(self._drifted)
            self._drifted = set()
        if undecided is None:
            self._places_before = self._places
        now = enforcement.in_force
        rules = before is None or now is None or not same_rules(before, now)
        self._note_done(kind, time.monotonic() - since, rules=rules)

    def _note_done(self, kind: str, seconds: float, *, rules: bool) -> None:
        if self._record.all_synced:
            self._places = self._places_of_wanted()
        if kind == "nothing":
            self._record.applies[kind] += 1
            return
        self._record.note_change(kind, seconds)
        self._keeping.note(self._texts, self._enforcement.generation, soon=rules)
        fields = {"kind": kind, "generation": self._enforcement.generation, "seconds": round(seconds, 4)}
        _LOG.info("enforced", extra={"fields": fields})
        if rules:
            self._see()

    def _texts(self) -> tuple[Text, ...]:
        """Return the texts of what is wanted, as far as it can be had."""
        if not self._record.all_synced:
            return texts_at(self._places)
        return texts_at(self._places_of_wanted()) if self._refusals.held else self._store.texts()

    def _places_of_wanted(self) -> dict[Key, Text]:
        places = self._store.places()
        for key in self._refusals.held:
            places.pop(key, None)
            if key in self._places:
                places[key] = self._places[key]
        return places

    def _fail(self, error: PyxdpError) -> None:
        """Note that what is wanted could not be enforced, and when to try again."""
        record, settings = self._record, self._settings
        record.failures[type(error).__name__] += 1
        record.failure, record.enforcing = f"can not be enforced: {error}", False
        self._retry_after = min(settings.retry_most, max(settings.retry_first, 2 * self._retry_after))
        self._retry_at = time.monotonic() + self._retry_after
        fields = {"error": type(error).__name__, "hint": error.hint, "retry_after": self._retry_after}
        _LOG.error("can not be enforced: %s", error, extra={"fields": fields})

    def _look(self) -> None:
        """Look for what others have changed, and repair it."""
        self._look_at = time.monotonic() + self._settings.drift_every
        enforcement, since = self._enforcement, time.monotonic()
        try:
            self._keeping.take_back_overdue()
            self._hear_of_confirmation()
            found = enforcement.look()
            if found and not self._is_undecided():
                self._drifted |= {it.value for it in found}
                _LOG.warning("changed by others", extra={"fields": {"what": sorted(self._drifted)}})
                enforcement.distrust()
                self._enforce(since)
            elif self._refusals.may_pass and since >= self._reconsider_at:
                self._enforce(since)
        except PyxdpError as error:
            enforcement.distrust()
            self._fail(error)
        self._see()

    def _see(self) -> None:
        """Note what the dataplane is now, for others to read."""
        try:
            self._record.status, self._record.status_ns = self._dataplane.status(drift=False), time.time_ns()
        except PyxdpError as error:
            _LOG.debug("the next look will tell: %s", error)

    def _is_undecided(self) -> bool:
        """Whether somebody else makes a change that waits to be confirmed, or ours is just being taken back."""
        own = self._enforcement.unconfirmed
        return self._keeping.pending and (own is None or self._dataplane.digest() != own.digest)

    def _hear_of_confirmation(self) -> None:
        """Find out whether a change that waited to be confirmed was, or went back because it was not."""
        change = self._enforcement.unconfirmed
        if change is None or self._keeping.pending:
            return
        self._enforcement.unconfirmed = None
        if self._keeping.confirmed_digest != change.digest:
            self._refusals.refuse(ConfirmationError(_TAKEN_BACK), self._wish, change.before)
            self._enforcement.in_force, self._places = change.before, self._places_before
            self._keeping.forget()
            # By whomever, and whatever was done since: what was before is to be in force now.
            self._enforcement.distrust()
            self._retry_at = time.monotonic()

    def _rest(self) -> None:
        """Keep what is in force, on disk and in mind."""
        if not self._enforcement.stale and self._enforcement.unconfirmed is None:
            self._keeping.write()
        try:
            self._enforcement.settle()
        except PyxdpError as error:
            _LOG.debug("the next look will tell: %s", error)
        self._record.notes = (f"snapshot: {self._keeping.trouble}",) if self._keeping.trouble else ()

    def _tell(self) -> None:
        """Publish the view."""
        view = self._record.view(self._store, self._refusals.problems)
        problems = frozenset(view.problems)
        for problem in sorted(problems - self._told):
            fields = {"object": problem.key, "origin": problem.origin, "last good in force": problem.stands_in}
            _LOG.warning("wrong: %s", problem.message, extra={"fields": fields})
        for problem in sorted(self._told - problems):
            _LOG.info("no longer wrong", extra={"fields": {"object": problem.key, "origin": problem.origin}})
        self._told = problems
        self._notifier.status(_summary(view))
        self._on_view(view)
        for source in self._sources:
            source.report(view)


def _summary(view: AgentView) -> str:
    state = "enforcing" if view.enforcing else "not enforcing what the sources say"
    parts = [f"{state}, generation {view.generation}"]
    if view.problems:
        parts.append(f"{len(view.problems)} wrong")
    return "; ".join([*parts, *view.degraded])
