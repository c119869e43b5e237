"""Where the API server is, as kubeconfigs and pods say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pyxdp.errors import OperatorError
from pyxdp.sources.kubernetes.access import find_access, of_pod

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be no pod, and have no kubeconfig."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


def write(path: Path, *, cluster: Any = None, user: Any = None, context: Any = None, **rest: Any) -> Path:
    written = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"} if context is None else context}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/"} if cluster is None else cluster}],
        "users": [{"name": "u", "user": {} if user is None else user}],
        **rest,
    }
    path.write_text(yaml.safe_dump(written))
    return path


def test_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "config", user={"token": "secret"})
    access = find_access(path)
    assert (access.server, access.tls, access.token(), access.proxy) == ("http://127.0.0.1:1", None, "secret", "")
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert find_access().server == "http://127.0.0.1:1"


def test_a_token_is_read_whenever_it_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "config", user={"tokenFile": "token"})
    access = find_access(path)
    for text in ("first\n", "second"):
        (tmp_path / "token").write_text(text)
        assert access.token() == text.strip()


def test_another_context(tmp_path: Path) -> None:
    contexts = [{"name": name, "context": {"cluster": name}} for name in ("a", "b")]
    clusters = [{"name": name, "cluster": {"server": f"http://{name}", "proxy-url": "http://p"}} for name in ("a", "b")]
    path = write(tmp_path / "config", contexts=contexts, clusters=clusters)
    access = find_access(path, "b")
    assert (access.server, access.token(), access.proxy) == ("http://b", "", "http://p")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"user": {"exec": {"command": "x"}}}, "logs in by `exec`"),
        ({"user": {"username": "x"}}, "logs in by `username`"),
        ({"cluster": {}}, "its cluster has no server"),
        ({"cluster": {"server": "127.0.0.1"}}, "its cluster has no server"),
        ({"context": {"cluster": "other"}}, "nothing named `other` among its clusters"),
        ({"context": {"cluster": "c", "user": "other"}}, "nothing named `other` among its users"),
        ({"current-context": "other"}, "nothing named `other` among its contexts"),
        ({"contexts": None}, "nothing named `here`"),
        ({"cluster": {"server": "https://h", "certificate-authority": "no-file"}}, "No such file"),
        ({"cluster": {"server": "https://h", "certificate-authority-data": "!"}}, "can not be used"),
        ({"cluster": {"server": "https://h", "certificate-authority-data": "eA=="}}, "can not be used"),
    ],
)
def test_kubeconfigs_that_can_not_be_used(broken: dict[str, Any], why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "config", **broken)
    with pytest.raises(OperatorError, match=why) as raised:
        find_access(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", ["", "[", "text", "- 1", "\0"])
def test_files_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(OperatorError, match="can not be used"):
        find_access(tmp_path / "config")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="No such file"):
        find_access(tmp_path / "config")


def test_nowhere() -> None:
    with pytest.raises(OperatorError, match="this is no pod, and no kubeconfig is given"):
        find_access()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ((), "there is no service account"),
        (("token",), "ca.crt can not be used"),
        (("token", "ca.crt"), "ca.crt can not"),
    ],
)
def test_a_pod_without_its_files(
    files: tuple[str, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    for name in files:
        (tmp_path / name).write_text("no certificate")
    with pytest.raises(OperatorError, match=why):
        of_pod(tmp_path)
