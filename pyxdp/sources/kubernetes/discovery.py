"""What the server serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.sources.kubernetes.api import ApiError

if TYPE_CHECKING:
    from pyxdp.sources.kubernetes.api import Api
    from pyxdp.sources.kubernetes.kinds import WatchedKind


async def resources_of(api: Api, version: str) -> frozenset[str]:
    """Return the names of the resources of a group's version, as ``tiers`` and ``hostendpoints/status``.

    Raises:
        ApiError: the server does not say.
    """
    try:
        listed = await api.get(f"/apis/{version}")
    except ApiError as error:
        if error.not_found:
            return frozenset()
        raise
    return frozenset(str(resource.get("name")) for resource in listed.get("resources") or ())


async def served_version(api: Api, kind: WatchedKind) -> str:
    """Return the best apiVersion in which a kind is served, or nothing if it is not served at all.

    A server that is just starting does not know its own CRDs for a while. To believe it that there are none would be to
    drop all policy, so it is asked for the objects themselves, too, which it answers right from the beginning.

    Raises:
        ApiError: the server does not say.
    """
    if len(kind.versions) == 1:
        return kind.versions[0]
    for version in kind.versions:
        if kind.plural in await resources_of(api, version):
            return version
    refusals = []
    for version in kind.versions:
        refusal = await _refusal(api, kind.path(version))
        if refusal is None:
            return version
        refusals.append(refusal)
    if all(refusal.denied for refusal in refusals):  # which it says of everything as long as it knows no roles
        raise refusals[0]
    return ""


async def _refusal(api: Api, path: str) -> ApiError | None:
    """Ask for objects, and return how that is refused, if it is: there are none of the kind, or nobody may see them."""
    try:
        await api.get(path, limit="1")
    except ApiError as error:
        if error.not_found or error.denied:
            return error
        raise
    return None
