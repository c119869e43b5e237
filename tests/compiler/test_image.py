"""The image as bytes: what the programs find in it is what the conjunctions say, and the bytes are stable."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp import abi
from pyxdp.abi import Field, Limit, RuleFlag, RulesetFlag, Verdict
from pyxdp.compiler import (
    CompiledRule,
    EndpointRulesets,
    MapImage,
    Ruleset,
    Rulesets,
    build_image,
    compile_policy,
    compile_rulesets,
)
from pyxdp.compiler.matches import AddressCondition, Match, matches_of
from pyxdp.compiler.service import KEYS
from pyxdp.model import Action
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver import AddressSet, Direction, EffectiveRule, PolicyClass, Side
from tests.compiler.policies import SSH, effective, policy, rule, tier
from tests.compiler.reader import Reader
from tests.compiler.rules import datagrams, first_fragments, rules
from tests.compiler.test_matches import holds

if TYPE_CHECKING:
    from random import Random

    from pyxdp.resolver import EffectivePolicy

ALLOW, DENY, LOG = Action.ALLOW, Action.DENY, Action.LOG
DATAGRAMS: Final = tuple(datagrams())
ANY: Final = AddressCondition(frozenset({4, 6}))
EVERYTHING: Final = CompiledRule(Match(ANY, ANY, ((0, KEYS - 1),), None, by_ports=False), Verdict.NONE)


def image_of(*lists: list[Match]) -> tuple[MapImage, list[tuple[CompiledRule, ...]]]:
    """An endpoint ``eth0``, ``eth1``, ... for each list, the same in both directions."""
    compiled = [(*(CompiledRule(match, Verdict.DENY) for match in one), EVERYTHING) for one in lists]
    endpoints = tuple(
        EndpointRulesets(f"eth{number}", "", tuple(Ruleset(PolicyClass.UNTRACKED, way, rules_) for way in Direction))
        for number, rules_ in enumerate(compiled)
    )
    numbers = {endpoint.interface: number for number, endpoint in enumerate(endpoints)}
    return build_image(Rulesets(endpoints), {}, numbers), compiled


def nets(*written: str) -> AddressSet:
    return AddressSet(f"nets:{','.join(written)}", Prefixes.of(map(ip_network, written)))


@given(
    st.lists(st.lists(rules(), max_size=4), min_size=1, max_size=3),
    st.sampled_from([1, 20, 70, 200]),
    st.sampled_from(Direction),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=40)
def test_rows_hold_exactly_the_conjunctions_that_hold(
    drawn: list[list[EffectiveRule]], copies: int, direction: Direction, random: Random
) -> None:
    lists = [[match for one in of_endpoint for match in matches_of(one)] * copies for of_endpoint in drawn]
    for one in lists:
        random.shuffle(one)
    image, compiled = image_of(*(one[:300] for one in lists))
    reader = Reader(image)
    for later in random.sample(DATAGRAMS, 8):
        for packet in (later, random.choice(list(first_fragments(later)))):
            for number, rules_ in enumerate(compiled):
                expected = [index for index, one in enumerate(rules_) if holds(one.match, packet)]
                assert reader.candidates(f"eth{number}", direction, packet) == expected


@pytest.mark.parametrize(
    ("count", "words", "aggregates"),
    [(1, 1, 0), (64, 1, 0), (65, 2, 1), (4096, 64, 1), (4097, 65, 2), (Limit.MAX_RULES, 512, 8)],
)
def test_aggregates_say_which_words_are_not_zero(count: int, words: int, aggregates: int) -> None:
    """The rule that ends the list is among them; every seventh accepts port 80, the others 81."""
    matches = [Match(ANY, ANY, ((1 << 16 | 80 + (n % 7 > 0),) * 2,), None, by_ports=True) for n in range(count - 1)]
    image, _ = image_of(matches)
    reader = Reader(image)
    ruleset = reader.ruleset("eth0", Direction.INGRESS)
    assert (ruleset.words, ruleset.aggregates) == (words, aggregates)
    for number in range(3 if count > 1 else 1):
        aggregate, row = reader.row(ruleset, Field.SERVICE, number)
        if aggregates:
            filled = [bool(row >> 64 * word & (1 << 64) - 1) for word in range(words)]
            assert aggregate == sum(1 << word for word, full in enumerate(filled) if full)
        assert row.bit_length() <= count


def test_field_that_restricts_nothing_has_one_row() -> None:
    image = compile_policy(effective(tier("t", policy("p", rule(DENY, 80)))))
    reader = Reader(image)
    ruleset = reader.ruleset("eth0", Direction.INGRESS)
    assert ruleset.fields == 1 << Field.SERVICE
    for field in (Field.REMOTE, Field.LOCAL, Field.SPORT):
        assert reader.row(ruleset, field, 7) == (0, 0b11)


def test_rule_for_everything_restricts_nothing() -> None:
    image = compile_policy(effective(tier("t", policy("p", rule(LOG), rule(DENY)))))
    assert Reader(image).ruleset("eth0", Direction.INGRESS).fields == 0


def test_rules_keep_their_verdicts_flags_counters_and_jumps() -> None:
    compiled = compile_rulesets(effective(tier("t", policy("p", rule(LOG, 1), rule(DENY, 2)))))
    counters = {identity: 100 + number for number, identity in enumerate(compiled.identities)}
    image = build_image(compiled, counters, {"eth0": 3})
    reader = Reader(image)
    base = reader.ruleset("eth0", Direction.INGRESS).rule_base
    assert [tuple(one) for one in reader.rules[base : base + 3]] == [
        (Verdict.CONTINUE, RuleFlag.PORTS | RuleFlag.LOG | RuleFlag.SERVICE, 100, 1),
        (Verdict.DENY, RuleFlag.PORTS | RuleFlag.SERVICE, 101, 0),
        (Verdict.NONE, 0, 0, 0),
    ]
    assert {number: image.names[number].action for number in (100, 101)} == {100: "Log", 101: "Deny"}


def test_endpoint_numbers_without_an_endpoint_govern_nothing() -> None:
    compiled = compile_rulesets(effective(interfaces=["eth0"]))
    image = build_image(compiled, dict.fromkeys(compiled.identities, 0), {"eth0": 2})
    records = abi.decode_array(abi.Ruleset, image.tables["rulesets"])
    assert len(records) == 3 * Limit.RULESETS_PER_ENDPOINT
    governed = [number - 2 * Limit.RULESETS_PER_ENDPOINT for number, one in enumerate(records) if one.words]
    assert governed == [0, 1, 2, 4, 5, 6, 7], "all of them but pre-DNAT egress"


def test_no_endpoints() -> None:
    image = compile_policy(effective(interfaces=[]))
    assert image.tables["rulesets"] == image.tables["rules"] == image.tables["rows"] == b""
    assert (image.names, image.endpoints) == ({}, {})


def wildcard(policy_: EffectivePolicy) -> EffectivePolicy:
    """One host endpoint on all interfaces."""
    return replace(policy_, endpoints=tuple(replace(one, name="hep") for one in policy_.endpoints))


def test_equal_rulesets_are_stored_once() -> None:
    tiers = tier("t", policy("p", *(rule(DENY, port) for port in range(1, 100))))
    one = compile_policy(wildcard(effective(tiers, interfaces=["eth0"])))
    ten = compile_policy(wildcard(effective(tiers, interfaces=[f"eth{number}" for number in range(10)])))
    assert ten.tables["rulesets"] == bytes(one.tables["rulesets"]) * 10
    assert {name: table for name, table in ten.tables.items() if name != "rulesets"} == {
        name: table for name, table in one.tables.items() if name != "rulesets"
    }


def test_rulesets_that_differ_in_flags_share_their_rules() -> None:
    policy_ = wildcard(effective(tier("t", policy("p", rule(DENY, 80))), interfaces=["eth0", "eth1"]))
    second = replace(policy_.endpoints[1], vlans=True)
    reader = Reader(compile_policy(replace(policy_, endpoints=(policy_.endpoints[0], second))))
    plain, flagged = (reader.ruleset(name, Direction.INGRESS) for name in ("eth0", "eth1"))
    assert (plain.flags, flagged.flags) == (0, RulesetFlag.OPINION)
    assert flagged._replace(flags=0) == plain


def test_other_counters_change_nothing_else() -> None:
    compiled = compile_rulesets(effective(tier("t", policy("p", *(rule(DENY, port) for port in range(1, 9))))))
    first = build_image(compiled, {one: number for number, one in enumerate(compiled.identities)}, {"eth0": 0})
    second = build_image(compiled, {one: 99 - number for number, one in enumerate(compiled.identities)}, {"eth0": 0})
    assert [name for name in first.tables if first.tables[name] != second.tables[name]] == ["rules"]


def test_digest_covers_every_table() -> None:
    rules_ = [rule(DENY, 80, source=Side(sets=(nets(f"10.{number}.0.7/32"),))) for number in range(100)]
    image = compile_policy(effective(tier("t", policy("p", *rules_)), failsafes=[SSH]))
    others = [
        MapImage({**image.tables, name: bytes([table[0] ^ 1]) + bytes(table[1:])})
        for name, table in image.tables.items()
    ]
    assert len({image.digest, *(other.digest for other in others)}) == 1 + len(image.tables)
    moved = {**image.tables, "rows": b"", "rules": bytes(image.tables["rules"]) + bytes(image.tables["rows"])}
    assert MapImage(moved).digest != image.digest


def test_what_is_known_of_an_image_before_changes_no_digest() -> None:
    table = bytes(range(256)) * 1000
    image = MapImage({"rows": table, "pages": table, "rules": b"1"})
    known = dict(image.hashed)
    assert not known
    image.digest  # noqa: B018 - it is remembered
    for place in (0, 65535, 65536, len(table) - 1):
        changed = bytes([*table[:place], table[place] ^ 1, *table[place + 1 :]])
        for other in (changed, changed[:place], changed + b"more", b""):
            tables = {**image.tables, "rows": other}
            later = MapImage(tables, hashed=dict(image.hashed))
            assert later.digest == MapImage(tables).digest != image.digest
    assert MapImage(dict(image.tables), hashed=dict(image.hashed)).digest == image.digest


PROGRAM: Final = """
from ipaddress import ip_network
from pyxdp.compiler import compile_policy
from pyxdp.model import Action
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver import AddressSet, Side
from tests.compiler.policies import SSH, effective, policy, rule, tier

def peers(*prefixes):
    return Side(sets=tuple(AddressSet(f"nets:{one}", Prefixes.of([ip_network(one)])) for one in prefixes))

rules = [
    rule(Action.DENY, 80, source=peers("10.0.0.0/8", "10.1.0.0/16")),
    rule(Action.ALLOW, 81, 82, source=peers("fd00::/8"), families=frozenset({6, 4})),
    rule(Action.LOG, notProtocol=None, families=frozenset({4})),
]
image = compile_policy(effective(tier("t", policy("p", *rules)), interfaces=["a", "b"], failsafes=[SSH]))
print(image.digest.hex(), sorted(image.names.items()))
"""


def test_bytes_do_not_depend_on_the_process() -> None:
    """Sets and hashes are ordered differently in every Python process; tables are not."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert outputs != {""}
