"""The last good version of everything that the sources say.

What is wrong never opens a hole, and nothing that stands disappears by mistake:

* an object that is wrong keeps its last good version, and so does everything in a text that is broken as a whole, can
  not be read, or has become empty without having been removed;
* as long as something in a text is wrong that has no last good version, objects that are missing from the text stay: it
  may be one of them under another name;
* an object that is missing from a text that is right is gone, and so are those of a text that is gone.

Of an object that several texts have, the one counts that had it first, for as long as it has it.

Objects that are equal to what they were before are the same Python objects, by which resolver and compiler remember
what they did. So the line that such an object was read from may no longer be where it is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from pyxdp.manifest import Key, read_each
from pyxdp.manifest.kinds import KINDS
from pyxdp.model import Resources
from pyxdp.sources.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyxdp.errors import Problem
    from pyxdp.manifest import Reading
    from pyxdp.model import Resource
    from pyxdp.sources.text import Delivery

_EMPTY: Final = "is empty: what it held stays in force; to end that, remove it"


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


@dataclass(frozen=True, slots=True)
class _Good:
    """An object as it was last right, and the text that it was in."""

    resource: Resource
    content: str


@dataclass(slots=True)
class _Origin:
    """A text.

    Attributes:
        source: that it is of; empty for one that is remembered, until its source mentions it.
        content: as read last; ``None`` when it was never, or can not be told to be the same.
        fault: why it could not be read last.
        good: its objects.
        held: how many objects ``content`` has.
        problems: what is wrong with it.
    """

    source: str = ""
    content: str | None = None
    fault: str = ""
    good: dict[Key, _Good] = field(default_factory=dict)
    held: int = 0
    problems: tuple[StoredProblem, ...] = ()


class Store:
    """What the sources say, and what of it is good. Pure: does nothing but read texts that it is given."""

    def __init__(self) -> None:
        self._origins: dict[str, _Origin] = {}
        self._holders: defaultdict[Key, dict[str, None]] = defaultdict(dict)  # the first of them counts
        self._resources = Resources()
        self._changed = False

    @classmethod
    def of(cls, texts: Iterable[Text]) -> Store:
        """Return a store with what :meth:`texts` of another one returned.

        These texts stay until a source mentions them, or :meth:`forget_unmentioned`.
        """
        store = cls()
        for text in texts:
            store._remember(text)
        return store

    def put(self, delivery: Delivery) -> bool:
        """Take what a source says.

        Returns:
            Whether :meth:`resources` are others now.
        """
        before = self.resources()
        for text in delivery.texts:
            if text.gone:
                self._remove(text.origin)
            else:
                self._take(delivery.source, text)
        if delivery.complete:
            named = {text.origin for text in delivery.texts}
            for name, origin in [*self._origins.items()]:
                if name.startswith(delivery.silent):
                    origin.source = origin.source or delivery.source
                elif origin.source == delivery.source and name not in named:
                    self._remove(name)
        return self.resources() is not before

    def forget_unmentioned(self) -> bool:
        """Let go of what was remembered and no source has mentioned; for when all have said everything.

        Returns:
            Whether :meth:`resources` are others now.
        """
        before = self.resources()
        for name in [name for name, origin in self._origins.items() if not origin.source]:
            self._remove(name)
        return self.resources() is not before

    def resources(self) -> Resources:
        """Return the last good version of everything; the very same as long as nothing changes."""
        if self._changed:
            found: dict[str, list[Resource]] = defaultdict(list)
            for key, holders in self._holders.items():
                found[KINDS[key.kind].collection].append(self._origins[next(iter(holders))].good[key].resource)
            ordered: dict[str, Any] = {
                collection: tuple(sorted(there, key=attrgetter("metadata.namespace", "metadata.name")))
                for collection, there in found.items()
            }
            resources = Resources(**ordered)
            self._changed = False
            if resources != self._resources:
                self._resources = resources
        return self._resources

    @property
    def problems(self) -> tuple[StoredProblem, ...]:
        """What is wrong, in order."""
        own = [problem for origin in self._origins.values() for problem in origin.problems]
        return tuple(sorted([*own, *self._duplicates()]))

    def texts(self) -> tuple[Text, ...]:
        """Return texts with the last good version of each object, for :meth:`of`."""
        found = []
        for name, origin in self._origins.items():
            kept: defaultdict[str, list[Key]] = defaultdict(list)
            for key, good in origin.good.items():
                if next(iter(self._holders[key])) == name:
                    kept[good.content].append(key)
            for content, keys in kept.items():
                whole = content == origin.content and len(keys) == origin.held
                found.append(Text(name, content, keys=() if whole else tuple(keys)))
        return tuple(found)

    def places(self) -> dict[Key, Text]:
        """Return for each object the text in which it was last right."""
        found = {}
        for key, holders in self._holders.items():
            name = next(iter(holders))
            found[key] = Text(name, self._origins[name].good[key].content)
        return found

    def count(self, source: str) -> int:
        """Return how many texts of a source there are."""
        return sum(origin.source == source for origin in self._origins.values())

    def _remember(self, text: Text) -> None:
        if text.content is None:
            return
        origin = self._origins.setdefault(text.origin, _Origin())
        reading = read_each(text.origin, text.content)
        for read in reading.objects:
            if read.resource is not None and (not text.keys or read.key in text.keys):
                self._hold(text.origin, read.key, _Good(read.resource, text.content))
        origin.held = len(origin.good)
        origin.problems += tuple(_problems(text.origin, reading, origin.good, text.keys))

    def _take(self, source: str, text: Text) -> None:
        origin = self._origins.setdefault(text.origin, _Origin())
        origin.source = source
        if text.content is None:
            origin.fault = text.fault
            origin.problems = (StoredProblem("", text.origin, f"{text.origin}: {text.fault}", bool(origin.good)),)
        elif text.content != origin.content or origin.fault:
            origin.content, origin.fault = text.content, ""
            self._read(text.origin, text.content, origin)

    def _read(self, name: str, content: str, origin: _Origin) -> None:
        if origin.good and not content.strip("\ufeff \t\r\n"):
            origin.problems = (StoredProblem("", name, f"{name}: {_EMPTY}", stands_in=True),)
            return
        reading = read_each(name, content)
        if not reading.fault:
            origin.held = len(reading.objects)
            for key in _missing(reading, origin.good):
                self._let_go(name, key)
        for read in reading.objects:
            if read.resource is not None:
                self._hold(name, read.key, _Good(read.resource, content))
        origin.problems = tuple(_problems(name, reading, origin.good))

    def _hold(self, name: str, key: Key, good: _Good) -> None:
        holders = self._holders[key]
        for known in (name, *holders):  # an object that moves to another text stays the same object, too
            there = self._origins[known].good.get(key)
            if there and there.resource == good.resource:
                good = _Good(there.resource, good.content)
                break
        holders[name] = None
        self._origins[name].good[key] = good
        self._changed = True

    def _let_go(self, name: str, key: Key) -> None:
        holders = self._holders[key]
        if next(iter(holders)) == name:
            self._changed = True
        del holders[name], self._origins[name].good[key]
        if not holders:
            del self._holders[key]

    def _remove(self, name: str) -> None:
        origin = self._origins.get(name)
        if origin is not None:
            for key in list(origin.good):
                self._let_go(name, key)
            del self._origins[name]

    def _duplicates(self) -> Iterator[StoredProblem]:
        for key, (first, *others) in self._holders.items():
            for name in others:
                where = self._origins[first].good[key].resource.metadata.origin
                message = f"{name}: {key} is already defined at {where}: keep one of the two"
                yield StoredProblem(str(key), name, message, stands_in=True)


def texts_at(places: Mapping[Key, Text]) -> tuple[Text, ...]:
    """Return texts for :meth:`Store.of` in which objects are as in these places, as :meth:`Store.places` has them."""
    kept: defaultdict[Text, list[Key]] = defaultdict(list)
    for key, text in places.items():
        kept[text].append(key)
    return tuple(Text(text.origin, text.content, keys=tuple(keys)) for text, keys in kept.items())


def _missing(reading: Reading, good: Mapping[Key, _Good]) -> list[Key]:
    """Return what a text no longer has; nothing while something is wrong that it may have become."""
    unknown = any(read.resource is None and read.key not in good for read in reading.objects)
    there = {read.key for read in reading.objects}
    return [] if unknown or reading.strays else [key for key in good if key not in there]


def _problems(
    name: str, reading: Reading, good: Mapping[Key, _Good], only: tuple[Key, ...] = ()
) -> Iterator[StoredProblem]:
    def told(key: str, problems: Iterable[Problem], *, stands_in: bool) -> Iterator[StoredProblem]:
        return (StoredProblem(key, name, str(problem), stands_in) for problem in problems)

    yield from told("", [reading.fault] if reading.fault else [], stands_in=bool(good))
    yield from told("", () if only else reading.strays, stands_in=False)
    for read in reading.objects:
        if not only or read.key in only:
            yield from told(str(read.key), read.problems, stands_in=read.key in good)
