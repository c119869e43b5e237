"""What deploy/ ships is what the source needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pyxdp.manifest.kinds import KINDS as READ
from pyxdp.sources.kubernetes.kinds import CALICO, KINDS, NODES
from pyxdp.sources.kubernetes.timing import Backoff, Timing
from pyxdp.sources.kubernetes.writing import STATUS_PLURAL, STATUS_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def crds() -> list[dict[str, Any]]:
    files = ("crds.yaml", "crd-status.yaml")
    return [one for name in files for one in yaml.safe_load_all((ROOT / "deploy" / name).read_text())]


def granted() -> Iterator[tuple[str, str, str]]:
    for document in yaml.safe_load_all((ROOT / "deploy/rbac.yaml").read_text()):
        for rule in document.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((group, resource, verb) for verb in rule["verbs"])


def test_the_crds_are_what_their_program_writes() -> None:
    spec = importlib.util.spec_from_file_location("crds", ROOT / "scripts/crds.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.files().items():
        assert (ROOT / path).read_text() == text, "run scripts/crds.py"


def test_every_kind_is_read_watched_and_defined() -> None:
    assert {kind.kind for kind in KINDS} == set(READ)
    served = {(it["spec"]["names"]["plural"], it["spec"]["names"]["kind"]) for it in crds()}
    assert served - {(STATUS_PLURAL, "HostEndpointStatus")} == {
        (kind.plural, kind.kind) for kind in KINDS if kind.versions == CALICO
    }


def test_roles_allow_what_the_source_does_and_no_more() -> None:
    wanted = {
        (version.rpartition("/")[0], kind.plural, verb)
        for kind in KINDS
        for version in kind.versions
        for verb in ("get", "list", "watch")
    }
    wanted |= {("", f"{NODES.plural}/status", "patch"), ("projectcalico.org", "hostendpoints/status", "patch")}
    wanted |= {(STATUS_VERSION.rpartition("/")[0], STATUS_PLURAL, verb) for verb in ("create", "get", "patch")}
    tiers = {grant for grant in granted() if grant[1].startswith("tier.")}
    assert set(granted()) - tiers == wanted
    assert {verb for _, _, verb in tiers} == {"get", "list", "watch"}


def test_pauses_grow_up_to_a_limit_and_begin_anew() -> None:
    backoff = Backoff(Timing(first=1.0, most=8.0))
    for longest in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert longest / 2 <= backoff.pause() <= longest
    assert backoff.pause(at_least=20.0) == 20.0
    backoff.reset()
    assert backoff.pause() <= 1.0
