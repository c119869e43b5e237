"""One kind as the server has it: listed, then watched, and listed anew when that is too old."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pyxdp.sources.kubernetes.api import ApiError
from pyxdp.sources.kubernetes.discovery import served_version
from pyxdp.sources.kubernetes.timing import Backoff, spread
from pyxdp.sources.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyxdp.sources.kubernetes.api import Api
    from pyxdp.sources.kubernetes.kinds import WatchedKind
    from pyxdp.sources.kubernetes.timing import Timing

#: A watch that ends sooner, and had nothing to say, counts as a failure.
_TOO_SHORT_S: Final = 1.0
_BAD_GATEWAY: Final = 502
#: What has nothing to do with the version that was asked for: no answer, too many requests, nobody there to answer.
_TRANSIENT: Final = (0, 429, 503)


class Standing(Enum):
    """How a kind is followed."""

    UNKNOWN = "nothing is known yet"
    ABSENT = "not served"
    FOLLOWED = "listed, and watched"
    DENIED = "not permitted"
    CUT_OFF = "no answer, or a wrong one"


class Reflection:
    """Follows one kind. What is known stays known whatever happens, until the server says otherwise.

    Args:
        kind: to follow.
        text_of: makes a text of an object and the apiVersion of its kind; ``None`` of what says nothing.
        timing: how long to wait for what.
        tell: called with texts that are new, changed or gone, and with none when only the standing is another.

    Attributes:
        version: apiVersion in which it is served; empty as long as that is not known.
        standing: how it is followed.
        listed: everything was there once.
        trouble: why it is not followed; empty when it is.
        known: text of each object by its origin.
    """

    def __init__(
        self,
        kind: WatchedKind,
        text_of: Callable[[Mapping[str, Any], str], str | None],
        timing: Timing,
        tell: Callable[[tuple[Text, ...]], None],
    ) -> None:
        self.kind = kind
        self.version = ""
        self.standing = Standing.UNKNOWN
        self.listed = False
        self.trouble = ""
        self.known: dict[str, str] = {}
        self._text_of = text_of
        self._timing = timing
        self._tell = tell
        self._resource_version = ""
        self._backoff = Backoff(timing)

    async def run(self, api: Api) -> None:
        """Follow the kind until cancelled; can be run again and then goes on from where it was."""
        while True:
            pause = await self._step(api)
            await asyncio.sleep(pause)

    def distrust(self) -> None:
        """List everything anew when it runs again."""
        self._resource_version = ""

    async def _step(self, api: Api) -> float:
        """Do what is next, and return how long to wait after it."""
        try:
            if not self.version:
                return await self._find(api)
            if not self._resource_version:
                return await self._list(api)
            return await self._watch(api)
        except ApiError as error:
            return self._take(error)

    async def _find(self, api: Api) -> float:
        found = await served_version(api, self.kind)
        if found:
            self.version = found
            return 0.0
        if self.known:
            # Whoever removes a CRD removes its objects first, and that is told. This is something else.
            raise ApiError(f"{self.kind.plural} are not served any more: what they said stays in force")
        self._stand(Standing.ABSENT)
        return spread(self._timing.relook)

    async def _list(self, api: Api) -> float:
        found: dict[str, str] = {}
        page: dict[str, str] = {}
        while True:
            answer = await api.get(self.kind.path(self.version), limit=str(self._timing.page), **page)
            with self._understanding():
                for written in answer["items"] or ():  # an answer without is no list, and not an empty one
                    found.update(self._read(written))
                metadata = answer["metadata"]
            if not metadata.get("continue"):
                break
            page = {"continue": metadata["continue"]}
        changed = [Text(origin, text) for origin, text in found.items() if self.known.get(origin) != text]
        gone = [Text(origin, None) for origin in self.known if origin not in found]
        self._resource_version = str(metadata.get("resourceVersion") or "")
        self.known = found
        self.listed = True
        self._stand(Standing.FOLLOWED, (*changed, *gone))
        return 0.0

    async def _watch(self, api: Api) -> float:
        seconds = self._timing.watch * 2 - spread(self._timing.watch)
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._resource_version,
            "timeoutSeconds": str(max(int(seconds), 1)),
        }
        silence = seconds + self._timing.answer
        begin = asyncio.get_running_loop().time()
        began = False
        try:
            async with api.lines(self.kind.path(self.version), silence=silence, **parameters) as chunks:
                began = True
                self._stand(Standing.FOLLOWED)
                async for lines in chunks:
                    self._hear(lines)
                    self._backoff.reset()
        except ApiError as error:
            # A stream that broke off is asked for again at once; whether there is trouble, the answer to that tells.
            if error.status or not began:
                raise
        if asyncio.get_running_loop().time() - begin < _TOO_SHORT_S:
            return self._backoff.pause()
        return 0.0

    def _hear(self, lines: Sequence[bytes]) -> None:
        changed: dict[str, str | None] = {}
        try:
            for line in lines:
                if line.strip():
                    changed.update(self._event(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ApiError(
                f"{self.kind.plural}: the server sent an event that can not be read: {error!r}", 1
            ) from error
        finally:
            texts = tuple(Text(origin, text) for origin, text in changed.items() if self.known.get(origin) != text)
            for text in texts:
                if text.content is None:
                    del self.known[text.origin]
                else:
                    self.known[text.origin] = text.content
            if texts:
                self._tell(texts)

    def _event(self, event: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
        what, written = event["type"], event["object"]
        if what == "ERROR":
            raise ApiError(str(written.get("message")), int(written.get("code") or _BAD_GATEWAY))
        if what in ("ADDED", "MODIFIED"):
            read = dict(self._read(written))
            if not read:
                yield self._origin(written), None
            yield from read.items()
        elif what == "DELETED":
            yield self._origin(written), None
        self._resource_version = str(written["metadata"]["resourceVersion"])

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """Take objects that are not as Kubernetes documents them for a failure of the server."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ApiError(
                f"{self.kind.plural}: the server sent what can not be read: {error!r}", _BAD_GATEWAY
            ) from error

    def _read(self, written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        text = self._text_of(written, self.version)
        if text is not None:
            yield self._origin(written), text

    def _origin(self, written: Mapping[str, Any]) -> str:
        metadata = written["metadata"]
        namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
        return f"{self.kind.prefix(self.version)}{namespace}{metadata['name']}"

    def _take(self, error: ApiError) -> float:
        """Note what went wrong, and return how long to wait."""
        verb, title = (
            "watch" if self._resource_version else "list",
            self.kind.title(self.version or self.kind.versions[0]),
        )
        if error.expired:
            self._resource_version = ""
        elif error.not_found:  # where it is served has to be found again
            self.version = self._resource_version = ""
        elif error.denied:
            self._stand(Standing.DENIED, trouble=f"may not {verb} {title}: {error}")
        else:
            self._stand(Standing.CUT_OFF, trouble=str(error))
            if error.status not in _TRANSIENT:  # to ask for the same once more may bring the same once more, forever
                self._resource_version = ""
        return self._backoff.pause(min(error.retry_after, self._timing.most))

    def _stand(self, standing: Standing, texts: tuple[Text, ...] = (), trouble: str = "") -> None:
        if texts or (standing, trouble) != (self.standing, self.trouble):
            self.standing, self.trouble = standing, trouble
            self._tell(texts)
