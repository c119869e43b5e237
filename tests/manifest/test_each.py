"""Objects of a text, each by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.errors import ManifestError
from pyxdp.manifest import Key, loads, read_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.errors import Problem
    from pyxdp.model import Resource

API = "apiVersion: projectcalico.org/v3"


def network_set(name: str, *nets: str, kind: str = "GlobalNetworkSet") -> str:
    return f"{API}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{nets: {json.dumps(nets)}}}\n"


GOOD, OTHER = network_set("good", "10.0.0.0/8"), network_set("other", "192.0.2.1")
WRONG = network_set("wrong", "10.0.0.0/99")


def test_one_wrong_object_leaves_the_others() -> None:
    reading = read_each("f", f"{GOOD}---\n{WRONG}---\n{OTHER}")
    assert [str(it.key) for it in reading.objects] == [f"GlobalNetworkSet/{it}" for it in ("good", "wrong", "other")]
    assert [it.resource is None for it in reading.objects] == [False, True, False]
    (problem,) = reading.objects[1].problems
    assert str(problem).startswith("f:9:15: GlobalNetworkSet/wrong: $.spec.nets[0]: must be an address")
    assert (reading.strays, reading.fault) == ((), None)


def test_items_of_a_list_are_objects() -> None:
    items = [{"metadata": {"name": name}, "spec": {"nets": nets}} for name, nets in (("a", ["::1"]), ("b", "::1"))]
    text = json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSetList", "items": items})
    reading = read_each("f", text)
    assert [(it.key.name, it.resource is None) for it in reading.objects] == [("a", False), ("b", True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (network_set("x", kind="GlobalNetworkSt"), "did you mean `GlobalNetworkSet`?"),
        (f"{API}\nkind: Tier\nspec: {{}}\n", "$.metadata.name: is required"),
        (f"{API}\nmetadata: {{name: x}}\n", "$.kind: is required"),
        ("[1, 2]\n", "a resource is a mapping"),
        (GOOD.replace("projectcalico.org/v3", "projectcalico.org/v9"), "is not of apiVersion"),
    ],
)
def test_what_is_no_certain_object(text: str, said: str) -> None:
    reading = read_each("f", f"{OTHER}---\n{text}")
    assert [it.key.name for it in reading.objects] == ["other"]
    assert [said in str(problem) for problem in reading.strays] == [True]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (GOOD.replace(f"{API}\n", ""), "$.apiVersion: is required"),
        (GOOD + "spec: {}\n", "spec"),
        (GOOD + "sepc: {}\n", "unknown field; did you mean `spec`?"),
    ],
)
def test_problems_around_an_object_are_its_own(broken: str, said: str) -> None:
    (one, other) = read_each("f", f"{broken}---\n{OTHER}").objects
    assert (one.resource, other.problems) == (None, ())
    assert said in str(one.problems[0])


def test_the_second_of_two_with_one_name() -> None:
    first, second = read_each("f", f"{GOOD}---\n{GOOD}").objects
    assert first.key == second.key == Key("GlobalNetworkSet", "", "good")
    assert (first.problems, second.resource) == ((), None)
    assert "already defined at f:1: keep one of the two" in str(second.problems[0])


@pytest.mark.parametrize("text", [f"{GOOD}---\nkind: [", f"{GOOD}---\na: {'[' * 200}", f"{GOOD}\0"])
def test_a_text_that_is_broken_says_nothing(text: str) -> None:
    reading = read_each("f", text)
    assert reading.objects == ()
    assert reading.fault
    assert reading.fault.line


def test_a_text_with_too_much_wrong() -> None:
    reading = read_each("f", network_set("x", *["x"] * 10_001))
    assert reading.objects == ()
    assert "more than 10,000 problems" in str(reading.fault)


@pytest.mark.parametrize("text", ["", "\ufeff", "# nothing\n", "---\n---\n", "cases: []\n"])
def test_texts_without_objects(text: str) -> None:
    assert read_each("f", text) == read_each("g", "")


def test_what_has_no_effect_is_a_notice() -> None:
    reading = read_each("f", f"{API}\nkind: IPPool\nmetadata: {{name: x}}\n---\n{GOOD}")
    assert [it.key.name for it in reading.objects] == ["good"]
    assert reading.notices == ("f:1: IPPool/x: this kind has no effect on host policy: ignored",)


PARTS = [
    GOOD,
    OTHER,
    WRONG,
    "",
    "# only words\n",
    "kind: [",
    "x: y\n",
    network_set("n", "::/0", kind="NetworkSet"),
    f"{API}\nkind: Tier\nmetadata: {{name: t}}\nspec: {{order: 7}}\n",
    f"apiVersion: v1\nkind: List\nitems:\n- {json.dumps({'kind': 'Node'})}\n",
]


@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_the_same_is_right_as_when_read_together(parts: list[str]) -> None:
    text = "---\n".join(parts)
    reading = read_each("f", text)
    right = [it.resource for it in reading.objects if it.resource]
    problems = [*reading.strays, *(problem for it in reading.objects for problem in it.problems)]
    said, resources = together(text)
    if reading.fault:
        assert reading.fault in said
    else:
        assert sorted(said) == sorted(problems)
        assert said or {Key.of(it): it for it in resources} == {Key.of(it): it for it in right}


def together(text: str) -> tuple[Sequence[Problem], Sequence[Resource]]:
    """What is wrong with a text, or its resources."""
    try:
        return (), tuple(loads(text, file="f").resources)
    except ManifestError as error:
        return error.problems, ()
