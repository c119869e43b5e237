"""``pyxdp compile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyxdp
from pyxdp.abi import Direction, Limit, Ruleset, Verdict, decode_array
from pyxdp.cli.commands import MANIFESTS, node_option
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.findings import notices_of, tell
from pyxdp.cli.progress import Bar
from pyxdp.compiler import Compilation
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.abi import Name
    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output
    from pyxdp.compiler import CompiledRule, MapImage, Rulesets


@make_command(*MANIFESTS, node_option, name="compile")
def command(settings: Settings, node: str | None) -> None:
    """Show what PATHS compile to: rules in the order in which they are matched, classes, and the size of each map.

    The same policy gives the same digest on any machine, but for counters and endpoint numbers, which apply keeps
    stable from one policy to the next. Needs no privileges and changes nothing.
    """
    manifest = settings.load()
    policy = pyxdp.resolve(manifest.resources, node=node)
    with Bar("compiling"):
        compilation = Compilation()
        image = compilation.update(policy)
    output = settings.output
    tell(output, manifest, policy)
    found = _as_json(compilation.rulesets, image)
    output.document({"node": policy.node, **found, "notices": notices_of(manifest, policy)})
    _tell(output, found)


def _as_json(rulesets: Rulesets, image: MapImage) -> dict[str, Any]:
    return {
        "digest": image.digest.hex(),
        "tables": {
            name: {"entries": len(table) // ENTRY_BYTES[name], "bytes": len(table)}
            for name, table in image.tables.items()
        },
        "endpoints": [
            {
                "interface": endpoint.interface,
                "endpoint": endpoint.name,
                "number": image.endpoints[endpoint.interface],
                "rulesets": [
                    {
                        "class": ruleset.policy_class.name.lower(),
                        "direction": ruleset.direction.name.lower(),
                        "classes": classes[ruleset.policy_class.value * len(Direction) + ruleset.direction.value],
                        "rules": list(_rules(ruleset.rules, rulesets.identities)),
                    }
                    for classes in [_classes(image, image.endpoints[endpoint.interface])]
                    for ruleset in endpoint.rulesets
                ],
            }
            for endpoint in rulesets.endpoints
        ],
    }


def _rules(rules: tuple[CompiledRule, ...], names: dict[int, Name]) -> Iterator[dict[str, Any]]:
    """Describe the rules of one list; the last one, which stands for "no rule matched", has no name."""
    for number, rule in enumerate(rules):
        name = names[rule.identity] if rule.identity is not None else None
        yield {
            "number": number,
            "verdict": Verdict(rule.verdict).name.lower(),
            "resume": rule.resume if rule.verdict == Verdict.CONTINUE else None,
            "flags": rule.flags,
            "identity": f"{name.identity:016x}" if name else "",
            "tier": name.tier if name else "",
            "kind": name.kind if name else "",
            "policy": name.policy if name else "",
            "direction": Direction(name.direction).name.lower() if name else "",
            "rule": name.rule if name else None,
            "action": name.action if name else "",
        }


def _classes(image: MapImage, number: int) -> list[dict[str, int]]:
    """Count the classes of each field that each ruleset of an endpoint looks up; a field that it does not has one."""
    first = number * Limit.RULESETS_PER_ENDPOINT
    records = decode_array(Ruleset, image.tables["rulesets"])[first : first + Limit.RULESETS_PER_ENDPOINT]
    return [
        {
            field.name.lower(): count if record.fields >> field & 1 else 1
            for field, count in image.classes.items()
            if record.words
        }
        for record in records
    ]


def _tell(output: Output, found: dict[str, Any]) -> None:
    for endpoint in found["endpoints"]:
        for ruleset in endpoint["rulesets"]:
            output.line(
                f"{endpoint['interface']} (endpoint {endpoint['number']}, HostEndpoint/{endpoint['endpoint']}), "
                f"{ruleset['class']} {ruleset['direction']}"
            )
            output.line("  classes: " + ", ".join(f"{field} {count}" for field, count in ruleset["classes"].items()))
            rows = [_row(rule) for rule in ruleset["rules"]]
            output.table(["  NUMBER", "VERDICT", "RULE", "IDENTITY"], rows, right=["  NUMBER"])
            output.line()
    output.table(
        ["MAP", "ENTRIES", "BYTES"],
        [[name, f"{size['entries']:,}", f"{size['bytes']:,}"] for name, size in found["tables"].items()],
        right=["ENTRIES", "BYTES"],
    )
    output.line(f"digest {found['digest']}")


def _row(rule: dict[str, Any]) -> list[str]:
    verdict = rule["verdict"] + (f" with {rule['resume']}" if rule["resume"] is not None else "")
    title = f"{rule['tier'] or rule['kind']}/{rule['policy']} {rule['direction']}[{rule['rule']}]"
    return [str(rule["number"]), verdict, title if rule["policy"] else "-", rule["identity"]]
