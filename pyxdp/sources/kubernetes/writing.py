"""Status written back: conditions of the node and of its host endpoints, when they change.

A host endpoint's go to its status subresource where its CRD has one, as pyxdp's own has. Calico's has none; there, an
object of the kind HostEndpointStatus with the name of the host endpoint takes them. An annotation would need the
permission to write the host endpoint itself, that is, to change what other nodes enforce.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from pyxdp.sources.kubernetes.api import ApiError
from pyxdp.sources.kubernetes.conditions import ON_NODES, Condition, is_settled, of_host_endpoint, of_node
from pyxdp.sources.kubernetes.discovery import resources_of
from pyxdp.sources.kubernetes.timing import Backoff, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyxdp.agent.view import AgentView
    from pyxdp.sources.kubernetes.api import Api
    from pyxdp.sources.kubernetes.reflection import Reflection
    from pyxdp.sources.kubernetes.timing import Timing

STATUS_VERSION: Final = "pyxdp.io/v1"
STATUS_PLURAL: Final = "hostendpointstatuses"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A node or a host endpoint with what is to be said of it.

    Attributes:
        path: of the object.
        prefix: of the conditions' types.
    """

    path: str
    conditions: tuple[Condition, ...]
    prefix: str = ""


@dataclass(slots=True)
class _Failure:
    """A status that could not be written.

    Attributes:
        backoff: between attempts.
        again: when to try it again, by the clock of the event loop.
        complaint: what went wrong.
    """

    backoff: Backoff
    again: float = 0.0
    complaint: str = ""


class StatusWriter:
    """Writes what the latest view says, if that differs from what was written last, and not too often.

    Args:
        node: its name.
        endpoints: all host endpoints.
        timing: how long to wait for what.
    """

    def __init__(self, node: str, endpoints: Reflection, timing: Timing) -> None:
        self._node = node
        self._endpoints = endpoints
        self._timing = timing
        self._view: AgentView | None = None
        self._news = asyncio.Event()
        self._written: dict[str, tuple[Condition, ...]] = {}
        self._failures: dict[str, _Failure] = {}
        self._complaint = ""

    def take(self, view: AgentView) -> None:
        """Note the latest view; by the thread of the event loop."""
        if is_settled(view) or time.time_ns() - view.started_ns > self._timing.settling * 1e9:
            self._view = view
            self._news.set()

    async def run(self, api: Api) -> None:
        """Write until cancelled. What can not be written is tried again with a later view."""
        loop = asyncio.get_running_loop()
        rewrite_at = loop.time() + spread(self._timing.rewrite)
        while True:
            await self._news.wait()
            self._news.clear()
            if loop.time() >= rewrite_at:
                self._written.clear()
                rewrite_at = loop.time() + spread(self._timing.rewrite)
            if self._view:
                await self._write(api, self._view)
            await asyncio.sleep(self._timing.status)

    async def _write(self, api: Api, view: AgentView) -> None:
        subjects = {subject.path: subject for subject in self._subjects(view)}
        for subject in subjects.values():
            await self._try(api, subject)
        self._written = {path: self._written[path] for path in subjects if path in self._written}
        self._failures = {path: self._failures[path] for path in subjects if path in self._failures}
        complaint = "; ".join(dict.fromkeys(it.complaint for it in self._failures.values()))
        if complaint and complaint != self._complaint:
            _LOG.warning("the status can not be written: %s", complaint)
        self._complaint = complaint

    async def _try(self, api: Api, subject: _Subject) -> None:
        """Write what is new, unless that has just failed."""
        now, failure = asyncio.get_running_loop().time(), self._failures.get(subject.path)
        if self._written.get(subject.path) == subject.conditions or (failure and now < failure.again):
            return
        try:
            await (self._write_node(api, subject) if subject.prefix else self._write_endpoint(api, subject))
        except ApiError as error:
            if error.not_found and not subject.prefix:  # a host endpoint that was just deleted
                return
            failure = self._failures.setdefault(subject.path, _Failure(Backoff(self._timing)))
            failure.again = now + failure.backoff.pause(min(error.retry_after, self._timing.most))
            failure.complaint = f"{subject.path}: {error}"
        else:
            self._written[subject.path] = subject.conditions
            self._failures.pop(subject.path, None)

    def _subjects(self, view: AgentView) -> Iterator[_Subject]:
        yield _Subject(f"/api/v1/nodes/{self._node}", of_node(view), ON_NODES)
        if not self._endpoints.version:  # where they are is just being found out
            return
        path = self._endpoints.kind.path(self._endpoints.version)
        for text in self._endpoints.known.values():
            if self._node in text:
                found = json.loads(text)
                name = found["metadata"]["name"]
                if isinstance(found["spec"], dict) and found["spec"].get("node") == self._node:
                    yield _Subject(f"{path}/{name}", of_host_endpoint(view, name))

    async def _write_node(self, api: Api, subject: _Subject) -> None:
        await api.patch(f"{subject.path}/status", await self._status(api, subject), _STRATEGIC)

    async def _write_endpoint(self, api: Api, subject: _Subject) -> None:
        served = await resources_of(api, self._endpoints.version)
        if f"{self._endpoints.kind.plural}/status" in served:
            await api.patch(f"{subject.path}/status", await self._status(api, subject), _MERGE)
        elif STATUS_PLURAL in await resources_of(api, STATUS_VERSION):
            await self._write_beside(api, subject)

    async def _write_beside(self, api: Api, subject: _Subject) -> None:
        """Write an object of our own, that goes when the host endpoint does."""
        owner = (await api.get(subject.path))["metadata"]
        path = f"/apis/{STATUS_VERSION}/{STATUS_PLURAL}/{owner['name']}"
        reference = {
            "apiVersion": self._endpoints.version,
            "kind": self._endpoints.kind.kind,
            "name": owner["name"],
            "uid": owner["uid"],
        }
        written = {
            "apiVersion": STATUS_VERSION,
            "kind": "HostEndpointStatus",
            "metadata": {"name": owner["name"], "ownerReferences": [reference]},
            **await self._status(api, _Subject(path, subject.conditions)),
        }
        await api.patch(path, written, _APPLY, fieldManager="pyxdp", force="true")

    async def _status(self, api: Api, subject: _Subject) -> dict[str, Any]:
        before = await _conditions_of(api, subject.path)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        written = [condition.written(before, now, subject.prefix) for condition in subject.conditions]
        return {"status": {"conditions": written}}


async def _conditions_of(api: Api, path: str) -> Sequence[Mapping[str, Any]]:
    try:
        found = await api.get(path)
    except ApiError as error:
        if error.not_found:
            return ()
        raise
    return (found.get("status") or {}).get("conditions") or ()
