"""Random rules of policies: valid, and so that packets do match them."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from pyxdp.model import Action, EntityRule, IcmpMatch, Rule
from tests.verdicts import vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.net import Protocol


def _entries(entries: st.SearchStrategy[Any], *, at_most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(entries, min_size=1, max_size=at_most).map(tuple)


_NAMES: Final = st.sampled_from(vocabulary.PORT_NAMES)
_PORTS: Final = _entries(st.one_of(vocabulary.port_ranges, vocabulary.port_ranges, _NAMES), at_most=3)
_SELECTOR_FIELDS: Final = {
    "selector": vocabulary.selectors,
    "notSelector": vocabulary.selectors,
    "namespaceSelector": st.sampled_from(vocabulary.NAMESPACE_SELECTORS),
}
_FIELDS: Final[dict[int, dict[str, st.SearchStrategy[Any]]]] = {
    family: {
        "nets": _entries(vocabulary.NETWORKS[family], at_most=3),
        "notNets": _entries(vocabulary.NARROW_NETWORKS[family], at_most=2),
        **_SELECTOR_FIELDS,
    }
    for family in (4, 6)
}
_PORT_FIELDS: Final = {"ports": _PORTS, "notPorts": _PORTS}
_NAMED_PORT_FIELDS: Final = {"ports": _entries(_NAMES, at_most=2), "notPorts": _entries(_NAMES, at_most=2)}


def _entity(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[EntityRule]:
    """One side of a rule. At most two fields are given, or hardly any packet would match."""
    single = st.one_of([value.map(partial(_entity_of, name)) for name, value in fields.items()])
    return st.one_of(st.just(EntityRule()), single, single, st.builds(_both, single, single))


def _entity_of(name: str, value: Any) -> EntityRule:
    return EntityRule(**{name: value})


def _both(first: EntityRule, second: EntityRule) -> EntityRule:
    names = [field.name for field in dataclasses.fields(EntityRule)]
    given: dict[str, Any] = {name: getattr(second, name) for name in names if getattr(second, name)}
    return dataclasses.replace(first, **given)


def _rules(
    family: int,
    protocols: Sequence[Protocol | None],
    port_fields: dict[str, st.SearchStrategy[Any]],
    icmp: st.SearchStrategy[IcmpMatch | None],
) -> st.SearchStrategy[Rule]:
    entity = _entity({**_FIELDS[family], **port_fields})
    return st.builds(
        Rule,
        action=st.sampled_from(
            (Action.DENY, Action.ALLOW, Action.DENY, Action.ALLOW, Action.PASS, Action.PASS, Action.LOG)
        ),
        ipVersion=st.sampled_from((None, None, None, family)),
        protocol=st.sampled_from(protocols),
        notProtocol=st.sampled_from((*(None,) * 24, *vocabulary.NUMBERED)),
        icmp=icmp,
        notICMP=icmp,
        source=entity,
        destination=entity,
    )


def _family_rules(family: int) -> list[st.SearchStrategy[Rule]]:
    """Rules that may name prefixes of one IP version, by what their protocol lets them say of ports and types."""
    none = st.none()
    return [
        _rules(family, vocabulary.WITH_PORTS, _PORT_FIELDS, none),
        _rules(family, vocabulary.ICMP[family], {}, none | vocabulary.icmp_matches),
        _rules(family, vocabulary.WITHOUT_PORTS, {}, none),
        _rules(family, (None,), _NAMED_PORT_FIELDS, none),
    ]


#: The rules of one direction of a policy.
RULES: Final = st.lists(st.one_of(*_family_rules(4), *_family_rules(6)), min_size=1, max_size=5).map(tuple)
