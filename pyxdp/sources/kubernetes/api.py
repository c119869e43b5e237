"""Requests to an API server, and what may go wrong with them."""

from __future__ import annotations

import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Mapping

    from typing_extensions import Self

    from pyxdp.sources.kubernetes.access import Access

#: So that the kernel finds out about a peer that is gone while nothing is sent: after 60 seconds.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_FORBIDDEN: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_GONE: Final = 410


class ApiError(Exception):
    """A request that did not give what was asked for.

    Attributes:
        status: of HTTP, or of the Status object that ended a watch; 0 when there was no answer.
        retry_after: seconds that the server asks to wait; 0 when it does not say.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    @property
    def denied(self) -> bool:
        """The server knows who asks, or does not, and says no."""
        return self.status in _FORBIDDEN

    @property
    def not_found(self) -> bool:
        """There is no such thing."""
        return self.status == _NOT_FOUND

    @property
    def expired(self) -> bool:
        """The version asked for is too old: everything has to be listed anew."""
        return self.status == _GONE


class _Token(httpx.Auth):
    """Puts the token of today on each request."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            token = self._access.token()
        except (OSError, UnicodeDecodeError) as error:
            raise ApiError(f"the token can not be read: {error}") from error
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        yield request


class Api:
    """One API server. A context manager; to be used by one event loop.

    Args:
        access: where it is.
        answer: seconds that an answer may take, until it begins and between its parts.
    """

    def __init__(self, access: Access, *, answer: float) -> None:
        transport = httpx.AsyncHTTPTransport(
            verify=access.tls if access.tls is not None else True,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
            proxy=access.proxy or None,
            socket_options=_KEEPALIVE,
        )
        self.server = access.server
        self._timeout = httpx.Timeout(answer)
        self._client = httpx.AsyncClient(
            auth=_Token(access),
            base_url=access.server,
            timeout=self._timeout,
            transport=transport,
            headers={"User-Agent": "pyxdp", "Accept": "application/json"},
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, **parameters: str) -> Mapping[str, Any]:
        """Ask for something, and return it.

        Raises:
            ApiError: anything else came, or nothing.
        """
        return await self._json("GET", path, params=parameters)

    async def patch(self, path: str, body: object, media_type: str, **parameters: str) -> Mapping[str, Any]:
        """Change something, and return what it is then.

        Raises:
            ApiError: it was not changed.
        """
        headers = {"Content-Type": media_type}
        return await self._json("PATCH", path, params=parameters, content=json.dumps(body), headers=headers)

    @asynccontextmanager
    async def lines(self, path: str, *, silence: float, **parameters: str) -> AsyncIterator[AsyncIterator[list[bytes]]]:
        """Ask for something that comes line by line, and yield an iterator of those that came together.

        Args:
            path: what to ask for.
            silence: seconds without a line that are too many.
            parameters: of the query.

        Raises:
            ApiError: there was another answer, or none; also in the middle.
        """
        timeout = httpx.Timeout(self._timeout, read=silence)
        try:
            async with self._client.stream("GET", path, params=parameters, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response)
                yield _whole_lines(response)
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error

    async def _json(self, method: str, path: str, **request: Any) -> Mapping[str, Any]:
        try:
            response = await self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error
        if not response.is_success:
            raise _refusal(response)
        try:
            found = response.json()
        except ValueError as error:
            raise ApiError(f"{path}: the answer of {self.server} is no JSON") from error
        if not isinstance(found, dict):
            raise ApiError(f"{path}: the answer of {self.server} is no object")
        return found

    def _no_answer(self, error: httpx.HTTPError) -> ApiError:
        why = str(error) or type(error).__name__
        return ApiError(f"the API server {self.server} does not answer: {why}")


async def _whole_lines(response: httpx.Response) -> AsyncIterator[list[bytes]]:
    rest = b""
    async for part in response.aiter_bytes():
        *lines, rest = (rest + part).split(b"\n")
        if lines:
            yield lines


def _refusal(response: httpx.Response) -> ApiError:
    """Read the Status object of an answer; a proxy may have sent something else."""
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    retry_after = response.headers.get("Retry-After", "")
    return ApiError(message, response.status_code, float(retry_after) if retry_after.isdecimal() else 0.0)
