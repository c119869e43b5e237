"""Answers that no healthy API server gives, and that must not be taken for an empty cluster."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.sources.kubernetes import Access, Timing
from pyxdp.sources.kubernetes.api import Api, ApiError
from pyxdp.sources.kubernetes.discovery import served_version
from pyxdp.sources.kubernetes.kinds import HOST_ENDPOINTS
from pyxdp.sources.kubernetes.reflection import Reflection, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Path without its query -> status and body.
Answers = dict[str, tuple[int, object]]
#: With each answer; in lower case, as proxies send it.
LATER = ("retry-after", "100000")
BEST, STORED = HOST_ENDPOINTS.versions
DISCOVERY: Answers = {f"/apis/{version}": (404, {}) for version in (BEST, STORED)}
SERVED: Answers = {f"/apis/{BEST}": (200, {"resources": [{"name": HOST_ENDPOINTS.plural}]})}
ENDPOINT = {"metadata": {"name": "hep", "resourceVersion": "1"}, "spec": {"node": "n"}}


@contextmanager
def server(answers: Answers) -> Iterator[Access]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path.partition("?")[0]]
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header(*LATER)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Access(server=f"http://127.0.0.1:{running.server_port}", tls=None)
        finally:
            running.shutdown()
            thread.join()


async def listed(api: Api) -> Reflection:
    """Follow host endpoints until they are listed."""
    it = Reflection(HOST_ENDPOINTS, lambda written, _: json.dumps(written), Timing(), lambda _: None)
    assert [await it._step(api) for _ in range(2)] == [0.0, 0.0]
    return it


def found(answers: Answers) -> str:
    async def ask(access: Access) -> str:
        async with Api(access, answer=10.0) as api:
            return await served_version(api, HOST_ENDPOINTS)

    with server(answers) as access:
        return asyncio.run(ask(access))


@pytest.mark.parametrize(
    ("best", "stored", "expected"),
    [(404, 404, ""), (404, 403, ""), (403, 404, ""), (403, 200, STORED), (200, 403, BEST)],
)
def test_what_is_served(best: int, stored: int, expected: str) -> None:
    paths = {HOST_ENDPOINTS.path(BEST): (best, {}), HOST_ENDPOINTS.path(STORED): (stored, {})}
    assert found({**DISCOVERY, **paths}) == expected


def test_who_may_see_nothing_knows_nothing() -> None:
    """A server that has just started permits nothing before it has read its roles."""
    with pytest.raises(ApiError) as caught:
        found({**DISCOVERY, **{HOST_ENDPOINTS.path(version): (403, {}) for version in (BEST, STORED)}})
    assert caught.value.denied


@pytest.mark.parametrize(("body", "known"), [({"items": None}, 0), ({}, 1), ({"kind": "Status"}, 1)])
def test_an_answer_without_items_is_no_list(body: Mapping[str, Any], known: int) -> None:
    path = HOST_ENDPOINTS.path(BEST)
    metadata = {"metadata": {"resourceVersion": "1"}}
    answers = {**SERVED, path: (200, {"items": [ENDPOINT], **metadata})}

    async def follow(access: Access) -> Reflection:
        async with Api(access, answer=10.0) as api:
            it = await listed(api)
            assert len(it.known) == 1
            answers[path] = 200, {**body, **metadata}
            it._resource_version = ""
            await it._step(api)
        return it

    with server(answers) as access:
        it = asyncio.run(follow(access))
    assert len(it.known) == known
    assert (it.standing is Standing.CUT_OFF) is bool(known)


@pytest.mark.parametrize(("status", "version"), [(400, ""), (500, ""), (504, ""), (429, "1"), (503, "1")])
def test_a_version_that_can_not_be_watched(status: int, version: str) -> None:
    """What the server has against it will not pass: everything is listed anew. Unless it is only busy."""
    path = HOST_ENDPOINTS.path(BEST)
    answers = {**SERVED, path: (200, {"items": [ENDPOINT], "metadata": {"resourceVersion": "1"}})}

    async def follow(access: Access) -> tuple[Reflection, float]:
        async with Api(access, answer=10.0) as api:
            it = await listed(api)
            answers[path] = status, {}
            return it, await it._step(api)

    with server(answers) as access:
        it, pause = asyncio.run(follow(access))
    assert (it.standing, it._resource_version, len(it.known)) == (Standing.CUT_OFF, version, 1)
    assert pause <= Timing().most


@pytest.mark.parametrize("items", [[], [ENDPOINT]])
def test_a_kind_that_is_served_no_more(items: list[object]) -> None:
    """With what was told of it gone, nothing is wrong; without, something else has happened."""
    path = HOST_ENDPOINTS.path(BEST)
    answers = {**SERVED, path: (200, {"items": items, "metadata": {"resourceVersion": "1"}})}

    async def follow(access: Access) -> Reflection:
        async with Api(access, answer=10.0) as api:
            it = await listed(api)
            answers.update({**DISCOVERY, **{HOST_ENDPOINTS.path(version): (404, {}) for version in (BEST, STORED)}})
            for _ in range(2):
                await it._step(api)
        return it

    with server(answers) as access:
        it = asyncio.run(follow(access))
    assert it.standing is (Standing.CUT_OFF if items else Standing.ABSENT)
    assert len(it.known) == len(items)
