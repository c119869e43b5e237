"""What the files of deploy/ say is understood by the API server, and what the role allows is no more than is said."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.conftest import documents
from tests.cluster.objects import core, hep
from tests.cluster.server import collection_of, path_of

if TYPE_CHECKING:
    from tests.cluster.conftest import Recorder
    from tests.cluster.server import Cluster

MERGE = "application/merge-patch+json"
(FILES,) = (it["resources"] for it in documents("kustomization.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_nothing_of_a_file_is_left_out(name: str, admin: Recorder) -> None:
    """An API server takes a field that it does not know, and forgets it."""
    for written in documents(name):
        there = admin.client.ask("GET", path_of(written))
        if not there.is_good:
            there = admin.client.ask("POST", f"{collection_of(written)}?dryRun=All", written)
        assert there.is_good, there.body
        assert list(_lost(written, there.json())) == []


def test_what_is_left_out_is_found(admin: Recorder) -> None:
    account = core("ServiceAccount", "x", namespace="pyxdp", automount=True)
    answer = admin.client.ask("POST", f"{collection_of(account)}?dryRun=All", account)
    assert _lost(account, answer.json()) == [".automount: True, not None"]


def test_how_far_the_right_to_write_status_goes(cluster: Cluster, installed: str, admin: Recorder) -> None:
    """As docs/kubernetes.md says: not to the labels of host endpoints, but to those of nodes."""
    change = {"metadata": {"labels": {"rack": "2"}}}
    found = []
    for written in (core("Node", "node-1"), hep("hep-1", "node-1")):
        written["metadata"]["labels"] = {"rack": "1"}
        admin.create(written)
        with cluster.client(installed) as agent:
            assert agent.ask("PATCH", path_of(written), change, MERGE).status == HTTPStatus.FORBIDDEN
            assert agent.ask("PATCH", f"{path_of(written)}/status", change, MERGE).is_good
        found.append(admin.client.get(path_of(written))["metadata"]["labels"]["rack"])
    assert found == ["2", "1"]


def _lost(written: Any, kept: Any, path: str = "") -> list[str]:
    """Return the paths of what was written and is not there."""
    if isinstance(written, dict):
        return [it for key, value in written.items() for it in _lost(value, _item(kept, key), f"{path}.{key}")]
    if isinstance(written, list):
        there = kept if isinstance(kept, list) and len(kept) == len(written) else [None] * len(written)
        return [it for number, value in enumerate(written) for it in _lost(value, there[number], f"{path}[{number}]")]
    return [] if written == kept or str(written) == str(kept) else [f"{path}: {written!r}, not {kept!r}"]


def _item(kept: Any, key: str) -> Any:
    return kept.get(key) if isinstance(kept, dict) else None
