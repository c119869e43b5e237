"""Requests to an API server, and what may go wrong with them."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import httpcore

from pyxdp.sources.kubernetes.transport import KEEPALIVE, Backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from typing_extensions import Self

    from pyxdp.sources.kubernetes.access import Access

_DENIED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NO_ANSWER: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    OSError,
)


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
        return self.status in _DENIED

    @property
    def not_found(self) -> bool:
        """There is no such thing."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def expired(self) -> bool:
        """The version asked for is too old: everything has to be listed anew."""
        return self.status == HTTPStatus.GONE


class Api:
    """One API server. A context manager; to be used by one event loop.

    Args:
        access: where it is.
        answer: seconds that an answer may take, until it begins and between its parts.
    """

    def __init__(self, access: Access, *, answer: float) -> None:
        self.server = access.server
        self._token = access.token
        self._name = {"sni_hostname": access.server_name} if access.server_name else {}
        self._timeouts = dict.fromkeys(("connect", "read", "write", "pool"), answer)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=access.tls or ssl.create_default_context(),
            proxy=httpcore.Proxy(access.proxy) if access.proxy else None,
            max_connections=None,
            max_keepalive_connections=2,
            network_backend=Backend(),
            socket_options=KEEPALIVE,
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    async def get(self, path: str, **parameters: str) -> Mapping[str, Any]:
        """Ask for something, and return it.

        Raises:
            ApiError: anything else came, or nothing.
        """
        async with self._answer("GET", path, parameters) as response:
            return self._object(path, await response.aread())

    async def patch(self, path: str, body: object, media_type: str, **parameters: str) -> Mapping[str, Any]:
        """Change something, and return what it is then.

        Raises:
            ApiError: it was not changed.
        """
        async with self._answer("PATCH", path, parameters, json.dumps(body).encode(), media_type) as response:
            return self._object(path, await response.aread())

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
        async with self._answer("GET", path, parameters, silence=silence) as response:
            yield _whole_lines(response)

    @asynccontextmanager
    async def _answer(  # noqa: PLR0913, PLR0917 -- what a request has
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        content: bytes | None = None,
        media_type: str = "",
        silence: float = 0.0,
    ) -> AsyncIterator[httpcore.Response]:
        """Send a request, and yield the answer, if it is a good one, with its body still to be read."""
        timeouts = {**self._timeouts, "read": silence} if silence else self._timeouts
        query = f"?{urlencode(parameters)}" if parameters else ""
        try:
            async with self._pool.stream(
                method,
                f"{self.server}{path}{query}",
                headers=self._headers(media_type),
                content=content,
                extensions={"timeout": timeouts, **self._name},
            ) as response:
                if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    raise _refusal(response, await response.aread())
                yield response
        except _NO_ANSWER as error:
            why = str(error) or type(error).__name__
            raise ApiError(f"the API server {self.server} does not answer: {why}") from error

    def _headers(self, media_type: str) -> dict[str | bytes, str | bytes]:
        headers: dict[str | bytes, str | bytes] = {"User-Agent": "pyxdp", "Accept": "application/json"}
        if media_type:
            headers["Content-Type"] = media_type
        try:
            token = self._token()
        except (OSError, UnicodeDecodeError) as error:
            raise ApiError(f"the token can not be read: {error}") from error
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    def _object(self, path: str, body: bytes) -> Mapping[str, Any]:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ApiError(f"{path}: the answer of {self.server} is no object", HTTPStatus.BAD_GATEWAY)
        return found


async def _whole_lines(response: httpcore.Response) -> AsyncIterator[list[bytes]]:
    rest = b""
    async for part in response.aiter_stream():
        *lines, rest = (rest + part).split(b"\n")
        if lines:
            yield lines


def _refusal(response: httpcore.Response, body: bytes) -> ApiError:
    """Read the Status object of an answer; a proxy may have sent something else."""
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"HTTP status {response.status}"
    retry_after = {name.lower(): value for name, value in response.headers}.get(b"retry-after", b"")
    return ApiError(message, response.status, float(retry_after) if retry_after.isdigit() else 0.0)
