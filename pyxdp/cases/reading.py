"""Text to cases, with every error of every file at once, each with its position."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pyxdp.cases.endpoints import NoEndpointError, TestedEndpoints
from pyxdp.cases.packets import Side, read_frame, read_packet
from pyxdp.cases.values import Case
from pyxdp.evaluator import Context, Direction, Path
from pyxdp.manifest.compose import BrokenYamlError, documents
from pyxdp.manifest.nodes import Mapping, Scalar, Sequence, is_null, shorten
from pyxdp.manifest.place import Place, Report, Subject, TooManyProblemsError, format_path
from pyxdp.manifest.readers import boolean, one_of, text
from pyxdp.manifest.sources import read_sources
from pyxdp.trial import Stage, Verdict

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence as AnySequence
    from typing import TextIO

    from pyxdp.errors import Problem
    from pyxdp.manifest.place import Fields
    from pyxdp.model import HostEndpoint, Resources
    from pyxdp.net import Packet

_MISPLACED: Final = "is of a manifest: name the files of the policy with -f"
_VERDICT: Final = one_of(*Verdict)
_STAGE: Final = one_of(*Stage)
_PATH: Final = one_of(*Path)


class _Direction(Enum):
    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """What files of cases say.

    Attributes:
        cases: in the order written.
        problems: what is wrong; if there is anything, the cases mean nothing.
    """

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]


def read_cases(
    paths: AnySequence[str | os.PathLike[str]], resources: Resources | None, *, stdin: TextIO | None = None
) -> CaseFiles:
    """Read the cases of all files.

    Args:
        paths: files, folders and ``-``, as for manifests.
        resources: the policy; ``None`` when it is wrong itself, so that endpoints can not be looked up.
        stdin: what ``-`` reads instead of ``sys.stdin``.

    Raises:
        UnsupportedPolicyError: a rule in use can not be enforced by any version.
    """
    reader = _Reader(resources)
    for source in read_sources(paths, stdin):
        report = Report(source.file)
        if source.fault:
            fault = source.fault
            report.problem(fault.line, fault.column, "", "$", fault.message)
        else:
            reader.read(report, source.text)
        reader.problems += report.problems
    return CaseFiles(tuple(reader.cases), tuple(reader.problems))


class _Reader:
    """Reads one file after the other, and keeps what they hold and what is wrong with them."""

    def __init__(self, resources: Resources | None) -> None:
        self.cases: list[Case] = []
        self.problems: list[Problem] = []
        self._known = TestedEndpoints(resources) if resources else None

    def read(self, report: Report, written: str) -> None:
        """Read the documents of a file."""
        empty = True
        try:
            for document in documents(written):
                for fault in document.faults:
                    report.problem(fault.line, fault.column, "", format_path(fault.steps), fault.message)
                if not is_null(document.root):
                    empty = False
                    self._document(Place(document.root, Subject(report, "")))
        except BrokenYamlError as error:
            report.problem(error.fault.line, error.fault.column, "", "$", error.fault.message)
        except TooManyProblemsError:
            return
        else:
            if empty:
                report.problem(1, 1, "", "$", "holds no cases")

    def _document(self, place: Place) -> None:
        elsewhere = dict.fromkeys(("apiVersion", "kind", "metadata", "spec"), _MISPLACED)
        with place.fields(elsewhere=elsewhere) as fields:
            cases = fields.place("cases")
            if cases is None and not fields.broken:
                fields.missing("cases", "a list of packets, each with what should become of it")
            items = cases.items() if cases else []
            if cases is not None and isinstance(cases.node, Sequence) and not items:
                cases.problem("holds no cases")
        for item in items:
            self._case(item)

    def _case(self, place: Place) -> None:
        place.subject = Subject(place.subject.report, _title(place))
        with place.fields() as fields:
            name = fields.require("name", text, "", meaning="what the case is called")
            endpoint = fields.require("endpoint", self._endpoint, None, meaning="the name of a HostEndpoint")
            written = fields.read("direction", one_of(*_Direction), _Direction.INGRESS)
            direction = Direction(written.value.capitalize())
            side = Side(endpoint, direction, fields.read("path", _PATH, Path.LOCAL))
            stage = fields.read("stage", _STAGE, Stage.ALL)
            found = self._content(fields, side)
            expect = fields.require("expect", _VERDICT, None, meaning="allow, deny or no-match")
            untracked = fields.read("untracked", boolean, None)
        if found is None or expect is None or endpoint is None:
            return
        packet, context = found
        self.cases.append(
            Case(
                name=name,
                endpoint=endpoint.metadata.name,
                packet=packet,
                expect=expect,
                untracked=untracked,
                direction=direction,
                context=context,
                stage=stage,
                origin=place.origin,
            )
        )

    @staticmethod
    def _content(fields: Fields, side: Side) -> tuple[Packet | bytes, Context] | None:
        """Read the packet or the frame, of which there must be one."""
        packet, frame = fields.place("packet"), fields.place("frame")
        if packet is not None and frame is not None:
            frame.problem("a case has a packet or a frame, not both")
        if packet is not None:
            return read_packet(packet, side)
        if frame is not None:
            content = read_frame(frame)
            return None if content is None else (content, Context(path=side.path))
        if not fields.broken:
            fields.missing("packet", "what is judged; or `frame`, its bytes in hexadecimal")
        return None

    def _endpoint(self, place: Place) -> HostEndpoint | None:
        """Read the name of a host endpoint that governs an interface."""
        name = text(place)
        if name is None or self._known is None:
            return None
        try:
            return self._known[name].endpoint
        except NoEndpointError as error:
            place.problem(str(error))
            return None


def _title(place: Place) -> str:
    """Return how problems call a case."""
    entry = place.node.entries.get("name") if isinstance(place.node, Mapping) else None
    name = entry[1].text if entry and isinstance(entry[1], Scalar) else ""
    return f"case {shorten(name)}" if name else ""
