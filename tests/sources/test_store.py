"""What of the texts is in force."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.manifest import Key
from pyxdp.sources import Delivery, Store, Text

NAMES = ("a", "b", "c")


def network_set(name: str, net: str) -> str:
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name},
        "spec": {"nets": [net]},
    }
    return json.dumps(document)


def several(*documents: str) -> str:
    return "".join(f"---\n{document}\n" for document in documents)


def put(store: Store, origin: str, content: str | None, fault: str = "", source: str = "folder") -> bool:
    return store.put(Delivery(source=source, texts=(Text(origin, content, fault),)))


def nets(store: Store) -> dict[str, str]:
    return {it.metadata.name: str(it.nets[0]) for it in store.resources().globalNetworkSets}


A, B, BROKEN = network_set("a", "10.0.0.1/32"), network_set("b", "10.0.0.2/32"), network_set("b", "10.0.0.999")
BOTH = {"a": "10.0.0.1/32", "b": "10.0.0.2/32"}


@pytest.fixture
def store() -> Store:
    made = Store()
    assert put(made, "f", several(A, B))
    assert nets(made) == BOTH
    return made


def test_a_wrong_object_keeps_its_last_good_version(store: Store) -> None:
    before = store.resources()
    other = network_set("a", "10.0.0.7/32")
    assert put(store, "f", several(other, BROKEN))
    assert nets(store) == {**BOTH, "a": "10.0.0.7/32"}
    assert store.resources().globalNetworkSets[1] is before.globalNetworkSets[1]
    (problem,) = store.problems
    assert (problem.key, problem.origin, problem.stands_in) == ("GlobalNetworkSet/b", "f", True)
    assert "`10.0.0.999`" in problem.message
    assert not put(store, "f", several(other, B))
    assert store.problems == ()


def test_a_wrong_object_that_was_never_right(store: Store) -> None:
    assert not put(store, "g", network_set("c", "x"))
    assert [(it.key, it.stands_in) for it in store.problems] == [("GlobalNetworkSet/c", False)]
    assert nets(store) == BOTH


@pytest.mark.parametrize("content", ["kind: [", "a: b: c", "\0", "", " \n", "\ufeff"])
def test_a_text_that_is_broken_keeps_all(store: Store, content: str) -> None:
    before = store.resources()
    assert not put(store, "f", content)
    assert store.resources() is before
    assert [it.stands_in for it in store.problems] == [True]


def test_a_text_that_can_not_be_read_keeps_all(store: Store) -> None:
    assert not put(store, "f", None, "permission denied")
    assert [it.message for it in store.problems] == ["f: permission denied"]
    assert not put(store, "f", several(A, B))
    assert store.problems == ()


def test_what_is_gone_is_gone(store: Store) -> None:
    assert put(store, "f", several(A))
    assert nets(store) == {"a": BOTH["a"]}
    assert put(store, "f", "# nothing more\n")
    assert nets(store) == {}


@pytest.mark.parametrize("wrong", [network_set("C", "10.0.0.1/32"), network_set("c", "x"), A.replace("Set", "Sat")])
def test_nothing_is_gone_while_its_successor_may_be_wrong(store: Store, wrong: str) -> None:
    assert not put(store, "f", several(A, wrong))
    assert nets(store) == BOTH
    assert put(store, "f", several(A))
    assert nets(store) == {"a": BOTH["a"]}


def test_a_text_that_is_removed(store: Store) -> None:
    assert put(store, "f", None)
    assert nets(store) == {}
    assert not put(store, "f", None)


def test_all_that_there_is(store: Store) -> None:
    put(store, "other", network_set("c", "10.0.0.3/32"), source="kubernetes")
    put(store, "g", network_set("d", "10.0.0.4/32"))
    assert store.put(Delivery(source="folder", texts=(Text("f", several(A)),), complete=True))
    assert nets(store) == {"a": BOTH["a"], "c": "10.0.0.3/32"}
    assert (store.count("folder"), store.count("kubernetes")) == (1, 1)


def test_of_two_texts_the_first_one_counts(store: Store) -> None:
    other = network_set("b", "10.0.0.9/32")
    assert not put(store, "g", other)
    (problem,) = store.problems
    assert (problem.key, problem.origin, problem.stands_in) == ("GlobalNetworkSet/b", "g", True)
    assert problem.message == "g: GlobalNetworkSet/b is already defined at f:4: keep one of the two"
    assert put(store, "f", several(A))
    assert nets(store) == {**BOTH, "b": "10.0.0.9/32"}
    assert store.problems == ()


def test_an_object_that_moves_stays_the_same(store: Store) -> None:
    before = store.resources()
    moved = Delivery(source="folder", texts=(Text("f", several(A)), Text("g", several(B))))
    assert store.put(Delivery(source="folder", texts=(Text("g", several(B)),))) is False
    assert store.put(moved) is False
    assert store.resources() is before
    assert store.problems == ()


def test_what_is_remembered_stays_until_it_is_mentioned(store: Store) -> None:
    put(store, "g", network_set("c", "10.0.0.3/32"))
    put(store, "f", several(A, BROKEN))
    put(store, "f", several(network_set("a", "10.0.0.8/32"), BROKEN))
    again = Store.of(store.texts())
    assert again.resources() == store.resources()
    assert not again.put(Delivery(source="folder", texts=(Text("f", several(A, BROKEN).replace("0.1/", "0.8/")),)))
    assert nets(again) == {"a": "10.0.0.8/32", "b": BOTH["b"], "c": "10.0.0.3/32"}
    assert again.forget_unmentioned()
    assert nets(again) == {"a": "10.0.0.8/32", "b": BOTH["b"]}
    assert not again.forget_unmentioned()


def test_what_is_remembered_and_not_right_any_more() -> None:
    keys = (Key("GlobalNetworkSet", "", "b"),)
    again = Store.of([Text("f", several(A, BROKEN)), Text("g", several(network_set("c", "x"), BROKEN), keys=keys)])
    assert nets(again) == {"a": BOTH["a"]}
    assert [(it.key, it.origin, it.stands_in) for it in again.problems] == [
        ("GlobalNetworkSet/b", "f", False),
        ("GlobalNetworkSet/b", "g", False),
    ]


def test_what_a_source_can_not_see_stays(store: Store) -> None:
    assert not store.put(Delivery(source="folder", complete=True, silent=("f",)))
    assert nets(store) == BOTH
    assert store.put(Delivery(source="folder", complete=True, silent=("g",)))
    assert nets(store) == {}


# What any sequence of texts leaves, told by a model that knows nothing of how the store does it.


@dataclass(frozen=True)
class Written:
    """An object as somebody wrote it; version 0 is wrong."""

    name: str
    version: int

    def __str__(self) -> str:
        return network_set(self.name, f"10.0.0.{self.version}/32" if self.version else "x")


@dataclass
class Model:
    """Each text's objects -> the version that is good."""

    texts: dict[str, dict[str, int]] = field(default_factory=dict)
    order: dict[str, list[str]] = field(default_factory=dict)

    def write(self, origin: str, objects: list[Written]) -> None:
        there = self.texts.setdefault(origin, {})
        last = {it.name: it.version for it in objects}
        if all(version or name in there for name, version in last.items()):
            for name in set(there) - set(last):
                self.lose(origin, name)
        for name, version in last.items():
            if version:
                there[name] = version
                holders = self.order.setdefault(name, [])
                holders += [] if origin in holders else [origin]

    def lose(self, origin: str, name: str) -> None:
        del self.texts[origin][name]
        self.order[name].remove(origin)

    def remove(self, origin: str) -> None:
        for name in list(self.texts.get(origin, ())):
            self.lose(origin, name)

    def nets(self) -> dict[str, str]:
        return {name: f"10.0.0.{self.texts[at[0]][name]}/32" for name, at in sorted(self.order.items()) if at}


objects = st.lists(
    st.builds(Written, st.sampled_from(NAMES), st.integers(0, 3)), max_size=4, unique_by=lambda it: it.name
)
changes = st.tuples(st.sampled_from(["f", "g"]), objects | st.sampled_from(["kind: [", "gone", "fault"]))


@given(st.lists(changes, max_size=12))
def test_any_sequence_of_texts_keeps_the_last_good_of_each_object(
    sequence: list[tuple[str, list[Written] | str]],
) -> None:
    store, model = Store(), Model()
    for origin, written in sequence:
        before, known = store.resources(), {Key.of(it): it for it in store.resources()}
        if written == "gone":
            put(store, origin, None)
            model.remove(origin)
        elif isinstance(written, str):
            put(store, origin, None if written == "fault" else written, "x" if written == "fault" else "")
        else:
            put(store, origin, "#\n" + several(*map(str, written)))
            model.write(origin, written)
        assert nets(store) == model.nets()
        assert (store.resources() is before) is (store.resources() == before)
        assert all(it is known[Key.of(it)] for it in store.resources() if it == known.get(Key.of(it)))
        assert Store.of(store.texts()).resources() == store.resources()
