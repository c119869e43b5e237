"""``pyxdp check``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

import pyxdp
from pyxdp.cli.commands import MANIFESTS, node_option
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.findings import finding_json, notices_of, resolution_json, tell, tell_findings
from pyxdp.cli.output import plural
from pyxdp.cli.progress import Bar
from pyxdp.compiler import compile_rulesets
from pyxdp.lint import Severity, lint

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings
    from pyxdp.compiler import Rulesets
    from pyxdp.manifest import Manifest
    from pyxdp.resolver import EffectivePolicy


@make_command(
    *MANIFESTS,
    node_option,
    click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning about what the manifests say."),
    name="check",
)
def command(settings: Settings, node: str | None, *, strict: bool) -> None:
    """Check manifests, warn of what is probably not meant, and show which interfaces of this node they govern.

    Warnings are about the host endpoints of all nodes; docs/lint.md explains each by the code at its end. Reads nothing
    but PATHS (files, folders, - for standard input) and the names and addresses of the interfaces. Needs no privileges
    and changes nothing.
    """
    manifest = settings.load()
    policy = pyxdp.resolve(manifest.resources, node=node)
    with Bar("compiling"):
        rulesets = compile_rulesets(policy)
    with Bar("looking for mistakes"):
        findings = lint(manifest.resources)
    output = settings.output
    tell(output, manifest, policy, findings)
    tell_findings(output, findings)
    rows = [[it.name, it.state.value, ", ".join(it.interfaces), it.detail] for it in policy.resolutions]
    if rows:
        output.table(["HOST ENDPOINT", "STATE", "INTERFACES", "WHY"], rows)
    kinds = Counter(type(resource).__name__ for resource in manifest.resources)
    output.line(f"{', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}: valid")
    output.line(
        f"node {policy.node}: {plural(len(policy.endpoints), 'interface')} governed, "
        f"{plural(len(rulesets.identities), 'rule')}"
    )
    output.document(_as_json(manifest, policy, rulesets, kinds) | {"findings": list(map(finding_json, findings))})
    if strict and any(it.severity is Severity.WARNING for it in findings):
        click.get_current_context().exit(1)


def _as_json(manifest: Manifest, policy: EffectivePolicy, rulesets: Rulesets, kinds: Counter[str]) -> dict[str, Any]:
    return {
        "node": policy.node,
        "resources": dict(sorted(kinds.items())),
        "endpoints": [resolution_json(found) for found in policy.resolutions],
        "rules": len(rulesets.identities),
        "notices": notices_of(manifest, policy),
    }
