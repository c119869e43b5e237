"""Documents to :class:`~pyxdp.model.Resources`: Lists, kinds, and what only shows when everything has been read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from pyxdp.errors import ManifestError, Problem
from pyxdp.manifest.compose import BrokenYamlError, Document, Fault, documents
from pyxdp.manifest.items import Type, descend, flatten, holds_cases, kind_of, report_fault
from pyxdp.manifest.kinds import KINDS, read_resource, tier_of
from pyxdp.manifest.nodes import is_null
from pyxdp.manifest.place import Place, Report, Subject, TooManyProblemsError, suggest
from pyxdp.manifest.policy import BUILT_IN_TIERS
from pyxdp.model import Resource, Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What manifests say.

    Attributes:
        resources: everything in them.
        notices: what has no effect here, as ``file:line: Kind/name: ...``; nothing that is wrong.
    """

    resources: Resources
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class Collector:
    """Reads one file after the other, and keeps what they hold and what is wrong with them."""

    _reports: list[Report] = field(default_factory=list)
    _found: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    _tiers: list[tuple[Place, str]] = field(default_factory=list)
    _complete: bool = True

    def add_text(self, file: str, text: str) -> None:
        """Read the documents of a file."""
        report = Report(file)
        self._reports.append(report)
        before = len(self._found)
        has_cases = False
        try:
            for document in documents(text):
                if holds_cases(document.root):
                    has_cases = True
                else:
                    self._add_document(report, document)
        except BrokenYamlError as error:
            self.add_fault(file, error.fault)
        except TooManyProblemsError:
            self._complete = False
        silent = not report.problems and not report.notices and not has_cases
        if len(self._found) == before and silent and self._complete:
            report.notices.append((0, f"{file}: holds no resources"))

    def add_fault(self, file: str, fault: Fault) -> None:
        """Note that a file can not be read, or not to its end."""
        self._complete = False
        report = Report(file)
        report.problems.append(Problem(file, fault.line, fault.column, "", "$", fault.message))
        self._reports.append(report)

    def finish(self) -> Manifest:
        """Return what was read.

        Raises:
            ManifestError: something is wrong.
        """
        if self._complete:
            self._note_missing_tiers()
        problems = [problem for report in self._reports for problem in report.problems]
        if problems:
            raise ManifestError(problems)
        by_collection: defaultdict[str, list[Resource]] = defaultdict(list)
        for (kind, _, _), resource in self._found.items():
            by_collection[KINDS[kind].collection].append(resource)
        ordered: dict[str, Any] = {
            collection: tuple(sorted(resources, key=attrgetter("metadata.namespace", "metadata.name")))
            for collection, resources in by_collection.items()
        }
        notices = tuple(text for report in self._reports for _, text in sorted(report.notices))
        return Manifest(resources=Resources(**ordered), notices=notices)

    def _add_document(self, report: Report, document: Document) -> None:
        for fault in document.faults:
            report_fault(report, document, fault)
        if not is_null(document.root):
            root = Place(document.root, Subject(report, ""))
            for place, type_ in flatten(root):
                self._add_item(place, type_)

    def _add_item(self, place: Place, type_: Type) -> None:
        kind = kind_of(place, type_)
        if kind is None:
            return
        resource = read_resource(place, kind, type_.version)
        metadata = resource.metadata
        if metadata.name:
            name_place = descend(place, "metadata", "name")
            first = self._found.setdefault((type_.kind, metadata.namespace, metadata.name), resource)
            if first is not resource:
                where = first.metadata.origin
                name_place.problem(f"{type_.kind} `{metadata.name}` is already defined at {where}: keep one of the two")
        tier = tier_of(resource)
        if tier is not None:
            self._tiers.append((descend(place, "spec", "tier"), tier))

    def _note_missing_tiers(self) -> None:
        """A policy may be there before its tier is: it is enforced behind all others (spec section 3.2)."""
        known = {*BUILT_IN_TIERS, *(name for kind, _, name in self._found if kind == "Tier")}
        for place, tier in self._tiers:
            if tier not in known:
                alike = suggest(tier, known)
                hint = f"; did you mean `{alike}`?" if alike else ""
                place.notice(f"there is no tier `{tier}`: it comes after all others and denies at its end{hint}")
