"""Kinds, versions, Lists, stored CRDs, duplicates."""

from __future__ import annotations

import json

import pytest

from pyxdp.errors import ManifestError
from pyxdp.manifest import loads
from pyxdp.manifest.kinds import KINDS, WITHOUT_EFFECT
from tests.manifest.documents import CRD, V3, complaints, document, gnp, only, problems_of, text_of

SET = document("GlobalNetworkSet", {"nets": ["10.0.0.0/8"]})


def test_list() -> None:
    items = [SET, document("Tier", name="t"), document("NetworkSet", namespace="n")]
    resources = loads(
        text_of({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
    ).resources
    assert len(list(resources)) == 3


def test_lists_in_lists() -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [SET]}
    text = text_of({"apiVersion": "v1", "kind": "List", "items": [document("Tier", name="t"), inner]})
    assert len(list(loads(text).resources)) == 2


def test_list_without_items() -> None:
    assert list(loads(text_of({"apiVersion": "v1", "kind": "List", "items": []})).resources) == []


@pytest.mark.parametrize("kind", KINDS)
def test_typed_list_whose_items_leave_out_the_kind(kind: str) -> None:
    spec = {"node": "n", "interfaceName": "eth0"} if kind == "HostEndpoint" else {}
    text = text_of({"apiVersion": V3, "kind": f"{kind}List", "items": [{"metadata": {"name": "it"}, "spec": spec}]})
    (resource,) = loads(text).resources
    assert type(resource).__name__ == {"Pod": "NetworkSet"}.get(kind, kind)


def test_problems_of_list_items_have_their_path_and_name() -> None:
    text = text_of(
        {"apiVersion": "v1", "kind": "List", "items": [SET, document("GlobalNetworkSet", {"nets": ["x"]}, name="b")]}
    )
    (problem,) = problems_of(text)
    assert (problem.object, problem.path) == ("GlobalNetworkSet/b", "$.items[1].spec.nets[0]")


@pytest.mark.parametrize("kind", sorted(WITHOUT_EFFECT))
@pytest.mark.parametrize("version", [V3, CRD])
def test_kinds_without_effect_are_notices(kind: str, version: str) -> None:
    manifest = loads(text_of({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": 1}), file="f")
    assert manifest.notices == (f"f:1: {kind}/x: this kind has no effect on host policy: ignored",)
    assert list(manifest.resources) == []


@pytest.mark.parametrize(("tier", "hint"), [("kube-admn", "; did you mean `kube-admin`?"), ("zzz", "")])
def test_a_tier_that_does_not_exist_is_a_notice(tier: str, hint: str) -> None:
    manifest = loads(text_of(document("GlobalNetworkPolicy", {"tier": tier}, name="p")), file="f")
    (notice,) = manifest.notices
    assert notice.endswith(f"there is no tier `{tier}`: it comes after all others and denies at its end{hint}")
    assert manifest.resources.globalNetworkPolicies[0].tier == tier


@pytest.mark.parametrize("kind", ["HostEndpont", "WorkloadEndpoint", "Deployment", "IPPol"])
def test_unknown_kind(kind: str) -> None:
    ((path, message),) = complaints({"apiVersion": V3, "kind": kind, "metadata": {"name": "x"}})
    assert path == "$.kind"
    assert "HostEndpoint, GlobalNetworkPolicy," in message
    assert ("did you mean `HostEndpoint`?" in message) == (kind == "HostEndpont")


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("GlobalNetworkPolicy", "v1"),
        ("NetworkPolicy", "networking.k8s.io/v1"),
        ("HostEndpoint", "projectcalico.org/v1"),
        ("Namespace", "apps/v1"),
    ],
)
def test_kind_of_another_version(kind: str, version: str) -> None:
    found = complaints({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}})
    assert found[0][0] == "$.apiVersion"
    assert len(found) == 1
    assert f"`{version}`" in found[0][1]


@pytest.mark.parametrize("kind", ["", [], {}])
def test_kind_that_is_no_text(kind: object) -> None:
    ((path, message),) = complaints({"apiVersion": V3, "kind": kind, "metadata": {"name": "x"}})
    assert path == "$.kind"
    assert "must be text" in message


def test_missing_type() -> None:
    assert [path for path, _ in complaints({"metadata": {"name": "x"}})] == ["$.apiVersion", "$.kind"]


def test_a_document_without_version_is_read_nevertheless() -> None:
    found = complaints({"kind": "GlobalNetworkSet", "metadata": {"name": "x"}, "spec": {"nets": ["x"]}})
    assert [path for path, _ in found] == ["$.apiVersion", "$.spec.nets[0]"]


@pytest.mark.parametrize("root", [1, "text", [], [1], True])
def test_documents_that_are_no_resources(root: object) -> None:
    ((path, message),) = complaints(root)
    assert path == "$"
    assert "a resource is a mapping" in message


@pytest.mark.parametrize("kind", KINDS)
def test_stored_crd(kind: str) -> None:
    spec = {"node": "n", "interfaceName": "eth0"} if kind == "HostEndpoint" else {}
    annotations = {"projectcalico.org/metadata": json.dumps({"uid": "1", "creationTimestamp": None}), "note": "x"}
    stored = document(kind, spec, version=CRD, annotations=annotations)
    collection = KINDS[kind].collection
    found = only(stored, collection)
    if not KINDS[kind].kubernetes:
        assert found == only(document(kind, spec, annotations={"note": "x"}), collection)


@pytest.mark.parametrize("kind", ["GlobalNetworkPolicy", "StagedGlobalNetworkPolicy", "NetworkPolicy"])
@pytest.mark.parametrize(
    ("name", "tier", "annotation", "expected"),
    [
        ("default.web", None, None, "web"),
        ("default.web", "default", None, "web"),
        ("web", "default", None, "web"),
        ("security.web", "kube-admin", None, "security.web"),
        ("kube-admin.web", "kube-admin", None, "kube-admin.web"),
        ("default.web", None, {"name": "default.web"}, "default.web"),
        ("default.web", None, {"name": "web"}, "web"),
        ("default.web", None, {"name": "Not A Name"}, "web"),
        ("default.web", None, {"name": 1}, "web"),
        ("default.web", None, [], "web"),
        ("default.web", None, "no JSON", "web"),
    ],
)
def test_stored_policies_get_their_v3_name(
    kind: str, name: str, tier: str | None, annotation: object, expected: str
) -> None:
    text = annotation if isinstance(annotation, str) else json.dumps(annotation)
    annotations = {} if annotation is None else {"projectcalico.org/metadata": text}
    stored = document(kind, {"tier": tier}, version=CRD, name=name, annotations=annotations)
    found = only(stored, KINDS[kind].collection)
    assert found.metadata.name == expected
    assert found.metadata.annotations == {}
    if kind == "StagedGlobalNetworkPolicy":
        assert found.policy.metadata == found.metadata


def test_a_v3_name_stays_as_it_is() -> None:
    written = document("GlobalNetworkPolicy", {}, name="default.web", annotations={"projectcalico.org/metadata": "{}"})
    found = only(written, "globalNetworkPolicies")
    assert found.metadata.name == "default.web"
    assert found.metadata.annotations == {"projectcalico.org/metadata": "{}"}


def test_duplicates_name_both_places() -> None:
    (problem,) = problems_of(text_of(SET, document("Tier", name="it"), SET), file="a.yaml")
    assert (problem.line, problem.path, problem.object) == (5, "$.metadata.name", "GlobalNetworkSet/it")
    assert problem.message == "GlobalNetworkSet `it` is already defined at a.yaml:1: keep one of the two"


def test_v3_and_stored_form_of_the_same_policy_are_duplicates() -> None:
    stored = document("GlobalNetworkPolicy", {}, version=CRD, name="default.web")
    ((path, message),) = complaints(document("GlobalNetworkPolicy", {}, name="web"), stored)
    assert path == "$.metadata.name"
    assert "already defined" in message


def test_a_tier_may_come_after_its_policies() -> None:
    manifest = loads(text_of(gnp(tier="late"), document("Tier", name="late")))
    assert manifest.resources.globalNetworkPolicies[0].tier == "late"


def test_tiers_are_not_missed_when_a_file_could_not_be_read_to_its_end() -> None:
    problems = problems_of(text_of(gnp(tier="late")) + "\n---\n}")
    assert [problem.path for problem in problems] == ["$"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not KINDS[kind].kubernetes])
def test_unknown_fields_are_problems_everywhere(kind: str) -> None:
    spec = {"node": "n", "interfaceName": "eth0"} if kind == "HostEndpoint" else {}
    written = document(kind, {**spec, "unheardOf": 1}, unheardOf=2)
    found = [path for path, _ in complaints({**written, "unheardOf": 3})]
    assert found == ["$.metadata.unheardOf", "$.spec.unheardOf", "$.unheardOf"]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"sources": {}}, ".sources"),
        ({"source": {"net": []}}, ".source.net"),
        ({"source": {"services": {"name": "a", "namespace": "b", "port": 1}}}, ".source.services.port"),
        ({"source": {"serviceAccounts": {"name": "a"}}}, ".source.serviceAccounts.name"),
        ({"protocol": "ICMP", "icmp": {"typ": 1}}, ".icmp.typ"),
        ({"metadata": {"labels": {}}}, ".metadata.labels"),
        ({"http": {"method": []}}, ".http.method"),
        ({"http": {"paths": [{"exact": "/", "suffix": "/"}]}}, ".http.paths[0].suffix"),
    ],
)
def test_unknown_fields_of_rules(rule: dict[str, object], path: str) -> None:
    ((found, message),) = complaints(gnp(ingress=[{"action": "Allow", **rule}]))
    assert found == f"$.spec.ingress[0]{path}"
    assert message.startswith("unknown field; ")


def test_metadata() -> None:
    found = complaints(
        {"apiVersion": V3, "kind": "Tier"},
        {"apiVersion": V3, "kind": "Tier", "metadata": {"generateName": "a-"}},
        {"apiVersion": V3, "kind": "Tier", "metadata": []},
        document("Tier", name="a", namespace="b"),
        document("NetworkSet", name="a", namespace="B"),
        document("Tier", name=5),
        document("Tier", name="c", labels={"a/b/c": "", "-a": "", "a": "-", "ok.io/x": "", "n": 1, "x" * 64: ""}),
        document("Tier", name="d", annotations={"Ok.io/X": "any thing", "a b": ""}),
    )
    assert [path for path, _ in found] == [
        "$.metadata.name",
        "$.metadata.name",
        "$.metadata",
        "$.metadata.namespace",
        "$.metadata.namespace",
        "$.metadata.name",
        '$.metadata.labels["a/b/c"]',
        '$.metadata.labels["-a"]',
        "$.metadata.labels.a",
        "$.metadata.labels.n",
        f"$.metadata.labels.{'x' * 64}",
        '$.metadata.annotations["a b"]',
    ]
    assert "names are not generated" in found[1][1]
    assert "cluster-scoped" in found[3][1]


def test_every_problem_of_every_document_is_found() -> None:
    with pytest.raises(ManifestError) as caught:
        loads(text_of(*(document("GlobalNetworkSet", {"nets": ["x", "y"]}, name=f"s{n}") for n in range(50))))
    assert len(caught.value.problems) == 100
    assert list(caught.value.problems) == sorted(caught.value.problems)
