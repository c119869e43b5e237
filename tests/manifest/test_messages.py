"""The words of the messages: what the broken example file says, line by line, and the example policies."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pyxdp.errors import ManifestError
from pyxdp.manifest import compose, load, loads

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"


def test_broken_file() -> None:
    with pytest.raises(ManifestError) as caught:
        loads((HERE / "broken.yaml").read_text(), file="broken.yaml")
    assert str(caught.value).splitlines() == (HERE / "broken.txt").read_text().splitlines()
    assert caught.value.exit_code == 2


def test_example_redis() -> None:
    manifest = load([EXAMPLES / "redis"])
    resources = manifest.resources
    (endpoint,) = resources.hostEndpoints
    host, policy = resources.globalNetworkPolicies
    assert manifest.notices == ()
    assert (host.doNotTrack, host.preDNAT, host.applyOnForward) == (False, False, False)
    assert endpoint.metadata.labels == {"hep": "redis-host"}
    assert policy.selector == 'has(hep) && hep == "redis-host"'
    assert (policy.doNotTrack, policy.applyOnForward) == (True, True)
    assert [rule.action.value for rule in (*policy.ingress, *policy.egress)] == ["Allow", "Deny", "Allow", "Deny"]


def test_example_blocklist_comes_before_redis() -> None:
    policies = {policy.metadata.name: policy for policy in load([EXAMPLES]).resources.globalNetworkPolicies}
    assert (policies["blocklist"].order or 0) < (policies["redis"].order or 0)


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_is_right(path: Path) -> None:
    assert load([path]).notices == ()


def test_without_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load([EXAMPLES])
    monkeypatch.setattr(compose, "_Loader", yaml.SafeLoader)
    assert load([EXAMPLES]) == expected
    with pytest.raises(ManifestError) as caught:
        loads((HERE / "broken.yaml").read_text(), file="broken.yaml")
    *problems, syntax = str(caught.value).splitlines()
    assert problems == (HERE / "broken.txt").read_text().splitlines()[:-1]
    assert "not YAML" in syntax
