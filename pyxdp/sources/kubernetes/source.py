"""The API server as a source: a thread with an event loop that follows all kinds and writes the status back."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pyxdp.sources.kubernetes.api import Api, ApiError
from pyxdp.sources.kubernetes.kinds import HOST_ENDPOINTS, KINDS, NODES
from pyxdp.sources.kubernetes.reduction import host_endpoint_of_node, text_of
from pyxdp.sources.kubernetes.reflection import Reflection, Standing
from pyxdp.sources.kubernetes.timing import Backoff, Timing, spread
from pyxdp.sources.kubernetes.writing import StatusWriter
from pyxdp.sources.text import Delivery, Text

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping

    from pyxdp.agent.view import AgentView
    from pyxdp.sources.kubernetes.access import Access
    from pyxdp.sources.kubernetes.kinds import WatchedKind
    from pyxdp.sources.text import Deliver

_NAME: Final = "kubernetes"
_LOG: Final = logging.getLogger(__name__)
_NO_ENDPOINTS: Final = (
    "the API serves no host endpoints (are the CRDs installed?): what was known of them stays in force"
)
_SETTLED: Final = (Standing.FOLLOWED, Standing.ABSENT)


class KubernetesSource:
    """Policy from the Kubernetes API. Implements :class:`pyxdp.sources.Source`.

    The first delivery with texts is complete: it waits until every kind was listed that verdicts depend on, so that
    no host endpoint ever comes without the policies that it has in the cluster. From then on each kind goes its own
    way, and what the server can not be asked about stays what it was.

    Args:
        access: where the server is.
        node: whose status is written; its host endpoints' too.
        auto_host_endpoints: make a host endpoint of every Node, as Calico's controllers do on demand.
        write_status: whether the status is written back.
        timing: how long to wait for what.
    """

    def __init__(
        self,
        access: Access,
        *,
        node: str,
        auto_host_endpoints: bool = False,
        write_status: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self._access = access
        self._timing = timing or Timing()
        self._auto_host_endpoints = auto_host_endpoints
        self._reflections = tuple(self._reflection(kind) for kind in KINDS)
        (endpoints,) = (it for it in self._reflections if it.kind is HOST_ENDPOINTS)
        self._writer = StatusWriter(node, endpoints, self._timing) if write_status else None
        self._deliver: Deliver = lambda _: None
        self._said = Delivery(source=_NAME, connected=False)
        self._complete = False
        self._silent: frozenset[str] = frozenset()
        self._silence = self._defect = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """As in each delivery."""
        return _NAME

    def start(self, deliver: Deliver) -> None:
        """Begin to follow the API server, and return at once."""
        self._deliver = deliver
        self._loop = asyncio.new_event_loop()
        self._stopping, self._renewal = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name=_NAME, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        thread, self._thread = self._thread, None
        if thread and self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()
            self._loop.close()
            self._loop = None

    def report(self, view: AgentView) -> None:
        """Have the status of the node and its host endpoints written, soon, if it has changed."""
        if self._writer and self._thread and self._loop:
            self._loop.call_soon_threadsafe(self._writer.take, view)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._follow_until_stopped())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())

    async def _follow_until_stopped(self) -> None:
        backoff = Backoff(self._timing)
        while not self._stopping.is_set():
            await self._follow_until_defective()
            if not self._defect:
                backoff.reset()
            await _until_one_ends(asyncio.sleep(backoff.pause()), self._stopping.wait())

    async def _follow_until_defective(self) -> None:
        """Follow until stopped or to be begun anew; or until a defect, after which nobody would hear of what comes."""
        try:
            async with Api(self._access, answer=self._timing.answer) as api:
                endless = [self._follow(api), self._listen(api)]
                if self._writer:
                    endless.append(self._writer.run(api))
                await _until_one_ends(*endless, self._stopping.wait())
        except Exception as error:  # noqa: BLE001 - a defect: it is told, and what follows has to go on
            _LOG.exception("a defect of pyxdp")
            self._defect = f"a defect of pyxdp: {error!r}"
            for it in self._reflections:  # what they hear next may be the very same
                it.distrust()
            self._say(())

    async def _follow(self, api: Api) -> None:
        """Run all reflections; anew whenever that is asked for."""
        while True:
            await _until_one_ends(*(it.run(api) for it in self._reflections), self._renewal.wait())
            self._renewal.clear()

    async def _listen(self, api: Api) -> None:
        """Ask again and again whether the server answers. When it does again, no old connection can be relied on.

        Ends when there is another way to reach it.
        """
        while True:
            await asyncio.sleep(spread(self._timing.heartbeat))
            try:
                await api.get("/version")
            except ApiError as error:
                silence = "" if error.status else str(error)
            else:
                silence = ""
            if self._silence and not silence:
                self._renewal.set()
            self._silence, self._defect = silence, ""
            self._say(())
            access = self._access.renewed()
            if access is not self._access:
                self._access = access
                return

    def _reflection(self, kind: WatchedKind) -> Reflection:
        make = partial(text_of, kind.kind)
        text = lambda written, version: make(version, written)  # noqa: E731
        if kind is NODES:
            kind = replace(kind, essential=self._auto_host_endpoints)
            text = self._text_of_node
        return Reflection(kind, text, self._timing, self._say)

    def _text_of_node(self, node: Mapping[str, Any], version: str) -> str | None:
        text = text_of(NODES.kind, version, node)
        if text and self._auto_host_endpoints:
            text += "\n---\n" + host_endpoint_of_node(node, HOST_ENDPOINTS.versions[0])
        return text

    def _say(self, texts: Iterable[Text]) -> None:
        """Deliver what has changed, if anything has: texts, or how the source stands."""
        silent = frozenset(_silent(self._reflections))
        # A kind of which nothing was known is listed for the first time: what else was remembered of it is gone.
        whole = not self._silent <= silent if self._complete else all(map(_is_settled, self._reflections))
        if whole:
            self._complete, self._silent = True, silent
            texts = (Text(origin, text) for it in self._reflections for origin, text in it.known.items())
        hears = self._complete and not self._silence and not self._defect
        delivery = Delivery(
            source=_NAME,
            texts=tuple(texts) if self._complete else (),
            complete=whole,
            silent=tuple(sorted(silent)) if whole else (),
            connected=hears and all(map(_is_connected, self._reflections)),
            trouble="; ".join(self._troubles()),
            since=time.monotonic(),
        )
        standing = replace(delivery, texts=(), complete=False, silent=(), since=0.0)
        if delivery.texts or whole or standing != self._said:
            self._said = standing
            self._deliver(delivery)

    def _troubles(self) -> dict[str, None]:
        troubles = [self._defect, self._silence, *(it.trouble for it in self._reflections)]
        if any(it.kind is HOST_ENDPOINTS and it.standing is Standing.ABSENT for it in self._reflections):
            troubles.append(_NO_ENDPOINTS)
        return dict.fromkeys(trouble for trouble in troubles if trouble)


def _is_settled(reflection: Reflection) -> bool:
    if reflection.listed or reflection.standing is Standing.ABSENT:
        return True
    return reflection.standing is Standing.DENIED and not reflection.kind.essential


def _is_connected(reflection: Reflection) -> bool:
    if reflection.standing is Standing.DENIED:
        return not reflection.kind.essential
    return reflection.standing in _SETTLED


def _silent(reflections: Iterable[Reflection]) -> Iterable[str]:
    """Yield how the origins begin of which nothing is known."""
    for it in reflections:
        if not it.listed:
            yield from (it.kind.prefix(version) for version in it.kind.versions)


async def _until_one_ends(*endless: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends, or fails, and cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in endless]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
