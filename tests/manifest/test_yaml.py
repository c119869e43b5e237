"""YAML itself: positions, traps, tags, aliases, duplicate keys, broken and hostile documents."""

from __future__ import annotations

import json
import time

import pytest

from pyxdp.manifest import compose, loads, place, sources
from tests.manifest.documents import document, gnp, only, problems_of, text_of

HEAD = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: x}\n"
POLICY = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: x}\n"


def where(text: str) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.column, problem.path) for problem in problems_of(text)]


def only_message(text: str) -> str:
    (problem,) = problems_of(text)
    return problem.message


# positions


def test_positions_in_block_and_flow_style() -> None:
    text = HEAD + "spec:\n  nets:\n    - 10.0.0.0/8\n    - bad\n    - {a: b}\n  foo: 1\n  nets2: [x]\n"
    assert where(text) == [
        (7, 7, "$.spec.nets[1]"),
        (8, 7, "$.spec.nets[2]"),
        (9, 3, "$.spec.foo"),
        (10, 3, "$.spec.nets2"),
    ]


def test_positions_in_later_documents() -> None:
    text = f"# comment\n---\n{HEAD}---\n\n---\n{HEAD.replace('x', 'z')}spec: {{nets: [1.2.3.4, bad]}}\n"
    assert where(text) == [(12, 24, "$.spec.nets[1]")]


def test_columns_count_characters() -> None:
    text = HEAD.replace("{name: x}", "{annotations: {a: 'ä😀'}, name: X}")
    assert where(text) == [(3, text.splitlines()[2].index("X") + 1, "$.metadata.name")]


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("a == b", 18),
        ("'a == b'", 19),
        ('"a == b"', 19),
        ("'a == ''x'' b'", 13),  # the source is longer than the text: the scalar's beginning
        ('"a == \\x62"', 13),
        ("!!str a == b", 13),
        ("|-\n    a == b", 13),
        (">\n    a == 'b'", 13),
        ("a ==\n    b", 13),
    ],
)
def test_selector_problems_point_into_scalars_of_one_line(written: str, column: int) -> None:
    assert where(f"{POLICY}spec:\n  selector: {written}\n") == [(5, column, "$.spec.selector")]


def test_missing_fields_are_reported_where_the_mapping_begins() -> None:
    text = POLICY + "spec:\n  ingress:\n    - protocol: TCP\n"
    assert where(text) == [(6, 7, "$.spec.ingress[0].action")]


# traps


@pytest.mark.parametrize("word", ["no", "on", "Yes", "true", "off", "NO"])
def test_booleans_where_text_is_needed(word: str) -> None:
    message = only_message(HEAD.replace("name: x", f"name: x, labels: {{a: {word}}}"))
    assert message == f'`{word}` is a boolean in YAML, and text is needed: write it in quotes, "{word}"'


@pytest.mark.parametrize(
    "number", ["1", "1.5", "1e3", "0x1F", "0o17", "017", "1_000", ".5", "-1", "+1.", ".inf", ".NaN"]
)
def test_numbers_where_text_is_needed(number: str) -> None:
    assert "is a number in YAML" in only_message(HEAD.replace("name: x", f"name: x, labels: {{a: {number}}}"))


@pytest.mark.parametrize(
    "word", ["'no'", '"1"', "10:20", "2024-01-01", "1.2.3", "!!str 5", "nope", "0b", "e3", "v1", "y", "N"]
)
def test_what_is_text(word: str) -> None:
    message = [problem.message for problem in problems_of(HEAD.replace("name: x", f"name: x, labels: {{a: {word}}}"))]
    assert all("label value" in each for each in message)


@pytest.mark.parametrize("word", ["yes", "On", "true", "TRUE"])
def test_yaml_1_1_booleans(word: str) -> None:
    text = f"{POLICY}spec: {{applyOnForward: {word}, doNotTrack: {word}}}"
    assert loads(text).resources.globalNetworkPolicies[0].doNotTrack


@pytest.mark.parametrize("word", ["'true'", "1", "maybe", "y", "{}", "[]"])
def test_what_is_no_boolean(word: str) -> None:
    assert only_message(f"{POLICY}spec: {{doNotTrack: {word}}}").startswith("must be true or false")


@pytest.mark.parametrize("key", ["on", "no", "Null", "null", "true"])
def test_keys_that_are_not_text(key: str) -> None:
    assert "write it in quotes" in only_message(HEAD.replace("name: x", f"name: x, labels: {{{key}: a}}"))


def test_keys_that_look_like_numbers_are_text() -> None:
    assert problems_of(HEAD.replace("name: x", "name: x, labels: {8080: a}")) == []


def test_a_range_of_ports_is_no_sexagesimal_number() -> None:
    text = POLICY + "spec: {ingress: [{action: Deny, protocol: TCP, destination: {ports: [10:20]}}]}"
    (port,) = loads(text).resources.globalNetworkPolicies[0].ingress[0].destination.ports
    assert str(port) == "10:20"


@pytest.mark.parametrize("order", ["0x10", "010", "1_000", ".inf", "-.INF", ".nan", "1e999"])
def test_numbers_that_json_does_not_have(order: str) -> None:
    assert "finite decimal number" in only_message(f"{POLICY}spec: {{order: {order}}}")


@pytest.mark.parametrize("port", ["0x10", "010", "1.0", "1e1", "9" * 30])
def test_integers_are_written_in_decimal(port: str) -> None:
    text = POLICY + f"spec: {{ingress: [{{action: Deny, protocol: ICMP, icmp: {{type: {port}}}}}]}}"
    assert "whole number from 0 to 254" in only_message(text)


# keys, tags, aliases


def test_duplicate_keys() -> None:
    (problem,) = problems_of(f"{HEAD}spec: {{}}\nspec:\n  nets: [x]\n")
    assert (problem.line, problem.column, problem.path, problem.object) == (5, 1, "$.spec", "GlobalNetworkSet/x")
    assert problem.message == "written twice in the same mapping, first on line 4: keep one"


def test_duplicate_keys_where_nobody_looks() -> None:
    node = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata: {name: n}\n"
    (problem,) = problems_of(node + "  status: {deep: [{a: 1, 'a': 2, a: 3}]}\n")
    assert (problem.object, problem.path) == ("Node/n", "$.items[0].status.deep[0].a")


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object:os.system x",
        "!!binary aGk=",
        "!foo bar",
        "!!set {a}",
        "!!python/name:os.system x",
        "!foo [a]",
        "!<x> a",
    ],
)
def test_tags_build_nothing(value: str) -> None:
    found = [problem for problem in problems_of(f"{HEAD}spec: {{nets: [{value}]}}\n") if "the tag" in problem.message]
    assert [problem.path for problem in found] == ["$.spec.nets[0]"]


def test_tags_of_the_core_schema_say_what_a_value_is() -> None:
    assert only_message(HEAD.replace("name: x", "name: !!int 5")).startswith("`5` is a number in YAML")
    assert problems_of(HEAD.replace("name: x", "name: !!str 5")) == []


def test_a_selector_that_begins_with_an_exclamation_mark() -> None:
    assert "must be in quotes" in only_message(f"{POLICY}spec:\n  selector: !has(x)\n")
    assert "must be in quotes" in only_message(f"{POLICY}spec:\n  selector: !has(x) && has(y)\n")


def test_an_asterisk_without_quotes() -> None:
    assert "must be in quotes" in only_message("apiVersion: v3\nspec:\n  interfaceName: *\n")


def test_anchors_aliases_and_merge_keys() -> None:
    text = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: x}
spec:
  ingress:
    - &allow
      action: Allow
      protocol: TCP
      destination: {ports: &ports [6379]}
    - {<<: *allow, action: Log}
    - {<<: [*allow, {protocol: UDP, notProtocol: SCTP}], destination: {ports: *ports, selector: has(a)}}
"""
    first, second, third = loads(text).resources.globalNetworkPolicies[0].ingress
    assert (second.action.value, second.protocol, second.destination) == ("Log", first.protocol, first.destination)
    assert (third.action, third.protocol, str(third.notProtocol)) == (first.action, first.protocol, "SCTP")
    assert (third.destination.ports, third.destination.selector) == (first.destination.ports, "has(a)")


def test_merging_what_is_no_mapping() -> None:
    assert "`<<` takes an alias" in only_message(HEAD.replace("name: x", "name: x, <<: [1]"))


def test_aliases_of_another_document_are_not_known() -> None:
    text = f"{HEAD}spec: &a {{nets: []}}\n---\n{HEAD}spec: *a\n"
    assert "has no anchor before it" in only_message(text)


def test_an_alias_inside_its_own_value() -> None:
    assert "inside the value" in only_message(f"{HEAD}spec: &a {{nets: *a}}\n")


def test_an_alias_that_repeats_a_resource() -> None:
    text = f"apiVersion: v1\nkind: List\nitems:\n- &a {json.dumps(document('Tier', {}))}\n- *a\n"
    assert only_message(text).startswith("an alias repeats a resource")


# broken YAML


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("a: [1, 2\nb: 3\n", 2, 2, "not YAML: did not find expected ',' or ']' while parsing a flow sequence"),
        ("a: b: c\n", 1, 5, "mapping values are not allowed"),
        ("a:\n\t- b\n", 2, 1, "indent with blanks, not with tabs"),
        ("a: 'b\n", 2, 1, "that begins on line 1"),
        ("a: @b\n", 1, 4, "a value that begins with `@` must be in quotes"),
        ("{{ .Values.x }}\n", 1, 2, "template"),
        ("a: {{ .Values.x }}\n", 1, 5, "template"),
        ("[a]: b\n", 1, 1, "a key must be text"),
        ("a: \x00\n", 1, 4, "U+0000"),
        ("a: b\nc: \x1b[1m\n", 2, 4, "U+001B"),
        ("---\n...\n}\n", 3, 1, "not YAML"),
        ("%YAML 3.0\n---\na\n", 1, 1, "not YAML"),
        ("a: \ud800\n", 1, 4, "U+D800"),
    ],
)
def test_broken_yaml(text: str, line: int, column: int, part: str) -> None:
    (problem,) = problems_of(text)
    assert (problem.line, problem.column, problem.path) == (line, column, "$")
    assert part in problem.message


def test_documents_before_the_broken_place_are_still_checked() -> None:
    text = f"{HEAD}spec: {{nets: [bad]}}\n---\n{{\n"
    assert [path for _, _, path in where(text)] == ["$.spec.nets[0]", "$"]


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment\n", "---\n", "---\n---\n# x\n---\n", "null", "~\n", "\ufeff"]
)
def test_empty_documents(text: str) -> None:
    manifest = loads(text, file="empty.yaml")
    assert list(manifest.resources) == []
    assert manifest.notices == ("empty.yaml: holds no resources",)


# JSON


def test_json() -> None:
    written = document("GlobalNetworkSet", {"nets": ["10.0.0.0/8"]}, annotations={"a": "äöü 😀 \\ud83d / \t"})
    for text in (
        json.dumps(written),
        json.dumps(written, ensure_ascii=False),
        json.dumps(written, indent="\t"),
        json.dumps(written, separators=(",", ":")).replace("/", "\\/"),
    ):
        assert loads(text).resources.globalNetworkSets[0].metadata.annotations == written["metadata"]["annotations"]


# hostile input


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? ", "[{a: "])
def test_deep_nesting(opening: str) -> None:
    message = only_message(opening * 200_000)
    assert message in (
        f"nested deeper than {compose.MAX_DEPTH} levels",
        "a key must be text, not a list or mapping; is this a template, not rendered?",
    )


def test_deep_nesting_that_is_allowed() -> None:
    deep = "[" * 90 + "]" * 90
    assert problems_of(f"{HEAD}status: {deep}\n") == []


def test_deep_nesting_inside_an_annotation() -> None:
    stored = gnp() | {"apiVersion": "crd.projectcalico.org/v1"}
    stored["metadata"]["annotations"] = {"projectcalico.org/metadata": "[" * 100_000}
    assert only(stored, "globalNetworkPolicies").metadata.name == "it"


def test_billion_laughs() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    assert "aliases repeat more than 1,000,000 values" in only_message(text)


def test_lists_that_aliases_make_exponentially_long() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- &a0 {apiVersion: v1, kind: List, items: []}\n"
    for n in range(1, 30):
        text += f"- &a{n} {{apiVersion: v1, kind: List, items: [*a{n - 1}, *a{n - 1}]}}\n"
    began = time.monotonic()
    assert problems_of(text)
    assert time.monotonic() - began < 5


def test_network_sets_that_aliases_make_quadratically_long() -> None:
    nets = ", ".join(["10.0.0.0/8"] * 2000)
    text = f"apiVersion: v1\nkind: List\nitems:\n- {{n: &n [{nets}]}}\n"
    text += "".join(f"- {{spec: {{nets: *n}}, metadata: {{name: s{n}}}}}\n" for n in range(2000))
    assert any("aliases repeat more" in problem.message for problem in problems_of(text))


def test_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "MAX_VALUES", 100)
    assert "more than 100 values" in only_message("[" + "a, " * 101 + "]")


def test_too_many_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MAX_PROBLEMS", 10)
    problems = problems_of(f"{HEAD}spec: {{nets: [{', '.join('x' * 100)}]}}\n")
    assert len(problems) == 11
    assert problems[-1].message == "more than 10 problems in this file; the others are not listed"


def test_too_large_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1024 * 1024)
    monkeypatch.setattr("pyxdp.manifest.MAX_BYTES", 1024 * 1024)
    assert only_message("#" * (1024 * 1024 + 1)) == "larger than 1 MiB: split it into several files"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000_000,
        "a: " + "1" * 10_000_000,
        "'" + "(" * 10_000_000 + "'",
        "# comment\n" * 1_000_000,
        ("- " + "a" * 98 + "\n") * 100_000,
    ],
    ids=["word", "number", "quoted", "comments", "list"],
)
def test_ten_megabytes_of_nonsense(text: str) -> None:
    began = time.monotonic()
    problems_of(text)
    assert time.monotonic() - began < 30


def test_a_hundred_thousand_nets_load_quickly() -> None:
    nets = "".join(f"    - 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32\n" for n in range(100_000))
    began = time.monotonic()
    manifest = loads(f"{HEAD}spec:\n  nets:\n{nets}")
    assert time.monotonic() - began < 10  # about 1 s; the rest is for a busy machine
    assert len(manifest.resources.globalNetworkSets[0].nets) == 100_000


def test_text_and_file_of_the_same_name_are_told_apart_by_nothing_but_the_text() -> None:
    assert loads(text_of(gnp()), file="a") == loads(text_of(gnp()), file="b")
