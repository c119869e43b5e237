"""The manifests fit together. Nothing here needs the image."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import yaml

import pyxdp
from pyxdp.cli.commands import cli
from tests.image.containers import ROOT, daemonset

DEPLOY = ROOT / "deploy"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_the_kustomization_has_all_there_is() -> None:
    (found,) = documents("kustomization.yaml")
    assert set(found["resources"]) == {it.name for it in DEPLOY.glob("*.yaml")} - {"kustomization.yaml"}
    (image,) = found["images"]
    assert {it["image"] for kind in ("containers", "initContainers") for it in daemonset()[kind]} == {image["name"]}
    assert image["newTag"] == pyxdp.__version__


def test_the_pod_belongs_to_what_there_is() -> None:
    objects = {(it["kind"], it["metadata"]["name"]) for it in documents("rbac.yaml")}
    (whole,) = documents("daemonset.yaml")
    assert ("Namespace", whole["metadata"]["namespace"]) in objects
    assert ("ServiceAccount", daemonset()["serviceAccountName"]) in objects
    assert whole["spec"]["selector"]["matchLabels"] == whole["spec"]["template"]["metadata"]["labels"]


def test_every_mount_has_a_volume() -> None:
    pod = daemonset()
    volumes = {it["name"] for it in pod["volumes"]}
    for container in (*pod["containers"], *pod["initContainers"]):
        assert {it["name"] for it in container["volumeMounts"]} == volumes


def test_the_agent_understands_its_arguments() -> None:
    (container,) = daemonset()["containers"]
    name, *arguments = container["args"]
    command = cli.get_command(click.Context(cli), name)
    assert command
    known = {option for parameter in command.params for option in parameter.opts}
    assert {it for it in arguments if it.startswith("--")} <= known
    named = {it["name"] for it in container["env"]}
    assert {match for it in arguments for match in re.findall(r"\$\((\w+)\)", it)} == named


def test_probes_ask_where_the_agent_listens() -> None:
    (container,) = daemonset()["containers"]
    (option,) = (it for it in cli.get_command(click.Context(cli), "agent").params if it.name == "listen")  # type: ignore[union-attr]
    paths = {}
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert f"{asked['host']}:{asked['port']}" == option.default
        paths[probe] = asked["path"]
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_the_seccomp_profile_allows_no_way_out() -> None:
    found = json.loads((DEPLOY / "seccomp.json").read_text())
    (allowed,) = found["syscalls"]
    names = allowed["names"]
    assert found["defaultAction"] == "SCMP_ACT_ERRNO"
    assert names == sorted(set(names))
    assert "bpf" in names
    forbidden = {
        "mount",
        "umount2",
        "ptrace",
        "setns",
        "unshare",
        "init_module",
        "finit_module",
        "kexec_load",
        "reboot",
    }
    assert forbidden.isdisjoint(names)


def test_the_page_names_the_same_capabilities() -> None:
    (container,) = daemonset()["containers"]
    added = container["securityContext"]["capabilities"]["add"]
    text = (ROOT / "docs/image.md").read_text()
    assert re.findall(r"--cap-add (\w+)", text) == added
    assert [it for it in added if f"`{it}`" not in text] == []
